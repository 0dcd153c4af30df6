"""The rows as a fit reads them: once a field, cut by its ids into blocks, each a few arrays in a row of Spark's.

A sweep then moves factors alone, and no row of the data ever becomes an object of Java or of Python: a block of
millions of rows passes from one to the other as a handful of byte strings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fmkit.spark.levels import Levels, numbers, texts_of
from fmkit.spark.session import in_arrow

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CHUNK = 1 << 20  # rows that are given codes at once: the table of all ids is made anew each time
MOST = 1 << 24  # rows of a block: 64 MB an array, of the 2 GB that a value may have
PIECES = "key long, field int, block int, codes binary, others binary, y binary, omega binary"
BLOCKS = "first long, ptr binary, others binary, y binary, omega binary"


@dataclass(frozen=True)
class Plan:
    """How rows become pieces of blocks.

    Parameters
    ----------
    ids : tuple of pyarrow.StringArray
        Of each field, in the order of their codes.
    cuts : tuple of ndarray
        First code of each block of a field, and the number of its codes.
    keys : ndarray of shape (n_blocks,), int64
        What Spark's hash sends each block to a partition of its own by.
    offset : float
        Taken off the targets.
    weighted : bool
    """

    ids: tuple[pa.StringArray, ...]
    cuts: tuple[NDArray[np.int64], ...]
    keys: NDArray[np.int64]
    offset: float
    weighted: bool


def cut_into_blocks(
    rows: DataFrame, levels: Levels, offset: float, weighted: bool, n_blocks: int | None
) -> list[DataFrame]:
    """Rows in blocks of the ids of each field, kept by Spark; `unpersist` them at the end.

    Parameters
    ----------
    rows : DataFrame
        As of `find_levels`.
    levels : Levels
    offset : float
        Taken off the targets.
    weighted : bool
    n_blocks : int, optional
        Blocks a field; by default a task each at once, and no more than `MOST` rows in one.

    Returns
    -------
    list of DataFrame
        One a field: a block a row (`BLOCKS`), a block a partition. Inside a block entries are sorted, so that it is the
        same, bit for bit, whatever order the rows came in.
    """
    spark = rows.sparkSession
    n = n_blocks or max(tasks_at_once(spark), -(-levels.n_rows // MOST))
    cuts = tuple(_cut(counts, n) for counts in levels.counts)
    plan = Plan(tuple(levels.ids), cuts, _keys(spark, n), offset, weighted)
    pieces = in_arrow(rows, to_pieces, PIECES, plan).persist()
    blocks = []
    for field in range(len(levels.names)):
        own = pieces.where(f"field = {field}").repartition(n, "key")
        blocks.append(in_arrow(own, to_blocks, BLOCKS, cuts[field]).persist())
    for frame in blocks:
        frame.count()
    pieces.unpersist()
    return blocks


def tasks_at_once(spark: SparkSession) -> int:
    """Tasks that run at the same time; by Connect, which does not tell, the partitions of a shuffle."""
    try:
        return int(spark.sparkContext.defaultParallelism)
    except Exception:  # pyspark's own, of Connect
        return int(spark.conf.get("spark.sql.shuffle.partitions") or 1)


def _cut(counts: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Ids in at most n ranges of about as many rows."""
    before = np.r_[0, np.cumsum(counts)]
    at = np.searchsorted(before, np.linspace(0, before[-1], n + 1)[1:-1])
    return np.unique(np.r_[0, at, len(counts)]).astype(np.int64)


def _keys(spark: SparkSession, n: int) -> NDArray[np.int64]:
    """A key for each of n partitions, which Spark's hash sends there.

    Blocks' own numbers would meet in some partitions and leave others empty. Should Spark hash otherwise one day, that
    is all that happens.
    """
    some = spark.range(0, 20 * n, 1, 1).selectExpr("id", f"pmod(hash(id), {n}) AS place").toArrow()
    places, first = np.unique(np.asarray(some["place"]), return_index=True)
    keys = np.arange(n, dtype=np.int64)
    keys[places] = np.asarray(some["id"])[first]
    return keys


