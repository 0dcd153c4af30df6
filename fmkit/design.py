"""Design: a sparse matrix seen as fields of columns that share no row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fmkit.fields import Field, disjoint, find_fields, split


@dataclass(frozen=True, eq=False)
class Block:
    """Columns whose entries in a row are those of one row of a table: what is known of its user, say, held once.

    Parameters
    ----------
    table : Design
        The distinct rows; of fields alone.
    codes : ndarray of shape (n_rows,), int32
        The table's row that each row of the design has.
    columns : ndarray of shape (table.n_features,), int32
        The design's column that each of the table's columns is.
    hierarchical : bool
        See `RelationBlock`.
    """

    table: Design
    codes: NDArray[np.int32]
    columns: NDArray[np.int32]
    hierarchical: bool = False


@dataclass(frozen=True, eq=False)
class Design:
    """A design matrix as the engine sees it: fields of columns of which no row has two, and blocks of repeated rows.

    Build it with `Design.from_codes` (categorical variables, the lightest), `Design.from_matrix` (anything) or
    `Design.from_blocks` (tables of users and items, and which of them each row has).

    Parameters
    ----------
    n_rows, n_features : int
        Shape of the matrix.
    fields : tuple of Field
    blocks : tuple of Block
        Every column belongs to exactly one field or block.
    groups : ndarray of shape (n_features,), int32, or None
        Number of the group of columns that each column shares a prior with, where labels, codes or `find_blocks` said
        so; -1, or None for all, where `fmkit.solvers.groups.find_groups` is to tell.

    Examples
    --------
    >>> design = Design.from_codes([[0, 1, 1], [2, 0, 2]])
    >>> design.to_csr().toarray()
    array([[1., 0., 0., 0., 1.],
           [0., 1., 1., 0., 0.],
           [0., 1., 0., 0., 1.]], dtype=float32)
    """

    n_rows: int
    n_features: int
    fields: tuple[Field, ...]
    blocks: tuple[Block, ...] = ()
    groups: NDArray[np.int32] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(n_rows, n_features)."""
        return self.n_rows, self.n_features

    @property
    def n_entries(self) -> int:
        """Entries that are held: of the fields, of the tables once, and a code a row and block."""
        held = sum(block.table.n_entries + self.n_rows for block in self.blocks)
        return held + sum(len(field.codes) for field in self.fields)

    @cached_property
    def csr(self) -> sparse.csr_array:
        """`to_csr()` made once and kept: for what is read by rows again and again, as tables of blocks are."""
        return self.to_csr()

    @classmethod
    def from_codes(cls, codes: Sequence[ArrayLike] | Any, n_levels: Sequence[int] | None = None) -> Design:
        """One-hot fields from integer codes.

        Parameters
        ----------
        codes : sequence of arrays of shape (n_rows,), or DataFrame of integer columns
            A categorical variable each; a code of -1 means that the row has none.
        n_levels : sequence of int, optional
            Levels of each variable; the default is its largest code + 1.
        """
        if hasattr(codes, "columns"):
            codes = [np.asarray(codes[name]) for name in codes.columns]
        variables = [np.asarray(c) for c in codes]
        if not variables:
            raise ValueError("codes must hold at least one variable")
        if n_levels is not None and len(n_levels) != len(variables):
            raise ValueError(f"n_levels must hold a number for each of {len(variables)} variables, got {len(n_levels)}")
        fields, start = [], 0
        for position, variable in enumerate(variables):
            if variable.ndim != 1 or len(variable) != len(variables[0]):
                raise ValueError(
                    f"codes must be arrays of shape ({len(variables[0])},), "
                    f"variable {position} has shape {variable.shape}"
                )
            if variable.dtype.kind not in "iu":
                raise TypeError(f"codes must be integers, variable {position} is {variable.dtype}")
            lowest, largest = (int(variable.min()), int(variable.max())) if len(variable) else (0, -1)
            levels = largest + 1 if n_levels is None else int(n_levels[position])
            if levels < 0:
                raise ValueError(f"n_levels must not be negative, variable {position} has {levels}")
            if largest >= levels or lowest < -1:
                wrong = largest if largest >= levels else lowest
                raise ValueError(
                    f"codes of variable {position} must lie in 0..{levels - 1} (or be -1 for none), "
                    f"row {int(np.argmax(variable == wrong))} has {wrong}"
                )
            if start + levels > np.iinfo(np.int32).max:
                raise ValueError(f"a design holds at most 2**31 - 1 columns, variable {position} has {levels} levels")
            code, rows = variable.astype(np.int32, copy=False), None
            if lowest < 0:
                rows = np.flatnonzero(code >= 0).astype(np.int32)
                code = code[rows]
            fields.append(Field(np.arange(start, start + levels, dtype=np.int32), code, rows))
            start += levels
        labels = [np.full(len(field.columns), i, np.int32) for i, field in enumerate(fields)]
        return cls(len(variables[0]), start, tuple(fields), groups=np.concatenate(labels))

    @classmethod
    def from_matrix(cls, X: Any, fields: ArrayLike | None = None) -> Design:
        """Fields from a matrix: those given, or those found (see `fmkit.fields.find_fields`).

        Parameters
        ----------
        X : sparse matrix or array of any format, or array-like of shape (n_rows, n_features)
            Duplicate entries are summed, zeros dropped; values become float32. 64-bit indices are accepted.
        fields : array-like of shape (n_features,), optional
            A label a column, any integers; columns with the same label form a group, with a prior of its own. They are
            one field, or several where a row has two entries with one label, as it has of a bag of words.

        Raises
        ------
        ValueError
            If a value is NaN or infinite.
        """
        matrix = canonical_csr(X)
        groups = None
        if fields is None:
            label = find_fields(matrix)
        else:
            label = np.asarray(fields)
            if label.shape != (matrix.shape[1],):
                raise ValueError(f"fields must hold a label for each of {matrix.shape[1]} columns, got {label.shape}")
            groups = np.unique(label, return_inverse=True)[1].astype(np.int32)
            label = disjoint(matrix, groups)
        return cls(matrix.shape[0], matrix.shape[1], tuple(split(matrix, label)), groups=groups)

    @classmethod
    def from_blocks(
        cls, blocks: Sequence[RelationBlock], matrix: Any = None, fields: ArrayLike | None = None
    ) -> Design:
        """Relation blocks beside each other, after the columns of a matrix if there are others.

        Parameters
        ----------
        blocks : sequence of RelationBlock
            Their columns follow in this order.
        matrix : Design, or sparse or dense matrix of shape (n_rows, n_columns), optional
            Columns of the rows themselves: they come first.
        fields : array-like of shape (n_columns,), optional
            As for `Design.from_matrix`, of the matrix.

        Examples
        --------
        >>> users = RelationBlock([[1, 0, 0.5], [0, 1, 0.25]], [0, 0, 1])  # two users and something known of them
        >>> items = RelationBlock([[1, 0], [0, 1]], [1, 0, 1])
        >>> Design.from_blocks([users, items]).to_csr().toarray()
        array([[1.  , 0.  , 0.5 , 0.  , 1.  ],
               [1.  , 0.  , 0.5 , 1.  , 0.  ],
               [0.  , 1.  , 0.25, 0.  , 1.  ]], dtype=float32)
        """
        for position, block in enumerate(blocks):
            if not isinstance(block, RelationBlock):
                raise TypeError(f"blocks must be RelationBlocks, block {position} is {type(block).__name__}")
        if matrix is not None:
            flat = _as_design(matrix, fields)
        elif blocks:
            flat = cls(len(blocks[0].codes), 0, ())
        else:
            raise ValueError("blocks must hold at least one block, or matrix be given")
        start, placed, groups = flat.n_features, list(flat.blocks), [flat.groups]
        for position, block in enumerate(blocks):
            if len(block.codes) != flat.n_rows:
                first = "block 0" if matrix is None else "the matrix"
                raise ValueError(
                    f"blocks must hold a code for each row: {first} has {flat.n_rows} rows, "
                    f"block {position} has {len(block.codes)} codes"
                )
            stop = start + block.table.n_features
            if stop > np.iinfo(np.int32).max:
                raise ValueError(f"a design holds at most 2**31 - 1 columns, with block {position} it has {stop}")
            columns = np.arange(start, stop, dtype=np.int32)
            placed.append(Block(block.table, block.codes, columns, block.hierarchical))
            groups.append(block.table.groups)
            start = stop
        sizes = [flat.n_features, *(block.table.n_features for block in blocks)]
        return replace(flat, n_features=start, blocks=tuple(placed), groups=_side_by_side(groups, sizes))

    def to_csr(self, first: int = 0, last: int | None = None) -> sparse.csr_array:
        """Rows first:last, blocks written out, as a sparse float32 matrix with sorted indices."""
        last = self.n_rows if last is None else last
        parts = [_entries(field, first, last) for field in self.fields]
        parts += [_entries_of_block(block, first, last) for block in self.blocks]
        if not parts:
            return sparse.csr_array((last - first, self.n_features), dtype=np.float32)
        if not self.blocks and all(rows is None for rows, _, _ in parts) and _ascending(self.fields):
            indices = np.stack([columns for _, columns, _ in parts], axis=1).ravel()
            values = np.stack([values for _, _, values in parts], axis=1).ravel()
            indptr = np.arange(0, len(indices) + 1, len(parts))
            return sparse.csr_array((values, indices, indptr), shape=(last - first, self.n_features))
        rows = np.concatenate([np.arange(last - first) if rows is None else rows for rows, _, _ in parts])
        indices = np.concatenate([columns for _, columns, _ in parts])
        values = np.concatenate([values for _, _, values in parts])
        matrix = sparse.csr_array((values, (rows, indices)), shape=(last - first, self.n_features))
        matrix.sort_indices()
        return matrix

    def select(self, keep: NDArray[np.bool_]) -> Design:
        """The design of the rows where `keep`, a boolean array of shape (n_rows,), is True; tables stay whole."""
        position = np.cumsum(keep, dtype=np.int32) - 1
        fields = []
        for field in self.fields:
            chosen = keep if field.rows is None else keep[field.rows]
            rows = None if field.rows is None else position[field.rows[chosen]]
            values = None if field.values is None else field.values[chosen]
            fields.append(Field(field.columns, field.codes[chosen], rows, values))
        blocks = tuple(replace(block, codes=block.codes[keep]) for block in self.blocks)
        return replace(self, n_rows=int(np.count_nonzero(keep)), fields=tuple(fields), blocks=blocks)


