"""`score_files`: whole files and folders scored, as `fmkit score` does."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from fmkit import __version__
from fmkit.batch.apart import check_apart, check_names, check_rejects
from fmkit.batch.budget import USUAL, limits_for, read_bytes
from fmkit.batch.formats.writing import FORMATS, Form
from fmkit.batch.inputs import Input, find_inputs
from fmkit.batch.job import PartJob, Work, digest_of, flow, now, steps
from fmkit.batch.outlets import Files, Rejects, Stream, Tell, write_rejects
from fmkit.batch.places import Place
from fmkit.batch.run import Run, begun
from fmkit.batch.scoring import Scorer
from fmkit.errors import InputError
from fmkit.pipelines import set_threads, steps_of
from fmkit.threads import count_threads

MANIFEST = 1  # version of the manifest


def score_files(
    model: str | Path,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    keep: Sequence[str] | None = None,
    std: bool = False,
    proba: bool = False,
    top: int | None = None,
    columns: Mapping[str, str] | None = None,
    form: str | None = None,
    rejects: str | Path | None = None,
    max_rejects: int | None = None,
    memory: str = USUAL,
    part_rows: int = 1 << 22,
    n_jobs: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Score files to files: every row comes out, scored, or is named among the rejects; a run that was cut off goes on.

    Reading, scoring by several threads, and writing are at work at once, some batches ahead of each other and no more.
    A file appears when it is whole. Finished parts are recorded, so that after a power cut a run goes on with the first
    that is not; what comes out is, byte for byte, what it would have been.

    Parameters
    ----------
    model : path
        A model file of `fmkit.save`.
    inputs : path, or sequence of paths
        Files (Parquet, CSV and TSV, NDJSON, Arrow IPC, libFM; text also .gz, .bz2, .zst), folders, globs; on this
        computer, or at addresses that Arrow or fsspec knows (s3://...). Names of folders like `day=2026-11-28` are
        columns, too.
    out : path
        A file, if its suffix is that of a format; else a folder, in which each input has its output under the same
        path. Inputs of more than `part_rows` rows become several files there, each of which is a part that need not be
        made again; a single file is one part.
    keep, std, proba, top, columns
        As of `Scorer`.
    form : {"parquet", "csv", "tsv", "ndjson", "arrow"}, optional
        Of files in a folder; by default that of their input.
    rejects : path, optional
        File for rows that will not do: input, line (of text), row, column, reason, value. By default the first one
        stops the run.
    max_rejects : int, optional
        Rejects from the next on stop the run; by default no number does, if they are kept.
    memory : str, default="1GB"
        That the process may take, the model aside: batches are as small as that asks for.
    part_rows : int, default=4,194,304
        Rows of an output from which on the next one begins, at the next row group of Parquet; of text, 32 bytes count
        as a row.
    n_jobs : int, optional
        Threads that score; None or -1 for every core.
    resume : bool, default=False
        Go on with a run that was cut off; if there is none, begin.
    overwrite : bool, default=False
        Replace what an earlier run left.
    tell : callable, optional
        Told of each piece that is written: the part, the share of its input that is done, its rows.

    Returns
    -------
    dict
        The manifest, as it stands beside the output: inputs and outputs with sizes and digests, rows in, out and
        rejected.

    Raises
    ------
    InputError
        If inputs or model are not as they should be, or something is in the way.
    RejectsError
        If more rows are rejects than are allowed; finished parts stay.
    OSError
        If a file cannot be read or written; finished parts stay.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pyarrow as pa
    >>> from fmkit import FMRegressor, save
    >>> from fmkit.batch import score_files
    >>> folder = Path(tempfile.mkdtemp())
    >>> table = {"size": [1.0, 2, 3, 4], "age": [1.0, 0, 1, 0]}
    >>> save(FMRegressor(random_state=0).fit(pa.table(table), [1, 2, 3, 4]), folder / "model.fmkit")
    >>> _ = (folder / "new.csv").write_text("id,size,age\\n1,2,0\\n2,x,1\\n3,1,1\\n")
    >>> told = score_files(folder / "model.fmkit", folder / "new.csv", folder / "out", rejects=folder / "rejects.csv")
    >>> told["rows"]
    {'in': 3, 'out': 2, 'rejected': 1}
    >>> print((folder / "rejects.csv").read_text().splitlines()[1].partition("new.csv")[2])
    ,3,2,size,it is text where a number is needed,x
    """
    asked = ModelFile(model, keep, std, proba, top, columns, memory, part_rows, n_jobs)
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    files = find_inputs([str(one) for one in given])
    place, single = Place.of(out), Form.of(str(out))
    if form is not None and form not in FORMATS:
        raise InputError(f"form must be one of {', '.join(FORMATS)}, got '{form}'")
    rejects_place = None if rejects is None else Place.of(rejects)
    check_apart(files, [str(one) for one in given], place, single is None, rejects_place)
    if single is None:
        check_names(files, lambda file: _form_of(file, form))
    if rejects_place is not None:
        check_rejects(rejects_place, overwrite or resume)
    plan: dict[str, Any] = {
        "version": __version__,
        "model": asked.facts(),
        "inputs": [file.facts() for file in files],
        "options": {**asked.options(), "form": form, "rejects": rejects is not None},
        "cuts": asked.cuts,
    }
    started, clock = now(), time.monotonic()
    with begun(place, single is None, plan, resume=resume, overwrite=overwrite) as run:
        if rejects_place is not None and resume and not (run.is_resumed or run.is_finished):
            check_rejects(rejects_place, overwrite=False)  # it is a new run, after all
        if run.is_finished:
            return cast("dict[str, Any]", _read_manifest(run))
        kept = Rejects(
            _limit(rejects, max_rejects), sum(entry["rejected"] for entry in run.entries), rejects is not None
        )
        asked.cut_as(plan["cuts"])
        outlet = Files(run, single, kept, plan["cuts"]["group_bytes"], tell or _silent)
        left = [file for file in files if file.below not in {e["input"] for e in run.entries if e["is_last"]}]
        begins = {entry["input"]: (entry["part"] + 1, entry["next"]) for entry in run.entries}
        with outlet.stack:
            work = asked.steps(left, lambda file: single or _form_of(file, form), begins, single is None)
            flow(work, outlet, asked.n_threads)
            outlet.finish()
        manifest = _manifest(run, files, plan, started, time.monotonic() - clock)
        if rejects_place is not None:
            manifest["rejects"] = write_rejects(rejects_place, _kept_rejects(run))
        run.end(manifest)
    return manifest


