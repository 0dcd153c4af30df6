"""Scores of the day's rows, made by cron at night: `python examples/nightly.py model.fmkit incoming/ scores/`.

30 2 * * *  cd /srv/shop && python nightly.py model.fmkit incoming/ scores/ >> nightly.log 2>&1

If the machine goes down at three, the same line tomorrow, or by hand, goes on where it stopped; no row is scored twice,
and none is lost: rows that will not do are set aside, each with its reason, and the numbers must add up.
"""

import sys
from datetime import date
from pathlib import Path

from fmkit.batch import score_files, verify
from fmkit.errors import InputError

model, incoming, scores = (Path(argument) for argument in sys.argv[1:4])
today = sys.argv[4] if len(sys.argv) > 4 else date.today().isoformat()
out, rejects = scores / f"day={today}", scores / "_rejects" / f"{today}.parquet"
rejects.parent.mkdir(parents=True, exist_ok=True)

try:
    told = score_files(
        model,
        incoming,  # a folder: CSV, Parquet, NDJSON, as they come; its subfolders stay
        out,
        form="parquet",
        rejects=rejects,
        max_rejects=100_000,  # more than that is no dirt but another kind of file: somebody should look
        memory="1GB",
        resume=True,  # begins, or goes on, or finds that all is done
    )
except (InputError, OSError) as error:  # a sentence that says what to mend; finished parts stay
    sys.exit(f"{today}: {error}")

report = verify(out, quick=True)
if report.faults:
    sys.exit(f"{today}: {report.faults[0]}")
rows = told["rows"]
counts = f"{rows['in']:,} rows in, {rows['out']:,} scored, {rows['rejected']:,} set aside"
print(f"{today}: {counts}, {told['seconds']:.0f} s")
