from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fmkit import Design, FactorizationMachine, FMRegressor, RelationBlock
from fmkit.posterior import value_variance
from fmkit.solvers import vb
from fmkit.solvers.vb import Variational


def table(kind, rng, n=400):
    """A design of a kind, and targets that a machine of users and items gave."""
    users, items, kinds = rng.integers(0, 12, n), rng.integers(0, 10, n), rng.integers(0, 4, n)
    A, B = rng.standard_normal((2, 12, 2))
    y = (A[users] * B[items]).sum(axis=1) + 0.3 * kinds + 0.4 * rng.standard_normal(n)
    if kind == "pair":
        return Design.from_codes([users, items], [12, 10]), y
    if kind == "gaps":
        return Design.from_codes([users, items, np.where(kinds == 0, -1, kinds)], [12, 10, 4]), y
    if kind == "numbers":
        return Design.from_matrix(np.c_[np.eye(12)[users], np.eye(10)[items], rng.standard_normal((n, 2))]), y
    of_users = np.c_[np.eye(12), rng.random((12, 5)) < 0.5]
    of_items = np.c_[np.eye(10), rng.random((10, 3))]
    hierarchical = kind.startswith("hierarchical")
    labels = np.repeat([0, 1], [12, 5]), np.repeat([0, 1, 2], [10, 1, 2])
    tables = zip((of_users, of_items), (users, items), labels if hierarchical else (None, None), strict=True)
    blocks = [RelationBlock(*parts, hierarchical=hierarchical) for parts in tables]
    return Design.from_blocks(blocks, matrix=np.eye(4)[kinds] if kind.endswith("beside a field") else None), y


BLOCKS = ["blocks", "blocks beside a field"]
KINDS = ["pair", "gaps", "numbers", *BLOCKS, *(f"hierarchical {kind}" for kind in BLOCKS)]


def fit(design, y, *, sweeps, k=3, weights=None, noise_fields=None, n_threads=1, seed=1):
    rng = np.random.default_rng(seed)
    factors = (0.5 * rng.standard_normal((design.n_features, k))).astype(np.float32)
    machine = FactorizationMachine(0.0, np.zeros(design.n_features, np.float32), factors)
    targets = ((y - y.mean()) / y.std()).astype(np.float32)
    solver = Variational(design, targets, weights, machine, noise_fields=noise_fields, n_threads=n_threads)
    for _ in islice(solver, sweeps):
        pass
    return solver


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("noise_fields", [[], None])
def test_the_bound_never_falls(kind, full, noise_fields, monkeypatch):
    if not full:
        monkeypatch.setattr(vb, "BUDGET", 0)
    design, y = table(kind, np.random.default_rng(0))
    solver = fit(design, y, sweeps=60, noise_fields=noise_fields)
    assert solver.full == (full and kind in ("pair", "hierarchical blocks"))
    bounds = np.array([row["bound"] for row in solver.trace])
    assert (np.diff(bounds) > -1e-2).all()  # of hundreds, from sums in float32
    assert bounds[-1] > bounds[0] + 100


@settings(max_examples=15)
@given(st.sampled_from(KINDS), st.booleans(), st.integers(0, 4), st.integers(0, 1000))
def test_the_bound_never_falls_whatever_the_shape(kind, weighted, k, seed):
    rng = np.random.default_rng(seed)
    design, y = table(kind, rng, n=60)
    weights = (0.5 + rng.random(60)).astype(np.float32) if weighted else None
    bounds = [row["bound"] for row in fit(design, y, sweeps=25, k=k, weights=weights, seed=seed).trace]
    assert (np.diff(bounds) > -1e-2).all()


@pytest.mark.parametrize("beside", [False, True])
def test_a_block_is_fitted_as_the_rows_written_out(beside):
    design, y = table("blocks beside a field" if beside else "blocks", np.random.default_rng(0))
    flat = Design.from_matrix(design.to_csr(), fields=vb.Sides(design, *nothing(design)).groups)
    one, other = (fit(d, y, sweeps=150, noise_fields=[], k=2) for d in (design, flat))
    np.testing.assert_allclose(one.sides.predict(), other.sides.predict(), atol=0.05)
    assert one.trace[-1]["bound"] == pytest.approx(other.trace[-1]["bound"], abs=2)
    variances = (solver.posterior().variance(d) for solver, d in ((one, design), (other, flat)))
    np.testing.assert_allclose(*variances, rtol=0.2)