def score_stream(
    model: str | Path,
    files: list[Input],
    form: Form,
    out: str | Path | None = None,
    *,
    rejects: str | Path | None = None,
    max_rejects: int | None = None,
    overwrite: bool = False,
    tell: Tell | None = None,
    **options: Any,
) -> None:
    """Score to stdout, or from stdin to a file: what cannot be gone on with, and has no manifest.

    Parameters
    ----------
    model : path
    files : list of Input
    form : Form
    out : path, optional
        By default stdout.
    rejects, max_rejects, overwrite, tell, **options
        As of `score_files`.
    """
    rejects_place, place = (None if path is None else Place.of(path) for path in (rejects, out))
    if rejects_place is not None:
        check_apart(files, [], place, False, rejects_place)
        check_rejects(rejects_place, overwrite)
    if place is not None and place.is_file and not overwrite:
        raise InputError("the file exists: --overwrite replaces it", path=place.name)
    asked = ModelFile(model, **options)
    kept = Rejects(_limit(rejects, max_rejects), 0, rejects is not None)

    def to(stream: Any) -> None:
        outlet = Stream(stream, form, kept, tell or _silent)
        flow(asked.steps(files, lambda _: form, {}), outlet, asked.n_threads)
        outlet.finish()
        if rejects_place is not None:
            write_rejects(rejects_place, iter(outlet.rejected))

    if place is None:
        to(sys.stdout.buffer)
        return
    with place.written_beside() as part, part.system.open_output_stream(part.path) as stream:
        to(stream)


