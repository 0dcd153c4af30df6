import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from fmkit.solvers import likelihood
from fmkit.solvers.columns import NONE
from fmkit.solvers.logistic import Logistic, bound_curvature, draw_polya_gamma_of
from fmkit.solvers.ordinal import SPREAD, Ordinal, Probit, class_moments, class_probabilities
from fmkit.solvers.windows import window, window_mean, window_variance

KEY = np.uint64(0x0123456789ABCDEF)
PRECISION = 0.5  # of the prior of theta, in models f = theta x
inf = math.inf


def draw(sweep, key=KEY):
    return key, sweep, np.random.default_rng(sweep)


def rows(n, seed=0):
    """x, a noise precision and a weight of each row of a tiny model."""
    rng = np.random.default_rng(seed)
    tau = rng.choice([0.3, 1, 2.5], n)
    weights = rng.choice([0, 0.3, 1, 2.7], n)
    return tuple(a.astype(np.float32) for a in (1 + rng.standard_normal(n), tau, weights))


def classes(x, cuts, seed=1):
    return np.searchsorted(cuts, 0.7 * x + np.random.default_rng(seed).standard_normal(len(x)))


def gibbs(model, x, tau, n_sweeps, watch=lambda: None):
    """Draws of theta in f = theta x, and of what is watched beside it."""
    theta, chain, seen = 0.0, [], []
    precision = tau if len(tau) else 1
    for sweep in range(n_sweeps):
        target, weights = model.augment((theta * x).astype(np.float32), tau, draw(sweep))
        omega = (weights * precision).astype(float)
        total = PRECISION + omega @ x**2
        theta = omega @ (x * target) / total + np.random.default_rng([sweep, 1]).standard_normal() / math.sqrt(total)
        chain.append(theta)
        seen.append(watch())
    return np.array(chain), np.array(seen)


