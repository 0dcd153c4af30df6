"""How much is held at once, so that a run stays within its memory whatever the file."""

from __future__ import annotations

import re
import warnings

import numpy as np

from fmkit.batch.formats.reading import Limits
from fmkit.errors import InputError

USUAL = "1GB"
BASE = 380 << 20  # bytes of a process with its libraries, kernels and threads
LEAST = 96 << 20  # for data, however little is allowed
COPIES = 3  # of a batch: read, scored, encoded
BATCH_ROWS = 1 << 16
PART_ROWS = 1 << 22  # rows that make a file of the output
PART_BYTES = 1 << 27  # of text

UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "KI": 2.0**10, "MI": 2.0**20, "GI": 2.0**30, "TI": 2.0**40}


def read_bytes(text: str) -> int:
    """A size as people write it: 1GB, 512MB, 1.5 GiB.

    Raises
    ------
    InputError
        If it is none.

    Examples
    --------
    >>> from fmkit.batch.budget import read_bytes
    >>> read_bytes("1.5 GiB")
    1610612736
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*)\s*([KMGT]I?)?B?\s*", text.upper())
    if not found:
        raise InputError(f"a size like 1GB or 512MB is needed, got '{text}'")
    return int(float(found[1]) * UNITS[found[2] or ""])


def limits_for(memory: int, model_bytes: int, n_threads: int, part_rows: int = PART_ROWS) -> tuple[Limits, int]:
    """Limits of reading, and bytes of a row group that may be held back for writing.

    Parameters
    ----------
    memory : int
        Bytes that the whole process may take.
    model_bytes : int
    n_threads : int
        That score.
    part_rows : int
    """
    if memory < BASE + LEAST + 2 * model_bytes:
        needed = (BASE + LEAST + 2 * model_bytes) / 1e6
        warnings.warn(f"with this model some {needed:,.0f} MB of memory are taken, more than is allowed", stacklevel=2)
    left = max(memory - BASE - 2 * model_bytes, LEAST)
    held = 4 + 2 * n_threads  # batches on their way
    batch_bytes = int(np.clip(left * 0.7 / (held * COPIES), 1 << 16, 16 << 20))
    return Limits(batch_bytes, BATCH_ROWS, part_rows, PART_BYTES * part_rows // PART_ROWS or 1), int(left * 0.3)
