"""FMOrdinal: accuracy on ratings, probabilities against the truth, and what a fit can go through."""

import numpy as np
import pytest
from numpy.random import RandomState
from scipy import sparse, stats
from sklearn.base import clone
from sklearn.preprocessing import OneHotEncoder

from fmkit import Design, FMOrdinal, RelationBlock, load, save
from fmkit.datasets import load_movielens_small
from fmkit.errors import InputError
from fmkit.machine import FactorizationMachine
from fmkit.solvers import latent
from fmkit.solvers.mcmc import A0, BETA0, C0, Chain
from fmkit.solvers.ordinal import Ordinal
from tests.reliability import assert_reliable

SOLVERS = ["mcmc", "vb"]
STARS = np.array([0.5, 1.0, 3.0, 5.0])
CUTS = np.array([-1.0, 0.0, 1.2])


def quick(solver, k=2, **parameters):
    return FMOrdinal(k, solver=solver, max_iter=120 if solver == "mcmc" else 60, random_state=0, **parameters)


def ratings(n=3000, users=40, items=30, noise=None, seed=0):
    """One-hot users and items, classes 0 to 3 of the model that is fitted, and what they were drawn from."""
    rng = np.random.default_rng(seed)
    u, i = rng.integers(0, users, n), rng.integers(0, items, n)
    V, W = 0.6 * rng.standard_normal((users, 2)), 0.6 * rng.standard_normal((items, 2))
    f = 0.2 + 0.5 * rng.standard_normal(users)[u] + 0.5 * rng.standard_normal(items)[i] + np.sum(V[u] * W[i], axis=1)
    spread = np.ones(users) if noise is None else noise
    codes = np.searchsorted(CUTS, f + spread[u] * rng.standard_normal(n))
    X = sparse.csr_matrix((np.ones(2 * n), np.c_[u, users + i].ravel(), 2 * np.arange(n + 1)))
    return X, codes, u