def nothing(design):
    """A machine of zeros, targets, weights and threads."""
    zeros = np.zeros(design.n_features, np.float32)
    return FactorizationMachine(0.0, zeros, zeros[:, None]), np.zeros(design.n_rows, np.float32), None, 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_for_any_number_of_threads(kind):
    design, y = table(kind, np.random.default_rng(0))
    one, many = (fit(design, y, sweeps=4, n_threads=n).sides.machine for n in (1, 7))
    np.testing.assert_array_equal(one.factors, many.factors)
    np.testing.assert_array_equal(one.linear, many.linear)


@pytest.mark.parametrize("kind", ["pair", "gaps", "blocks"])
def test_a_weight_of_two_is_two_rows(kind):
    design, y = table(kind, np.random.default_rng(0), n=100)
    twice = np.arange(100) < 30
    weights = np.where(twice, 2, 1).astype(np.float32)
    rows = np.r_[np.arange(100), np.flatnonzero(twice)]
    targets = (y - y.mean()) / y.std()
    more = Design.from_matrix(design.to_csr()[rows], fields=vb.Sides(design, *nothing(design)).groups)
    machines = []
    for d, t, w in ((design, targets, weights), (more, targets[rows], None)):
        rng = np.random.default_rng(3)
        factors = (0.5 * rng.standard_normal((d.n_features, 2))).astype(np.float32)
        machine = FactorizationMachine(0.0, np.zeros(d.n_features, np.float32), factors)
        solver = Variational(d, t.astype(np.float32), w, machine, noise_fields=[], n_threads=1)
        for _ in islice(solver, 100):
            pass
        machines.append(machine)
    np.testing.assert_allclose(machines[0].predict(design), machines[1].predict(design), atol=0.05)