class ModelFile:
    """A model file, and what is asked of it.

    Parameters
    ----------
    model : path
    keep, std, proba, top, columns, memory, part_rows, n_jobs
        As of `score_files`.
    """

    def __init__(
        self, model: Any, keep: Any, std: bool, proba: bool, top: int | None, columns: Any, memory: str, part_rows: int,
        n_jobs: int | None,
    ) -> None:  # fmt: skip
        from fmkit import load

        if part_rows < 1:
            raise InputError(f"part_rows must be at least 1, got {part_rows}")
        self.path, self.model = Path(model), load(model, mapped=True)
        self.scoring = {"keep": keep, "std": std, "proba": proba, "top": top, "columns": columns}
        self.part_rows = part_rows
        threads = count_threads(n_jobs)
        # Nets and restorers have threads of their own, and are asked for one batch after the other.
        alone = hasattr(last := steps_of(self.model)[-1], "net_") or type(last).__name__ == "ImageRestorer"
        self.n_threads = 1 if alone else threads
        set_threads(self.model, threads if alone else 1)
        size = self.path.stat().st_size
        self.limits, group_bytes = limits_for(read_bytes(memory), size, self.n_threads, part_rows)
        self.cuts = {"batch_bytes": self.limits.batch_bytes, "group_bytes": group_bytes}

    def cut_as(self, cuts: Mapping[str, int]) -> None:
        """Cut batches as a run did that is gone on with: for the same bytes, whatever memory and threads there are."""
        self.limits = replace(self.limits, batch_bytes=cuts["batch_bytes"])

    def facts(self) -> dict[str, Any]:
        """What tells whether it is the same model."""
        return {"path": str(self.path), "class": type(self.model).__name__, "digest": digest_of(Place.of(self.path))}

    def options(self) -> dict[str, Any]:
        """What the output depends on."""
        columns = self.scoring["columns"]
        told = {**self.scoring, "columns": dict(columns) if columns else None}
        return {**told, "part_rows": self.part_rows}

    def steps(
        self,
        files: Sequence[Input],
        form_of: Callable[[Input], Form],
        begins: Mapping[str, Any],
        keeps_folders: bool = False,
    ) -> Iterator[Work]:
        """What is to be done."""

        def scorer_of(schema: pa.Schema, own: list[str]) -> Scorer:
            scoring = dict(self.scoring)
            if keeps_folders and scoring["keep"] is None:  # what the names of folders tell, they go on to tell
                scoring["keep"] = own
            return Scorer(self.model, schema, **scoring)

        return steps(files, scorer_of, form_of, self.limits, begins)


def _limit(rejects: Any, most: int | None) -> int | None:
    if most is not None and most < 0:
        raise InputError(f"max_rejects must be at least 0, got {most}")
    return most if rejects is not None or most is not None else 0


def _form_of(file: Input, form: str | None) -> Form:
    """Of the output of an input: as the input's, unless told; what is not written so is written as what is nearest."""
    if form is not None and form != _own_form(file):
        return Form(form)
    compression = ".zst" if file.compression == ".zst" else ".gz" if file.compression else None
    return Form(_own_form(file), compression)


def _own_form(file: Input) -> str:
    if file.form == "libfm":
        return "ndjson"
    return "tsv" if file.below[len(file.stem) :].lower().startswith(".tsv") else file.form


def _kept_rejects(run: Run) -> Iterator[pa.Table]:
    from pyarrow import parquet

    for number in range(len(run.entries)):
        with run.rejects_of(number).open() as file:
            yield parquet.read_table(file)


def _manifest(run: Run, files: Sequence[Input], plan: dict[str, Any], started: str, seconds: float) -> dict[str, Any]:
    rows = {name: sum(entry[name] for entry in run.entries) for name in ("in", "out", "rejected")}
    assert rows["in"] == rows["out"] + rows["rejected"]
    outputs: dict[str, dict[str, Any]] = {}
    for entry in run.entries:
        told = outputs.setdefault(
            entry["output"], {"path": entry["output"], "rows": 0, "size": entry["size"], "digest": entry["digest"]}
        )
        told["rows"] += entry["out"]
    of_inputs = {file.below: sum(e["in"] for e in run.entries if e["input"] == file.below) for file in files}
    inputs = [
        {**file.facts(), "digest": digest_of(file.place), "rows": of_inputs[file.below]} for file in files
    ]  # fmt: skip
    return {
        "manifest": MANIFEST,
        "fmkit": __version__,
        "started": started,
        "seconds": round(seconds, 3),
        "model": plan["model"],
        "rows": rows,
        "inputs": inputs,
        "outputs": list(outputs.values()),
        "rejects": None,
        "plan": plan,
    }


def _read_manifest(run: Run) -> Any:
    import json

    return json.loads(run.manifest.read_text())


def _silent(job: PartJob, done: float, n_rows: int) -> None:
    """Told nothing."""
