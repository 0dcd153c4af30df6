"""The losses and the steps of SGD: against twins in numpy, torch's slopes, and scikit-learn's optima."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import HuberRegressor, Lasso, LogisticRegression, PoissonRegressor, QuantileRegressor, Ridge
from sklearn.metrics import d2_pinball_score, mean_poisson_deviance

from fmkit import Design, FMRegressor
from fmkit.interactions import INTERACTIONS
from fmkit.machine import FactorizationMachine
from fmkit.solvers.losses import LOSSES, Loss
from fmkit.solvers.objective import Objective
from fmkit.solvers.optimizers import OPTIMIZERS, descend_by
from fmkit.solvers.penalties import Penalties, column_units
from fmkit.solvers.sgd import sgd
from tests import reference
from tests.problems import problem, torch_loss

OTHERS = [loss for loss in LOSSES if loss not in ("squared", "logistic")]


def loss_of(name):
    return Loss(name, 0.7 if name == "huber" else 0.0)


def targets(name, rng, n):
    if name == "poisson":
        return rng.poisson(1.5, n).astype(np.float32)
    return (rng.random(n) < 0.4 if name == "logistic" else rng.standard_normal(n)).astype(np.float32)


def descended(optimizer, objective, machine, units, epochs, rate=0.1, spread=1.0, seed=0):
    """The losses told in some epochs, of which the machine is the result."""
    how = {"learning_rate": rate, "spread": spread, "random_state": np.random.default_rng(seed), "n_threads": 1}
    if optimizer == "adagrad":
        steps = sgd(objective, machine, units, **how)
    else:
        steps = descend_by(optimizer, objective, machine, units, **how)
    return [progress.train_loss for progress in islice(steps, epochs)]


@pytest.mark.parametrize("name", LOSSES)
@given(f=st.floats(-20, 20, width=32), y=st.integers(0, 8), seed=st.integers(0, 9))
def test_losses_and_slopes_are_those_that_autograd_finds(name, f, y, seed):
    torch = pytest.importorskip("torch")
    from fmkit.solvers.losses import loss_and_slope

    loss, y = loss_of(name), float(min(y, 1) if name == "logistic" else y)
    if name in ("absolute", "huber") and abs(abs(f - y) - loss.width) < 1e-3:
        return  # where it has a corner
    value = torch.tensor(f, dtype=torch.float64, requires_grad=True)
    torch_loss(loss, value, y).backward()
    told, slope = loss_and_slope(np.float32(f), np.float32(y), *loss.code)
    assert slope == pytest.approx(float(value.grad), rel=1e-4, abs=1e-6)
    assert told == pytest.approx(reference.told(y, f, name, loss.width), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("kind", ["pair", "gaps", "values"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_epochs_are_those_of_the_reference(kind, optimizer, name, weighted):
    if optimizer == "adagrad" and name not in OTHERS:
        return  # tests/test_sgd.py
    p, loss = problem(kind, weighted=weighted), loss_of(name)
    size = p.design.n_features
    lasso = np.full(size, 2, np.float32), np.full(size, 0.5, np.float32)
    penalties = replace(p.objective.penalties, l1_linear=lasso[0], l1_factors=lasso[1])
    y, other = targets(name, np.random.default_rng(0), len(p.y)), loss if name in OTHERS else None
    p.objective = replace(p.objective, y=y, penalties=penalties, logistic=name == "logistic", other=other)
    machine = p.start.copy()
    told = descended(optimizer, p.objective, machine, p.units, 2)
    expected = reference.Steps(optimizer, p.objective, p.start, p.units, loss, 0.1, 1.0)
    rng = np.random.default_rng(0)
    for value in told:
        assert value == pytest.approx(expected.epoch(rng.permutation(len(y))), rel=2e-3)
    assert machine.bias == pytest.approx(expected.bias, abs=2e-3)
    np.testing.assert_allclose(machine.linear, expected.w, atol=2e-3)
    np.testing.assert_allclose(machine.factors, expected.V, atol=2e-3)
    if optimizer == "ftrl":
        np.testing.assert_array_equal(machine.linear == 0, expected.w == 0)


def linear(name, rng, n=1500):
    """Rows of five numbers, targets of a linear model with errors that suit the loss, and its coefficients."""
    X = rng.standard_normal((n, 5)) * np.array([1, 1, 1, 0.5, 2])
    f = X @ np.array([0.5, -0.4, 0.0, 0.3, 0.1]) + 0.2
    if name == "poisson":
        return X, rng.poisson(np.exp(f)).astype(float)
    if name == "logistic":
        return X, (rng.random(n) < 1 / (1 + np.exp(-f))).astype(float)
    errors = rng.standard_normal(n)
    return X, f + np.where(rng.random(n) < (0 if name == "squared" else 0.1), 20 * errors, errors)


def optimum(name, X, y, rng):
    """Scikit-learn's coefficients and intercept, the ridge penalty that they are for, and the loss."""
    n = len(y)
    if name == "squared":
        model, penalty, loss = Ridge(alpha=100).fit(X, y), 100.0, Loss(name)
    elif name == "logistic":
        model, penalty, loss = LogisticRegression(C=1 / 30).fit(X, y), 30.0, Loss(name)
    elif name == "huber":  # whose scale is fitted, too: at the optimum it is a width
        model = HuberRegressor(epsilon=1.35, alpha=50).fit(X, y)
        penalty, loss = 50 * model.scale_, Loss(name, 1.35 * model.scale_)
    elif name == "poisson":
        model, penalty, loss = PoissonRegressor(alpha=0.02, tol=1e-8).fit(X, y), 0.02 * n, Loss(name)
    else:
        model, penalty, loss = QuantileRegressor(alpha=0).fit(X, y), 0.0, Loss(name)
    return np.ravel(model.coef_), float(np.ravel(model.intercept_)[0]), penalty, loss


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", LOSSES)
def test_without_factors_it_comes_to_scikit_learns_optimum(name, optimizer):
    rng = np.random.default_rng(0)
    X, y = linear(name, rng)
    coef, intercept, penalty, loss = optimum(name, X, y, rng)
    design, some = Design.from_matrix(X), np.full(5, penalty, np.float32)
    other = loss if name in OTHERS else None
    objective = Objective(design, y.astype(np.float32), None, Penalties(some, some), name == "logistic", other)
    machine = FactorizationMachine(0.0, np.zeros(5, np.float32), np.zeros((5, 0), np.float32))
    rate = {"adagrad": 0.1, "ftrl": 0.1, "sgd": 0.02, "adam": 0.01}[optimizer]
    descended(optimizer, objective, machine, column_units(design, None), 100, rate)
    np.testing.assert_allclose(machine.linear, coef, atol=0.03)
    assert machine.bias == pytest.approx(intercept, abs=0.06)

    def value(bias, w):
        f = (X @ w + bias).astype(float)
        halved = 1 if name in ("logistic", "absolute") else 2
        return reference.told(y, f, name, loss.width).sum() / halved + penalty * w @ w / 2

    assert value(machine.bias, machine.linear) <= 1.002 * value(intercept, coef)


