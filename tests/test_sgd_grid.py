"""SGD on two one-hot fields, in cells that fit the cache."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmkit import Design, FMClassifier, FMRegressor
from fmkit.machine import FactorizationMachine
from fmkit.solvers.als import als
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import Penalties
from fmkit.solvers.sgd import sgd
from fmkit.solvers.sgd_grid import draw_rounds, has_one_of_each, sgd_grid, sort_into_cells
from tests import reference
from tests.problems import problem


def epochs(p, count, *, seed=0, n_threads=1, n_blocks=None, objective=None):
    machine = p.start.copy()
    how = {"learning_rate": 0.1, "spread": 1.0, "random_state": np.random.default_rng(seed)}
    steps = sgd_grid(objective or p.objective, machine, **how, n_threads=n_threads, n_blocks=n_blocks)
    return machine, [progress.train_loss for progress in islice(steps, count)]


def rows_by_cell(objective, n_blocks, rng):
    """Numbers of the rows in each cell, in the order of their visits: they ride along as targets."""
    numbers = np.arange(len(objective.y), dtype=np.float32)
    cells = sort_into_cells(replace(objective, y=numbers), n_blocks, rng, 1)
    return cells, [part.astype(int) for part in np.split(cells.targets, cells.starts[1:-1])]


def value(machine, p):
    return reference.objective(
        machine.bias, machine.linear.astype(float), machine.factors.astype(float), *p.dense, p.objective.logistic
    )


@pytest.mark.parametrize("k", [0, 1, 3, 8, 13])
@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_epochs_are_those_of_the_reference(k, logistic, weighted):
    p = problem("pair", logistic=logistic, weighted=weighted, k=k)
    machine, told = epochs(p, 3, n_blocks=2)
    X, y, omega, penalty_w, penalty_v = p.dense
    share = np.maximum(X.T @ omega, 1e-30)
    now = p.start.bias, p.start.linear.astype(float), p.start.factors.astype(float)
    squares = 1e-35, np.full(X.shape[1], 1e-35), np.full(X.shape[1], 1e-35)
    rng = np.random.default_rng(0)
    _, of_cell = rows_by_cell(p.objective, 2, rng)
    for loss in told:
        rounds = [np.concatenate([of_cell[c] for c in cells]) for cells in draw_rounds(2, rng)]
        *now, squares, total = reference.sgd_grid_epoch(
            *now, squares, X, y, omega, penalty_w / share, penalty_v / share, 0.1, 0.1, rounds, logistic
        )
        assert loss == pytest.approx(total / omega.sum(), rel=1e-5)
    assert machine.bias == pytest.approx(now[0], abs=1e-5)
    np.testing.assert_allclose(machine.linear, now[1], atol=1e-5)
    np.testing.assert_allclose(machine.factors, now[2], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 200), st.integers(1, 6), st.integers(0, 99))
def test_an_epoch_visits_every_row_once_and_no_round_shares_a_column(n_users, n_items, n_rows, n_blocks, seed):
    rng = np.random.default_rng(seed)
    u, v = rng.integers(0, n_users, n_rows), rng.integers(0, n_items, n_rows)
    design = Design.from_codes([u, v], [n_users, n_items])
    y, weights = rng.standard_normal((2, n_rows)).astype(np.float32)
    none = np.zeros(design.n_features, np.float32)
    cells, of_cell = rows_by_cell(Objective(design, y, weights, Penalties(none, none), False), n_blocks, rng)
    assert len(np.unique(cells.place)) == design.n_features
    for numbers, a, b in zip(of_cell, cells.starts, cells.starts[1:], strict=False):
        np.testing.assert_array_equal(cells.left[a:b], cells.place[u[numbers]])
        np.testing.assert_array_equal(cells.right[a:b], cells.place[n_users + v[numbers]])
        np.testing.assert_array_equal(cells.weights[a:b], weights[numbers])
    visited = []
    for round_ in draw_rounds(n_blocks, rng):
        users = [set(u[of_cell[c]]) for c in round_]
        items = [set(v[of_cell[c]]) for c in round_]
        assert sum(map(len, users)) == len(set().union(*users))
        assert sum(map(len, items)) == len(set().union(*items))
        visited += [of_cell[c] for c in round_]
    np.testing.assert_array_equal(np.sort(np.concatenate(visited)), np.arange(n_rows))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 40), st.integers(0, 9), st.integers(1, 5), st.booleans())
def test_any_shape_is_fitted(n_users, n_items, n_rows, k, n_blocks, logistic):
    rng = np.random.default_rng(0)
    design = Design.from_codes([rng.integers(0, n_users, n_rows), rng.integers(0, n_items, n_rows)], [n_users, n_items])
    some = np.ones(design.n_features, np.float32)
    objective = Objective(design, rng.integers(0, 2, n_rows).astype(np.float32), None, Penalties(some, some), logistic)
    start = FactorizationMachine(0.0, 0 * some, rng.standard_normal((design.n_features, k)).astype(np.float32))
    how = {"learning_rate": 0.1, "spread": 1.0, "random_state": rng, "n_threads": 2, "n_blocks": n_blocks}
    losses = [progress.train_loss for progress in islice(sgd_grid(objective, start, **how), 30)]
    assert np.isfinite(start.predict(design)).all()
    assert losses[-1] <= losses[0]


@pytest.mark.parametrize("logistic", [False, True])
def test_the_bits_do_not_depend_on_threads(logistic):
    p = problem("pair", n=3000, k=5, logistic=logistic, weighted=True)
    alone, told = epochs(p, 3, n_blocks=5)
    for n_threads in (2, 3, 7):
        together, as_told = epochs(p, 3, n_blocks=5, n_threads=n_threads)
        np.testing.assert_array_equal(alone.factors, together.factors)
        np.testing.assert_array_equal(alone.linear, together.linear)
        assert (alone.bias, told) == (together.bias, as_told)
    assert not np.array_equal(alone.factors, epochs(p, 3, n_blocks=5, seed=1)[0].factors)


@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_comes_near_the_optimum_of_als(logistic, weighted):
    p = problem("pair", logistic=logistic, weighted=weighted, n=400, seed=3)
    by_als = p.start.copy()
    for _ in islice(als(p.objective, by_als, 1), 50):
        pass
    assert value(epochs(p, 200, n_blocks=3)[0], p) == pytest.approx(value(by_als, p), rel=0.01)


def test_the_general_path_ends_at_the_same_loss():
    pair, ones = problem("pair", n=2000, seed=2), problem("ones", n=2000, seed=2)
    assert has_one_of_each(pair.design)
    assert not has_one_of_each(ones.design)
    ends = []
    for p in (pair, ones):
        machine, rng = p.start.copy(), np.random.default_rng(0)
        steps = sgd(p.objective, machine, p.units, learning_rate=0.1, spread=1.0, random_state=rng, n_threads=1)
        *_, last = islice(steps, 60)
        ends.append((last.train_loss, value(machine, p)))
    np.testing.assert_allclose(*ends, rtol=0.005)


def test_a_weight_of_two_is_a_row_twice():
    p = problem("pair", n=300, seed=1)
    twice = np.arange(300) < 100
    weights = np.where(twice, 2, 1).astype(np.float32)
    codes = [np.concatenate([field.codes, field.codes[twice]]) for field in p.design.fields]
    repeated = replace(
        p.objective, design=Design.from_codes(codes, [7, 5]), y=np.concatenate([p.y, p.y[twice]]), weights=None
    )
    weighted = replace(p.objective, weights=weights)
    one, other = (epochs(p, 200, objective=objective)[0] for objective in (weighted, repeated))
    np.testing.assert_allclose(one.predict(p.design), other.predict(p.design), atol=0.03)


@pytest.mark.parametrize("model", [FMRegressor, FMClassifier])
def test_estimators_take_it_with_every_core(model):
    rng = np.random.default_rng(0)
    design = Design.from_codes([rng.integers(0, 50, 2000), rng.integers(0, 20, 2000)])
    y = rng.integers(0, 2, 2000)
    fits = [model(4, solver="sgd", n_jobs=n_jobs, random_state=0).fit(design, y) for n_jobs in (None, 1, 3)]
    for fit in fits[1:]:
        np.testing.assert_array_equal(fits[0].predict(design), fit.predict(design))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_diverges_says_so():
    rng = np.random.default_rng(0)
    design = Design.from_codes([rng.integers(0, 50, 2000), rng.integers(0, 20, 2000)])
    with pytest.raises(ValueError, match="lower learning_rate"):
        FMRegressor(4, solver="sgd", learning_rate=1e30, random_state=0).fit(design, rng.standard_normal(2000))
