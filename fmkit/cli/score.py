"""`fmkit score`: files of rows in, the same rows with predictions out."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from fmkit.cli._recommending import FILE, Notes, role_pairs

ROLES = ("user", "item", "query", "text", "series", "audio", "picture", "mask")
FORMATS = ("parquet", "csv", "tsv", "ndjson", "arrow")
STDIN_FORMATS = ("csv", "ndjson", "arrow")
TOO_MANY_REJECTS = 3  # exit status


def _names(ctx: click.Context, param: click.Parameter, given: str | None) -> list[str] | None:
    return None if given is None else [name for name in given.split(",") if name]


@click.command()
@click.argument("model", type=FILE)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--out", required=True, metavar="OUT", help="A file, a folder, or - for stdout.")
@click.option("--keep", callback=_names, metavar="A,B,...", help="Columns that are handed on; by default all.")
@click.option("--std", is_flag=True, help="Add standard deviations.")
@click.option("--proba", is_flag=True, help="Add probabilities of classes.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Lists of N items for each user instead.")
@click.option(
    "--columns",
    callback=lambda _, __, given: role_pairs(given, "--columns", ROLES) or None,
    metavar="user=U,...",
    help=f"Columns with unusual names: {', '.join(ROLES)}.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), help="Of the output; by default as the input's.")
@click.option("--from", "stdin_form", type=click.Choice(STDIN_FORMATS), help="Of stdin; by default as it looks.")
@click.option("--rejects", type=FILE, metavar="FILE", help="Where rows go that will not do, each with its reason.")
@click.option("--max-rejects", type=click.IntRange(min=0), metavar="N", help="Rejects from the next on stop the run.")
@click.option("--memory", default="1GB", show_default=True, metavar="SIZE", help="That the process may take.")
@click.option(
    "--part-rows",
    default=1 << 22,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Rows that fill a part of a folder.",
)
@click.option("--resume", is_flag=True, help="Go on with a run that was cut off.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier run left.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Threads that score; by default every core.")
@click.option("--quiet", is_flag=True, help="No notes and no progress bar on stderr.")
def score(model: Path, inputs: tuple[str, ...], **options: Any) -> int:
    """Score the rows of INPUTs with MODEL, a file that fmkit saved: the same rows come out, with predictions.

    INPUTs are files (Parquet, CSV, TSV, NDJSON, Arrow, libFM; text also .gz, .bz2, .zst), folders, globs, addresses
    like s3://..., or - for stdin. OUT is one file, or a folder in which each input has its output under the same name;
    there, parts of some millions of rows are finished one by one.

    Rows that will not do stop the run, or go to --rejects. After a crash the same command with --resume goes on with
    the first unfinished part. A manifest (`_manifest.json`, or OUT.manifest.json) counts every row; `fmkit verify OUT`
    holds it against the files.

    Exit status: 0 done, 2 something to mend, 3 too many rejects, 130 interrupted (--resume goes on).

    \b
    fmkit score movies.fmkit pairs.parquet --out scores.parquet
    fmkit score churn.fmkit customers/ --out scores/ --keep id --rejects bad.parquet --resume
    zcat night.csv.gz | fmkit score movies.fmkit - --out - --format ndjson > scores.ndjson
    """
    from fmkit.batch import RejectsError

    notes = Notes(options.pop("quiet"))
    to_stdout = options["out"] == "-"
    _check_usage(inputs, to_stdout, options)
    try:
        with _interruptible():
            if to_stdout or "-" in inputs:
                _to_stream(model, inputs, options, notes)
            else:
                _to_files(model, inputs, options, notes)
    except RejectsError as error:
        click.echo(f"fmkit: {' '.join(str(error).split())}", err=True)
        return TOO_MANY_REJECTS
    except KeyboardInterrupt:
        if not to_stdout:
            notes("finished parts are kept: the same command with --resume goes on with the next")
        raise
    return 0


def _check_usage(inputs: tuple[str, ...], to_stdout: bool, options: dict[str, Any]) -> None:
    if "-" in inputs and len(inputs) > 1:
        raise click.UsageError("- is all that is read: name no other input beside it")
    if ("-" in inputs or to_stdout) and options["resume"]:
        raise click.UsageError("a stream cannot be gone on with: --resume needs files")
    if options["resume"] and options["overwrite"]:
        raise click.UsageError("--resume and --overwrite ask for opposite things")
    if options["stdin_form"] and "-" not in inputs:
        raise click.UsageError("--from is for stdin: files have suffixes")


def _to_files(model: Path, inputs: tuple[str, ...], options: dict[str, Any], notes: Notes) -> None:
    from fmkit.batch import score_files

    others = ("out", "jobs", "stdin_form")
    asked = {name: value for name, value in options.items() if name not in others}
    with _bar(notes.quiet) as tell:
        manifest = score_files(
            model,
            inputs,
            options["out"],
            **asked,
            n_jobs=options["jobs"],
            tell=tell,
        )
    rows, seconds = manifest["rows"], manifest["seconds"]
    rejected = f", {rows['rejected']:,} rejected" if rows["rejected"] else ""
    notes(f"{rows['in']:,} rows in, {rows['out']:,} out{rejected}, in {seconds:.1f} s")


def _to_stream(model: Path, inputs: tuple[str, ...], options: dict[str, Any], notes: Notes) -> None:
    from fmkit.batch.files import score_stream
    from fmkit.batch.formats.writing import Form
    from fmkit.batch.inputs import find_inputs
    from fmkit.batch.standard_input import standard_input

    files = [standard_input(options["stdin_form"])] if inputs == ("-",) else find_inputs(inputs)
    to_stdout = options["out"] == "-"
    own = Form.of(options["out"]) if not to_stdout else None
    if not to_stdout and own is None:
        raise click.UsageError("what comes on stdin goes to one file, or to stdout: --out FILE or --out -")
    usual = files[0].form if files[0].form in ("ndjson", "arrow") else "csv"
    form = own or Form(options["form"] or usual)
    others = ("out", "form", "jobs", "stdin_form", "resume")
    asked = {name: value for name, value in options.items() if name not in others}
    with _bar(notes.quiet) as tell:
        out = None if to_stdout else options["out"]
        score_stream(model, files, form, out, tell=tell, n_jobs=options["jobs"], **asked)


@contextmanager
def _interruptible() -> Iterator[None]:
    """What schedulers send to end a process ends it as Ctrl-C does."""

    def interrupt(number: int, frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _bar(quiet: bool) -> Iterator[Any]:
    """Bytes of the inputs that are done, with the time left, and rows a second."""
    from tqdm import tqdm

    began, n_rows, shares = time.monotonic(), 0, {}
    with tqdm(unit="B", unit_scale=True, disable=True if quiet else None, file=sys.stderr) as bar:

        def tell(job: Any, done: float, rows: int) -> None:
            nonlocal n_rows
            n_rows += rows
            shares[job.file.below] = done * job.file.size
            bar.total = max(job.total_bytes, 1)
            bar.set_postfix_str(f"{n_rows / (time.monotonic() - began):,.0f} rows/s", refresh=False)
            bar.update(sum(shares.values()) - bar.n)

        yield tell
