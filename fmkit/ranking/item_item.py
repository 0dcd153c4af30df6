"""Full-rank item-item weights in closed form: each item foretold by all others that a query has.

    min_B sum_{qj} (x_qj - sum_i x_qi B_ij)^2 + sum_ij d_i B_ij^2,   B_jj = 0

has the solution B_ij = -P_ij / P_jj off the diagonal, P = (X'X + diag(d))^-1 (Steck, Embarrassingly Shallow
Autoencoders for Sparse Data, 2019). d_i = ridge + noise * count_i: the second term is what hiding a share
noise / (1 + noise) of each history at random adds on average (Steck, Autoencoders that don't overfit towards the
Identity, 2020).

With fewer queries than items, P comes from the smaller table: P = D^-1 - D^-1 X'(I + X D^-1 X')^-1 X D^-1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from fmkit.ranking.pairs import Pairs

MOST = 20_000  # items (or queries, if they are fewer) up to which it is solved for


RIDGES = (100.0, 300.0, 30.0)  # tried where a part is set aside
NOISE = 0.3  # 0.1 to 1 are within .001 NDCG on three sets, and .001 to .005 better than 0


@dataclass
class ItemItem:
    """Weights between items: a history's scores are the sums of its items' rows.

    Parameters
    ----------
    weights : ndarray of shape (n_items, n_items), float32
    """

    weights: NDArray[np.float32]

    @classmethod
    def of(cls, pairs: Pairs, ridge: float, noise: float = NOISE) -> ItemItem:
        """Those that foretell each item of the pairs by the others of its query; all pairs weigh alike."""
        X = sparse.csr_array((np.ones(len(pairs)), pairs.items, pairs.before), shape=pairs.csr.shape)
        return cls(item_item_weights(X, ridge, noise))

    def scores(self, histories: Pairs) -> NDArray[np.float32]:
        """Of shape (n_histories, n_items), in units of their standard deviation over the items."""
        ones = sparse.csr_array(
            (np.ones(len(histories), np.float32), histories.items, histories.before), shape=histories.csr.shape
        )
        scores = np.asarray(ones @ self.weights, np.float32)
        scores /= np.maximum(scores.std(axis=1, keepdims=True), np.float32(1e-10))
        return scores


def item_item_weights(X: sparse.csr_array, ridge: float, noise: float) -> NDArray[np.float32]:
    """B of shape (n_items, n_items), which takes 4 n_items^2 bytes, and 8 n^2 while n = min(X.shape) is solved for.

    Parameters
    ----------
    X : csr_array of shape (n_queries, n_items)
    ridge : float
        Above 0.
    noise : float
        How much an item's penalty grows with each query that has it.

    Raises
    ------
    ValueError
        If both queries and items are more than `MOST`.
    """
    n_queries, n_items = X.shape
    if min(n_queries, n_items) > MOST or n_items > 2 * MOST:
        raise ValueError(f"item_item takes catalogues of up to {MOST:,} items, got {n_items:,}: leave item_item=False")
    X = X.astype(np.float64)
    d = ridge + noise * np.asarray(X.power(2).sum(axis=0)).ravel()
    if n_queries < n_items:
        XD = (X / d).tocsr()
        inner = (XD @ X.T).toarray()
        inner[np.diag_indices_from(inner)] += 1
        factor = linalg.cholesky(inner, lower=True, overwrite_a=True, check_finite=False)
        half = linalg.solve_triangular(factor, XD.toarray(), lower=True, overwrite_b=True, check_finite=False)
        half = half.astype(np.float32)  # D^-1 less half' half is P
        diagonal = 1 / d - np.einsum("ij,ij->j", half, half, dtype=np.float64)
        B = half.T @ half
        B /= diagonal.astype(np.float32)
    else:
        gram = (X.T @ X).toarray()
        gram[np.diag_indices_from(gram)] += d
        factor, _ = linalg.lapack.dpotrf(gram, lower=1, overwrite_a=1)
        inverse, _ = linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
        diagonal = np.diag(inverse).copy()
        B = inverse.astype(np.float32)
        B += np.tril(B, -1).T - np.triu(B, 1)
        B /= -diagonal.astype(np.float32)
    B[np.diag_indices_from(B)] = 0
    return np.asarray(B)
