"""The page of benchmarks, made of what `benchmarks/record.py` kept."""

from pathlib import Path

HEAD = """# Benchmarks

Each table is what one command printed, with the rivals in the same run: compare within a table, never between two. The
machine, the date and what else the machine had to do stand above it. `python benchmarks/record.py SCRIPT [ARGUMENTS]`
takes such a record, and this page is made of them. [The notes](benchmark_notes.md) have the other scripts, what bounds
each, and figures of longer runs.
"""


def write_benchmarks(results: Path, page: Path) -> None:
    """Write the page of all records in a folder, the scripts in alphabetical order."""
    parts = [HEAD]
    for record in sorted(results.glob("*.txt")):
        facts, _, output = record.read_text("utf-8").partition("\n\n")
        told = dict(line.split(": ", 1) for line in facts.splitlines())
        parts.append(f"## {told.pop('shows')}\n")
        parts.append("\n".join(f"- {name}: {fact}" for name, fact in told.items()) + "\n")
        parts.append(f"```text\n{output.rstrip()}\n```\n")
    page.write_text("\n".join(parts), "utf-8")
