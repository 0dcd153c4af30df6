import numpy as np
import pytest

from fmkit.linalg import HEIGHT, LANES, back_substitute, cholesky, gram, padded, row_dots


def rounded_up(n, step):
    return -(-n // step) * step


@pytest.mark.parametrize("k", [0, 1, 7, 8, 15, 16, 17, 33, 64])
@pytest.mark.parametrize("n", [0, 1, 5, 130])
def test_gram_sums_products_of_columns(k, n):
    rng = np.random.default_rng(k)
    width = padded(k + 4)
    tile = rng.standard_normal((130, width)).astype(np.float32)
    G = rng.standard_normal((rounded_up(width, HEIGHT), width)).astype(np.float32)
    expected = G.astype(float) + np.pad(
        tile[:n].astype(float).T @ tile[:n].astype(float), ((0, len(G) - width), (0, 0))
    )
    gram(tile, n, k, k + 2, G)
    upper = np.triu(np.ones((k, k), bool))
    np.testing.assert_allclose(G[:k, :k][upper], expected[:k, :k][upper], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(G[k : k + 2, :k], expected[k : k + 2, :k], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 9, 16, 17, 40, 65])
def test_cholesky_and_back_substitution_solve_a_system(n):
    rng = np.random.default_rng(n)
    Z = rng.standard_normal((2 * n + 3, n))
    A, b = Z.T @ Z + np.eye(n), rng.standard_normal(n)
    S = np.zeros((rounded_up(n, HEIGHT), padded(n + 1)), np.float32)
    S[:n, :n], S[:n, n] = np.triu(A), b
    cholesky(S, n)
    x = np.empty(n, np.float32)
    back_substitute(S, n, x)
    np.testing.assert_allclose(np.triu(S[:n, :n]), np.linalg.cholesky(A).T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(x, np.linalg.solve(A, b), rtol=1e-4, atol=1e-5)


def test_an_unknown_without_a_pivot_becomes_zero():
    S = np.zeros((HEIGHT, LANES), np.float32)
    S[:2, :3] = [[4, 0, 2], [0, 0, 7]]
    cholesky(S, 2)
    x = np.empty(2, np.float32)
    back_substitute(S, 2, x)
    np.testing.assert_allclose(x, [0.5, 0])


def test_rows_of_no_length_have_a_product_of_zero():
    """Whatever lies at the address of an empty array."""
    nothing = np.lib.stride_tricks.as_strided(np.full(4, np.nan, np.float32), (3, 0), (0, 0))
    np.testing.assert_array_equal(row_dots(nothing, np.ones((3, 2), np.float32)[:, :0]), np.zeros(3))
    np.testing.assert_array_equal(row_dots(np.float32([[1, 2], [3, 4]]), np.float32([[1, 1], [0, 2]])), [3, 8])
