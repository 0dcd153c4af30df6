"""Where what is scored goes: files, a part each or all in one, with a record of the run; or a stream."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from fmkit.batch.formats.reading import PLACED
from fmkit.batch.formats.writing import GROUP_ROWS, Digested, Form, Writer
from fmkit.batch.job import Done, PartJob, RejectsError, place_of
from fmkit.batch.places import Place
from fmkit.batch.run import Run
from fmkit.errors import InputError

REJECTS = pa.schema([("input", pa.string()), *PLACED])
MEND = "--rejects FILE sets such rows aside"

Tell = Callable[[PartJob, float, int], None]
"""Told of a part, the share of its input that is done, and rows since it was told last."""


class Rejects:
    """Rows that will not do, counted, and held until their part is finished.

    Parameters
    ----------
    most : int or None
        From the next on, the run stops; None for no end.
    n : int
        Those of finished parts.
    are_kept : bool
        Whether they go to a file.
    """

    def __init__(self, most: int | None, n: int, are_kept: bool) -> None:
        self.most, self.n, self.are_kept = most, n, are_kept
        self.held: list[pa.RecordBatch] = []

    def add(self, done: Done) -> None:
        """Those of a piece."""
        rejected = done.rejected
        if rejected is None or not len(rejected):
            return
        file, self.n = done.work.job.file, self.n + len(rejected)
        if self.most is not None and self.n > self.most:
            told = place_of(rejected, file)
            if not self.are_kept:
                raise RejectsError(f"{told}; {MEND}")
            raise RejectsError(f"{self.n:,} rows will not do, {self.most:,} are allowed; one of them: {told}")
        names = pa.repeat(pa.scalar(file.place.name), len(rejected))
        self.held.append(pa.RecordBatch.from_arrays([names, *rejected.columns], schema=REJECTS))

    def taken(self) -> pa.Table:
        """Those held, which are held no longer."""
        table, self.held = pa.Table.from_batches(self.held, REJECTS), []
        return table


class Files:
    """An outlet of files, each written beside its name and renamed when it is whole.

    Parameters
    ----------
    run : Run
    single : Form, optional
        All in one file, of this form; by default a file a part.
    rejects : Rejects
    group_bytes : int
        Of a row group that is held back.
    tell : callable
    """

    def __init__(self, run: Run, single: Form | None, rejects: Rejects, group_bytes: int, tell: Tell) -> None:
        self.run, self.single, self.rejects, self.tell = run, single, rejects, tell
        self.group_bytes = group_bytes
        self.stack = contextlib.ExitStack()
        self.schema: pa.Schema | None = None
        self.n_in = self.n_out = 0
        self.writer: Writer
        self.sink: Digested

    def begin(self, job: PartJob) -> None:
        """Open the part's file."""
        self.n_in = self.n_out = 0
        if self.single is not None and self.schema is not None:
            if job.scorer.schema != self.schema:
                raise InputError(
                    "its columns are not those of the files before it, and all go to one file: choose a folder",
                    path=job.file.place.name,
                )
            return
        self.schema = job.scorer.schema
        place = self.run.out if self.single else self.run.out / job.output
        if not self.single:
            place.beside("").make_folder()
        part = self.stack.enter_context(place.written_beside())
        self._open(part, job)

    def write(self, done: Done) -> None:
        """A piece."""
        job, piece = done.work.job, done.work.piece
        self.rejects.add(done)
        if piece is not None or self.sink.size == 0:
            self.writer.write(done.encoded, piece is not None and piece.ends_group)
        if piece is not None:
            self.n_in, self.n_out = self.n_in + piece.n_rows, self.n_out + done.n_out
            self.tell(job, piece.done, piece.n_rows)

    def end(self, job: PartJob) -> None:
        """Close the part's file, and enter it."""
        entry = {
            "input": job.file.below,
            "part": job.part.number,
            "next": job.part.end,
            "is_last": job.part.is_last,
            "in": self.n_in,
            "out": self.n_out,
        }
        rejected = self.rejects.taken()
        entry["rejected"] = len(rejected)
        if self.single is None:
            self._close()
            entry |= {"output": job.output, "size": self.sink.size, "digest": self.sink.digest}
            self._keep(rejected)
            self.run.add(entry)
        else:
            self._keep(rejected)
            self.run.entries.append({**entry, "output": self.run.out.base})

    def finish(self) -> None:
        """Close what is open."""
        if self.single is not None:
            if self.schema is None:
                raise InputError("there is nothing to score")
            self._close()
            for entry in self.run.entries:
                entry |= {"size": self.sink.size, "digest": self.sink.digest}

    def _open(self, part: Place, job: PartJob) -> None:
        stream = self.stack.enter_context(part.system.open_output_stream(part.path))
        self.sink = Digested(stream)
        self.stack.callback(self.sink.abandon)
        rows = 1 << 62 if job.file.form == "parquet" else GROUP_ROWS
        assert self.schema is not None
        self.writer = (self.single or job.form).writer(self.sink, self.schema, rows, self.group_bytes)

    def _close(self) -> None:
        self.writer.close()
        self.stack.close()

    def _keep(self, rejected: pa.Table) -> None:
        if self.rejects.are_kept:
            from pyarrow import parquet

            place = self.run.rejects_of(len(self.run.entries))
            with place.written_beside() as part, part.system.open_output_stream(part.path) as stream:
                parquet.write_table(rejected, stream)


class Stream:
    """An outlet of one stream, stdout for one.

    Parameters
    ----------
    stream : file-like
        Of bytes.
    form : Form
    rejects : Rejects
    tell : callable
    """

    def __init__(self, stream: Any, form: Form, rejects: Rejects, tell: Tell) -> None:
        self.sink, self.form, self.rejects, self.tell = Digested(stream, seekable=False), form, rejects, tell
        self.writer: Writer | None = None
        self.schema: pa.Schema | None = None
        self.rejected: list[pa.Table] = []

    def begin(self, job: PartJob) -> None:
        """The header comes once."""
        if self.schema is not None and job.scorer.schema != self.schema:
            raise InputError("its columns are not those of the files before it", path=job.file.place.name)

    def write(self, done: Done) -> None:
        """A piece."""
        job, piece = done.work.job, done.work.piece
        self.rejects.add(done)
        if self.writer is None:
            self.schema = job.scorer.schema
            self.writer = self.form.writer(self.sink, self.schema)
        elif piece is None:
            return
        self.writer.write(done.encoded, False)
        if piece is not None:
            self.tell(job, piece.done, piece.n_rows)

    def end(self, job: PartJob) -> None:
        """Rejects wait for the end."""
        self.rejected.append(self.rejects.taken())

    def finish(self) -> None:
        """Write what is held back."""
        if self.writer is not None:
            self.writer.close()


def write_rejects(place: Place, tables: Iterator[pa.Table]) -> dict[str, Any]:
    """All rejects in one file, of the form that its suffix tells; facts of the file."""
    form = Form.of(place.base)
    if form is None:
        raise InputError("rejects are written to a .parquet, .csv, .ndjson or .arrow file", path=place.name)
    n, encode = 0, form.encoder()
    with place.written_beside() as part, part.system.open_output_stream(part.path) as stream:
        sink = Digested(stream)
        writer = form.writer(sink, REJECTS)
        writer.write(encode(pa.RecordBatch.from_pylist([], schema=REJECTS), True), False)
        for table in tables:
            n += len(table)
            for batch in table.to_batches():
                writer.write(encode(batch, False), False)
        writer.close()
    return {"path": place.name, "rows": n, "size": sink.size, "digest": sink.digest}
