from dataclasses import replace

import numpy as np
import pytest

from fmkit.design import Design, RelationBlock, canonical_csr
from fmkit.machine import FactorizationMachine
from fmkit.solvers.fold import fold_columns, fold_in, take_in
from fmkit.solvers.groups import find_groups
from fmkit.solvers.knowledge import Evidence, Knowledge
from fmkit.solvers.penalties import Penalties


def knowledge(n, k, uncertain, rng):
    w, V = rng.standard_normal(n), 0.3 * rng.standard_normal((n, k))
    m = n if uncertain else 0
    spreads = 0.1 + rng.random(m), 0.1 + 0.1 * rng.random((m, k)), 0.1 * rng.standard_normal((m, k))
    return Knowledge(*(np.float32(a) for a in (w, V, *spreads)))


def rows_of(kind, n, n_features, rng):
    if kind == "one-hot":
        return Design.from_codes([rng.integers(0, n_features, n)], [n_features]).to_csr()
    return canonical_csr(rng.standard_normal((n, n_features)) * (rng.random((n, n_features)) < 0.5))


def system(z_q, var_q, cov, y, omega, precision, centre):
    """The dense system of a column: its precision and linear term, for rows (q, 1) less their own part."""
    z = np.column_stack([z_q, np.ones(len(y))])
    A = (z * omega[:, None]).T @ z + np.diag(precision)
    A[range(z_q.shape[1]), range(z_q.shape[1])] += omega @ var_q
    h = z.T @ (omega * y) + precision * centre
    h[:-1] -= omega @ cov
    return A, h


def spreads_of(X, known):
    """In float64: Q, var Q, cov(Q, value), value and its variance, of rows of independent columns."""
    w, V = known.w.astype(float), known.V.astype(float)
    Q = X @ V
    f = X @ w + (Q**2 - X**2 @ V**2).sum(axis=1) / 2
    if not len(known.var_w):
        return Q, 0 * Q, 0 * Q, f, 0 * f
    var_v, cov = known.var_v.astype(float), known.cov.astype(float)
    rest = Q[:, None] - X[:, :, None] * V  # of every row and column
    cov_q = X**2 @ cov + np.einsum("rj,jf,rjf->rf", X**2, var_v, rest)
    variance = X**2 @ known.var_w + np.einsum("rj,jf,rjf->r", X**2, var_v, rest**2)
    variance += 2 * np.einsum("rj,jf,rjf->r", X**2, cov, rest)
    parts = (X**2)[:, :, None] * var_v
    variance += ((parts.sum(axis=1)) ** 2 - (parts**2).sum(axis=1)).sum(axis=1) / 2
    return Q, X**2 @ var_v, cov_q, f, variance


@pytest.mark.parametrize("kind", ["one-hot", "values"])
@pytest.mark.parametrize("k", [0, 3, 17])
@pytest.mark.parametrize("shape", [None, 0.0, 3.0])
def test_a_new_column_is_the_solution_of_its_system(kind, k, shape):
    rng = np.random.default_rng(k)
    n, n_features, n_new = 90, 6, 5
    X, known = rows_of(kind, n, n_features, rng), knowledge(n_features, k, False, rng)
    y, omega, weights = rng.standard_normal(n), 0.5 + rng.random(n), 0.5 + rng.random(n)
    codes = rng.integers(0, n_new - 1, n)  # the last column has no row
    counts = np.bincount(codes, weights, n_new)
    precision, centre = 0.5 + rng.random((1, k + 1)), rng.standard_normal((1, k + 1))
    of_rows = np.float32(y), np.float32(omega), np.int32(codes)
    told = np.float32(counts), known.machine(), np.float32(precision), np.float32(centre)
    new, levels = fold_columns(X, *of_rows, *told, shape or 0.0, 1, variances=shape is not None)
    Q, zero, _, f, _ = spreads_of(X.toarray().astype(float), known)
    for j in range(n_new):
        mine, tau = codes == j, float(levels[j])
        parts = Q[mine], zero[mine], zero[mine], (y - f)[mine], tau * omega[mine], precision[0], centre[0]
        A, h = system(*parts)
        mean, covariance = np.linalg.solve(A, h), np.linalg.inv(A)
        np.testing.assert_allclose(np.append(new.V[j], new.w[j]), mean, rtol=1e-4, atol=3e-5)
        if shape is not None:
            np.testing.assert_allclose(np.append(new.var_v[j], new.var_w[j]), np.diag(covariance), rtol=1e-4)
            np.testing.assert_allclose(new.cov[j], covariance[-1, :-1], rtol=1e-3, atol=1e-5)
        if shape:
            z = np.column_stack([Q[mine], np.ones(mine.sum())])
            errors = ((y - f)[mine] - z @ mean) ** 2 + np.einsum("ra,ab,rb->r", z, covariance, z)
            expected = (shape + counts[j] / 2) / (shape + omega[mine] @ errors / 2)
            assert tau == pytest.approx(expected, rel=0.01)
        else:
            assert tau == 1