def assert_draws(chain, grid, log_density):
    """Means of a chain are those of a density on a grid, within 4 of their standard errors; these are small."""
    p = np.exp(log_density - log_density.max())
    p /= p.sum()
    mean = p @ grid
    spread = math.sqrt(p @ (grid - mean) ** 2)
    quantiles = np.interp([0.05, 0.25, 0.75, 0.95], np.cumsum(p) - p / 2, grid)
    below = [(lambda t, q=q: special.expit(20 * (q - t) / spread)) for q in quantiles]  # smooth, for the grid's sake
    for of in (lambda t: (t - mean) / spread, lambda t: ((t - mean) / spread) ** 2, *below):
        values = of(chain[len(chain) // 50 :])
        batches = np.array([b.mean() for b in np.array_split(values, 40)])
        error = batches.std(ddof=1) / math.sqrt(len(batches))
        assert error < 0.1
        assert abs(values.mean() - p @ of(grid)) < 4 * error


def log_sigmoid(z):
    return -np.logaddexp(0, -z)


def log_window(low, high):
    """log (Phi(high) - Phi(low)) from the nearer tail."""
    low, high = np.where(low + high > 0, [-high, -low], [low, high])
    at_high, at_low = special.log_ndtr(high), special.log_ndtr(low)
    return at_high + np.log(-np.expm1(np.minimum(at_low - at_high, -1e-300)))


GRID = np.linspace(-3, 5, 1601)


@pytest.mark.parametrize("noise", [False, True])
def test_probit_draws_leave_the_posterior(noise):
    x, tau, _ = rows(15)
    y = classes(x, [0])
    root = np.sqrt(tau) if noise else 1
    chain, _ = gibbs(Probit(y), x, tau if noise else NONE, 15_000)
    log_density = special.log_ndtr((2 * y - 1) * GRID[:, None] * x * root).sum(axis=1) - PRECISION * GRID**2 / 2
    assert_draws(chain, GRID, log_density)


def test_probit_draws_with_weights_are_close_to_the_posterior():
    # Only two moments of the weighted latent variables are right. 15 rows: a hundredth of the standard deviation off.
    x, _, weights = rows(15)
    y = classes(x, [0])
    chain, _ = gibbs(Probit(y, weights), x, NONE, 30_000)
    p = special.log_ndtr((2 * y - 1) * GRID[:, None] * x) @ weights - PRECISION * GRID**2 / 2
    p = np.exp(p - p.max()) / np.exp(p - p.max()).sum()
    mean = p @ GRID
    spread = math.sqrt(p @ (GRID - mean) ** 2)
    assert abs(chain.mean() - mean) < 0.05 * spread
    assert chain.std() == pytest.approx(spread, rel=0.05)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shifted", [False, True])
def test_logistic_draws_leave_the_posterior(weighted, shifted):
    x, _, weights = rows(15)
    y = classes(x, [0])
    model = Logistic(y, weights if weighted else None)
    if shifted:
        model.offset = np.linspace(-2, 3, 15).astype(np.float32)
    z = GRID[:, None] * x - (model.offset if shifted else 0)
    chain, _ = gibbs(model, x, NONE, 15_000)
    log_density = log_sigmoid((2 * y - 1) * z) @ (weights if weighted else np.ones(15)) - PRECISION * GRID**2 / 2
    assert_draws(chain, GRID, log_density)


@pytest.mark.parametrize("n", [5, 40])
def test_ordinal_draws_leave_the_posterior(n):
    x, tau, _ = rows(n)
    y = classes(x, [0, 1])
    model = Ordinal(y, 3)
    theta, eta = np.linspace(-2, 3.5, 111), np.linspace(-8, 9, 341)
    cuts = np.tile([-inf, 0.0, 0.0, inf], (len(eta), 1))
    cuts[:, 1 + (model.cutpoints[1] != 0)] = np.exp(eta) * (1 if model.cutpoints[1] != 0 else -1)
    root = np.sqrt(tau)
    log_density = -PRECISION * theta[:, None] ** 2 / 2 - ((eta - math.log(4 / 3)) / SPREAD) ** 2 / 2
    for r in range(n):
        f = theta[:, None] * x[r]
        log_density = log_density + log_window((cuts[:, y[r]] - f) * root[r], (cuts[:, y[r] + 1] - f) * root[r])
    chain, gaps = gibbs(model, x, tau, 15_000, lambda: model.log_gaps[0])
    assert_draws(chain, theta, special.logsumexp(log_density, axis=1))
    assert_draws(gaps, eta, special.logsumexp(log_density, axis=0))
    assert model.accepted > 0.3 * model.proposed


def test_cutpoints_about_an_empty_class_are_drawn_from_their_posterior():
    x, _, weights = rows(25, seed=3)
    f = (0.7 * x).astype(np.float32)
    y = classes(x, [0, 0.7, 0.7])
    assert list(np.unique(y)) == [0, 1, 3]
    model = Ordinal(y, 4, weights)
    eta = np.linspace(-9, 4, 400)
    one, other = np.meshgrid(eta, eta, indexing="ij")
    fixed = int(np.flatnonzero(model.cutpoints == 0)[0])
    steps = np.stack([0 * one, np.exp(one), np.exp(one) + np.exp(other)])
    cuts = [np.full_like(one, -inf), *(steps - steps[fixed]), np.full_like(one, inf)]
    log_density = -((one**2 + other**2) / SPREAD**2) / 2
    for r in range(len(x)):
        log_density += weights[r] * log_window(cuts[y[r]] - f[r], cuts[y[r] + 1] - f[r])
    chain = []
    for sweep in range(10_000):
        model.augment(f, NONE, draw(sweep))
        chain.append(model.log_gaps)
    for gap in range(2):
        assert_draws(np.array(chain)[:, gap], eta, special.logsumexp(log_density, axis=1 - gap))


@pytest.mark.parametrize(("n", "n_classes"), [(5, 50), (60_000, 5), (60_000, 50)])
def test_cutpoints_find_their_place_and_move_there(n, n_classes):
    rng = np.random.default_rng(0)
    f = rng.standard_normal(n).astype(np.float32)
    cuts = np.linspace(-1.5, 1.5, n_classes - 1)
    y = np.searchsorted(cuts, f + rng.standard_normal(n))
    y[y == 20] = 21  # none of class 20
    model = Ordinal(y, n_classes, n_threads=2)
    f -= np.float32(cuts[np.flatnonzero(model.cutpoints == 0)[0]])
    model.log_gaps = np.full(n_classes - 2, 1.0 if n_classes > 5 else 3.0)
    chain = []
    for sweep in range(30):
        model.augment(f, NONE, draw(sweep))
        chain.append(model.log_gaps)
    assert model.accepted > 0.5 * model.proposed
    assert (np.ptp(chain, axis=0) > 0).all()
    assert np.isfinite(chain).all()
    if n > 5:
        parts = [c for c in range(n_classes - 1) if c not in (19, 20)]
        error = np.diff(model.cutpoints[parts]) - np.diff(cuts[parts])
        assert np.abs(error).max() < 0.06


def test_a_sweep_near_the_mode_passes_over_the_rows_twice(monkeypatch):
    x, tau, _ = rows(20_000)
    model = Ordinal(classes(x, [-1, 0, 1, 2]), 5)
    f = (0.7 * x).astype(np.float32)
    for sweep in range(10):
        model.augment(f, tau, draw(sweep))
    passes = []
    sums = model._sums
    monkeypatch.setattr(model, "_sums", lambda *a: passes.append(0) or sums(*a))
    for sweep in range(10, 30):
        model.augment(f, tau, draw(sweep))
    assert 40 <= len(passes) <= 43  # a draw in a thousand is so far from the mode that it takes one more


def models(n, weighted, seed):
    x, tau, weights = rows(n, seed)
    y = classes(x, [-0.5, 0.2, 1], seed)
    weights = weights if weighted else None
    logistic = Logistic(y > 1, weights)
    logistic.offset = np.linspace(-1, 1, n).astype(np.float32)
    return x, tau, [(Probit(y > 1, weights), tau), (logistic, NONE), (Ordinal(y, 4, weights), tau)]


def log_posterior(model, theta, x, tau):
    prior = model.log_prior() if isinstance(model, Ordinal) else 0.0
    return model.log_likelihood((theta * x).astype(np.float32), tau) + prior - PRECISION * theta**2 / 2


def climb(model, x, tau, theta, n_sweeps):
    values = [log_posterior(model, theta, x, tau)]
    for _ in range(n_sweeps):
        target, weights = model.augment((theta * x).astype(np.float32), tau)
        omega = (weights * (tau if len(tau) else 1)).astype(float)
        theta = omega @ (x * target) / (PRECISION + omega @ x**2)
        values.append(log_posterior(model, theta, x, tau))
    return theta, values


@given(st.integers(1, 60), st.booleans(), st.integers(0, 1000), st.floats(-5, 5))
def test_expectations_climb(n, weighted, seed, start):
    """EM by `augment` without draws: the log posterior never falls."""
    x, _, of = models(n, weighted, seed)
    for model, tau in of:
        _, values = climb(model, x, tau, start, 30)
        assert (np.diff(values) >= -1e-6 * np.abs(values[1:]) - 1e-6).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_expectations_end_at_the_mode(weighted, kind):
    x, _, of = models(40, weighted, 5)
    model, tau = of[kind]
    theta, values = climb(model, x, tau, 3.0, 300)
    for step in (-0.02, 0.02):
        assert log_posterior(model, theta + step, x, tau) < values[-1]


@given(st.booleans(), st.integers(0, 1000))
def test_the_bound_climbs_and_stays_below_the_evidence(weighted, seed):
    """Variational Bayes of theta ~ N(m, v): the bound is one of the integral of likelihood and prior."""
    x, _, of = models(12, weighted, seed)
    for model, tau in of[:2]:
        m, v, bounds = 0.0, 1.0, []
        for _ in range(15):
            f, variance = (m * x).astype(np.float32), (v * x**2).astype(np.float32)
            divergence = (PRECISION * (v + m**2) - 1 - math.log(PRECISION * v)) / 2
            bounds.append(model.log_likelihood(f, tau, variance) - divergence)
            target, weights = model.augment(f, tau, None, variance)
            omega = (weights * (tau if len(tau) else 1)).astype(float)
            v = 1 / (PRECISION + omega @ x**2)
            m = v * (omega @ (x * target))
        assert (np.diff(bounds) >= -1e-5).all()
        grid = np.linspace(-12, 12, 961)
        logs = np.array([model.log_likelihood((t * x).astype(np.float32), tau) for t in grid])
        evidence = special.logsumexp(logs + stats.norm.logpdf(grid, 0, PRECISION**-0.5)) + math.log(grid[1] - grid[0])
        assert evidence - 4 < bounds[-1] < evidence + 1e-5


def test_without_draws_cutpoints_go_to_the_mode():
    x, tau, _ = rows(300)
    model = Ordinal(classes(x, [-0.5, 0.2, 1]), 4)
    f = (0.7 * x).astype(np.float32)
    for _ in range(20):
        model.augment(f, tau)
    at = model.log_gaps.copy()

    def value(gaps):
        model.log_gaps = gaps
        return model.log_likelihood(f, tau) + model.log_prior()

    for direction in (*np.eye(2), np.array([1, -1])):
        higher, lower = value(at + 1e-3 * direction), value(at - 1e-3 * direction)
        assert abs(higher - lower) / 2e-3 < 1e-2
        assert max(higher, lower) < value(at)


@pytest.mark.parametrize(
    ("low", "high"),
    [(-inf, inf), (-inf, 0), (-0.3, 1.2), (1, inf), (-6, -2), (-1, -0.999), (2, 2.1), (-20, 20), (5, 6), (-9, -8.5)],
)
def test_moments_of_windows_are_those_of_scipy(low, high):
    low, high = float(low), float(high)
    mean, variance = stats.truncnorm.stats(low, high, moments="mv")
    assert window_mean(low, high) == pytest.approx(mean, rel=1e-6, abs=1e-9)
    assert window_variance(low, high) == pytest.approx(variance, rel=1e-4 if high - low < 0.01 else 1e-6)


@given(st.floats(-40, 40), st.floats(-7, 2))
def test_windows_have_their_digits(low, log_width):
    high = low + 10**log_width
    log_p, g_low, g_high = window(low, high)
    node, share = np.polynomial.legendre.leggauss(60)
    nearest = min(max(low, 0), high)
    edges = np.linspace(max(low, nearest - 10), min(high, nearest + 10), 21)
    z = ((edges[1:] + edges[:-1])[:, None] + np.diff(edges)[:, None] * node) / 2
    p = np.exp((nearest - z) * (nearest + z) / 2) * share * np.diff(edges)[:, None] / 2
    total = p.sum()
    assert log_p == pytest.approx(math.log(total) + stats.norm.logpdf(nearest), rel=1e-8, abs=1e-8)
    mean = (p * (z - nearest)).sum() / total
    variance = (p * (z - nearest - mean) ** 2).sum() / total
    assert window_mean(low, high) - nearest == pytest.approx(mean, abs=1e-3 * math.sqrt(variance))
    assert window_variance(low, high) == pytest.approx(variance, rel=1e-4)
    for bound, g in ((low, g_low), (high, g_high)):
        assert g == pytest.approx(math.exp((nearest - bound) * (nearest + bound) / 2) / total, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("weight", [0.1, 0.5, 1.0, 2.7, 40.0])
@pytest.mark.parametrize("z", [0.0, 0.5, -4.0, 60.0])
def test_polya_gamma_of_any_weight(weight, z):
    n = 20_000
    x = np.array([draw_polya_gamma_of(weight, KEY, np.uint32(9), np.uint32(2), np.uint32(i), z) for i in range(n)])
    for t in (0.3 * max(1, abs(z)) / weight, 3 * max(1, abs(z)) / weight, 5.0):
        ratio = np.logaddexp(abs(z), 0) - abs(z) / 2  # log 2 cosh(z / 2)
        root = math.sqrt(z**2 + 2 * t)
        expected = math.exp(weight * (ratio - np.logaddexp(root, 0) + root / 2))  # of exp(-t x)
        values = np.exp(-t * x)
        assert (
            abs(values.mean() - expected)
            < 4 * values.std() / math.sqrt(n) + (0.02 if weight == 0.1 else 0.001) * expected
        )


def test_expectations_of_logistic_rows_are_the_curvature_of_the_bound():
    f = np.r_[0, np.geomspace(1e-6, 100, 200)].astype(np.float32)
    f = np.r_[f, -f]
    x = np.maximum(np.abs(f.astype(float)), 1e-9)
    np.testing.assert_allclose(bound_curvature(f), np.tanh(x / 2) / (2 * x), rtol=1e-6)
    y = np.arange(len(f)) % 2
    target, omega = Logistic(y, np.full(len(f), 3)).augment(f)
    np.testing.assert_allclose(omega, 3 * bound_curvature(f), rtol=1e-6)
    np.testing.assert_allclose(target * omega, 3 * (y - 0.5), rtol=1e-6)


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("drawn", [False, True])
def test_the_same_bits_for_any_number_of_threads(kind, drawn, monkeypatch):
    monkeypatch.setattr(likelihood, "ROWS", 64)
    results = []
    for n_threads, _ in itertools.product((1, 7), range(2)):
        x, _, of = models(1000, True, 0)
        model, tau = of[kind]
        model.n_threads = n_threads
        f = (0.7 * x).astype(np.float32)
        told = [model.augment(f, tau, draw(sweep) if drawn else None)[0] for sweep in range(5)]
        extra = [model.latent_variance(f, tau), model.log_gaps] if kind != 1 else []
        results.append([*told, *extra, np.array(model.log_likelihood(f, tau))])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_draws_depend_on_key_sweep_row_and_number():
    y, f = np.zeros(400), np.zeros(400, np.float32)
    for kind in (Probit, Logistic):
        one = kind(y).augment(f, NONE, draw(1))[0]
        others = [kind(y).augment(f, NONE, draw(2))[0], kind(y).augment(f, NONE, draw(1, KEY + np.uint64(1)))[0]]
        if kind is Logistic:
            others.append(Logistic(y, number=1).augment(f, NONE, draw(1))[0])
        for other in others:
            assert abs(stats.spearmanr(one, other)[0]) < 0.2
        assert len(np.unique(one)) > 395
        np.testing.assert_array_equal(kind(y[:9]).augment(f[:9], NONE, draw(1))[0], one[:9])


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(-6, 6), st.integers(0, 3), st.floats(0, 100)), min_size=1),
    st.booleans(),
    st.booleans(),
)
def test_extremes_stay_finite(told, drawn, weighted):
    f, log_tau, y, weights = (np.array(column) for column in zip(*told, strict=True))
    f, tau = f.astype(np.float32), (10**log_tau).astype(np.float32)
    weights = weights.astype(np.float32) if weighted else None
    logistic, probit, ordinal = Logistic(y > 1, weights), Probit(y > 1, weights), Ordinal(y, 4, weights)
    for model, levels in ((logistic, NONE), (probit, tau), (ordinal, tau)):
        target, omega = model.augment(f, levels, draw(3) if drawn else None)
        assert np.isfinite(target).all()
        assert np.isfinite(omega).all()
        assert (omega >= 0).all()
        assert np.isfinite(model.log_likelihood(f, levels))
        if model is logistic:
            continue
        variance = model.latent_variance(f, tau)
        assert np.isfinite(variance).all()
        assert ((variance > 0) & (variance * tau <= 1.0001)).all()
        if not (drawn and weighted):
            cuts = np.r_[-inf, model.cutpoints, inf]
            slack = 1e-6 * (1 + np.abs(target))
            assert (target >= cuts[model.codes] - slack).all()
            assert (target <= cuts[model.codes + 1] + slack).all()