def test_ftrl_comes_to_the_lassos_zeros():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1500, 8))
    y = X @ np.array([1, -0.5, 0.3, 0.15, 0, 0, 0, 0]) + rng.standard_normal(1500)
    exact = Lasso(alpha=0.2).fit(X, y)
    none, lasso = np.zeros(8, np.float32), np.full(8, 0.2 * 1500, np.float32)
    design = Design.from_matrix(X)
    objective = Objective(design, y.astype(np.float32), None, Penalties(none, none, lasso, none), False)
    machine = FactorizationMachine(0.0, none.copy(), np.zeros((8, 0), np.float32))
    descended("ftrl", objective, machine, column_units(design, None), 60)
    np.testing.assert_array_equal(machine.linear == 0, exact.coef_ == 0)
    np.testing.assert_allclose(machine.linear, exact.coef_, atol=0.01)


@pytest.fixture(scope="module")
def crossed():
    """Two fields that interact, one that says nothing, and values of rows."""
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, m, 4000) for m in (12, 10, 20)]
    a, b = rng.standard_normal((12, 2)), rng.standard_normal((10, 2))
    return Design.from_codes(codes), (a[codes[0]] * b[codes[1]]).sum(axis=1) + 0.3 * rng.standard_normal(4000)


def test_fields_without_a_say_lose_weights_and_whole_vectors(crossed):
    design, y = crossed
    how = {"solver": "sgd", "optimizer": "ftrl", "random_state": 0, "max_iter": 20}
    free = FMRegressor(4, **how).fit(design, y)
    lasso = FMRegressor(4, l1_linear=[0, 0, 30], l1_factors=[0, 0, 30], **how).fit(design, y)
    assert (free.machine_.linear[22:] != 0).all()
    assert (lasso.machine_.linear[22:] == 0).all()
    assert (lasso.machine_.factors[22:] == 0).all()
    assert (lasso.machine_.factors[:22] != 0).all()
    assert lasso.score(design, y) > 0.85
    some = FMRegressor(4, l1_factors=3, **how).fit(design, y).machine_.factors
    zero = some == 0
    np.testing.assert_array_equal(zero.all(axis=1), zero.any(axis=1))  # as a whole, or not at all
    assert zero[22:].any()


