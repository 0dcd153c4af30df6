"""FactorizationMachine: bias, linear weights, factors, and the one equation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.design import Design, canonical_csr
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
        out = np.empty(n_rows, np.float32)
        w0, w, V = np.float32(self.bias), np.ascontiguousarray(self.linear), np.ascontiguousarray(self.factors)
        for_each_block(lambda rows, a, b: predict_rows(*rows, w0, w, V, out[a:b]), X, count_threads(n_jobs))
        return out


def sum_factors(X: Design, factors: NDArray[np.float32], n_threads: int) -> NDArray[np.float32]:
    """The product of a design and the factors of its columns, of shape (n_rows, n_factors), float32."""
    out = np.zeros((X.n_rows, factors.shape[1]), np.float32)
    for_each_block(lambda rows, a, b: _sum_factor_rows(*rows, factors, out[a:b]), X, n_threads)
    return out


def for_each_block(work: Callable[..., None], X: Design | sparse.csr_array, n_threads: int) -> None:
    """Call work((indptr, columns, values), first, last) for blocks of rows, on a pool of threads."""
    n_rows = X.shape[0]
    step = max(1, BLOCK * n_rows // max(X.n_entries if isinstance(X, Design) else X.nnz, n_rows, 1))
    blocks = [(a, min(a + step, n_rows)) for a in range(0, n_rows, step)]
    for_each(lambda a, b: work(row_arrays(X, a, b), a, b), blocks, max(min(n_threads, len(blocks)), 1))


def row_arrays(
    X: Design | sparse.csr_array, first: int = 0, last: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Rows first:last of a design or a canonical matrix as the arrays (indptr, columns, values) of the row kernels."""
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
    (sum of squares) - (square of sum), and with fewer operations.
    """
    k = V.shape[1]
    q = np.empty(k, np.float32)
    for r in range(len(out)):
        s = w0
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


@kernel
def _sum_factor_rows(indptr: Any, columns: Any, values: Any, V: Any, out: Any) -> None:
    for r in range(len(out)):
        for i in range(indptr[r], indptr[r + 1]):
            for f in range(V.shape[1]):
                out[r, f] += values[i] * V[columns[i], f]