@pytest.mark.parametrize(("solver", "sweeps", "bar"), [("mcmc", 150, 0.8390), ("vb", 60, 0.8410)])
def test_ratings(solver, sweeps, bar):
    """Of 8 factors; myFM's ordered probit of 200 sweeps has .8433."""
    X, y = load_movielens_small(return_X_y=True)
    test = np.zeros(len(y), bool)
    test[RandomState(42).permutation(len(y))[: len(y) // 10]] = True
    X, y = OneHotEncoder().fit_transform(X), np.asarray(y)
    model = FMOrdinal(8, solver=solver, max_iter=sweeps, random_state=0).fit(X[~test], y[~test])
    mean, std = model.predict_mean(X[test], return_std=True)
    assert np.sqrt(np.mean((y[test] - mean) ** 2)) < bar
    assert np.mean(((y[test] - mean) / std) ** 2) == pytest.approx(1, abs=0.1)
    assert model.score(X[test], y[test]) > 0.34
    assert (np.diff(model.cutpoints_) > 0).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_probabilities_are_frequencies(solver):
    X, codes, _ = ratings(9000)
    model = quick(solver).fit(X[:4000], STARS[codes[:4000]])
    p = model.predict_proba(X[4000:])
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    for c in range(4):
        # VB is surer than it may be: latent variables and columns are taken for independent, cutpoints for known.
        assert_reliable(p[:, c], codes[4000:] == c, slack=0 if solver == "mcmc" else 0.02)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shares", [[0.1, 0.2, 0.3, 0.4], [0.5, 0.0, 0.25, 0.25]])
def test_without_columns_that_tell_the_probabilities_are_the_shares(solver, shares):
    codes = np.repeat(np.arange(4), np.multiply(shares, 2000).astype(int))
    p = quick(solver, 0).fit(np.ones((2000, 1)), codes).predict_proba([[1]])
    np.testing.assert_allclose(p[0], [share for share in shares if share], atol=0.03 if solver == "mcmc" else 0.002)


@pytest.mark.parametrize("solver", SOLVERS)
def test_erratic_users_are_told(solver):
    spread = np.tile([0.4, 2.5], 20)
    X, codes, u = ratings(6000, noise=spread)
    model = quick(solver, noise_fields=[0]).fit(X[:5000], codes[:5000])
    levels = model.posterior_.noise_levels[:40]
    assert np.log(levels[::2]).mean() - np.log(levels[1::2]).mean() > 2  # the truth is log (2.5 / .4)^2 = 3.7
    p = model.predict_proba(X[5000:])
    entropy = -(p * np.log(p)).sum(axis=1)
    assert entropy[spread[u[5000:]] > 1].mean() > entropy[spread[u[5000:]] < 1].mean() + 0.2
    plain = quick(solver, noise_fields=None).fit(X[:5000], codes[:5000])
    rows, truth = np.arange(1000), codes[5000:]
    assert np.log(p[rows, truth]).mean() > np.log(plain.predict_proba(X[5000:])[rows, truth]).mean() + 0.03
    assert (plain.posterior_.noise_levels == 1).all()


def test_means_are_those_of_the_probabilities():
    X, codes, _ = ratings(500)
    model = quick("mcmc").fit(X, STARS[codes])
    p, (mean, std) = model.predict_proba(X).astype(float), model.predict_mean(X, return_std=True)
    np.testing.assert_allclose(mean, p @ STARS, atol=1e-5)
    np.testing.assert_allclose(std, np.sqrt(p @ STARS**2 - (p @ STARS) ** 2), atol=1e-4)
    np.testing.assert_array_equal(model.predict(X), STARS[p.argmax(axis=1)])
    np.testing.assert_array_equal(model.predict_mean(X), mean)
    assert model.score(X, STARS[codes]) == np.mean(model.predict(X) == STARS[codes])


@pytest.mark.parametrize("labels", [["bad", "fair", "good", "great"], [-7, 0, 1, 30], [0.5, 1.0, 1.5, 2.0]])
def test_labels(labels):
    X, codes, _ = ratings(300)
    y = np.array(labels)[codes]
    model = quick("mcmc").fit(X, y)
    np.testing.assert_array_equal(model.classes_, labels)
    assert set(model.predict(X)) <= set(y)
    np.testing.assert_array_equal(model.predict_proba(X), quick("mcmc").fit(X, codes).predict_proba(X))


def test_two_classes_are_a_probit():
    X, codes, _ = ratings(2000)
    model = quick("mcmc").fit(X, codes > 1)
    assert model.cutpoints_.tolist() == [0]
    assert model.score(X, codes > 1) > 0.7


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_weight_of_two_counts_as_two_rows_and_of_zero_as_none(solver):
    X, codes, _ = ratings(600, users=8, items=6)
    times = np.arange(600) % 3
    rows = np.repeat(np.arange(600), times)
    model = quick(solver, noise_fields=[0, 1]).set_params(max_iter=400 if solver == "mcmc" else 60)
    weighted = clone(model).fit(X, codes, sample_weight=times).predict_proba(X)
    repeated = clone(model).fit(X[rows], codes[rows]).predict_proba(X)
    if solver == "vb":
        np.testing.assert_allclose(weighted, repeated, atol=2e-3)
    else:  # other rows have other random numbers
        assert np.abs(weighted - repeated).mean() < 0.03
        assert np.abs((weighted - repeated).mean(axis=0)).max() < 0.03


@pytest.mark.parametrize("weighted", [False, True])
def test_the_bound_of_vb_never_falls(weighted):
    X, codes, _ = ratings(800)
    weights = np.random.default_rng(0).choice([0.3, 1, 2.5], 800) if weighted else None
    for design in (X, sparse.hstack([X, np.linspace(-1, 1, 800)[:, None]]).tocsr()):  # full covariances, and not
        model = quick("vb", noise_fields=[0, 1]).fit(design, codes, weights)
        bounds = np.array([row["bound"] for row in model.trace_])
        assert (np.diff(bounds) > -1e-4 * np.abs(bounds[1:]).clip(1)).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_relation_blocks(solver):
    X, codes, u = ratings(2000)
    ages = np.random.default_rng(1).random((40, 1))
    user = RelationBlock(np.hstack([np.eye(40), ages]), u, fields=[0] * 40 + [1])
    item = RelationBlock(np.eye(30), np.asarray(X[:, 40:].argmax(axis=1)).ravel())
    design = Design.from_blocks([user, item])
    model = quick(solver).fit(design, codes)
    plain = quick(solver).fit(X, codes).predict_proba(X)
    assert np.abs(model.predict_proba(design) - plain).mean() < 0.05
    np.testing.assert_allclose(model.predict_mean(design), model.predict_proba(design) @ np.arange(4), atol=1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
def test_model_files(solver, tmp_path):
    X, codes, _ = ratings(300)
    path = tmp_path / "model.fmkit"
    model = quick(solver, keep_draws=12 if solver == "mcmc" else 0).fit(X, STARS[codes])
    save(model, path)
    again = load(path)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.predict_mean(X), model.predict_mean(X))
    assert again.get_params() == model.get_params()
    assert (again.trace_, again.history_) == (model.trace_, model.history_)
    model.cutpoints_ = model.cutpoints_[::-1].copy()
    save(model, path)
    with pytest.raises(InputError, match="its cutpoints do not ascend"):
        load(path)


@pytest.mark.parametrize("solver", SOLVERS)
def test_threads_change_nothing(solver):
    X, codes, _ = ratings(20_000)
    one, two = (quick(solver, n_jobs=n).set_params(max_iter=5).fit(X, codes).predict_proba(X) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", ["two fields", "values"])
def test_a_fit_that_was_killed_goes_on_bit_for_bit(solver, kind, tmp_path):
    X, codes, _ = ratings(400)
    if kind == "values":
        X = sparse.hstack([X, np.linspace(-1, 1, 400)[:, None]]).tocsr()

    def die(progress):
        if progress.sweep == 9:
            raise MemoryError

    model = quick(solver, checkpoint=tmp_path / "fit.part", checkpoint_sweeps=4).set_params(max_iter=15)
    weights = np.random.default_rng(0).choice([0.5, 1, 2], 400)
    with pytest.raises(MemoryError):
        clone(model).set_params(callbacks=[die]).fit(X, codes, weights)
    resumed = clone(model).set_params(callbacks=[lambda progress: False]).fit(X, codes, weights)
    straight = clone(model).set_params(callbacks=[lambda progress: False], checkpoint=None).fit(X, codes, weights)
    np.testing.assert_array_equal(resumed.predict_proba(X), straight.predict_proba(X))
    assert resumed.trace_ == straight.trace_


@pytest.mark.parametrize("solver", SOLVERS)
def test_early_stopping_and_callbacks(solver):
    X, codes, _ = ratings(600)
    model = quick(solver, early_stopping=True).set_params(max_iter=300, burn_in=10).fit(X, codes)
    assert (13 if solver == "mcmc" else 3) < model.n_iter_ < 300
    losses = [row["validation_loss"] for row in model.history_]
    shares = np.bincount(codes) / 600
    assert min(losses) < -(shares * np.log(shares)).sum() - 0.05
    stopped = quick(solver, callbacks=[lambda progress: progress.sweep == 5]).fit(X, codes)
    assert stopped.n_iter_ == 5


def test_a_warm_start_goes_on():
    X, codes, _ = ratings(600)
    model = quick("vb").fit(X, codes)
    loss = model.history_[-1]["train_loss"]
    model.set_params(warm_start=True, max_iter=3).fit(X, codes)
    assert model.history_[-1]["train_loss"] < loss + 0.02


class Scripted:
    """A generator that gives a step of the scale, and a coin whose logarithm is known."""

    def __init__(self, step, log_coin):
        self.step, self.log_coin = step, log_coin

    def standard_t(self, freedom):
        return self.step

    def random(self):
        return self.log_coin


@pytest.mark.parametrize("noise_fields", [[0], []])
@pytest.mark.parametrize("step", [-0.4, 0.3])
def test_moves_of_the_scale_are_accepted_as_the_densities_have_it(noise_fields, step, monkeypatch):
    """Against the evidence of columns, the priors of levels and cutpoints, and the rows' likelihood."""
    X, codes, _ = ratings(60, users=4, items=3)
    design, n = Design.from_matrix(X), X.shape[1]

    def chain():
        rng = np.random.default_rng(0)
        start = FactorizationMachine(0.3, np.float32(rng.standard_normal(n)), np.float32(rng.standard_normal((n, 2))))
        made = Chain(design, np.zeros(60, np.float32), None, start, noise_fields=noise_fields, burn_in=0, n_sweeps=1,
                     keep_draws=0, seed=1, n_threads=1, likelihood=Ordinal(codes, 4))  # fmt: skip
        for s in noise_fields:
            made.noise.set_levels(s, np.float32(rng.gamma(4, 1 / 4, 4)))
        return made

    def density(chain):
        machine, likelihood, noise = chain.sides.machine, chain.rows.likelihood, chain.noise
        total = likelihood.log_likelihood(machine.predict(design), noise.levels_of_rows()) + likelihood.log_prior()
        for columns in chain._columns:
            for theta in np.column_stack([machine.factors[columns], machine.linear[columns]]).astype(float).T:
                m = len(theta)  # with mean and precision integrated out: a multivariate t
                total += stats.multivariate_t.logpdf(theta, None, C0 / A0 * (np.eye(m) + 1 / BETA0), 2 * A0)
        for s, tau in noise.levels.items():
            total += stats.gamma.logpdf(tau.astype(float), noise.shapes[s], scale=1 / noise.shapes[s]).sum()
        return total

    before, after = chain(), chain()
    after.sides.scale(np.float32(np.exp(step)))
    after.rows.likelihood.log_gaps += step
    for s in noise_fields:
        after.noise.set_levels(s, after.noise.levels[s] * np.float32(np.exp(-2 * step)))
    volume = 1 + n * (1 + 2 / 2) - 2 * 4 * len(noise_fields)
    chance = density(after) - density(before) + volume * step
    tied = before.noise.shapes[0] * 4 if noise_fields else 61 / 4
    unit = latent.SCALE_STEP / np.sqrt(tied)
    for log_coin, taken in ((chance - 1e-3, 1), (chance + 1e-3, 0)):
        moved = chain()
        with monkeypatch.context() as patched:
            patched.setattr(latent.math, "log", lambda coin: coin)
            moved.rows.rescale(moved._chance_of_scale, Scripted(step / unit, log_coin))
        assert moved.rows.taken == taken
        expected = after if taken else before
        np.testing.assert_allclose(moved.sides.machine.factors, expected.sides.machine.factors, rtol=1e-6)
        np.testing.assert_allclose(moved.rows.likelihood.cutpoints, expected.rows.likelihood.cutpoints, rtol=1e-6)
        assert density(moved) == pytest.approx(density(expected), rel=1e-6)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda: FMOrdinal().fit([[1], [2]], [3, 3]), "at least two classes, y holds one class only: .*3"),
        (lambda: FMOrdinal(solver="als").fit([[1], [2]], [1, 2]), "parameter of FMOrdinal must be a str among"),
        (lambda: FMOrdinal().fit(np.ones((300, 1)), np.linspace(0, 1, 300)), "Unknown label type"),
        (lambda: quick("vb").fit([[1], [2]], ["a", "b"]).predict_mean([[1]]), "have no mean, .*'a'.*predict"),
        (lambda: quick("vb", noise_fields=[5]).fit([[1], [2]], [1, 2]), "noise_fields must be among"),
    ],
)  # fmt: skip
def test_bad_input_is_told(fit, message):
    with pytest.raises(ValueError, match=message):
        fit()
