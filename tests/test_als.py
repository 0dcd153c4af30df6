from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmkit.design import Design
from fmkit.machine import FactorizationMachine
from fmkit.solvers.als import als
from fmkit.solvers.columns import sort_by_code
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import Penalties
from tests import reference
from tests.problems import problem

KINDS = ["pair", "gaps", "values"]


def run(p, sweeps, n_threads=1):
    machine = p.start.copy()
    steps = als(p.objective, machine, n_threads)
    for progress in islice(steps, sweeps):
        yield progress, machine.copy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [0, 3, 17])
def test_a_sweep_is_that_of_the_reference(kind, logistic, weighted, k):
    p = problem(kind, logistic=logistic, weighted=weighted, k=k)
    X, y, omega, penalty_w, penalty_v = p.dense
    fields = [f.columns for f in p.design.fields]
    expected = p.start.bias, p.start.linear.astype(float), p.start.factors.astype(float)
    for _, machine in run(p, 3):
        expected = reference.als_sweep(*expected, X, y, omega, penalty_w, penalty_v, fields, logistic)
        np.testing.assert_allclose(machine.linear, expected[1], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(machine.factors, expected[2], rtol=1e-3, atol=1e-4)
        assert machine.bias == pytest.approx(expected[0], abs=1e-4)
        expected = machine.bias, machine.linear.astype(float), machine.factors.astype(float)


@given(st.sampled_from(KINDS), st.booleans(), st.booleans(), st.integers(0, 1000))
def test_the_objective_never_rises(kind, logistic, weighted, seed):
    p = problem(kind, logistic=logistic, weighted=weighted, seed=seed)
    told = [(p.start.bias, p.start.linear, p.start.factors)]
    told += [(m.bias, m.linear, m.factors) for _, m in run(p, 8)]
    values = [reference.objective(b, w.astype(float), V.astype(float), *p.dense, logistic) for b, w, V in told]
    assert (np.diff(values) <= 1e-6 * np.abs(values[:-1])).all()
    assert values[-1] < values[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("logistic", [False, True])
def test_at_the_optimum_every_slope_is_zero_and_nothing_moves(kind, logistic):
    p = problem(kind, logistic=logistic, weighted=True)
    *_, (_, machine) = run(p, 400)
    X, y, omega, penalty_w, penalty_v = p.dense
    w, V = machine.linear.astype(float), machine.factors.astype(float)
    g, _ = reference.derivatives(y, reference.predict(machine.bias, w, V, X), logistic)
    assert abs(omega @ g) < 1e-3
    np.testing.assert_allclose(X.T @ (omega * g), penalty_w * w, atol=1e-3)
    q = X @ V
    slope_v = X.T @ ((omega * g)[:, None] * q) - (X**2).T @ (omega * g)[:, None] * V
    np.testing.assert_allclose(slope_v, penalty_v[:, None] * V, atol=1e-3)

    p.start = machine
    for _, later in run(p, 2):
        np.testing.assert_allclose(later.factors, machine.factors, atol=1e-4)
        np.testing.assert_allclose(later.linear, machine.linear, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("logistic", [False, True])
def test_the_same_bits_for_any_number_of_threads(kind, logistic):
    p = problem(kind, logistic=logistic, weighted=True, k=9, n=400)
    *_, (_, one) = run(p, 3, n_threads=1)
    *_, (_, many) = run(p, 3, n_threads=7)
    assert one.bias == many.bias
    np.testing.assert_array_equal(one.linear, many.linear)
    np.testing.assert_array_equal(one.factors, many.factors)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_training_loss_is_the_mean_loss_of_the_machine(kind, weighted):
    p = problem(kind, weighted=weighted)
    X, y, omega, *_ = p.dense
    for progress, m in run(p, 3):
        f = reference.predict(m.bias, m.linear.astype(float), m.factors.astype(float), X)
        assert progress.train_loss == pytest.approx(np.average((y - f) ** 2, weights=omega), rel=1e-4)


def test_without_factors_and_penalty_it_is_least_squares():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 4))
    y = X @ [1, -2, 3, 0.5] + 4 + 0.1 * rng.standard_normal(200)
    machine = FactorizationMachine(0.0, np.zeros(4, np.float32), np.zeros((4, 0), np.float32))
    nothing = Penalties(np.zeros(4, np.float32), np.zeros(4, np.float32))
    sweeps = als(Objective(Design.from_matrix(X), y.astype(np.float32), None, nothing, False), machine, 1)
    for _ in islice(sweeps, 60):
        pass
    expected = np.linalg.lstsq(np.column_stack([np.ones(200), X]), y, rcond=None)[0]
    np.testing.assert_allclose([machine.bias, *machine.linear], expected, atol=1e-4)


def test_gram_sums_of_a_column_with_five_million_rows_stay_accurate():
    """A user with five million ratings: one step must hit the float64 solution of its ridge system."""
    rng = np.random.default_rng(0)
    n, n_items, k = 5_000_000, 50, 8
    items = rng.integers(0, n_items, n)
    design = Design.from_codes([np.zeros(n, int), items], [1, n_items])
    V = (2 + rng.standard_normal((1 + n_items, k))).astype(np.float32)  # far from zero mean: sums grow with n
    y = (3 + rng.standard_normal(n)).astype(np.float32)
    machine = FactorizationMachine(0.0, np.zeros(1 + n_items, np.float32), V.copy())
    penalties = Penalties(np.full(1 + n_items, 3, np.float32), np.r_[np.float32(3), np.full(n_items, 1e12, np.float32)])
    next(als(Objective(design, y, None, penalties, False), machine, 1))
    z = np.column_stack([V[1:][items], np.ones(n)]).astype(float)
    expected = np.linalg.solve(z.T @ z + 3 * np.eye(k + 1), z.T @ y.astype(float))
    np.testing.assert_allclose(machine.factors[0], expected[:k], atol=2e-4)


@pytest.mark.parametrize("logistic", [False, True])
def test_a_singular_system_without_penalty_is_no_disaster(logistic):
    design = Design.from_codes([[0, 1, 2], [0, 0, 0]])
    machine = FactorizationMachine(0.0, np.zeros(4, np.float32), np.ones((4, 5), np.float32))
    nothing = Penalties(np.zeros(4, np.float32), np.zeros(4, np.float32))
    y = np.float32([0, 1, 0])
    for _ in islice(als(Objective(design, y, None, nothing, logistic), machine, 1), 20):
        pass
    f = machine.predict(design)
    assert np.isfinite(f).all()
    np.testing.assert_array_equal(f > 0.5, y > 0.5)


@given(st.lists(st.integers(0, 6)))
def test_counting_sort_is_a_stable_sort(codes):
    codes = np.array(codes, np.int32)
    ptr, order = sort_by_code(codes, 7)
    np.testing.assert_array_equal(order, np.argsort(codes, kind="stable"))
    np.testing.assert_array_equal(np.diff(ptr), np.bincount(codes, minlength=7))
