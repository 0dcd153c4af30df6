"""A column of dates, as a `TableEncoder` reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fmkit.batch.columns import Fault, faulty
from fmkit.errors import InputError
from fmkit.tables.dates import as_times
from fmkit.tables.texts import is_text, plain, without_gaps


@dataclass(frozen=True)
class DateColumn:
    """Dates and times, gaps included.

    Parameters
    ----------
    form : str or None
        Of those that are text.
    zone : str or None
        Where the clock stands, of times with a zone.
    """

    form: str | None
    zone: str | None

    def check(self, kind: pa.DataType) -> None:
        """Dates, times, whole numbers, or text."""
        if not is_text(pa.array([], kind)):
            as_times(pa.array([], kind), self.form, self.zone)

    def read(self, column: pa.Array) -> tuple[pa.Array, list[Fault]]:
        """What the clock showed."""
        try:
            return as_times(column, self.form, self.zone), []
        except InputError:  # one is no date, or some have a zone and some have none: each text is read by itself
            texts = without_gaps(plain(column)).dictionary_encode()
        times = [self._time(text) for text in texts.dictionary]
        wrong = pa.array([time is None for time in times]).take(texts.indices)
        form = self.form or "2024-12-31 or 2024-12-31 23:59:59"
        faults = faulty(np.asarray(pc.fill_null(wrong, False)), f"a date as {form} is needed")
        return pa.array([time and time.as_py() for time in times], pa.timestamp("us")).take(texts.indices), faults

    def _time(self, text: pa.Scalar) -> pa.Scalar | None:
        try:
            return as_times(pa.array([text]), self.form, self.zone)[0]
        except InputError:
            return None
