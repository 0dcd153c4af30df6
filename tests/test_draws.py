import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special, stats

from fmkit.draws import (
    GROUP,
    draw_gamma,
    draw_polya_gamma,
    draw_truncated_normal,
    fill_normals,
    normal_cdf,
    normal_quantile,
    philox,
    uniforms,
)

KEY = np.uint64(0x0123456789ABCDEF)
RARE = 1e-3  # keys are fixed: a p-value below this is a fault, and never comes and goes
inf = math.inf


def normals(n, index=0, sweep=0, stream=0, key=KEY):
    out = np.empty(-(-n // GROUP) * GROUP, np.float32)
    fill_normals(key, stream, sweep, index, n, out)
    return out[:n]


def reference_normals(n_groups, index, sweep, stream):
    """Box and Muller in float64 from u rounded to float32, from blocks made one by one."""
    groups = []
    for g in range(n_groups):
        words = np.array([philox(KEY, index, 4 * g + lane, sweep, stream) for lane in range(4)], np.uint32)
        first, second = words[:, :2].T.ravel(), words[:, 2:].T.ravel()
        u = (first.astype(np.float32) + np.float32(0.5)).astype(float) / 2**32
        radius = np.sqrt(-2 * np.log(u))
        angle = (second.view(np.int32) >> 2) * (math.pi / 2**31)
        cosine, sine = radius * np.cos(angle) * np.where(second & 1, -1, 1), radius * np.sin(angle)
        swap = second & 2 != 0
        groups.append(np.where([swap, ~swap], sine, cosine))
    return np.ravel(groups)


def sample(draw, n, *arguments):
    return np.array([draw(KEY, 3, 2, i, *arguments) for i in range(n)])


def assert_moments(x, mean, variance):
    assert abs(x.mean() - mean) < 4 * math.sqrt(variance / len(x))
    square = (x - mean) ** 2
    assert abs(square.mean() - variance) < 4 * square.std() / math.sqrt(len(x))


@pytest.mark.parametrize(
    ("key", "counter", "expected"),  # Random123's kat_vectors
    [
        (0, [0] * 4, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (2**64 - 1, [2**32 - 1] * 4, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            0x299F31D0A4093822,
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_published_words(key, counter, expected):
    words = philox(np.uint64(key), *(np.uint32(c) for c in counter))
    assert " ".join(f"{w:08x}" for w in words) == expected
    assert words == philox(np.uint64(key), *counter)


def test_uniforms_take_52_bits_of_a_block_each():
    for block in range(200):
        words = [int(w) for w in philox(KEY, 7, block, 5, 4)]
        expected = [(((words[i] << 32 | words[i + 1]) >> 12) + 0.5) / 2**52 for i in (0, 2)]
        assert list(uniforms(KEY, 7, block, 5, 4)) == expected


def test_the_cdf_has_all_its_digits_in_either_tail():
    x = np.concatenate([np.linspace(-37, 9, 2001), [0, -inf, inf]])
    np.testing.assert_allclose([normal_cdf(v) for v in x], special.ndtr(x), rtol=1e-12, atol=0)


def test_the_quantile_inverts_the_cdf():
    tails = 10.0 ** -np.linspace(0.31, 307, 2001)
    p = np.concatenate([tails, 1 - tails[:100], np.linspace(0.01, 0.99, 500)])
    np.testing.assert_allclose([normal_quantile(v) for v in p], special.ndtri(p), rtol=1e-13, atol=1e-15)
    assert [normal_quantile(v) for v in (0.0, 0.5, 1.0)] == [-inf, 0, inf]
    assert math.isnan(normal_quantile(math.nan))


def test_normals_are_box_and_mullers_of_the_documented_counters():
    x = normals(4000 * GROUP, index=11, sweep=2**32 - 1, stream=5)
    np.testing.assert_allclose(x, reference_normals(4000, 11, 2**32 - 1, 5), rtol=0, atol=1e-6)
    assert abs(x).max() > 4


@pytest.mark.parametrize("n", [0, 1, 9, 15, 16, 17, 64, 65])
def test_a_shorter_vector_is_the_start_of_a_longer_one(n):
    out = np.full(100, 7, np.float32)
    fill_normals(KEY, 1, 2, 3, n, out)
    np.testing.assert_array_equal(out[:n], normals(96, index=3, sweep=2, stream=1)[:n])
    assert (out[-(-n // GROUP) * GROUP :] == 7).all()
    assert not (out[:n] == 7).any()


def test_normals_are_normal():
    x = np.concatenate([normals(65, index=i) for i in range(4000)]).astype(float)
    assert stats.kstest(x, "norm").pvalue > RARE
    assert_moments(x, 0, 1)
    for power, moment in ((3, 0), (4, 3), (6, 15)):
        values = x**power
        assert abs(values.mean() - moment) < 4 * values.std() / math.sqrt(len(x))


def test_normals_have_tails():
    bounds = np.array([3.0, 4.0, 5.0, 5.5])
    above, below, n = np.zeros(4), np.zeros(4), 1 << 20
    for sweep in range(50):
        x = np.sort(normals(n, sweep=sweep))
        above += n - np.searchsorted(x, bounds)
        below += np.searchsorted(x, -bounds)
    for counts in (above, below):
        expected = 50 * n * stats.norm.sf(bounds)
        assert (stats.poisson.sf(counts - 1, expected) > RARE).all()
        assert (stats.poisson.cdf(counts, expected) > RARE).all()


def test_neighbours_are_unrelated():
    def table(index=0, sweep=0, stream=0, key=KEY):
        return np.concatenate([normals(64, index + i, sweep, stream, key) for i in range(0, 4000, 2)])

    x = table()
    others = {
        "index": table(index=1),
        "sweep": table(sweep=1),
        "stream": table(stream=1),
        "key": table(key=KEY + np.uint64(1)),
        "upper half of the key": table(key=KEY + np.uint64(1 << 32)),
        **{f"entry {lag} on": np.roll(x, lag) for lag in (1, 4, 8, 16, 64)},
    }
    for name, y in others.items():
        for f in (np.copy, np.abs, np.sign):
            assert abs(np.corrcoef(f(x), f(y))[0, 1]) < 4 / math.sqrt(len(x)), name


def test_normals_of_different_counters_differ():
    counters = [(i, t, s) for i in (0, 1, 2**32 - 1) for t in (0, 1, 2**32 - 1) for s in (0, 1, 2**32 - 1)]
    firsts = {tuple(normals(4, *c)) for c in counters}
    assert len(firsts) == len(counters)


def test_a_draw_depends_on_its_counter_alone():
    for draw, arguments in ((draw_gamma, (0.7,)), (draw_truncated_normal, (4.5, inf)), (draw_polya_gamma, (2.0,))):
        forward = [draw(KEY, 1, 2, i, *arguments) for i in range(100)]
        assert forward[::-1] == [draw(KEY, 1, 2, i, *arguments) for i in range(99, -1, -1)]
        others = (
            [draw(KEY, 0, 2, i, *arguments) for i in range(100)],
            [draw(KEY, 1, 3, i, *arguments) for i in range(100)],
            [draw(KEY + np.uint64(1), 1, 2, i, *arguments) for i in range(100)],
        )
        assert len(set(forward).union(*others)) == 400


@pytest.mark.parametrize("shape", [0.05, 0.5, 0.999, 1.0, 2.5, 40.0, 1e6])
def test_gamma(shape):
    x = sample(draw_gamma, 50_000, shape)
    assert stats.kstest(x, stats.gamma(shape).cdf).pvalue > RARE
    assert_moments(x, shape, shape)


def truncated_cdf(low, high):
    """By differences of log tails, from the bound nearer to 0 outwards."""
    if high < 0:
        return lambda x: 1 - truncated_cdf(-high, -low)(-x)
    at_low = special.log_ndtr(-low)
    return lambda x: np.expm1(special.log_ndtr(-x) - at_low) / np.expm1(special.log_ndtr(-high) - at_low)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (-inf, inf),
        (-0.3, inf),
        (0, inf),
        (-inf, -0.5),
        (3.9, inf),
        (-inf, -4.1),
        (8, inf),
        (-inf, -30),
        (45, inf),
        (-2, 0.1),
        (1, 1.5),
        (-4.2, -3.9),
        (8, 8.1),
        (-6, -4.5),
        (300, 300.002),
        (2, 2.002),
        (3.9, 3.9009),
        (-2.0009, -2),
        (3.9, 3.995),
        (-0.05, 0.03),
        (-20, 20),
    ],
)
def test_truncated_normal(low, high):
    x = sample(draw_truncated_normal, 50_000, float(low), float(high))
    assert ((low <= x) & (x <= high)).all()
    assert stats.kstest(x, truncated_cdf(low, high)).pvalue > RARE
    assert len(np.unique(x)) > 49_000


@pytest.mark.parametrize(("low", "width"), [(-7.0, 1e-11), (-2.0, 1e-11), (0.0, 1e-15), (0.0, 1e-200), (5.0, 1e-11)])
def test_a_tiny_window_keeps_its_digits(low, width):
    x = (sample(draw_truncated_normal, 20_000, low, low + width) - low) / width
    assert stats.kstest(x, "uniform").pvalue > RARE


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.integers(0, 2**32 - 1))
def test_truncated_draws_lie_within_any_bounds(one, other, index):
    low, high = min(one, other), max(one, other)
    assume(not (low == high and math.isinf(low)))
    assert low <= draw_truncated_normal(KEY, 0, 0, index, low, high) <= high


@given(st.floats(-50, 50), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_truncated_draws_lie_within_windows_of_a_few_numbers(low, steps, index):
    high = low
    for _ in range(steps):
        high = math.nextafter(high, inf)
    assert low <= draw_truncated_normal(KEY, 0, 0, index, low, high) <= high


def polya_gamma_moments(z):
    if z < 1e-4:
        return 1 / 4, 1 / 24
    return math.tanh(z / 2) / (2 * z), (math.sinh(z) - z) / (4 * z**3 * math.cosh(z / 2) ** 2)


def polya_gamma_cdf(z):
    """The density's series in exp(-1 / x), tilted by z, and summed on a grid."""
    mean, variance = polya_gamma_moments(abs(z))
    x = np.linspace(0, mean + 25 * math.sqrt(variance), 100_001)[1:]
    odd = 2 * np.arange(30)[:, None] + 1
    terms = (-1.0) ** (odd // 2) * odd * np.exp(-(odd**2) / (8 * x) - z**2 * x / 2)
    density = math.cosh(z / 2) * terms.sum(axis=0) / np.sqrt(2 * math.pi * x**3)
    cdf = np.cumsum(density) * x[0]
    assert cdf[-1] == pytest.approx(1, abs=1e-5)
    return lambda v: np.interp(v, x + x[0] / 2, cdf)


@pytest.mark.parametrize("z", [0.0, 1e-8, 1.0, -3.1, 3.2, 8.0, 40.0, 130.0])
def test_polya_gamma(z):
    x = sample(draw_polya_gamma, 500_000 if z == 0 else 200_000, z)
    assert_moments(x, *polya_gamma_moments(abs(z)))
    assert stats.kstest(x, polya_gamma_cdf(z)).pvalue > RARE


def test_polya_gamma_just_below_the_crossover():
    # There the series turns down the most proposals, 1 in 300.
    n, low, high = 2_000_000, 0.14, 0.16
    x = sample(draw_polya_gamma, n, 0.0)
    share = np.subtract(*polya_gamma_cdf(0)([high, low]))
    assert stats.binomtest(int(((low < x) & (x < high)).sum()), n, share).pvalue > RARE


@pytest.mark.parametrize("z", [0.0, 3.2, 20.0])
def test_polya_gamma_is_a_sum_of_exponentials(z):
    n, n_terms = 30_000, 100
    weights = 1 / (2 * math.pi**2 * ((np.arange(n_terms) + 0.5) ** 2 + (z / (2 * math.pi)) ** 2))
    sums = np.random.default_rng(0).standard_exponential((n, n_terms)) @ weights
    sums += polya_gamma_moments(z)[0] - weights.sum()  # the terms left out hardly vary
    assert stats.ks_2samp(sample(draw_polya_gamma, n, z), sums).pvalue > RARE


def test_polya_gamma_of_a_huge_argument_is_its_mean():
    for z in (1e4, 1e8):
        assert draw_polya_gamma(KEY, 0, 0, 0, z) * 2 * z == pytest.approx(1, abs=6 / math.sqrt(z))
    assert draw_polya_gamma(KEY, 0, 0, 0, 1e200) < 1e-199
    assert draw_polya_gamma(KEY, 0, 0, 0, inf) == 0


def test_nan_ends_a_rejection():
    nan = math.nan
    assert math.isnan(draw_gamma(KEY, 0, 0, 0, nan))
    assert math.isnan(draw_polya_gamma(KEY, 0, 0, 0, nan))
    for low, high in ((nan, nan), (nan, 1.0), (1.0, nan), (-inf, nan), (nan, -9.0)):
        draw_truncated_normal(KEY, 0, 0, 0, low, high)
