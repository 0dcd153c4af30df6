"""Dates as columns: when it was, and what month, weekday and hour it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from fmkit.errors import InputError
from fmkit.tables.kinds import date_form, dates_of
from fmkit.tables.knots import Knots
from fmkit.tables.texts import is_text, plain, without_gaps

DAY = 86_400  # seconds
PARTS = {"month": 12, "weekday": 7, "hour": 24}
SPANS = {"month": 365 * DAY, "weekday": 7 * DAY, "hour": DAY}  # seconds from which on a part says more than the time


@dataclass(frozen=True, eq=False)
class Dates:
    """A date's columns: its time, piecewise linear between knots, then those of each part.

    Parameters
    ----------
    time : Knots
        In seconds since 1970 by that clock.
    parts : tuple of {"month", "weekday", "hour"}
        Those that the fit's dates have more than one of.
    form : str or None
        Of dates that are text; day and month never change places after the fit.
    zone : str or None
        Where the clock stood, of times that have a zone.
    unit : {"s", "ms", "us", "ns"} or None
        Of dates that are numbers; rows that come later may be few and early, and do not tell it.
    """

    time: Knots
    parts: tuple[str, ...]
    form: str | None
    zone: str | None
    unit: str | None = None

    @classmethod
    def learn(cls, column: pa.Array, n_knots: int) -> Dates:
        """From the dates of a column."""
        form = zone = None
        if is_text(column):
            values = without_gaps(plain(column))
            form = date_form(values)
            if form is None:
                raise InputError(f"dates are needed, as 2024-12-31 or 2024-12-31 23:59:59: {_wrong(values)}")
        elif pa.types.is_timestamp(column.type):
            zone = column.type.tz
        unit = unit_of(column)
        times = as_times(column, form, zone, unit)
        seconds = as_seconds(times)
        known = seconds[~np.isnan(seconds)]
        span = float(np.ptp(known)) if len(known) else 0.0
        parts = [part for part in PARTS if span >= SPANS[part] and len(np.unique(_codes(times, part))) > 1]
        return cls(Knots.learn(seconds, n_knots), tuple(parts), form, zone, unit)

    def __len__(self) -> int:
        return len(self.time) + sum(PARTS[part] for part in self.parts)

    def encode(self, column: pa.Array) -> sparse.csr_array:
        """Rows of the design, float32."""
        times = as_times(column, self.form, self.zone, self.unit)
        known = np.flatnonzero(np.asarray(times.is_valid()))
        blocks = [self.time.encode(as_seconds(times))]
        for part in self.parts:
            codes = _codes(times, part)
            entries = np.ones(len(known), np.float32), (known, codes)
            blocks.append(sparse.csr_array(entries, shape=(len(column), PARTS[part])))
        return sparse.hstack(blocks, format="csr")

    def select(self, columns: NDArray[Any]) -> Dates:
        """With some of the columns, ascending, alone; those of the parts must be among them."""
        return replace(self, time=self.time.select(columns[columns < len(self.time)]))

    def names(self, column: str) -> list[str]:
        """A name for each column."""
        times = self.time.knots.astype(np.int64).astype("M8[s]")
        days = times.astype("M8[D]")
        told = days if len(np.unique(days)) == len(days) else times
        of_time = [f"{column}~{day}" for day in told.astype(str)] + [f"{column} missing"] * self.time.missing
        return of_time + [f"{column} {part}={i + (part == 'month')}" for part in self.parts for i in range(PARTS[part])]


def unit_of(column: pa.Array) -> str | None:
    """Of numbers that count from 1970, told by the largest: seconds, or parts of them; None of other columns."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return None
    largest = pc.max(pc.abs(_without_nan(column))).as_py() or 0
    return next(unit for unit, most in (("s", 1e10), ("ms", 1e13), ("us", 1e16), ("ns", np.inf)) if largest < most)


def _without_nan(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_nan(column), None, column) if pa.types.is_floating(column.type) else column


def as_times(
    column: pa.Array, form: str | None = None, zone: str | None = None, unit: str | None = None
) -> pa.TimestampArray:
    """What the clock showed: timestamps without a zone.

    Parameters
    ----------
    column : pyarrow.Array
        Dates, texts, or numbers that count from 1970: seconds, or parts of them by their size.
    form : str, optional
        Of texts; by default the first that all of them have.
    zone : str, optional
        Where the clock stood, of times that have a zone; by default there.
    unit : {"s", "ms", "us", "ns"}, optional
        Of numbers; by default told by the largest.

    Raises
    ------
    InputError
        If it holds neither.
    """
    of, kind = pa.types, column.type
    if of.is_null(kind):
        return column.cast(pa.timestamp("s"))
    if is_text(column):
        texts = without_gaps(plain(column))
        form = date_form(texts) if form is None else form
        times = None if form is None else dates_of(texts, form)
        if times is None:
            raise InputError(
                f"dates are needed, as {form or '2024-12-31 or 2024-12-31 23:59:59'}: {_wrong(texts, form)}"
            )
        column = times
    elif of.is_date(kind):
        return column.cast(pa.timestamp("us"))
    elif of.is_integer(kind) or of.is_floating(kind):
        whole = _without_nan(column).cast(pa.int64(), safe=False)
        return whole.cast(pa.timestamp(unit or unit_of(column)))
    elif not of.is_timestamp(kind):
        raise InputError(f"dates are needed, it holds {kind}")
    if column.type.tz is None:
        return column
    return pc.local_timestamp(column.cast(pa.timestamp(column.type.unit, zone or column.type.tz)))


def _wrong(texts: pa.StringArray, form: str | None = None) -> str:
    """What of them is no date."""
    for text in texts.drop_null()[:1000]:
        one = pa.array([text.as_py()])
        if (date_form(one) if form is None else dates_of(one, form)) is None:
            return f"{text.as_py()!r} is none"
    return "they are not of one form"


def as_seconds(times: pa.TimestampArray) -> NDArray[np.float64]:
    """Seconds since 1970, NaN where there is no time."""
    per = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[times.type.unit]
    return np.asarray(pc.fill_null(times.cast(pa.int64()).cast(pa.float64(), safe=False), np.nan)) / per


def _codes(times: pa.TimestampArray, part: str) -> NDArray[Any]:
    """Month, weekday (Monday 0) or hour of those that are no null."""
    known = times.drop_null()
    if part == "month":
        return np.asarray(pc.month(known)) - 1
    return np.asarray(pc.day_of_week(known) if part == "weekday" else pc.hour(known))
