"""Dates as columns: when it was, and what month, weekday and hour it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from fmkit.errors import InputError
from fmkit.tables.kinds import as_dates
from fmkit.tables.knots import Knots

DAY = 86_400  # seconds
PARTS = {"month": 12, "weekday": 7, "hour": 24}
SPANS = {"month": 365 * DAY, "weekday": 7 * DAY, "hour": DAY}  # seconds from which on a part says more than the time


@dataclass(frozen=True, eq=False)
class Dates:
    """A date's columns: its time, piecewise linear between knots, then those of each part.

    Parameters
    ----------
    time : Knots
        In seconds since 1970.
    parts : tuple of {"month", "weekday", "hour"}
        Those that the fit's dates have more than one of.
    """

    time: Knots
    parts: tuple[str, ...]

    @classmethod
    def learn(cls, column: pa.Array, n_knots: int) -> Dates:
        """From the dates of a column."""
        times = as_times(column)
        seconds = as_seconds(times)
        known = seconds[~np.isnan(seconds)]
        span = float(np.ptp(known)) if len(known) else 0.0
        parts = [part for part in PARTS if span >= SPANS[part] and len(np.unique(_codes(times, part))) > 1]
        return cls(Knots.learn(seconds, n_knots), tuple(parts))

    def __len__(self) -> int:
        return len(self.time) + sum(PARTS[part] for part in self.parts)

    def encode(self, column: pa.Array) -> sparse.csr_array:
        """Rows of the design, float32."""
        times = as_times(column)
        known = np.flatnonzero(np.asarray(times.is_valid()))
        blocks = [self.time.encode(as_seconds(times))]
        for part in self.parts:
            codes = _codes(times, part)
            entries = np.ones(len(known), np.float32), (known, codes)
            blocks.append(sparse.csr_array(entries, shape=(len(column), PARTS[part])))
        return sparse.hstack(blocks, format="csr")

    def names(self, column: str) -> list[str]:
        """A name for each column."""
        days = [str(np.datetime64(int(knot), "s").astype("M8[D]")) for knot in self.time.knots]
        of_time = [f"{column}~{day}" for day in days] + [f"{column} missing"] * self.time.missing
        return of_time + [f"{column} {part}={i + (part == 'month')}" for part in self.parts for i in range(PARTS[part])]


def as_times(column: pa.Array) -> pa.TimestampArray:
    """Timestamps from dates, texts, or numbers that count from 1970: seconds, or parts of them by their size.

    Raises
    ------
    InputError
        If it holds neither.
    """
    of, kind = pa.types, column.type
    if of.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if of.is_timestamp(kind):
        return column
    if of.is_date(kind):
        return column.cast(pa.timestamp("us"))
    if of.is_integer(kind) or of.is_floating(kind):
        if of.is_floating(kind):
            column = pc.if_else(pc.is_nan(column), None, column)
        largest = pc.max(pc.abs(column)).as_py() or 0
        unit = next(unit for unit, most in (("s", 1e10), ("ms", 1e13), ("us", 1e16), ("ns", np.inf)) if largest < most)
        return column.cast(pa.int64(), safe=False).cast(pa.timestamp(unit))
    if of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind):
        texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
        texts = pc.if_else(pc.equal(texts, ""), None, texts)
        times = as_dates(texts)
        if times is None:
            wrong = [text for text in texts.drop_null()[:1000].to_pylist() if as_dates(pa.array([text])) is None]
            told = f"{wrong[0]!r} is none" if wrong else "they are not of one form"
            raise InputError(f"dates are needed, as 2024-12-31 or 2024-12-31 23:59:59: {told}")
        return times
    if of.is_null(kind):
        return column.cast(pa.timestamp("s"))
    raise InputError(f"dates are needed, it holds {kind}")


def as_seconds(times: pa.TimestampArray) -> NDArray[np.float64]:
    """Seconds since 1970, NaN where there is no time."""
    per = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[times.type.unit]
    return np.asarray(pc.fill_null(times.cast(pa.int64()).cast(pa.float64(), safe=False), np.nan)) / per


def _codes(times: pa.TimestampArray, part: str) -> NDArray[Any]:
    """Month, weekday (Monday 0) or hour of those that are no null, where the clock of their zone stood."""
    known = times.drop_null()
    if part == "month":
        return np.asarray(pc.month(known)) - 1
    return np.asarray(pc.day_of_week(known) if part == "weekday" else pc.hour(known))