class RelationBlock:
    """A table of distinct rows and which of them each row of a design has, for `Design.from_blocks`.

    What many rows share is held and worked on once: a user's age, everything that a user rated, an item's genres.

    Parameters
    ----------
    matrix : Design, or sparse or dense matrix of shape (n_table_rows, n_columns)
        The table.
    codes : array-like of shape (n_rows,), integers
        The table's row that each row of the design has.
    fields : array-like of shape (n_columns,), optional
        As for `Design.from_matrix`.
    hierarchical : bool, default=False
        Read the other columns as what tells where a row's own column is to be expected, for MCMC and VB: much the
        better and quicker where rows have many entries, as sets of what a user rated have. The table must have one
        column of its own for each row, a 1 there (a user's id beside what is known of the user). It is the same
        machine with a prior that differs in one point: what a row's own weight has for a prior, its weight together
        with the pairs inside the row has (`fmkit.solvers.hierarchy`). Put users that are to come into the table of the
        fit: without a row yet, they are predicted by what is known of them. ALS and SGD know no such priors and go on
        as without.

    Attributes
    ----------
    table : Design
    codes : ndarray of shape (n_rows,), int32
    hierarchical : bool

    Examples
    --------
    >>> from fmkit import Design
    >>> users = RelationBlock([[1, 0, 0.5], [0, 1, 0.25]], [0, 0, 1])
    >>> Design.from_blocks([users]).shape
    (3, 3)
    """

    table: Design
    codes: NDArray[np.int32]
    hierarchical: bool

    def __init__(
        self, matrix: Any, codes: ArrayLike, fields: ArrayLike | None = None, *, hierarchical: bool = False
    ) -> None:
        table, code = _as_design(matrix, fields), np.asarray(codes)
        if table.blocks:
            raise ValueError("the table of a block must hold no blocks: give table.to_csr()")
        if not table.n_rows:
            raise ValueError(f"the table of a block must hold at least one row, got shape {table.shape}")
        if code.ndim != 1:
            raise ValueError(f"codes must be an array of shape (n_rows,), got shape {code.shape}")
        if code.dtype.kind not in "iu":
            raise TypeError(f"codes must be integers, got {code.dtype}")
        wrong = (code < 0) | (code >= table.n_rows)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"codes must lie in 0..{table.n_rows - 1}, row {row} has {code[row]}: "
                "the table needs a row for it, an empty one where nothing is known"
            )
        if hierarchical:
            own = own_field(table)
            if own is None:
                raise ValueError(
                    "a hierarchical block needs a column of its own for each row of its table, with a 1 in this row "
                    "alone: put an identity beside the matrix, scipy.sparse.hstack([scipy.sparse.eye_array(n), matrix])"
                )
            if table.groups is not None and np.isin(table.groups, table.groups[own.columns]).sum() > len(own.columns):
                raise ValueError(
                    "the own columns of a hierarchical block's rows must be a group of their own: "
                    "give them a label in fields= that no other column has"
                )
        self.table, self.codes = table, code.astype(np.int32, copy=False)
        self.hierarchical = hierarchical