def test_the_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    n, n_new, k = 40_000, 3_000, 5
    X, known = rows_of("one-hot", n, 50, rng), knowledge(50, k, False, rng).machine()
    codes = rng.integers(0, n_new, n).astype(np.int32)
    of_rows = rng.standard_normal(n).astype(np.float32), np.ones(n, np.float32), codes
    prior = np.ones((1, k + 1), np.float32), np.zeros((1, k + 1), np.float32)
    told = np.bincount(codes, minlength=n_new).astype(np.float32), known, *prior, 2.0
    (one, levels), (many, of_many) = fold_columns(X, *of_rows, *told, 1), fold_columns(X, *of_rows, *told, 5)
    np.testing.assert_array_equal(one.V, many.V)
    np.testing.assert_array_equal(levels, of_many)


def test_the_recommenders_way_is_the_same():
    rng = np.random.default_rng(0)
    n_users, n_items, k = 4, 6, 3
    known = knowledge(n_items, k, False, rng)
    ptr, source = np.array([0, 3, 3, 8, 9]), rng.integers(0, n_items, 9).astype(np.int32)
    y, users = rng.standard_normal(9).astype(np.float32), np.repeat(np.arange(4), np.diff(ptr)).astype(np.int32)
    linear, factors = np.append(np.zeros(n_users, np.float32), known.w), np.zeros((n_users, k), np.float32)
    machine = FactorizationMachine(0.5, linear, np.concatenate([factors, known.V]))
    penalties = Penalties(np.full(n_users + n_items, 2, np.float32), np.full(n_users + n_items, 3, np.float32))
    fold_in(machine, penalties, ptr, source + np.int32(n_users), y, 1)
    X = Design.from_codes([source], [n_items]).to_csr()
    prior = np.float32([[3] * k + [2]]), np.zeros((1, k + 1), np.float32)
    counts = np.bincount(users, minlength=4).astype(np.float32)
    of_rows = X, y - np.float32(0.5), np.ones(9, np.float32), users, counts
    new, _ = fold_columns(*of_rows, known.machine(), *prior, 0.0, 1, variances=False)
    np.testing.assert_allclose(machine.factors[:n_users], new.V, atol=1e-6)
    np.testing.assert_allclose(machine.linear[:n_users], new.w, atol=1e-6)


@pytest.mark.parametrize("kind", ["one-hot", "values"])
@pytest.mark.parametrize("uncertain", [False, True])
@pytest.mark.parametrize("every", [False, True])
def test_in_the_end_every_touched_column_solves_its_system(kind, uncertain, every):
    rng = np.random.default_rng(1)
    n, k = 80, 3
    if kind == "one-hot":
        design = Design.from_codes([rng.integers(0, 5, n), rng.integers(0, 4, n), rng.integers(-1, 3, n)], [7, 5, 3])
    else:
        design = Design.from_matrix(rng.standard_normal((n, 6)) * (rng.random((n, 6)) < 0.4) * [1, 1, 1, 1, 1, 0])
    m = design.n_features
    known, X = knowledge(m, k, uncertain, rng), design.to_csr().toarray().astype(float)
    before = Knowledge(known.w.copy(), known.V.copy(), known.var_w, known.var_v, known.cov)
    y, omega = rng.standard_normal(n).astype(np.float32), (0.5 + rng.random(n)).astype(np.float32)
    precision, centre = np.float32(3 + rng.random((m, k + 1))), rng.standard_normal((m, k + 1)).astype(np.float32)
    zero, one = np.zeros(m, np.float32), np.ones(m, np.float32)
    move = take_in(design, y, omega, np.ones(n, np.float32), known, precision, centre, zero, one, 300, 1, every)
    known.cov[:] = 0
    _, _, _, f, _ = spreads_of(X, known)
    touched = X.any(axis=0)
    assert not touched.all()
    for j in np.flatnonzero(touched):
        rows = X[:, j] != 0
        x, others = X[rows, j, None], X[rows].copy()
        others[:, j] = 0
        Q, var_q, cov, rest, _ = spreads_of(others, known)
        A, h = system(x * Q, x**2 * var_q, x * cov, (y[rows] - move - rest), omega[rows], precision[j], centre[j])
        z = np.column_stack([x * Q, x])
        A += (z * omega[rows, None]).T @ z - (lambda o: (o * omega[rows, None]).T @ o)(np.column_stack([x * Q, x**0]))
        h[-1] += (omega[rows] * (y[rows] - move - rest)) @ (x[:, 0] - 1)
        np.testing.assert_allclose(np.append(known.V[j], known.w[j]), np.linalg.solve(A, h), rtol=1e-3, atol=1e-4)
        if uncertain:
            np.testing.assert_allclose(np.append(known.var_v[j], known.var_w[j]), np.diag(np.linalg.inv(A)), rtol=1e-3)
    if every:
        assert abs(omega @ (y - move - f)) < 1e-2
        np.testing.assert_allclose(known.w[~touched], centre[~touched, -1], atol=1e-5)
    else:
        assert move == 0
        np.testing.assert_array_equal(known.V[~touched], before.V[~touched])
        np.testing.assert_array_equal(known.w[~touched], before.w[~touched])


