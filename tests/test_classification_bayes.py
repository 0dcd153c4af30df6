"""FMClassifier by MCMC and VB: accuracy on likes, probabilities against the truth, and what a fit can go through."""

import signal

import numpy as np
import pytest
from numpy.random import RandomState
from scipy import sparse, special
from sklearn.base import clone
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from fmkit import Design, FMClassifier, RelationBlock, load, save
from fmkit.datasets import load_movielens_small
from fmkit.errors import InputError
from fmkit.estimators.common import FMEstimator
from fmkit.fitting import FitInterrupted
from fmkit.solvers.classes import softmax_probabilities
from tests.reliability import assert_reliable

SOLVERS = ["mcmc", "vb"]
KINDS = [(solver, likelihood) for solver in SOLVERS for likelihood in ("probit", "logistic")]


def quick(solver, likelihood="auto", k=2, **parameters):
    sweeps = 120 if solver == "mcmc" else 60
    return FMClassifier(k, solver=solver, likelihood=likelihood, max_iter=sweeps, random_state=0, **parameters)


def likes(likelihood, n=3000, classes=2, users=40, items=30, noise=None, seed=0):
    """One-hot users and items, and classes drawn from the model that is fitted."""
    rng = np.random.default_rng(seed)
    u, i = rng.integers(0, users, n), rng.integers(0, items, n)
    f = np.zeros((n, classes))
    for c in range(classes if classes > 2 else 1):
        V, W = 0.7 * rng.standard_normal((users, 2)), 0.7 * rng.standard_normal((items, 2))
        f[:, c] = 0.6 * (rng.standard_normal(users)[u] + rng.standard_normal(items)[i]) + np.sum(V[u] * W[i], axis=1)
    if likelihood == "probit":
        spread = np.ones(users) if noise is None else noise
        y = (f[:, 0] + spread[u] * rng.standard_normal(n) > 0).astype(int)
    else:
        y = (f + rng.gumbel(size=f.shape)).argmax(axis=1)
        y = 1 - y if classes == 2 else y
    X = sparse.csr_matrix((np.ones(2 * n), np.c_[u, users + i].ravel(), 2 * np.arange(n + 1)))
    return X, y, u


