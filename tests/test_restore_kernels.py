"""The kernels of the restoration against plain float64 numpy: the formulas of their docstrings, patch by patch."""

import numpy as np
import pytest

from fmkit.linalg import LANES
from fmkit.restore.groups import fill_by_covariance, fill_by_precision, fill_stripe, group_gaussian, precision
from fmkit.restore.patches import search_moments, similar_patches

PATCH, D = 8, 64


def corners_in_window(shape, row, column, radius):
    rows = range(max(0, row - radius), min(shape[0] - PATCH, row + radius) + 1)
    columns = range(max(0, column - radius), min(shape[1] - PATCH, column + radius) + 1)
    return [(r, c) for r in rows for c in columns]


def patch_at(x, corner):
    return x[..., corner[0] : corner[0] + PATCH, corner[1] : corner[1] + PATCH].astype(float)


def distances(x, confidence, row, column, radius):
    """All patches of the window with their distances, the nearest first."""
    p, c_p = patch_at(x, (row, column)), patch_at(confidence, (row, column))
    found = []
    for corner in corners_in_window(x.shape[1:], row, column, radius):
        c = c_p * patch_at(confidence, corner)
        found.append(((c * (p - patch_at(x, corner)) ** 2).sum() / (len(x) * c.sum()), corner))
    return sorted(found)


def gaussian(Y, weight, tau, nu, prior):
    b = weight @ Y
    C = (weight[:, None] * (Y - b)).T @ (Y - b)
    n = len(Y)
    return b, (n * C + nu * (np.trace(C) / D + tau**2) * prior) / (n + nu) + tau**2 * np.eye(D)


def fill(b, S, eps, y, lost):
    """A patch's lost pixels given its known ones, and their variances."""
    O, L = np.flatnonzero(~lost), np.flatnonzero(lost)
    gain = S[np.ix_(L, O)] @ np.linalg.inv(S[np.ix_(O, O)] + eps**2 * np.eye(len(O)))
    return b[L] + gain @ (y[O] - b[O]), np.diag(S)[L] - (gain * S[np.ix_(L, O)]).sum(1)


def search(x, confidence, row, column, radius, n_similar):
    moments = search_moments(x, confidence)
    stencil, sums = np.empty((len(x), 3 * D, 2), np.float32), np.empty((2, 2 * radius + 1 + LANES), np.float32)
    distance, place = np.empty(n_similar, np.float32), np.empty(n_similar, np.int64)
    shape = x.shape[1:]
    found = similar_patches(moments, moments, shape, PATCH, row, column, radius, stencil, sums, distance, place)
    return distance[:found], place[:found]


def stationary_prior():
    at = np.stack(np.divmod(np.arange(D), PATCH), 1)
    return np.exp(-np.linalg.norm(at[:, None] - at[None], axis=2) / 6).astype(np.float32)


def group_of_patches(seed=0, n=64):
    rng = np.random.default_rng(seed)
    Y = (rng.normal(0, 30, (n, 5)) @ rng.normal(0, 1, (5, D)) + rng.normal(0, 2, (n, D))).astype(np.float32)
    weight = rng.uniform(0.5, 1, n).astype(np.float32)
    return Y, weight / weight.sum()


@pytest.mark.parametrize("n_planes", [1, 3])
@pytest.mark.parametrize(("row", "column"), [(20, 20), (0, 0), (32, 45), (5, 44)])
def test_search_finds_the_nearest_patches_of_the_window(n_planes, row, column):
    rng = np.random.default_rng(row)
    x = rng.normal(0, 40, (n_planes, 40, 53)).astype(np.float32)
    confidence = np.where(rng.random((40, 53)) < 0.6, 0.3, 1).astype(np.float32)
    distance, place = search(x, confidence, row, column, radius=9, n_similar=20)
    expected = distances(x, confidence, row, column, radius=9)[:20]
    assert [divmod(p, 53) for p in place] == [corner for _, corner in expected]
    np.testing.assert_allclose(distance, [d for d, _ in expected], rtol=1e-4, atol=1e-2)


def test_search_returns_all_of_a_window_smaller_than_the_group():
    x = np.random.default_rng(0).normal(0, 40, (1, 9, 10)).astype(np.float32)
    distance, place = search(x, np.ones((9, 10), np.float32), 0, 0, radius=9, n_similar=20)
    assert sorted(place) == [0, 1, 2, 10, 11, 12]
    assert (np.diff(distance) >= 0).all()


