"""Tables as tensors: numbers scaled or bent, categories as level numbers, sparse matrices as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from fmkit.errors import InputError
from fmkit.modelfile import pack_strings, unpack_strings
from fmkit.tables.frames import as_arrow
from fmkit.tables.knots import Knots
from fmkit.tables.levels import as_levels

FAR = 3.0  # standard deviations from which on numbers are drawn in
BLOCK = 8192  # rows that are scaled at once, in float64


@dataclass
class Table:
    """Rows, as the user gave them: numbers, and beside them categories as text.

    Parameters
    ----------
    numbers : ndarray or csr_array of shape (n_rows, n_numbers)
    categories : list of pyarrow.StringArray, each of length n_rows
    """

    numbers: NDArray[Any] | sparse.csr_array
    categories: list[pa.StringArray] = field(default_factory=list)

    def __len__(self) -> int:
        return int(self.numbers.shape[0])

    @property
    def dtype(self) -> torch.dtype:
        """Float64 where numbers are."""
        return torch.float64 if self.numbers.dtype == np.float64 else torch.float32


def find_categories(X: Any, categorical: Any) -> list[int] | None:
    """Positions of the columns that are categories; None where X is an array of numbers alone.

    Parameters
    ----------
    X : table, array or sparse matrix
    categorical : "from_dtype", None, or a list of names or positions, or of a boolean a column
        "from_dtype" takes a table's columns of text, dictionaries and booleans.

    Raises
    ------
    InputError
        If a column that is named is none of the table's.
    """
    named = not isinstance(categorical, str) and categorical is not None and len(categorical) > 0
    if named and sparse.issparse(X):
        raise InputError("categorical_features are columns of tables and arrays, not of sparse matrices")
    if named:
        return _positions(categorical, as_arrow(X))
    chosen = []
    if categorical is not None and (is_arrow(X) or hasattr(X, "columns")):
        chosen = [j for j, column in enumerate(as_arrow(X).columns) if _is_category(column)]
    return chosen if chosen or is_arrow(X) else None


def is_arrow(X: Any) -> bool:
    """Whether it is a table of which numpy knows nothing."""
    return isinstance(X, pa.Table | Mapping) and not sparse.issparse(X)  # some of scipy's are mappings


def split_columns(X: Any, categories: list[int]) -> tuple[NDArray[np.float64], list[pa.StringArray]]:
    """Numbers as an array, and categories, given by position, as text; "" where a value is missing.

    Raises
    ------
    InputError
        If one of the other columns holds no numbers.
    """
    table = as_arrow(X)
    columns = [column.combine_chunks() for column in table.columns]
    numbers = []
    for name, j in ((table.column_names[j], j) for j in range(table.num_columns) if j not in categories):
        try:
            numbers.append(columns[j].cast(pa.float64()).to_numpy(zero_copy_only=False))
        except pa.ArrowException:
            raise InputError(
                f"column '{name}' holds {columns[j].type} and no numbers: name it in categorical_features"
            ) from None
    array = np.stack(numbers, axis=1) if numbers else np.empty((len(table), 0))
    return array, [pc.fill_null(as_levels(columns[j]), "") for j in categories]


def _is_category(column: pa.ChunkedArray) -> bool:
    of, kind = pa.types, column.type
    return any(
        test(kind) for test in (of.is_string, of.is_large_string, of.is_string_view, of.is_dictionary, of.is_boolean)
    )


def _positions(categorical: Sequence[Any], table: pa.Table) -> list[int]:
    chosen = list(categorical)
    if all(isinstance(c, bool | np.bool_) for c in chosen):
        if len(chosen) != table.num_columns:
            raise InputError(f"categorical_features has {len(chosen)} booleans for {table.num_columns} columns")
        return [j for j, is_category in enumerate(chosen) if is_category]
    for c in chosen:
        if (c not in table.column_names) if isinstance(c, str) else not 0 <= c < table.num_columns:
            raise InputError(f"categorical_features names the column {c!r}: there are {', '.join(table.column_names)}")
    return sorted({table.column_names.index(c) if isinstance(c, str) else int(c) for c in chosen})


@dataclass
class Columns:
    """What is learned of a table's columns before the net is: means and spreads, or knots, and levels.

    Parameters
    ----------
    centre, spread : ndarrays of shape (n_numbers,), float64
        Of numbers that are scaled.
    knots : list of Knots
        Of numbers that become piecewise linear columns instead, with values from 0 to 1: a net bends a skewed number,
        such as an amount of money, better where it is told the places.
    levels : list of pyarrow.StringArray
        Of each category; "" is a missing value.
    is_sparse : bool
    """

    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    knots: list[Knots]
    levels: list[pa.StringArray]
    is_sparse: bool

    @classmethod
    def learn(cls, table: Table, rows: NDArray[np.int64], n_knots: int = 0) -> Columns:
        """From some of the rows: of numbers the mean and standard deviation, of sparse columns the largest entry."""
        numbers = table.numbers[rows]
        n = numbers.shape[1]
        levels = [pc.unique(column.take(pa.array(rows))).sort() for column in table.categories]
        if n_knots and not sparse.issparse(numbers):
            knots = [Knots.learn(numbers[:, j].astype(np.float64), n_knots) for j in range(n)]
            return cls(np.zeros(0), np.zeros(0), knots, levels, False)
        if sparse.issparse(numbers):
            centre, spread = np.zeros(n), np.asarray(abs(numbers).max(axis=0).todense(), np.float64).ravel()
        else:
            centre, spread = numbers.mean(axis=0, dtype=np.float64), numbers.std(axis=0, dtype=np.float64)
            spread[spread < 1e-12 * np.abs(centre)] = 0  # constant, but for rounding
        spread[spread == 0] = 1
        return cls(centre, spread, [], levels, sparse.issparse(numbers))

    @property
    def n_numbers(self) -> int:
        """Columns that numbers become."""
        return sum(len(knots) for knots in self.knots) or len(self.centre)

    @property
    def n_levels(self) -> int:
        """Of all categories together."""
        return sum(len(levels) for levels in self.levels)

    def inputs(self, table: Table, dtype: torch.dtype) -> TableRows | SparseRows:
        """Rows of a table with these columns, as a net takes them."""
        if self.is_sparse:
            return SparseRows(self._scaled_sparse(table.numbers), dtype)
        return TableRows(self._numbers(table, dtype), self._codes(table) if self.levels else None)

    def _numbers(self, table: Table, dtype: torch.dtype) -> Tensor:
        numbers: Any = table.numbers
        numbers = numbers.toarray() if sparse.issparse(numbers) else numbers
        if not self.knots:
            return self._scaled(numbers, dtype)
        encoded = [k.encode(numbers[:, j].astype(np.float64)).toarray() for j, k in enumerate(self.knots)]
        return torch.from_numpy(np.hstack(encoded)).to(dtype)

    def _scaled_sparse(self, numbers: Any) -> sparse.csr_array:
        matrix = sparse.csr_array(numbers, dtype=np.float64, copy=True)
        matrix.data /= self.spread[matrix.indices]
        return matrix

    def _scaled(self, numbers: NDArray[Any], dtype: torch.dtype) -> Tensor:
        """Standard units; beyond some three of them drawn in smoothly, so that single rows do not rule a net."""
        scaled = torch.empty(numbers.shape, dtype=dtype)
        for start in range(0, len(numbers), BLOCK):
            some = (numbers[start : start + BLOCK] - self.centre) / self.spread
            some /= np.sqrt(1 + np.square(some / FAR))
            scaled[start : start + BLOCK] = torch.from_numpy(some)
        return scaled

    def _codes(self, table: Table) -> Tensor:
        """Level numbers from 1, those of later columns after those of earlier; 0 where a level is not known."""
        codes = np.zeros((len(table), len(self.levels)), np.int64)
        before = 0
        for j, (column, levels) in enumerate(zip(table.categories, self.levels, strict=True)):
            found = pc.fill_null(pc.index_in(column, value_set=levels), -1).to_numpy(zero_copy_only=False)
            codes[:, j] = np.where(found >= 0, found + 1 + before, 0)
            before += len(levels)
        return torch.from_numpy(codes)

    def design(self, table: Table) -> sparse.csr_array:
        """The same as a design matrix: numbers, then a column a level; what a factorization machine is fitted to."""
        if self.is_sparse:
            return self._scaled_sparse(table.numbers)
        numbers = sparse.csr_array(self._numbers(table, torch.float64).numpy())
        codes = self._codes(table).numpy()
        rows, columns = np.nonzero(codes)
        ones = (np.ones(len(rows)), (rows, codes[rows, columns] - 1))
        return sparse.hstack([numbers, sparse.csr_array(ones, shape=(len(table), self.n_levels))], format="csr")

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Facts and arrays for a model file."""
        arrays = {"columns.centre": self.centre, "columns.spread": self.spread}
        for j, levels in enumerate(self.levels):
            arrays |= pack_strings(levels.to_pylist(), f"columns.levels{j}")
        arrays |= {f"columns.knots{j}": knots.knots for j, knots in enumerate(self.knots)}
        counts = {"n_knotted": len(self.knots), "n_categories": len(self.levels)}
        return {**counts, "is_sparse": self.is_sparse}, arrays

    @classmethod
    def unpack(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """The reverse; a KeyError, TypeError or ValueError if they are none of `pack`."""
        centre, spread = arrays["columns.centre"], arrays["columns.spread"]
        if centre.shape != spread.shape or centre.ndim != 1 or {centre.dtype, spread.dtype} != {np.dtype("<f8")}:
            raise ValueError("the scales of its columns do not fit together")
        if not (np.isfinite(centre).all() and np.isfinite(spread).all() and (spread > 0).all()):
            raise ValueError("the scales of its columns are none")
        knots = [Knots(arrays[f"columns.knots{j}"], False) for j in range(int(facts["n_knotted"]))]
        for k in knots:
            if k.knots.dtype != np.float64 or k.knots.ndim != 1 or not (np.diff(k.knots) > 0).all():
                raise ValueError("the knots of its columns are no ascending numbers")
        names = [f"columns.levels{j}" for j in range(int(facts["n_categories"]))]
        levels = [pa.array(unpack_strings(arrays, name), pa.string()) for name in names]
        return cls(centre, spread, knots, levels, bool(facts["is_sparse"]))


@dataclass
class TableRows:
    """Rows of numbers (n, n_numbers) and of level numbers (n, n_categories), if there are any."""

    numbers: Tensor
    codes: Tensor | None

    def __len__(self) -> int:
        return len(self.numbers)

    def batch(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Numbers, and codes."""
        numbers = self.numbers.index_select(0, rows)
        return (numbers,) if self.codes is None else (numbers, self.codes.index_select(0, rows))

    def to(self, device: torch.device) -> TableRows:
        """On a device."""
        return TableRows(self.numbers.to(device), None if self.codes is None else self.codes.to(device))


class SparseRows:
    """Rows of a sparse matrix, which stays in the memory of the processor; a batch has the entries of its rows."""

    def __init__(self, matrix: sparse.csr_array, dtype: torch.dtype, device: torch.device | None = None) -> None:
        self.matrix, self.dtype, self.device = matrix, dtype, device or torch.device("cpu")

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def batch(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Column numbers of the entries (n_entries,), where each row's begin (n,), and values (n_entries,)."""
        some = self.matrix[rows.cpu().numpy()]
        indices, begins = some.indices.astype(np.int64), some.indptr[:-1].astype(np.int64)
        tensors = torch.from_numpy(indices), torch.from_numpy(begins), torch.from_numpy(some.data).to(self.dtype)
        return tuple(tensor.to(self.device) for tensor in tensors)

    def to(self, device: torch.device) -> SparseRows:
        """With batches on a device."""
        return SparseRows(self.matrix, self.dtype, device)
