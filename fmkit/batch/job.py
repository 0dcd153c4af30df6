"""Files scored to files: a reader, threads that score, and a writer at work at once."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from fmkit.batch.formats.readers import open_reader
from fmkit.batch.formats.reading import PLACED, Limits, Part, Piece
from fmkit.batch.formats.writing import Form
from fmkit.batch.inputs import Input
from fmkit.batch.places import Place
from fmkit.batch.scoring import Scorer
from fmkit.errors import InputError
from fmkit.streams.ahead import read_ahead

T = TypeVar("T")
S = TypeVar("S")


class RejectsError(InputError):
    """More rows will not do than are allowed."""


@dataclass
class PartJob:
    """A part of an input, and what scores it.

    Parameters
    ----------
    file : Input
    part : Part
    numbered : bool
        Whether its input has other parts.
    scorer : Scorer
    form : Form
        Of its output.
    total_bytes : int
        Of all inputs that are to be scored.
    """

    file: Input
    part: Part
    numbered: bool
    scorer: Scorer
    form: Form
    total_bytes: int

    @property
    def output(self) -> str:
        """Name of its file below the folder of the output."""
        return output_of(self.file, self.form, self.part.number if self.numbered else None)


@dataclass(frozen=True)
class Work:
    """A step: a part begins (no piece), a piece of it, or it ends."""

    job: PartJob
    piece: Piece | None = None
    ends: bool = False


@dataclass(frozen=True)
class Done:
    """What came of a step.

    Parameters
    ----------
    work : Work
    encoded : object
        For the writer.
    rejected : pyarrow.RecordBatch
        `PLACED`.
    n_out : int
        Rows that came out.
    """

    work: Work
    encoded: Any
    rejected: pa.RecordBatch | None
    n_out: int


def output_of(file: Input, form: Form, part: int | None = None) -> str:
    """Name of the output of an input, or of a part of it, below the folder of the output."""
    return f"{file.stem}{'' if part is None else f'-{part:05}'}{form.suffix}"


class Outlet(Protocol):
    """Where what comes out goes."""

    def begin(self, job: PartJob) -> None:
        """A part begins."""

    def write(self, done: Done) -> None:
        """A piece of it."""

    def end(self, job: PartJob) -> None:
        """It is finished."""


def steps(
    files: Sequence[Input],
    scorer_of: Callable[[pa.Schema, list[str]], Scorer],
    form_of: Callable[[Input], Form],
    limits: Limits,
    begins: Mapping[str, tuple[int, Mapping[str, int]]],
) -> Iterator[Work]:
    """What is to be done, one file after the other.

    Parameters
    ----------
    files : sequence of Input
    scorer_of : callable
        Binds the model to the columns of a file; told, too, which of them the file itself holds.
    form_of : callable
        Of the output of a file.
    limits : Limits
    begins : mapping of input to number of the next part and its place
        Where inputs begin of which parts are finished.
    """
    total = sum(file.size for file in files)
    for file in files:
        reader = open_reader(file, limits)
        try:
            scorer = scorer_of(reader.schema, reader.own)
        except InputError as error:
            raise InputError(str(error), path=file.place.name) from None
        form = form_of(file)
        form.check(scorer.schema)
        number, begin = begins.get(file.below, (0, {}))
        for part in reader.parts(scorer.needed, begin, number):
            job = PartJob(file, part, reader.numbered, scorer, form, total)
            yield Work(job)
            for piece in part.pieces:
                yield Work(job, piece)
            yield Work(job, ends=True)


def do(work: Work) -> Done:
    """Read, score and encode: by any thread."""
    job, piece = work.job, work.piece
    encode = job.form.encoder()
    if piece is None:
        empty = pa.RecordBatch.from_pylist([], schema=job.scorer.schema)
        return Done(work, None if work.ends else encode(empty, True), None, 0)
    loaded = piece.load()
    scored = job.scorer.sift(loaded.batch)
    rejected = loaded.rejected
    if len(scored.rejected):
        at = np.asarray(scored.rejected["row"])
        lines = pa.nulls(len(at), pa.int64()) if loaded.lines is None else pa.array(loaded.lines[at])
        placed = [lines, pa.array(loaded.rows[at]), *scored.rejected.columns[1:]]
        both = [rejected, pa.RecordBatch.from_arrays(placed, schema=PLACED)]
        rejected = pa.Table.from_batches(both).sort_by("row").combine_chunks().to_batches()[0]
    return Done(work, encode(scored.batch, False), rejected, len(scored.batch))


def flow(items: Iterator[Work], outlet: Outlet, n_threads: int) -> None:
    """Let the steps flow from the reader over threads that score to the outlet, in their order."""
    ahead = read_ahead(items, n_threads + 1)
    results = in_order(do, ahead, n_threads)
    with closing(ahead), closing(results):
        for done in results:
            work = done.work
            if work.piece is None and not work.ends:
                outlet.begin(work.job)
            if not work.ends:
                outlet.write(done)
            else:
                outlet.end(work.job)


def in_order(work: Callable[[S], T], items: Iterable[S], n_threads: int) -> Generator[T]:
    """`map(work, items)` by threads, in order, a few items ahead and no more."""
    pending: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="fmkit-score")
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            while len(pending) > 2 * n_threads or (pending and pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def place_of(rejected: pa.RecordBatch, file: Input) -> str:
    """Where the first reject stands."""
    first = rejected.slice(0, 1).to_pylist()[0]
    place = f"row {first['row']}" if first["line"] is None else f"line {first['line']}"
    column = "" if first["column"] is None else f", column '{first['column']}'"
    value = "" if first["value"] is None else f" ({first['value']!r})"
    return f"{file.place.name}, {place}{column}: {first['reason']}{value}"


def digest_of(place: Place) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with place.open() as file:
        while content := file.read(1 << 22):
            digest.update(content)
    return f"sha256:{digest.hexdigest()}"


def now() -> str:
    """The time, as manifests write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
