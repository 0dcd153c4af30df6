"""`fmkit verify`: the files of a run held against its manifest."""

from __future__ import annotations

import click

from fmkit.cli._recommending import Notes


@click.command()
@click.argument("out", metavar="OUT")
@click.option("--quick", is_flag=True, help="Compare sizes alone, not digests.")
@click.option("--quiet", is_flag=True, help="Tell nothing; the exit status says it.")
def verify(out: str, quick: bool, quiet: bool) -> int:
    """Hold what `fmkit score` wrote to OUT against its manifest: is every file there, and as it was written?

    Differences of the output and of the rejects end with exit status 1. The model and the inputs are looked at, too,
    where they are still there; that they have changed since is told, and is no fault.

    \b
    fmkit verify scores/
    fmkit verify scores.parquet --quick
    """
    from fmkit.batch.verifying import verify as hold

    notes = Notes(quiet)
    report = hold(out, quick=quick)
    for sentence in report.faults:
        notes(sentence)
    for sentence in report.changed:
        notes(f"note: {sentence}")
    if not report.faults:
        notes(report.summary)
    return 1 if report.faults else 0
