"""A column's encoder in a model file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fmkit.modelfile import pack_strings, unpack_strings
from fmkit.tables.dates import PARTS, Dates
from fmkit.tables.kinds import DATES, ISO
from fmkit.tables.knots import Knots
from fmkit.tables.levels import Levels

Arrays = dict[str, NDArray[Any]]


def pack(encoder: Levels | Knots | Dates, name: str) -> tuple[dict[str, Any], Arrays]:
    """Facts, and arrays whose names begin with `name`."""
    if isinstance(encoder, Levels):
        facts = {"levels": encoder.kind, "separator": encoder.separator, "missing": encoder.missing}
        return facts, pack_strings(encoder.values.to_pylist(), name)
    knots = encoder.time if isinstance(encoder, Dates) else encoder
    facts = {"missing": knots.missing, **(_of_dates(encoder) if isinstance(encoder, Dates) else {})}
    return facts, {name: knots.knots}


def unpack(facts: dict[str, Any], arrays: Arrays, name: str) -> Levels | Knots | Dates:
    """The reverse; a KeyError, TypeError or ValueError if the file holds something else."""
    missing = bool(facts["missing"])
    if "levels" in facts:
        kind = facts["levels"]
        if kind not in ("category", "set", "text"):
            raise ValueError(f"levels of the kind {kind!r}")
        return Levels(kind, str(facts["separator"]), pa.array(unpack_strings(arrays, name), pa.string()), missing)
    knots = arrays[name]
    if knots.dtype != np.float64 or knots.ndim != 1 or not np.isfinite(knots).all() or (np.diff(knots) <= 0).any():
        raise ValueError(f"the knots {name!r} are no ascending numbers")
    of_numbers = Knots(knots, missing)
    if "parts" not in facts:
        return of_numbers
    parts = tuple(facts["parts"])
    if not set(parts) <= set(PARTS):
        raise ValueError(f"parts of a date are {', '.join(PARTS)}, it has {parts}")
    form, zone = facts["form"], facts["zone"]
    if form not in (None, ISO, *DATES) or not isinstance(zone, str | None):
        raise ValueError(f"dates of the form {form!r} in the zone {zone!r}")
    unit = facts.get("unit")
    if unit not in (None, "s", "ms", "us", "ns"):
        raise ValueError(f"dates of the unit {unit!r}")
    return Dates(of_numbers, parts, form, zone, unit)


def _of_dates(encoder: Dates) -> dict[str, Any]:
    return {"parts": list(encoder.parts), "form": encoder.form, "zone": encoder.zone, "unit": encoder.unit}