@pytest.mark.parametrize("n", [1, 7, 64])
def test_group_gaussian_is_the_shrunk_weighted_covariance(n):
    Y, weight = group_of_patches(n=n)
    b, S = np.empty(D, np.float32), np.empty((D, D), np.float32)
    prior = stationary_prior()
    group_gaussian(Y, weight, n, 3.0, 2.0, prior, np.zeros((64, D + LANES), np.float32), b, S)
    b_expected, S_expected = gaussian(Y.astype(float), weight.astype(float), 3.0, 2.0, prior)
    np.testing.assert_allclose(b, b_expected, atol=1e-3)
    np.testing.assert_allclose(S, S_expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("n_lost", [1, 5, 31, 32, 33, 50, 63, 64])
def test_both_forms_give_the_conditional_mean_and_variance(n_lost):
    rng = np.random.default_rng(n_lost)
    Y, weight = group_of_patches()
    b, S = gaussian(Y.astype(float), weight.astype(float), 2.0, 2.0, stationary_prior())
    lost = np.zeros(D, bool)
    lost[rng.permutation(D)[:n_lost]] = True
    mean, variance = fill(b, S, 1.0, Y[3].astype(float), lost)

    b32, S32, Q = b.astype(np.float32), S.astype(np.float32), np.empty((D, D), np.float32)
    work, got_variance = np.zeros((D + LANES) * (2 * D + LANES), np.float32), np.empty(D, np.float32)
    precision(S32, 1.0, work, Q)
    np.testing.assert_allclose(Q, np.linalg.inv(S + np.eye(D)), rtol=2e-3, atol=2e-4)
    known_at, lost_at = (
        np.resize(np.flatnonzero(part), D) if part.any() else np.zeros(D, int) for part in (~lost, lost)
    )
    for form, matrix in ((fill_by_covariance, S32), (fill_by_precision, Q)):
        y = np.where(lost, np.float32(1e6), Y[3])  # what lost pixels held must not matter
        form(matrix, b32, 1.0, known_at, lost_at, n_lost, work, y, got_variance)
        np.testing.assert_array_equal(y[~lost], Y[3][~lost])
        np.testing.assert_allclose(y[lost], mean, rtol=1e-3, atol=0.05)
        np.testing.assert_allclose(got_variance[:n_lost], variance, rtol=1e-2, atol=0.05)


@pytest.mark.parametrize("share", [0.1, 0.8])
def test_a_stripe_sums_the_answers_of_its_groups(share):
    rng = np.random.default_rng(1)
    shape, row, columns, radius, n_similar, n_answered, tau = (24, 30), 6, [2, 17], 6, 20, 5, 2.0
    ramp = np.add.outer(np.arange(24) * 3, np.arange(30) * 2) + 20 * np.sin(np.arange(30) / 2)
    x = np.stack([ramp, ramp[::-1] / 4]).astype(np.float32) + rng.normal(0, 1, (2, *shape)).astype(np.float32)
    lost = rng.random(shape) < share
    confidence = np.where(lost, 0.3, 1).astype(np.float32)
    prior = stationary_prior()

    total, weight = np.zeros((2, 2, *shape))
    for column in columns:
        group = distances(x[:1], confidence, row, column, radius)[:n_similar]
        share_of = np.exp(-np.array([d for d, _ in group]) / 1000)
        share_of /= share_of.sum()
        for plane in range(2):
            Y = np.array([patch_at(x[plane], corner).ravel() for _, corner in group])
            b, S = gaussian(Y, share_of, tau, 2.0, prior)
            for y, (_, (r, c)) in zip(Y[:n_answered], group, strict=False):
                gone = lost[r : r + PATCH, c : c + PATCH]
                mean, variance = fill(b, S, 1.0, y, gone.ravel())
                v = 1 / np.maximum(variance, 1)
                total[plane, r : r + PATCH, c : c + PATCH][gone] += v * mean
                weight[plane, r : r + PATCH, c : c + PATCH][gone] += v

    got_total, got_weight = np.zeros((2, 2, row + radius + PATCH, 30), np.float32)
    fill_stripe(
        *(x, lost, search_moments(x[:1], confidence), PATCH, row, np.array(columns), radius, n_similar, n_answered),
        *(1000.0, tau, 2.0, prior, 1.0, got_total, got_weight),
    )
    touched = slice(0, row + radius + PATCH)
    np.testing.assert_allclose(got_weight, weight[:, touched], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(got_total, total[:, touched], rtol=1e-2, atol=0.2)
