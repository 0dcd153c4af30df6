import numpy as np
import pytest
from scipy.stats import ortho_group

from fmkit import Design, FactorizationMachine, FMRegressor
from fmkit.solvers.averaging import RunningMoments

A, B = slice(0, 30), slice(30, 50)


def average(machines, pair=(A, B)):
    n, k = machines[0].factors.shape
    moments = RunningMoments(n, k, pair, np.full(n, 10))
    for machine in machines:
        moments.add(machine)
    return moments


def drawn(rng, k=3, spread=0.0, rotated=True):
    """Draws about one machine, each turned by a rotation of its own."""
    w, V = rng.standard_normal(50), rng.standard_normal((50, k))
    machines = []
    for _ in range(40):
        turn = ortho_group.rvs(k, random_state=rng) if rotated and k > 1 else np.eye(k)
        factors = (V + spread * rng.standard_normal(V.shape)) @ turn
        linear = w + spread * rng.standard_normal(50)
        machines.append(FactorizationMachine(0.5, linear.astype(np.float32), factors.astype(np.float32)))
    return machines


def test_draws_that_differ_by_a_rotation_have_their_own_mean_and_no_variance():
    machines = drawn(np.random.default_rng(0))
    moments = average(machines)
    pairs = machines[0].factors @ machines[0].factors.T
    np.testing.assert_allclose(moments.mean().factors @ moments.mean().factors.T, pairs, atol=1e-4)
    np.testing.assert_allclose(moments.mean().linear, machines[0].linear, atol=1e-6)
    assert max(v.max() for v in moments.variances()) < 1e-8


def test_variances_are_those_of_the_draws():
    machines = drawn(np.random.default_rng(0), spread=0.1, rotated=False)
    w = np.stack([m.linear for m in machines])
    linear, factors, _ = average(machines).variances()
    np.testing.assert_allclose(linear, w.var(axis=0, ddof=1), rtol=1e-3)
    assert factors.mean() == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("k", [1, 3])
def test_of_two_sides_the_mean_of_all_products_is_kept(k):
    """Draws whose sides move together: the product of the means is not the mean of the products."""
    rng = np.random.default_rng(0)
    machines = []
    for _ in range(100):
        V = rng.standard_normal((50, k)) * 0.2 + 1
        V *= np.exp(0.5 * rng.standard_normal(k))
        machines.append(FactorizationMachine(0.0, np.zeros(50, np.float32), V.astype(np.float32)))
    products = np.mean([m.factors[A] @ m.factors[B].T for m in machines], axis=0)
    moments = average(machines)
    mean, full = moments.mean(), moments.full_mean()
    error = np.abs(full.factors[A] @ full.factors[B].T - products).max()
    assert error < 0.5 * np.abs(mean.factors[A] @ mean.factors[B].T - products).max()
    assert full.n_factors <= 2 * k
    np.testing.assert_array_equal(full.factors[:, :k], mean.factors)


def test_predictions_are_near_the_mean_of_those_of_all_draws():
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 40, 1500), rng.integers(0, 30, 1500)
    U, V = rng.standard_normal((40, 2)), rng.standard_normal((30, 2))
    y = (U[users] * V[items]).sum(axis=1) + rng.standard_normal(1500)
    design = Design.from_codes([users, items])
    model = FMRegressor(4, solver="mcmc", max_iter=250, burn_in=50, keep_draws=200, random_state=0).fit(design, y)
    of_all = np.mean([draw.predict(design) for draw in model.posterior_.draws], axis=0)
    one = model.posterior_.draws[-1].predict(design)
    error = np.sqrt(np.mean((model.predict(design) - of_all) ** 2))
    assert error < 0.1 * np.sqrt(np.mean((one - of_all) ** 2))
    assert len(model.posterior_.draws) == 200


@pytest.mark.parametrize("solver", ["mcmc", "vb"])
def test_a_bag_of_ones_is_predicted_as_it_was_fitted(solver):
    """Entries of 1 several to a row: their group is brought to its units, and the machine back from these."""
    rng = np.random.default_rng(0)
    words = (rng.random((800, 12)) < 0.4).astype(float)
    X = np.column_stack([np.eye(5)[rng.integers(0, 5, 800)], words])
    y = X @ rng.standard_normal(17) + 0.1 * rng.standard_normal(800)
    model = FMRegressor(2, solver=solver, max_iter=100, random_state=0).fit(X, y)
    assert np.sqrt(np.mean((model.predict(X) - y) ** 2)) < 0.15