def test_class_probabilities_and_moments():
    cuts, values = np.array([-1, 0, 0.5]), np.array([1, 2, 2.5, 7])
    f = np.array([-9, -1, 0, 0.3, 8], np.float32)
    variance, tau = np.full(5, 0.44, np.float32), np.full(5, 2, np.float32)
    z = (np.r_[-inf, cuts, inf] - f[:, None]) / math.sqrt(0.44 + 0.5)
    p = np.exp(log_window(z[:, :-1], z[:, 1:]))
    assert p.min() < 1e-20
    np.testing.assert_allclose(class_probabilities(cuts, f, variance, tau), p, rtol=1e-5)
    mean, spread = class_moments(cuts, values, f, variance, tau)
    np.testing.assert_allclose(mean, p @ values, rtol=1e-6)
    np.testing.assert_allclose(spread, p @ values**2 - (p @ values) ** 2, atol=1e-6)
    model = Ordinal(np.repeat([0, 1, 3], [500, 200, 300]), 4)
    share = model.probabilities(np.full(1, model.start_bias, np.float32))[0]
    np.testing.assert_allclose(share, (np.array([500, 200, 0, 300]) + 0.5) / 1002, rtol=1e-5)
    with pytest.raises(ValueError, match="values must be 4, one a class, got an array of shape \\(3,\\)"):
        model.moments(f, NONE, [1, 2, 3])


