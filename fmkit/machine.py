"""FactorizationMachine: bias, linear weights, factors, and the one equation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.design import Block, Design, canonical_csr
from fmkit.fields import Field
from fmkit.kernels import kernel
from fmkit.threads import count_threads, for_each

BLOCK = 1 << 18  # entries of a block of rows: indices, values and what they are made of take some 5 MB a thread

# Solvers set smaller factors to 0. A penalty that prunes a dimension lets its factors decay for ever, and arithmetic
# with denormal numbers is slow: SGD took nine times as long on a set of books.
NEGLIGIBLE = np.float32(1e-18)


@dataclass
class FactorizationMachine:
    """A second-order factorization machine (Rendle, "Factorization Machines", ICDM 2010).

        y(x) = bias + <linear, x> + sum_{i<j} <factors_i, factors_j> x_i x_j

    Parameters
    ----------
    bias : float
    linear : ndarray of shape (n_features,), float32
    factors : ndarray of shape (n_features, n_factors), float32

    Examples
    --------
    >>> import numpy as np
    >>> machine = FactorizationMachine(1.0, np.float32([0.5, 0.25]), np.float32([[2], [3]]))
    >>> machine.predict(np.array([[1, 0], [1, 1]]))
    array([1.5 , 7.75], dtype=float32)
    """

    interaction: ClassVar[str] = "fm"  # beside those of `fmkit.interactions`

    bias: float
    linear: NDArray[np.float32]
    factors: NDArray[np.float32]

    @property
    def n_features(self) -> int:
        """Columns of the designs that it predicts."""
        return len(self.linear)

    @property
    def n_factors(self) -> int:
        """Length of a column's vector of factors."""
        return int(self.factors.shape[1])

    def copy(self) -> FactorizationMachine:
        """A machine of its own memory."""
        return FactorizationMachine(self.bias, self.linear.copy(), self.factors.copy())

    def predict(self, X: Any, n_jobs: int | None = None) -> NDArray[np.float32]:
        """The equation for every row, in O(entries x n_factors), in blocks of rows on a pool of threads.

        The rows of a relation block's table are worked on once each, however many rows have them.

        Parameters
        ----------
        X : Design, or sparse or dense matrix of shape (n_rows, n_features)
        n_jobs : int, optional
            Threads; None or -1 for every core. The result is the same.

        Returns
        -------
        ndarray of shape (n_rows,), float32
        """
        if not isinstance(X, Design):
            X = canonical_csr(X)
        n_rows, n_features = X.shape
        if n_features != self.n_features:
            raise ValueError(f"the machine has {self.n_features} features, the design has {n_features} columns")
        n_threads, machine = count_threads(n_jobs), self
        if isinstance(X, Design) and X.blocks:
            X, machine = condensed(X, self, n_threads)
        out = np.empty(n_rows, np.float32)
        w0, w, V = np.float32(self.bias), np.ascontiguousarray(machine.linear), np.ascontiguousarray(machine.factors)
        for_each_block(lambda rows, a, b: predict_rows(*rows, w0, w, V, out[a:b]), X, n_threads)
        return out

    def block_rows(self, block: Block, n_threads: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What each row of a block's table comes to by itself, before it meets the rest of a design's row.

        Returns
        -------
        q : ndarray of shape (block.table.n_rows, n_factors), float32
            Sums of factors, sum_j x_j v_j.
        c : ndarray of shape (block.table.n_rows,), float32
            sum_j x_j w_j + sum_{i<j} x_i x_j <v_i, v_j>.
        """
        n_rows = block.table.n_rows
        q, c = np.empty((n_rows, self.n_factors), np.float32), np.empty(n_rows, np.float32)
        w, V = np.ascontiguousarray(self.linear), np.ascontiguousarray(self.factors)

        def work(rows: tuple[NDArray[Any], ...], a: int, b: int) -> None:
            indptr, columns, values = rows
            sum_alone(indptr, block.columns[columns], values, w, V, q[a:b], c[a:b])

        for_each_block(work, block.table.csr, n_threads)
        return q, c


def condensed(X: Design, machine: FactorizationMachine, n_threads: int) -> tuple[Design, FactorizationMachine]:
    """A design with every table row as one column, and the machine that has the same values on it.

    A row's value is w0 + sum_s c_s + sum_{s<t} <q_s, q_t> over its flat entries and its rows of tables, with the q and
    c of `machine.block_rows`: a table row takes part as a one-hot column with the factors q and the weight c.

    Parameters
    ----------
    X : Design
    machine : FactorizationMachine
    n_threads : int

    Returns
    -------
    design : Design
        Without blocks: the fields of `X`, then a one-hot field a block.
    machine : FactorizationMachine
        The columns of the given one, then the tables' rows.
    """
    fields, linear, factors, first = list(X.fields), [machine.linear], [machine.factors], X.n_features
    for block in X.blocks:
        q, c = machine.block_rows(block, n_threads)
        fields.append(Field(np.arange(first, first + len(c), dtype=np.int32), block.codes))
        linear.append(c)
        factors.append(q)
        first += len(c)
    design = Design(X.n_rows, first, tuple(fields))
    return design, FactorizationMachine(machine.bias, np.concatenate(linear), np.concatenate(factors))


def sum_factors(X: Design, factors: NDArray[np.float32], n_threads: int) -> NDArray[np.float32]:
    """The product of a design and the factors of its columns, of shape (n_rows, n_factors), float32."""
    if X.blocks:
        no_weights = FactorizationMachine(0.0, np.zeros(X.n_features, np.float32), factors)
        X, machine = condensed(X, no_weights, n_threads)
        factors = machine.factors
    out = np.zeros((X.n_rows, factors.shape[1]), np.float32)
    for_each_block(lambda rows, a, b: sum_factor_rows(*rows, factors, out[a:b]), X, n_threads)
    return out


def for_each_block(work: Callable[..., None], X: Design | sparse.csr_array, n_threads: int) -> None:
    """Call work((indptr, columns, values), first, last) for ranges of rows, on a pool of threads."""
    n_rows = X.shape[0]
    step = max(1, BLOCK * n_rows // max(X.n_entries if isinstance(X, Design) else X.nnz, n_rows, 1))
    blocks = [(a, min(a + step, n_rows)) for a in range(0, n_rows, step)]
    for_each(lambda a, b: work(row_arrays(X, a, b), a, b), blocks, max(min(n_threads, len(blocks)), 1))


def row_arrays(
    X: Design | sparse.csr_array, first: int = 0, last: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Rows first:last of a design or a canonical matrix as the arrays (indptr, columns, values) of the row kernels.

    A design's relation blocks are written out: `condensed` keeps their tables apart.
    """
    if isinstance(X, Design):
        rows = X.to_csr(first, last)
        indptr, columns, values = rows.indptr, rows.indices, rows.data
    else:
        indptr = X.indptr[first : (X.shape[0] if last is None else last) + 1]
        entries = slice(indptr[0], indptr[-1])
        columns, values = X.indices[entries], X.data[entries]
        indptr = indptr - indptr[0]
    return indptr.astype(np.int64, copy=False), columns.astype(np.int32, copy=False), values


@kernel(fastmath={"contract", "reassoc", "nsz"})
def predict_rows(indptr: Any, columns: Any, values: Any, w0: Any, w: Any, V: Any, out: Any) -> None:
    """out_r = w0 + sum_j x_j w_j + sum_{i<j} x_i x_j <v_i, v_j>, one entry after the other.

    q holds sum_{i<j} x_i v_i, so that entry j adds <x_j v_j, q>: the pairwise sum itself, without the cancellation of
    (sum of squares) - (square of sum), and with fewer operations. A row of two entries, a user's and an item's, is one
    product of their vectors, which needs no q: in a third of the time.
    """
    k = V.shape[1]
    q = np.empty(k, np.float32)
    for r in range(len(out)):
        s, first = w0, indptr[r]
        if indptr[r + 1] - first == 2:
            a, b, x, z = columns[first], columns[first + 1], values[first], values[first + 1]
            product = np.float32(0)
            for f in range(k):
                product += V[a, f] * V[b, f]
            out[r] = s + x * w[a] + z * w[b] + x * z * product
            continue
        q[:] = 0
        for i in range(indptr[r], indptr[r + 1]):
            j, x = columns[i], values[i]
            pair = np.float32(0)
            for f in range(k):
                v = x * V[j, f]
                pair += v * q[f]
                q[f] += v
            s += x * w[j] + pair
        out[r] = s


@kernel(fastmath={"contract", "reassoc", "nsz"})
def sum_alone(indptr: Any, columns: Any, values: Any, w: Any, V: Any, Q: Any, c: Any) -> None:
    """`predict_rows` without a bias, which keeps its q, too: Q is of shape (n_rows, k).

    A kernel of its own: keeping q on demand made `predict_rows` 6 % slower.
    """
    k = V.shape[1]
    q = np.empty(k, np.float32)
    for r in range(len(c)):
        s = np.float32(0)
        q[:] = 0
        for i in range(indptr[r], indptr[r + 1]):
            j, x = columns[i], values[i]
            pair = np.float32(0)
            for f in range(k):
                v = x * V[j, f]
                pair += v * q[f]
                q[f] += v
            s += x * w[j] + pair
        Q[r], c[r] = q, s


@kernel
def sum_factor_rows(indptr: Any, columns: Any, values: Any, V: Any, out: Any) -> None:
    """Add the sums of x_j v_j over the entries of each row to `out`, of shape (n_rows, n_factors)."""
    for r in range(len(out)):
        for i in range(indptr[r], indptr[r + 1]):
            for f in range(V.shape[1]):
                out[r, f] += values[i] * V[columns[i], f]