def to_pieces(batches: Iterator[pa.RecordBatch], plan: Plan) -> Iterator[pa.RecordBatch]:
    """Rows as codes, in pieces that each belong to a block."""
    n_fields = len(plan.ids)
    for rows in _chunks(batches):
        y = numbers(rows.column(n_fields))
        omega = np.empty(0, np.float32)
        if plan.weighted:
            weights = numbers(rows.column(n_fields + 1))
            rows, y, omega = rows.filter(pa.array(weights > 0)), y[weights > 0], weights[weights > 0].astype(np.float32)
        y32 = (y - plan.offset).astype(np.float32)
        codes = [_codes(rows.column(field), plan.ids[field]) for field in range(n_fields)]
        starts = np.cumsum([0, *map(len, plan.ids)])
        for field, cuts in enumerate(plan.cuts):
            # Places among the columns of all other fields, one after the other.
            others = [
                code + np.int32(starts[f] - (len(plan.ids[field]) if f > field else 0))
                for f, code in enumerate(codes)
                if f != field
            ]
            beside = np.stack(others, axis=1).astype(np.int32, copy=False)
            block = (np.searchsorted(cuts, codes[field], "right") - 1).astype(np.uint16 if len(cuts) < 2**16 else int)
            order = np.argsort(block, kind="stable")
            ends = np.searchsorted(block[order], np.arange(len(cuts)))
            for b in range(len(cuts) - 1):
                chosen = order[ends[b] : ends[b + 1]]
                if len(chosen):
                    parts = codes[field][chosen], beside[chosen], y32[chosen], omega[chosen] if len(omega) else omega
                    told = {"key": [int(plan.keys[b])], "field": pa.array([field], pa.int32())}
                    told |= {"block": pa.array([b], pa.int32())}
                    names = ("codes", "others", "y", "omega")
                    held = {name: pa.array([a.tobytes()], pa.binary()) for name, a in zip(names, parts, strict=True)}
                    yield pa.RecordBatch.from_pydict(told | held)


def _chunks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    n = 0
    for batch in batches:
        held.append(batch)
        n += len(batch)
        if n >= CHUNK:
            yield pa.Table.from_batches(held).combine_chunks()
            held, n = [], 0
    if n:
        yield pa.Table.from_batches(held).combine_chunks()


def _codes(column: pa.ChunkedArray, ids: pa.StringArray) -> NDArray[np.int32]:
    texts, which = texts_of(column.combine_chunks())
    codes = np.asarray(pc.index_in(texts, value_set=ids).cast(pa.int32()))
    return np.asarray(codes[np.asarray(which)])


def to_blocks(batches: Iterator[pa.RecordBatch], cuts: NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """The pieces of a partition as whole blocks."""
    held: dict[int, list[tuple[Any, ...]]] = {}
    for batch in batches:
        of_rows = [batch.column(name) for name in ("codes", "others", "y", "omega")]
        for i, b in enumerate(batch.column("block").to_pylist()):
            held.setdefault(b, []).append(tuple(column[i].as_buffer() for column in of_rows))
    for b, pieces in held.items():
        kinds = np.int32, np.int32, np.float32, np.float32
        whole = [
            np.concatenate([np.frombuffer(a, kind) for a in parts])
            for parts, kind in zip(zip(*pieces, strict=True), kinds, strict=True)
        ]
        codes, others, y, omega = whole
        first, last = int(cuts[b]), int(cuts[b + 1])
        beside = others.reshape(len(codes), -1)
        order = np.lexsort((*([omega] if len(omega) else []), y, *beside.T[::-1], codes))
        ptr = np.r_[0, np.cumsum(np.bincount(codes - first, minlength=last - first))].astype(np.int64)
        arrays = {"ptr": ptr, "others": beside[order], "y": y[order], "omega": omega[order] if len(omega) else omega}
        held_as = {name: pa.array([array.tobytes()], pa.binary()) for name, array in arrays.items()}
        yield pa.RecordBatch.from_pydict({"first": [first], **held_as})
