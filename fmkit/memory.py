"""What a fit will take, told before it starts.

A sum of what the solvers keep, by their own sizes: nothing is measured here but the bytes a column and a row of
bookkeeping (`A_COLUMN`, `A_ROW`, `WRITTEN`). tests/test_memory.py holds it to the peaks of real fits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fmkit.design import Block, Design, own_field
from fmkit.fields import Field
from fmkit.linalg import padded
from fmkit.machine import BLOCK
from fmkit.solvers.averaging import BUDGET as STACK_BUDGET
from fmkit.solvers.averaging import MORE
from fmkit.solvers.knowledge import SAMPLE
from fmkit.solvers.moments import packed_size
from fmkit.solvers.vb import BUDGET as COVARIANCE_BUDGET
from fmkit.threads import count_threads

A_COLUMN = 100  # sums, counts, means, units, penalties, groups, pointers: most of them float64 or int64
A_ROW = 8  # two float32 temporaries
WRITTEN = 36  # an entry that is written out, with what it is made of
A_ENTRY = 24  # of a hierarchical block: by column and by row
MACHINES = 4  # the start, the result in the solver's and the user's units, and one on the way


def estimate_memory(
    design: Design,
    *,
    solver: str = "als",
    n_factors: int = 16,
    average: bool = False,
    weighted: bool = False,
    n_jobs: int | None = None,
) -> int:
    """Bytes that a fit of `FMRegressor` takes at its peak, beyond the design and the targets.

    For ALS, MCMC and VB; SGD takes less than ALS. Early stopping, `keep_draws` and what callbacks keep come on top.
    Repeated rows that a fit finds by itself (`fmkit.blocks.find_blocks`) are not foreseen: they take less.

    Parameters
    ----------
    design : Design
    solver : {"als", "mcmc", "vb"}, default="als"
    n_factors : int, default=16
    average : bool, default=False
        Of ALS.
    weighted : bool, default=False
        Whether rows have weights other than 1.
    n_jobs : int, optional
        Threads, as of `FMRegressor`: each writes out a block of rows at a time.

    Examples
    --------
    >>> from fmkit import Design, estimate_memory
    >>> design = Design.from_codes([range(1_000_000), [0] * 1_000_000])
    >>> f"{estimate_memory(design, n_factors=16) / 1e6:.0f} MB"
    '405 MB'
    """
    if solver not in ("als", "mcmc", "vb"):
        raise ValueError(f"solver must be 'als', 'mcmc' or 'vb', got {solver!r}")
    if n_factors < 0:
        raise ValueError(f"n_factors must not be negative, got {n_factors}")
    n, p, k = design.n_rows, design.n_features, n_factors
    hierarchies = [] if solver == "als" else [block for block in design.blocks if block.hierarchical]
    if hierarchies:  # their rows are columns of one-hot fields
        fields = tuple(Field(own_field(b.table).columns, b.codes) for b in hierarchies)  # type: ignore[union-attr]
        rest = tuple(block for block in design.blocks if not block.hierarchical)
        whole = replace(design, fields=design.fields + fields, blocks=rest)
        how: dict[str, Any] = {"average": average, "weighted": weighted, "n_jobs": n_jobs}
        rows = estimate_memory(whole, solver=solver, n_factors=k, **how) + 4 * n * len(hierarchies)
        return rows + 8 * p * (k + 1) + sum(_of_hierarchy(block, k) for block in hierarchies)
    one_hot = all(field.rows is None and field.values is None for field in design.fields)
    pair = one_hot and len(design.fields) + len(design.blocks) == 2
    kept = 4 * n + A_COLUMN * p + 4 * p * (k + 1)  # targets, centred, in float32; a machine
    kept += _of_sides(design, pair, weighted, copies=1 if solver == "als" else 2)
    if not pair:
        kept += 4 * n * (k + 1)  # predictions and sums of factors
    entries = sum(len(field.codes) for field in design.fields) + n * len(design.blocks)
    written = 0 if pair else WRITTEN * min(entries, BLOCK * count_threads(n_jobs))
    at_first = kept + written
    total = kept + (MACHINES - 1) * 4 * p * (k + 1) + A_ROW * n
    total += sum(_of_table(block, k) for block in design.blocks)
    if solver == "als":
        total += 8 * p * (k + 1) if average else 0
        return max(at_first, total + _of_evidence(design, k))
    table_rows = sum(block.table.n_rows for block in design.blocks)
    total += 4 * n  # targets of unit variance
    if solver == "mcmc":
        columns = p + table_rows
        total += columns * (8 + 24 * k)  # mean, squares and products, and as much on the way
        if pair and 4 * columns * MORE * k <= STACK_BUDGET:
            total += columns * k * 4 * 3 * MORE  # the stack, and its copies when it is cut down
        return int(max(at_first, total))
    if pair and not design.blocks and 4 * p * packed_size(k) <= COVARIANCE_BUDGET:
        return int(total + p * (4 * packed_size(k) + 40 + 12 * k))
    total += p * (40 + 12 * k) + table_rows * (16 + 24 * k)
    if not pair:
        total += 8 * n * k + 8 * n + (4 * n * k if design.blocks else written // 2)
    return int(max(at_first, total))


def _of_sides(design: Design, pair: bool, weighted: bool, copies: int) -> int:
    """The rows sorted by each side, and copies of values: centred, in units."""
    n = design.n_rows
    if pair:
        return 2 * (12 if weighted else 8) * n
    each = (4 + 4 * (f.rows is not None) + 4 * (1 + copies) * (f.values is not None) for f in design.fields)
    entries = sum(len(field.codes) * size for field, size in zip(design.fields, each, strict=True))
    return entries + 4 * n * len(design.blocks) + 4 * n * weighted


def _of_table(block: Block, k: int) -> int:
    """The sums of a block's rows, a matrix each, and what its rows add, before and after."""
    lanes = max(padded(k), 1)
    a_row = 4 * ((k + 1) * lanes + 2 * (lanes + 1) + 4 * (k + 1)) + 40
    return int(block.table.n_rows * a_row + 16 * block.table.n_entries)


def _of_hierarchy(block: Block, k: int) -> int:
    """Members and the table by rows; what these tell of the rows, and the rows beyond it."""
    return int(A_ENTRY * block.table.n_entries + 4 * block.table.n_rows * (4 * (k + 1) + padded(k + 1)))


def _of_evidence(design: Design, k: int) -> int:
    """What later rows will need to know, from a sample of the rows and the powers of the tables."""
    n, sample = max(design.n_rows, 1), min(design.n_rows, SAMPLE)
    a_row = [len(field.codes) / n for field in design.fields]
    of_rows = sample * (4 * k + 12 * k * max(a_row, default=0) + 24 * sum(a_row))  # three arrays of the largest group
    of_tables = [20 * k * sample + 24 * b.table.n_entries + 16 * k * b.table.n_rows for b in design.blocks]
    return int(of_rows + max(of_tables, default=0))