def own_field(table: Design) -> Field | None:
    """The field of a block's table of which every row has a level that no other row has; None if there is none."""
    for field in table.fields:
        if field.rows is None and field.values is None and len(np.unique(field.codes)) == table.n_rows:
            return field
    return None


def _as_design(matrix: Any, fields: ArrayLike | None) -> Design:
    if not isinstance(matrix, Design):
        return Design.from_matrix(matrix, fields)
    if fields is not None:
        raise ValueError("a Design has its fields already: leave fields=None")
    return matrix


def canonical_csr(X: Any) -> sparse.csr_array:
    """X as float32 CSR with sorted, unique indices and without zeros; NaN and infinity are refused with their place."""
    matrix = sparse.csr_array(X, dtype=np.float32) if sparse.issparse(X) else _csr_of_dense(X)
    if not (matrix.has_canonical_format and matrix.data.all()):
        if sparse.issparse(X):
            matrix = matrix.copy()  # which may share memory with the caller's
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    if not np.isfinite(matrix.data).all():
        entry = int(np.argmin(np.isfinite(matrix.data)))
        row = int(np.searchsorted(matrix.indptr, entry, side="right")) - 1
        raise ValueError(
            f"the design holds {matrix.data[entry]} in row {row}, column {matrix.indices[entry]}: "
            "every value must be finite in float32"
        )
    if max(matrix.shape) > np.iinfo(np.int32).max:
        raise ValueError(f"a design holds at most 2**31 - 1 rows and columns, got {matrix.shape}")
    return matrix