def test_noise_levels_of_new_columns_are_found():
    rng = np.random.default_rng(0)
    codes = [np.repeat(np.arange(10), 200), rng.integers(0, 5, 2000)]
    design, sd = Design.from_codes(codes), np.repeat(np.linspace(0.5, 2, 10), 200)
    y = (sd * rng.standard_normal(2000)).astype(np.float32)
    m = design.n_features
    known = Knowledge(
        *(np.zeros(s, np.float32) for s in (m, (m, 2))), *(np.full(s, 0.01, np.float32) for s in (m, (m, 2), (m, 2)))
    )
    prior = np.full((m, 3), 100, np.float32), np.zeros((m, 3), np.float32)
    shapes, levels = np.zeros(m, np.float32), np.ones(m, np.float32)
    shapes[:9] = 2
    take_in(design, y, np.ones(2000, np.float32), np.ones(2000, np.float32), known, *prior, shapes, levels, 10, 1)
    np.testing.assert_allclose(levels[:9], 1 / sd[::200][:9] ** 2, rtol=0.3)
    assert (levels[9:] == 1).all()


def test_evidence_is_the_precision_that_rows_give():
    rng = np.random.default_rng(0)
    n, k = 2000, 3
    codes = [rng.integers(0, 8, n), rng.integers(0, 5, n)]
    weights = (0.5 + rng.random(n)).astype(np.float32)
    machine = FactorizationMachine(0.0, np.zeros(13, np.float32), rng.standard_normal((13, k)).astype(np.float32))
    evidence = Evidence.of_fit(Design.from_codes(codes), weights, machine, np.zeros(13))
    precision = evidence.precision()
    for j in range(8):
        mine = codes[0] == j
        exact = weights[mine] @ machine.factors[8 + codes[1][mine]] ** 2
        np.testing.assert_allclose(precision[j, :k], exact, rtol=0.4)
        assert precision[j, k] == pytest.approx(weights[mine].sum(), rel=1e-5)


def test_the_evidence_of_blocks_is_that_of_the_rows_written_out():
    rng = np.random.default_rng(0)
    tables = [np.c_[np.eye(6), rng.random((6, 3)) * (rng.random((6, 3)) < 0.6)], np.c_[np.eye(5), rng.random((5, 2))]]
    blocks = [RelationBlock(table, rng.integers(0, len(table), 200)) for table in tables]
    design = Design.from_blocks(blocks, matrix=np.eye(3)[rng.integers(0, 3, 200)])
    flat = replace(Design.from_matrix(design.to_csr()), groups=find_groups(design))
    machine = FactorizationMachine(
        0.0, np.zeros(design.n_features, np.float32), rng.standard_normal((design.n_features, 2)).astype(np.float32)
    )
    weights, means = (0.5 + rng.random(200)).astype(np.float32), np.zeros(design.n_features)
    of_blocks, of_rows = (Evidence.of_fit(d, weights, machine, means) for d in (design, flat))
    np.testing.assert_array_equal(of_blocks.groups, of_rows.groups)
    np.testing.assert_allclose(of_blocks.squares, of_rows.squares, rtol=1e-4)
    np.testing.assert_allclose(of_blocks.counts, of_rows.counts, rtol=1e-5)
