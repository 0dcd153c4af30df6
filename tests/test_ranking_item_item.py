"""Item-item weights in closed form."""

import numpy as np
import pytest
from scipy import sparse

from fmkit.ranking.item_item import MOST, ItemItem, item_item_weights
from fmkit.ranking.pairs import Pairs


@pytest.mark.parametrize("shape", [(30, 20), (20, 30)])
def test_both_ways_give_the_dense_solution(shape: tuple[int, int]) -> None:
    X = sparse.random_array(shape, density=0.3, rng=np.random.default_rng(0), format="csr")
    dense = X.toarray()
    P = np.linalg.inv(dense.T @ dense + np.diag(2 + 0.3 * np.square(dense).sum(axis=0)))
    expected = -P / np.diag(P)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(item_item_weights(X, 2.0, 0.3), expected, atol=1e-5)


def test_each_column_is_a_ridge_regression_on_the_others() -> None:
    X = sparse.random_array((40, 12), density=0.4, rng=np.random.default_rng(1), format="csr")
    dense, B = X.toarray(), item_item_weights(X, 1.5, 0.0)
    others = np.delete(dense, 3, axis=1)
    expected = np.linalg.solve(others.T @ others + 1.5 * np.eye(11), others.T @ dense[:, 3])
    np.testing.assert_allclose(np.delete(B[:, 3], 3), expected, atol=1e-5)


def test_noise_is_what_hiding_adds_on_average() -> None:
    """The mean of ||X - X' B||^2 over histories X' with entries hidden, the others scaled up, has the same solution."""
    rng = np.random.default_rng(2)
    X = (rng.random((8, 5)) < 0.6).astype(float)
    hidden, many = 0.25, 20_000
    copies = np.tile(X, (many, 1))
    kept = copies * (rng.random(copies.shape) > hidden) / (1 - hidden)
    P = kept.T @ kept / many + 2 * np.eye(5)
    B = np.empty((5, 5))
    for j in range(5):
        others = np.arange(5) != j
        B[others, j] = np.linalg.solve(P[np.ix_(others, others)], X[:, others].T @ X[:, j])
        B[j, j] = 0
    exact = item_item_weights(sparse.csr_array(X), 2.0, hidden / (1 - hidden))
    np.testing.assert_allclose(exact, B, atol=0.01)


def test_scores_have_unit_spread() -> None:
    pairs = Pairs.of(sparse.random_array((40, 12), density=0.4, rng=np.random.default_rng(1), format="csr"))
    scores = ItemItem.of(pairs, 1.0).scores(pairs)
    np.testing.assert_allclose(scores.std(axis=1), 1, rtol=1e-4)


def test_too_large_a_catalogue_is_refused() -> None:
    with pytest.raises(ValueError, match="catalogues of up to 20,000 items, got 20,001"):
        item_item_weights(sparse.csr_array((MOST + 1, MOST + 1)), 1.0, 0.0)
