"""A column of dates, as a `TableEncoder` reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fmkit.batch.asked.columns import Fault, Numbers, faulty
from fmkit.errors import InputError
from fmkit.tables.dates import as_times
from fmkit.tables.kinds import ISO
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
    unit : str or None
        Of those that are numbers.
    """

    form: str | None
    zone: str | None
    unit: str | None

    def check(self, kind: pa.DataType) -> None:
        """Dates, times, whole numbers, or text."""
        if not is_text(pa.array([], kind)):
            as_times(pa.array([], kind), self.form, self.zone, self.unit)

    def read(self, column: pa.Array) -> tuple[pa.Array, list[Fault]]:
        """What the clock showed."""
        if self.unit is not None and is_text(column):  # numbers, as CSV writes them
            numbers, faults = Numbers(needed=False).read(column)
            return as_times(pa.array(numbers, from_pandas=True), unit=self.unit), faults
        try:
            return as_times(column, self.form or ISO, self.zone, self.unit), []
        except InputError:  # one is no date, or some have a zone and some have none: each text is read by itself
            texts = without_gaps(plain(column)).dictionary_encode()
        times = [self._time(text) for text in texts.dictionary]
        wrong = pa.array([time is None for time in times]).take(texts.indices)
        form = self.form or ISO
        faults = faulty(np.asarray(pc.fill_null(wrong, False)), f"a date as {form} is needed")
        return pa.array([time and time.as_py() for time in times], pa.timestamp("us")).take(texts.indices), faults

    def _time(self, text: pa.Scalar) -> pa.Scalar | None:
        try:
            return as_times(pa.array([text]), self.form or ISO, self.zone)[0]
        except InputError:
            return None