def test_bad_input_is_told_with_its_row():
    for kind in (Probit, Logistic):
        with pytest.raises(ValueError, match=r"^labels must be 0 or 1, got -1 in row 2$"):
            kind([0, 1, -1])
        with pytest.raises(ValueError, match=r"^labels must be 0 or 1, got nan in row 1$"):
            kind([0, math.nan])
        with pytest.raises(ValueError, match=r"^labels must be 0 or 1, got yes in row 0$"):
            kind(["yes", "no"])
    with pytest.raises(ValueError, match=r"^classes must be whole numbers from 0 to 2, got 3 in row 1$"):
        Ordinal([0, 3], 3)
    with pytest.raises(ValueError, match=r"^classes must be whole numbers from 0 to 2, got 0\.5 in row 0$"):
        Ordinal([0.5, 1], 3)
    with pytest.raises(ValueError, match=r"^an ordinal target needs at least 2 classes, got 1$"):
        Ordinal([0, 0], 1)
    with pytest.raises(ValueError, match=r"^sample weights must be at least 0 and finite, got -1\.0 in row 1$"):
        Probit([0, 1], np.array([1, -1]))
    with pytest.raises(ValueError, match=r"^sample weights must be one a row, 2 of them"):
        Logistic([0, 1], np.ones(3))
    with pytest.raises(ValueError, match="no noise whose level could differ"):
        Logistic([0, 1]).augment(np.zeros(2, np.float32), np.ones(2, np.float32))
