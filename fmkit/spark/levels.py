"""The first pass over the rows: which ids there are, how many rows each has, and what the targets are like.

Ids are texts, as a `TableEncoder` takes them: 7, 7.0 and "7" are one id. An id's code is its place among the sorted
ids of its column, by number where all of them are whole numbers and else by their bytes. So codes do not depend on how
the rows are spread, and are those that `numpy.unique` gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.spark.session import in_arrow, told_plainly
from fmkit.tables.levels import as_levels

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

WHOLE = r"^(0|-?[1-9][0-9]{0,17})$"
COUNTED = "field int, id string, n long, weight double, mean double, spread double"
ROWS, BAD_TARGET, BAD_WEIGHT = -1, -2, -3  # in place of a field
NO_ID = -16  # less the field
COMPACT = 64  # batches whose counts are put together at once


@dataclass(frozen=True)
class Levels:
    """What the rows of a fit hold.

    Parameters
    ----------
    names : sequence of str
        Columns of ids, a field each.
    ids : list of pyarrow.StringArray
        Of each field, in the order of their codes.
    counts : list of ndarray of int64
        Rows of each id.
    n_rows : int
        Of weight above zero.
    weight, mean, spread : float
        Sum of the weights; mean and standard deviation of the targets.
    """

    names: Sequence[str]
    ids: list[pa.StringArray]
    counts: list[NDArray[np.int64]]
    n_rows: int
    weight: float
    mean: float
    spread: float

    @property
    def sizes(self) -> list[int]:
        """Ids of each field."""
        return [len(ids) for ids in self.ids]


def find_levels(rows: DataFrame, names: Sequence[str], target: str, weight: str | None) -> Levels:
    """Pass over the rows once.

    Parameters
    ----------
    rows : DataFrame
        Columns of ids, the target and, if there is a weight, the weights, in this order.
    names : sequence of str
    target : str
    weight : str, optional

    Raises
    ------
    InputError
        If rows lack an id, a target or a weight; the sentence says how many.
    """
    from pyspark.sql import functions as F

    parts = in_arrow(rows, count, COUNTED, len(names), weight is not None)
    of_ids = parts.where("field >= 0").groupBy("field", "id").agg(F.sum("n").alias("n"))
    # One pass for both: the rows may be far away, or the end of a long plan.
    parts = parts.persist()
    try:
        with told_plainly():
            rest = parts.where("field < 0").toArrow()
            _refuse(rest, names, target, weight)
            found = of_ids.toArrow()
    finally:
        parts.unpersist()
    n_rows, total, mean, spread = _moments(rest)
    ids, counts = [], []
    for field, name in enumerate(names):
        own = found.filter(pc.equal(found["field"], field))
        texts = own["id"].combine_chunks().cast(pa.string())
        if len(texts) < 2:
            raise InputError(f"column '{name}' holds one id only, which tells rows apart from none: leave it out")
        order = _order(texts)
        ids.append(texts.take(order))
        counts.append(np.asarray(own["n"])[np.asarray(order)])
    return Levels(names, ids, counts, n_rows, total, mean, spread)


def _order(texts: pa.StringArray) -> pa.Array:
    if pc.all(pc.match_substring_regex(texts, WHOLE)).as_py():
        texts = texts.cast(pa.int64())
    return pc.sort_indices(texts)


def _refuse(rest: pa.Table, names: Sequence[str], target: str, weight: str | None) -> None:
    sums = rest.group_by("field").aggregate([("n", "sum")])
    total = dict(zip(sums["field"].to_pylist(), sums["n_sum"].to_pylist(), strict=True))
    for field, name in enumerate(names):
        if n := total.get(NO_ID - field):
            raise InputError(f"column '{name}' has {n:,} rows without an id: leave them out, or fill them, first")
    if n := total.get(BAD_TARGET):
        raise InputError(f"column '{target}' has {n:,} rows without a finite number: leave them out first")
    if n := total.get(BAD_WEIGHT):
        raise InputError(f"column '{weight}' has {n:,} weights that are negative or no numbers: mend them first")
    if not total.get(ROWS):
        raise InputError("there are no rows to fit to")


def _moments(rest: pa.Table) -> tuple[int, float, float, float]:
    """Rows, weight, mean and standard deviation of all, from those of each partition.

    The last two are rounded to float32: the bits beyond follow the order in which rows are added up, the result of the
    fit shall not.
    """
    parts = sorted((p["weight"], p["mean"], p["spread"], p["n"]) for p in rest.to_pylist() if p["field"] == ROWS)
    weight, mean, spread, n = np.array(parts, np.float64).T
    total = float(weight.sum())
    if not total > 0:
        raise InputError("there are no rows to fit to: all of them have a weight of zero")
    middle = float(mean @ weight / total)
    square = float((spread + weight * (mean - middle) ** 2).sum() / total)
    spread_of_all = float(np.float32(np.sqrt(square)))
    return int(n.sum()), total, float(np.float32(middle)), spread_of_all or 1.0


def count(batches: Iterator[pa.RecordBatch], n_fields: int, weighted: bool) -> Iterator[pa.RecordBatch]:
    """Ids with their rows, and the moments of the targets, of a partition."""
    pending: list[list[pa.Table]] = [[] for _ in range(n_fields)]
    gone: dict[int, int] = {}
    n, total, mean, spread = 0, 0.0, 0.0, 0.0
    for batch in batches:
        y, omega = numbers(batch.column(n_fields)), None
        if weighted:
            omega = numbers(batch.column(n_fields + 1))
            gone[BAD_WEIGHT] = gone.get(BAD_WEIGHT, 0) + int(np.count_nonzero(~(omega >= 0) | np.isinf(omega)))
            if not omega.all():
                batch, y, omega = batch.filter(pa.array(omega != 0)), y[omega != 0], omega[omega != 0]
        gone[BAD_TARGET] = gone.get(BAD_TARGET, 0) + int(np.count_nonzero(~np.isfinite(y)))
        for field in range(n_fields):
            counts = _counts(batch.column(field))
            pending[field].append(counts)
            if len(pending[field]) == COMPACT:
                pending[field] = [_together(pending[field])]
        if not len(y):
            continue
        of_batch = float(len(y) if omega is None else omega.sum())
        middle = float(np.average(y, weights=omega))
        square = float(np.average((y - middle) ** 2, weights=omega)) * of_batch
        both = total + of_batch  # Chan, Golub and LeVeque, "Updating formulae" (1979)
        spread += square + (middle - mean) ** 2 * total * of_batch / both
        mean += (middle - mean) * of_batch / both
        n, total = n + len(y), both
    told = [_told(ROWS, ["rows"], [n], total, mean, spread)] if n else []
    told += [_told(field, ["bad"], [bad]) for field, bad in gone.items() if bad]
    for field in range(n_fields):
        if pending[field]:
            counts = _together(pending[field])
            missing = pc.sum(counts.filter(pc.is_null(counts["id"]))["n"]).as_py()
            counts = counts.filter(pc.is_valid(counts["id"]))
            told.append(_told(field, counts["id"].combine_chunks(), counts["n"].combine_chunks()))
            if missing:
                told.append(_told(NO_ID - field, ["none"], [missing]))
    yield from told


def numbers(column: pa.Array) -> NDArray[np.float64]:
    """A column as float64, gaps as NaN."""
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def texts_of(column: pa.Array) -> tuple[pa.StringArray, pa.Array]:
    """The distinct ids of a column, and which of them each row has, null where it has none."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return as_levels(encoded.dictionary), encoded.indices


def _counts(column: pa.Array) -> pa.Table:
    texts, which = texts_of(column)
    n = len(texts)
    codes = np.asarray(which.cast(pa.int64()).fill_null(n))
    of_texts = np.bincount(codes, minlength=n + 1)
    return pa.table({"id": pa.concat_arrays([texts, pa.nulls(1, pa.string())]), "n": of_texts}).filter(
        pa.array(of_texts > 0)
    )


def _together(parts: list[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(parts).group_by("id").aggregate([("n", "sum")])
    return pa.table({"id": whole["id"], "n": whole["n_sum"]})


def _told(field: int, ids: Any, n: Any, weight: float = 0.0, mean: float = 0.0, spread: float = 0.0) -> pa.RecordBatch:
    many = len(ids)
    of_rows = {name: np.full(many, value) for name, value in (("weight", weight), ("mean", mean), ("spread", spread))}
    counts = pa.array(n, pa.int64()) if isinstance(n, list) else n
    fields = pa.array(np.full(many, field, np.int32))
    return pa.RecordBatch.from_pydict({"field": fields, "id": pa.array(ids, pa.string()), "n": counts, **of_rows})