@given(st.sampled_from(LOSSES), st.sampled_from(OPTIMIZERS), st.integers(0, 4), st.booleans(), st.integers(0, 99))
def test_any_table_is_fitted(name, optimizer, k, weighted, seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 30), rng.integers(1, 6)
    X = sparse.csr_array(np.float32(rng.standard_normal((n, m)) * (rng.random((n, m)) < 0.5)))
    design, y = Design.from_matrix(X), targets(name, rng, n)
    weights = (0.1 + rng.random(n)).astype(np.float32) if weighted else None
    some = (0.1 + rng.random((4, m))).astype(np.float32)
    other = loss_of(name) if name in OTHERS else None
    objective = Objective(design, y, weights, Penalties(*some), name == "logistic", other)
    start = FactorizationMachine(0.0, np.zeros(m, np.float32), 0.1 * rng.standard_normal((m, k)).astype(np.float32))
    told = descended(optimizer, objective, start, column_units(design, weights), 10, 0.03)
    assert np.isfinite(start.predict(design)).all()
    assert told[-1] <= told[0] + 0.1


@pytest.mark.parametrize("interaction", ["fm", *INTERACTIONS])
@pytest.mark.parametrize("loss", OTHERS)
def test_every_loss_learns_by_every_interaction(loss, interaction, crossed):
    design, f = crossed
    y = np.random.default_rng(0).poisson(np.exp(f / 2)) if loss == "poisson" else f
    model = FMRegressor(4, solver="sgd", loss=loss, interaction=interaction, random_state=0).fit(design, y)
    mean = np.full(len(y), y.mean())
    if loss == "poisson":
        assert mean_poisson_deviance(y, model.predict(design)) < 0.75 * mean_poisson_deviance(y, mean)
        assert model.predict(design).min() > 0
        assert model.history_[-1]["train_loss"] == pytest.approx(
            mean_poisson_deviance(y, model.predict(design)), rel=0.1
        )
    else:
        assert d2_pinball_score(y, model.predict(design)) > 0.6


def test_outliers_move_robust_losses_less(crossed):
    design, y = crossed
    spoilt = np.where(np.random.default_rng(1).random(len(y)) < 0.05, 60.0, y)
    error = {
        loss: np.abs(FMRegressor(4, solver="sgd", loss=loss, random_state=0).fit(design, spoilt).predict(design) - y)
        for loss in ("squared", "absolute", "huber")
    }
    assert max(error["absolute"].mean(), error["huber"].mean()) < 0.3 * error["squared"].mean()


@pytest.mark.parametrize("loss", ["absolute", "huber"])
def test_units_of_the_target_do_not_matter(loss, crossed):
    design, y = crossed
    one, other = (
        FMRegressor(4, solver="sgd", loss=loss, random_state=0).fit(design, 1000 + unit * y).predict(design)
        for unit in (1, 1000)
    )
    np.testing.assert_allclose((other - 1000) / 1000, one - 1000, atol=0.02)


def test_early_stopping_judges_by_the_loss(crossed):
    design, f = crossed
    y = np.random.default_rng(0).poisson(np.exp(f / 2))
    model = FMRegressor(4, solver="sgd", loss="poisson", early_stopping=True, max_iter=100, random_state=0)
    model.fit(design, y)
    losses = [row["validation_loss"] for row in model.history_]
    assert min(losses) < 0.8 * mean_poisson_deviance(y, np.full(len(y), y.mean()))
