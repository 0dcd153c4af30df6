"""Run a benchmark and keep what it prints, with the machine and the date, for the book's page of benchmarks.

python benchmarks/record.py bench_topn.py
python benchmarks/record.py bench_interactions.py adult
"""

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RIVALS = ("scikit-learn", "implicit", "myfm", "opencv-python-headless", "scikit-image", "torch", "pyspark")


def processor() -> str:
    """The processor's name, as the system tells it, and how many of its cores may be used."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*: (.*)", told)
    wide = next((words for flag, words in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if f" {flag} " in told), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ", ".join(filter(None, [name[1] if name else platform.processor(), wide, f"{cores} cores"]))


def versions() -> str:
    """Versions of Python, numpy and numba, and of the rivals that are there."""
    found = [f"Python {platform.python_version()}"]
    for package in ("fmkit", "numpy", "numba", *RIVALS):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def main(arguments: list[str]) -> None:
    """Run it, show what it prints, and write the record beside it once it ended well."""
    if not arguments or not (HERE / arguments[0]).is_file():
        sys.exit(f"name a script of {HERE} to run, such as bench_topn.py, and its arguments")
    shows = (HERE / arguments[0]).read_text("utf-8").split('"""')[1].partition("\n")[0].rstrip(".,")
    before = os.getloadavg()[0]
    run = subprocess.run(
        [sys.executable, HERE / arguments[0], *arguments[1:]], stdout=subprocess.PIPE, text=True, check=False
    )
    print(run.stdout, end="")
    if run.returncode:
        sys.exit(f"it ended with {run.returncode}: nothing is kept")
    facts = {
        "shows": shows,
        "command": f"`python benchmarks/{' '.join(arguments)}`",
        "date": datetime.date.today().isoformat(),
        "machine": processor(),
        "load of the machine before": f"{before:.1f}",
        "versions": versions(),
    }
    name = re.sub(r"[^\w-]+", "-", " ".join([Path(arguments[0]).stem, *arguments[1:]])).strip("-")
    record = HERE / "results" / f"{name}.txt"
    record.parent.mkdir(exist_ok=True)
    head = "\n".join(f"{key}: {value}" for key, value in facts.items())
    record.write_text(f"{head}\n\n{run.stdout}", "utf-8")
    print(f"kept in {record}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