def _csr_of_dense(X: Any) -> sparse.csr_array:
    dense = np.asarray(X)
    if dense.ndim != 2:
        raise ValueError(f"a design matrix has two dimensions, got {dense.ndim}")
    with np.errstate(over="ignore"):  # an infinite value is told below, with its place
        return sparse.csr_array(dense.astype(np.float32))


def _side_by_side(groups: Sequence[NDArray[np.int32] | None], sizes: Sequence[int]) -> NDArray[np.int32] | None:
    """Groups of parts of `sizes` columns that stand beside each other: those of different parts stay different."""
    if all(part is None for part in groups):
        return None
    numbered, first = [], 0
    for part, size in zip(groups, sizes, strict=True):
        numbers = np.full(size, -1, np.int32) if part is None else np.where(part < 0, -1, part + first)
        first = max(first, int(numbers.max(initial=-1)) + 1)
        numbered.append(numbers.astype(np.int32))
    return np.concatenate(numbered)


def _entries(field: Field, first: int, last: int) -> tuple[Any, NDArray[np.int32], NDArray[np.float32]]:
    """A field's entries of rows first:last as (rows - first or None, columns, values)."""
    if field.rows is None:
        entries, rows = slice(first, last), None
    else:
        # Of the same type, or numpy would convert all of `rows` for every block.
        entries = slice(*np.searchsorted(field.rows, np.array([first, last], field.rows.dtype)))
        rows = field.rows[entries] - np.int32(first)
    columns = field.columns[field.codes[entries]]
    values = np.ones(len(columns), np.float32) if field.values is None else field.values[entries]
    return rows, columns, values


def _entries_of_block(
    block: Block, first: int, last: int
) -> tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.float32]]:
    """A block's entries of rows first:last as (rows - first, columns, values)."""
    matrix = block.table.csr[block.codes[first:last]]
    return np.repeat(np.arange(last - first), np.diff(matrix.indptr)), block.columns[matrix.indices], matrix.data


def _ascending(fields: tuple[Field, ...]) -> bool:
    """Whether every column of a field lies to the left of the next field's."""
    ends = [(f.columns[0], f.columns[-1]) for f in fields if len(f.columns)]
    return all(a[1] < b[0] for a, b in pairwise(ends))
