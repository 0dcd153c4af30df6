from itertools import islice

import numpy as np
import pytest

from fmkit.solvers.als import als
from fmkit.solvers.sgd import sgd
from tests import reference
from tests.problems import problem


def epochs(p, count, *, seed=0, n_threads=1, learning_rate=0.1):
    machine = p.start.copy()
    rng = np.random.default_rng(seed)
    options = {"learning_rate": learning_rate, "spread": 1.0, "random_state": rng, "n_threads": n_threads}
    steps = sgd(p.objective, machine, p.units, **options)
    return machine, [progress.train_loss for progress in islice(steps, count)]


@pytest.mark.parametrize("kind", ["ones", "gaps", "values"])
@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_an_epoch_is_that_of_the_reference(kind, logistic, weighted):
    p = problem(kind, logistic=logistic, weighted=weighted)
    machine, told = epochs(p, 2)
    X, y, omega, penalty_w, penalty_v = p.dense
    share = np.maximum((X != 0).T @ omega, 1e-30)
    now = p.start.bias, p.start.linear.astype(float), p.start.factors.astype(float)
    squares = 1e-35, np.full(X.shape[1], 1e-35), np.full(X.shape[1], 1e-35)
    rng = np.random.default_rng(0)
    for loss in told:
        order = rng.permutation(len(y))
        *now, squares, total = reference.sgd_epoch(
            *now, squares, X, y, omega, penalty_w / share, penalty_v / share, 0.1, 0.1, p.units, order, logistic
        )
        assert loss == pytest.approx(total / omega.sum(), rel=1e-3)
    assert machine.bias == pytest.approx(now[0], abs=1e-3)
    np.testing.assert_allclose(machine.linear, now[1], atol=1e-3)
    np.testing.assert_allclose(machine.factors, now[2], atol=1e-3)


@pytest.mark.parametrize("logistic", [False, True])
def test_it_comes_near_the_optimum_of_als(logistic):
    p = problem("ones", logistic=logistic, n=400, seed=3)
    by_sgd, _ = epochs(p, 200)
    by_als = p.start.copy()
    for _ in islice(als(p.objective, by_als, 1), 50):
        pass
    values = [
        reference.objective(m.bias, m.linear.astype(float), m.factors.astype(float), *p.dense, logistic)
        for m in (by_sgd, by_als)
    ]
    assert values[0] == pytest.approx(values[1], rel=0.01)


def test_one_thread_is_deterministic():
    p = problem("gaps", n=300)
    one, other = epochs(p, 3)[0], epochs(p, 3)[0]
    np.testing.assert_array_equal(one.factors, other.factors)
    assert not np.array_equal(one.factors, epochs(p, 3, seed=1)[0].factors)


def test_several_threads_fit_as_well():
    p = problem("ones", n=3000)
    alone, together = epochs(p, 20)[1][-1], epochs(p, 20, n_threads=4)[1][-1]
    assert together == pytest.approx(alone, rel=0.02)