def test_without_factors_it_is_bayesian_ridge_regression():
    """k = 0: at the fit's own precisions the means solve the ridge system; mean-field variances are 1 / diagonal."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3))
    y = X @ [1, -1, 0.5] + 0.3 * rng.standard_normal(300)
    y -= y.mean()
    design = Design.from_matrix(X)
    machine = FactorizationMachine(0.0, np.zeros(3, np.float32), np.zeros((3, 0), np.float32))
    solver = Variational(design, y.astype(np.float32), None, machine, noise_fields=[], n_threads=1)
    for _ in islice(solver, 200):
        pass
    prior, noise = solver._priors[0], solver.noise.common
    A = noise * X.T @ X + np.eye(3) * prior.precision[-1]
    b = noise * X.T @ (y - machine.bias) + prior.precision[-1] * prior.centre[-1]
    np.testing.assert_allclose(machine.linear, np.linalg.solve(A, b), atol=1e-4)
    np.testing.assert_allclose(solver.linear_variance, 1 / np.diag(A), rtol=1e-4)


@pytest.mark.parametrize("solver", ["vb", "mcmc"])
def test_intervals_hold_what_they_say(solver):
    """Users of unlike noise: nine in ten of the targets held back lie in the interval, of every kind of user."""
    rng = np.random.default_rng(0)
    n, n_users, n_items = 20_000, 200, 100
    users, items = rng.integers(0, n_users, n), rng.integers(0, n_items, n)
    noise = np.where(np.arange(n_users) < n_users // 2, 0.3, 1.0)
    A, B = 0.7 * rng.standard_normal((n_users, 2)), rng.standard_normal((n_items, 2))
    y = 3 + (A[users] * B[items]).sum(axis=1) + noise[users] * rng.standard_normal(n)
    design, train = Design.from_codes([users, items]), rng.random(n) < 0.8
    model = FMRegressor(4, solver=solver, max_iter=200, random_state=0).fit(design.select(train), y[train])
    low, high = model.predict_interval(design.select(~train), 0.9)
    inside, steady = (low <= y[~train]) & (y[~train] <= high), noise[users[~train]] < 0.5
    sampling = 3 * np.sqrt(0.9 * 0.1 / steady.sum())
    assert abs(inside[steady].mean() - 0.9) < sampling + 0.015
    assert abs(inside[~steady].mean() - 0.9) < sampling + 0.015
    _, std = model.predict(design.select(~train), return_std=True)
    assert std[~steady].mean() > 2 * std[steady].mean()


def test_vb_and_mcmc_agree():
    design, y = table("pair", np.random.default_rng(0), n=1000)
    by = {s: FMRegressor(2, solver=s, max_iter=400, random_state=0).fit(design, y) for s in ("vb", "mcmc")}
    difference = by["vb"].predict(design) - by["mcmc"].predict(design)
    assert np.sqrt(np.mean(difference**2)) < 0.08  # of a noise of .4
    assert by["vb"].posterior_.noise == pytest.approx(by["mcmc"].posterior_.noise, rel=0.1)


@pytest.mark.parametrize("kind", ["pair", "gaps", "numbers", *BLOCKS])
def test_the_closed_form_variance_is_that_of_independent_columns(kind):
    rng = np.random.default_rng(0)
    design, y = table(kind, rng, n=50)
    posterior = fit(design, y, sweeps=3).posterior()
    machine, total, squares, n = posterior.machine, 0.0, 0.0, 4000
    if len(posterior.covariance):
        posterior.covariance[:] = 0  # what is drawn below
    X = design.to_csr()
    for _ in range(n):
        w = machine.linear + np.sqrt(posterior.linear_variance) * rng.standard_normal(len(machine.linear))
        V = machine.factors + np.sqrt(posterior.factor_variance) * rng.standard_normal(machine.factors.shape)
        f = X @ w + ((X @ V) ** 2 - sparse.csr_array(X.power(2)) @ V**2).sum(axis=1) / 2
        total, squares = total + f, squares + f**2
    drawn = squares / n - (total / n) ** 2
    np.testing.assert_allclose(posterior.variance(design), drawn, rtol=0.25)


@pytest.mark.parametrize("kind", ["hierarchical blocks", "hierarchical blocks beside a field"])
def test_the_variance_of_a_hierarchy_is_that_of_its_rows(kind):
    design, y = table(kind, np.random.default_rng(0), n=50)
    solver = fit(design, y, sweeps=3)
    posterior = solver.posterior()
    whole, rows = solver.sides.machine, solver.hierarchies.design
    spreads = solver.linear_variance, solver.factor_variance
    expected = value_variance(rows, whole.factors, *spreads, 1, posterior.covariance)
    np.testing.assert_allclose(posterior.variance(design), expected, rtol=1e-4)


@pytest.mark.parametrize("solver", ["vb", "mcmc"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", ["of no noise", "constant", "in millions", "with an outlier"])
def test_targets_of_any_kind_are_met(solver, kind, targets):
    """Without noise precisions grow as far as the prior lets them: nothing may run away, no variance be negative."""
    rng = np.random.default_rng(0)
    design, _ = table(kind, rng, n=300)
    w, V = rng.standard_normal(design.n_features), 0.7 * rng.standard_normal((design.n_features, 2))
    f = FactorizationMachine(0.0, w.astype(np.float32), V.astype(np.float32)).predict(design).astype(float)
    y = {"of no noise": f, "constant": np.full(300, 3.3), "in millions": 5e6 + 1e6 * f, "with an outlier": f.copy()}[
        targets
    ]
    if targets == "with an outlier":
        y[0] = 1e4
    model = FMRegressor(4, solver=solver, max_iter=120, random_state=0).fit(design, y)
    predicted, std = model.predict(design, return_std=True)
    assert np.isfinite(std).all()
    assert (std > 0).all()
    error = np.sqrt(np.mean((predicted - y) ** 2))
    assert error < (0.1 * y.std() if targets in ("of no noise", "in millions") else 0.01 + 1.05 * y.std())