@pytest.mark.parametrize(
    ("solver", "likelihood", "auc", "loss"),
    [("mcmc", "auto", 0.803, 0.5375), ("mcmc", "probit", 0.803, 0.5375), ("vb", "auto", 0.796, 0.5465)],
)
def test_likes(solver, likelihood, auc, loss):
    """Of 8 factors, 4 stars or more; myFM's probit of 200 sweeps has .7993 and .5418."""
    X, y = load_movielens_small(return_X_y=True)
    test = np.zeros(len(y), bool)
    test[RandomState(42).permutation(len(y))[: len(y) // 10]] = True
    X, liked = OneHotEncoder().fit_transform(X), np.asarray(y) >= 4
    model = FMClassifier(8, solver=solver, likelihood=likelihood, max_iter=150 if solver == "mcmc" else 60)
    p = model.set_params(random_state=0).fit(X[~test], liked[~test]).predict_proba(X[test])[:, 1]
    assert roc_auc_score(liked[test], p) > auc
    assert log_loss(liked[test], p) < loss


@pytest.mark.parametrize(("solver", "likelihood"), KINDS)
def test_probabilities_are_frequencies(solver, likelihood):
    X, y, _ = likes(likelihood, 9000)
    p = quick(solver, likelihood).fit(X[:4000], y[:4000]).predict_proba(X[4000:])
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert_reliable(p[:, 1], y[4000:] == 1)


@pytest.mark.parametrize("solver", SOLVERS)
def test_probabilities_of_several_classes_are_frequencies(solver):
    X, y, _ = likes("logistic", 10_000, classes=3)
    p = quick(solver).fit(X[:5000], y[:5000]).predict_proba(X[5000:])
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    for c in range(3):
        assert_reliable(p[:, c], y[5000:] == c)


def test_several_classes_together_are_told_better_than_one_by_one():
    X, y, _ = likes("logistic", 6000, classes=4)
    losses = {}
    for solver in ("als", *SOLVERS):
        model = quick(solver) if solver != "als" else FMClassifier(2, random_state=0)
        losses[solver] = log_loss(y[3000:], model.fit(X[:3000], y[:3000]).predict_proba(X[3000:]))
    assert losses["mcmc"] < min(losses["als"], losses["vb"]) - 0.003


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shares", [[0.2, 0.8], [0.1, 0.3, 0.6]])
def test_without_columns_that_tell_the_probabilities_are_the_shares(solver, shares):
    y = np.repeat(np.arange(len(shares)), np.multiply(shares, 2000).astype(int))
    for likelihood in ("auto", "probit") if len(shares) == 2 else ("auto",):
        p = quick(solver, likelihood, 0).fit(np.ones((2000, 1)), y).predict_proba([[1]])
        np.testing.assert_allclose(p[0], shares, atol=0.03 if solver == "mcmc" else 0.01)


def test_softmax_probabilities():
    rng = np.random.default_rng(0)
    means, variances = rng.standard_normal((3, 50)).astype(np.float32), rng.random((3, 50)).astype(np.float32)
    draws = means[:, None] + np.sqrt(variances[:, None]) * rng.standard_normal((3, 20_000, 50))
    truth = special.softmax(draws, axis=0).mean(axis=1).T
    np.testing.assert_allclose(softmax_probabilities(means, variances), truth, atol=0.02)
    certain = softmax_probabilities(means, np.zeros_like(variances))
    np.testing.assert_allclose(certain, special.softmax(means, axis=0).T, atol=1e-6)
    np.testing.assert_allclose(softmax_probabilities(means + 3, variances), softmax_probabilities(means, variances),
                               atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("solver", SOLVERS)
def test_erratic_users_are_told(solver):
    spread = np.tile([0.25, 3.0], 10)
    X, y, _ = likes("probit", 8000, users=20, noise=spread)
    model = quick(solver, "probit", noise_fields=[0]).fit(X[:6000], y[:6000])
    levels = model.posterior_[0].noise_levels[:20]
    assert np.log(levels[::2]).mean() > np.log(levels[1::2]).mean() + 0.5
    assert (quick(solver, "probit").fit(X[:6000], y[:6000]).posterior_[0].noise_levels == 1).all()


@pytest.mark.parametrize(("solver", "likelihood"), [*KINDS, ("mcmc", "several"), ("vb", "several")])
def test_scores_go_together(solver, likelihood):
    several = likelihood == "several"
    X, y, _ = likes("logistic", 600, classes=3 if several else 2)
    model = quick(solver, "auto" if several else likelihood).fit(X, y)
    odds, p = model.decision_function(X), model.predict_proba(X)
    if several:
        np.testing.assert_allclose(np.exp(odds), p, atol=1e-6)
        assert len(model.machines_) == len(model.posterior_) == 3
        assert sum(machine.bias for machine in model.machines_) == pytest.approx(0, abs=1e-3 if solver == "vb" else 2)
    else:
        np.testing.assert_allclose(special.expit(odds), p[:, 1], atol=1e-6)
        assert model.likelihood_ == likelihood
    np.testing.assert_array_equal(model.predict(X), p.argmax(axis=1))
    assert model.score(X, y) > 0.6
    # What is not known of the machine makes it less sure than its mean.
    if not several:
        sure = model.machines_[0].predict(X)
        assert (np.abs(special.expit(odds) - 0.5) <= np.abs(special.expit(sure * 1.8) - 0.5) + 1e-6).all()


@pytest.mark.parametrize(("solver", "likelihood"), KINDS)
def test_a_weight_of_two_counts_as_two_rows_and_of_zero_as_none(solver, likelihood):
    X, y, _ = likes(likelihood, 600, users=8, items=6)
    times = np.arange(600) % 3
    rows = np.repeat(np.arange(600), times)
    model = quick(solver, likelihood).set_params(max_iter=400 if solver == "mcmc" else 60)
    weighted = clone(model).fit(X, y, sample_weight=times).predict_proba(X)
    repeated = clone(model).fit(X[rows], y[rows]).predict_proba(X)
    if solver == "vb":
        np.testing.assert_allclose(weighted, repeated, atol=2e-3)
    else:  # other rows have other random numbers
        assert np.abs(weighted - repeated).mean() < 0.03


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_of_several_classes(solver):
    X, y, _ = likes("logistic", 600, classes=3, users=8, items=6)
    times = np.arange(600) % 3
    rows = np.repeat(np.arange(600), times)
    weighted = quick(solver).fit(X, y, sample_weight=times).predict_proba(X)
    repeated = quick(solver).fit(X[rows], y[rows]).predict_proba(X)
    assert np.abs(weighted - repeated).mean() < (0.002 if solver == "vb" else 0.04)


@pytest.mark.parametrize("likelihood", ["probit", "logistic"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_bound_of_vb_never_falls(likelihood, weighted):
    X, y, _ = likes(likelihood, 800)
    weights = np.random.default_rng(0).choice([0.3, 1, 2.5], 800) if weighted else None
    noise = [0, 1] if likelihood == "probit" else None
    for design in (X, sparse.hstack([X, np.linspace(-1, 1, 800)[:, None]]).tocsr()):  # full covariances, and not
        model = quick("vb", likelihood, noise_fields=noise).fit(design, y, weights)
        bounds = np.array([row["bound"] for row in model.trace_])
        assert (np.diff(bounds) > -1e-4 * np.abs(bounds[1:]).clip(1)).all()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("classes", [2, 3])
def test_relation_blocks_and_values(solver, classes):
    X, y, u = likes("logistic", 2000, classes=classes)
    user = RelationBlock(np.hstack([np.eye(40), np.random.default_rng(1).random((40, 1))]), u, fields=[0] * 40 + [1])
    item = RelationBlock(np.eye(30), np.asarray(X[:, 40:].argmax(axis=1)).ravel())
    plain = quick(solver).fit(X, y).predict_proba(X)
    design = Design.from_blocks([user, item])
    assert np.abs(quick(solver).fit(design, y).predict_proba(design) - plain).mean() < 0.05
    wider = sparse.hstack([X, np.linspace(-1, 1, 2000)[:, None]]).tocsr()  # predictions are kept a row
    assert np.abs(quick(solver).fit(wider, y).predict_proba(wider) - plain).mean() < 0.05


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("solver", SOLVERS)
def test_model_files(solver, classes, tmp_path):
    X, y, _ = likes("logistic", 300, classes=classes)
    path = tmp_path / "model.fmkit"
    for likelihood in ("auto", "probit") if classes == 2 else ("auto",):
        model = quick(solver, likelihood, keep_draws=12 if solver == "mcmc" else 0).fit(X, y)
        save(model, path)
        again = load(path)
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        assert again.get_params() == model.get_params()
        assert (again.trace_, again.likelihood_) == (model.trace_, model.likelihood_)
    model.likelihood_ = "cauchit"
    save(model, path)
    with pytest.raises(InputError, match="its likelihood is 'cauchit'"):
        load(path)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("solver", SOLVERS)
def test_threads_change_nothing(solver, classes):
    X, y, _ = likes("logistic", 20_000, classes=classes)
    one, two = (quick(solver, n_jobs=n).set_params(max_iter=5).fit(X, y).predict_proba(X) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(("solver", "likelihood"), KINDS)
def test_a_fit_that_was_killed_goes_on_bit_for_bit(solver, likelihood, tmp_path):
    X, y, _ = likes(likelihood, 400)

    def die(progress):
        if progress.sweep == 9:
            raise MemoryError

    model = quick(solver, likelihood, checkpoint=tmp_path / "fit.part", checkpoint_sweeps=4).set_params(max_iter=15)
    with pytest.raises(MemoryError):
        clone(model).set_params(callbacks=[die]).fit(X, y)
    resumed = clone(model).set_params(callbacks=[lambda progress: False]).fit(X, y)
    straight = clone(model).set_params(callbacks=[lambda progress: False], checkpoint=None).fit(X, y)
    np.testing.assert_array_equal(resumed.predict_proba(X), straight.predict_proba(X))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("solver", SOLVERS)
def test_early_stopping_and_callbacks(solver, classes):
    X, y, _ = likes("logistic", 600, classes=classes)
    seen = []

    def watch(progress):
        seen.append([m.predict(X) for m in progress.machines or [progress.machine]])
        return progress.sweep == 5

    assert quick(solver, callbacks=[watch]).fit(X, y).n_iter_ == len(seen) == 5
    assert np.shape(seen) == (5, 1 if classes == 2 else 3, 600)
    model = quick(solver, early_stopping=True).set_params(max_iter=300, burn_in=10).fit(X, y)
    assert (13 if solver == "mcmc" else 3) < model.n_iter_ < 300
    shares = np.bincount(y) / 600
    losses = [row["validation_loss"] for row in model.history_]
    assert min(losses) < -(shares * np.log(shares)).sum()


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize("classes", [2, 3])
def test_ctrl_c_keeps_the_average_so_far(classes):
    X, y, _ = likes("logistic", 300, classes=classes)

    def press(progress):
        if progress.sweep == 30:
            signal.raise_signal(signal.SIGINT)

    model = quick("mcmc", callbacks=[press], burn_in=10)
    with pytest.warns(FitInterrupted, match="the average of 20 draws is kept"):
        model.fit(X, y)
    assert model.score(X, y) > 0.5


def test_a_warm_start_goes_on():
    for classes in (2, 3):
        X, y, _ = likes("logistic", 600, classes=classes)
        model = quick("vb").fit(X, y)
        loss = model.history_[-1]["train_loss"]
        model.set_params(warm_start=True, max_iter=3).fit(X, y)
        assert model.history_[-1]["train_loss"] < loss + 0.03


def test_parameters_are_those_of_all_machines_and_the_likelihood():
    common = {name: value for name, value in FMEstimator().get_params().items() if name not in ("loss", "huber_width")}
    assert FMClassifier().get_params() == {**common, "likelihood": "auto"}


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        ({"likelihood": "cauchit", "solver": "mcmc"}, [0, 1, 1], "of FMClassifier must be a str"),
        ({"likelihood": "probit"}, [0, 1, 1], "two classes by 'mcmc' or 'vb': for solver='als'"),
        ({"likelihood": "probit", "solver": "vb"}, [0, 1, 2], "two classes by 'mcmc' or 'vb': for 3 classes"),
        ({"noise_fields": [0], "solver": "mcmc"}, [0, 1, 1], "noise_fields are for a likelihood with a noise"),
        ({"checkpoint": "x", "solver": "mcmc"}, [0, 1, 2], "checkpoints are of one machine, 3 classes have one each"),
        ({"solver": "mcmc"}, [1, 1, 1], "at least two classes, y holds one class only"),
    ],
)
def test_bad_input_is_told(parameters, y, message):
    with pytest.raises(ValueError, match=message):
        FMClassifier(1, max_iter=3, **parameters).fit([[1, 0], [0, 1], [1, 0]], y)
