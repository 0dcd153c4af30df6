"""The kernels of the restoration against plain float64 numpy: the formulas of their docstrings, patch by patch."""

import numpy as np
import pytest

from fmkit.linalg import LANES, padded
from fmkit.restore.answers import fill_stripe
from fmkit.restore.groups import fill_by_covariance, fill_by_precision, group_gaussian, precision, work_size
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


def gaussian(Y, weight, tau, nu, doubt, prior, noise=0.0):
    b, D = weight @ Y, Y.shape[1]
    C = (weight[:, None] * (Y - b)).T @ (Y - b)
    np.fill_diagonal(C, np.maximum(np.diag(C) - noise, 0.1 * np.diag(C)))
    level = np.trace(C) / D
    chance = np.square(weight * np.square(Y - b).sum(1)).sum() - np.square(C).sum() * np.square(weight).sum()
    s = np.clip(doubt * chance / max(np.square(C - level * prior).sum(), 1e-9), nu / (len(Y) + nu), 1)
    return b, (1 - s) * C + s * (level + tau**2) * prior + tau**2 * np.eye(D)


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


def stationary_prior(patch=PATCH, n_planes=1):
    at = np.stack(np.divmod(np.arange(patch * patch), patch), 1)
    within = np.exp(-np.linalg.norm(at[:, None] - at[None], axis=2) / 6)
    return np.kron(np.full((n_planes, n_planes), 0.5) + 0.5 * np.eye(n_planes), within).astype(np.float32)


def group_of_patches(seed=0, n=64, D=D):
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


@pytest.mark.parametrize(("n", "D"), [(1, 64), (7, 64), (64, 64), (64, 49), (64, 75)])
@pytest.mark.parametrize(("noise", "doubt"), [(0.0, 0.0), (3.0, 0.6), (0.0, 100.0)])
def test_group_gaussian_is_the_shrunk_weighted_covariance(n, D, noise, doubt):
    Y, weight = group_of_patches(n=n, D=D)
    side = padded(D)
    b, S = np.empty(D, np.float32), np.empty((side, side), np.float32)
    prior = np.eye(D, dtype=np.float32) / 2 + np.float32(0.5)
    level = np.where(np.arange(D) % 3, noise**2, 0).astype(np.float32)
    group_gaussian(Y, weight, n, 3.0, 2.0, doubt, prior, level, np.zeros((64, side + LANES), np.float32), b, S)
    b_expected, S_expected = gaussian(Y.astype(float), weight.astype(float), 3.0, 2.0, doubt, prior, level)
    np.testing.assert_allclose(b, b_expected, atol=1e-3)
    np.testing.assert_allclose(S[:D, :D], S_expected, rtol=1e-4, atol=2e-2)


@pytest.mark.parametrize(("D", "n_lost"), [(64, n) for n in (1, 5, 31, 32, 33, 50, 63, 64)] + [(49, 20), (75, 50)])
def test_both_forms_give_the_conditional_mean_and_variance(D, n_lost):
    rng, r = np.random.default_rng(n_lost), 3
    Y, weight = group_of_patches(D=D)
    prior = np.exp(-np.abs(np.subtract.outer(np.arange(D), np.arange(D))) / 6)
    b, S = gaussian(Y.astype(float), weight.astype(float), 2.0, 2.0, 0.0, prior)
    lost = np.zeros(D, bool)
    lost[rng.permutation(D)[:n_lost]] = True
    expected = [fill(b, S, 1.0, y.astype(float), lost) for y in Y[:r]]

    b32, S32 = b.astype(np.float32), np.zeros((padded(D), padded(D)), np.float32)
    S32[:D, :D], Q = S, np.empty_like(S32)
    work, variance = np.zeros(work_size(D, r), np.float32), np.empty(D, np.float32)
    precision(S32, 1.0, D, work, Q)
    np.testing.assert_allclose(Q[:D, :D], np.linalg.inv(S + np.eye(D)), rtol=2e-3, atol=2e-4)
    known_at, lost_at = (
        np.resize(np.flatnonzero(part), D) if part.any() else np.zeros(D, int) for part in (~lost, lost)
    )
    for form, facts in (
        (fill_by_covariance, (S32, b32, 1.0, known_at, D - n_lost, lost_at, n_lost)),
        (fill_by_precision, (Q, b32, 1.0, lost_at, n_lost)),
    ):
        batch = np.where(lost, np.float32(1e6), Y[:r])  # what lost pixels held must not matter
        form(*facts, work, batch, r, variance)
        np.testing.assert_array_equal(batch[:, ~lost], Y[:r, ~lost])
        for y, (mean, spread) in zip(batch, expected, strict=True):
            np.testing.assert_allclose(y[lost], mean, rtol=1e-3, atol=0.05)
            np.testing.assert_allclose(variance[:n_lost], spread, rtol=1e-2, atol=0.05)


def test_known_pixels_that_are_asked_for_are_freed_from_noise():
    Y, weight = group_of_patches()
    b, S = gaussian(Y.astype(float), weight.astype(float), 2.0, 2.0, 0.0, stationary_prior())
    S32, noise = S.astype(np.float32), 5.0
    batch, variance, every = Y[:1].copy(), np.empty(D, np.float32), np.arange(D)
    fill_by_covariance(
        S32, b.astype(np.float32), noise, every, D, every, D, np.zeros(work_size(D, 1), np.float32), batch, 1, variance
    )
    gain = S @ np.linalg.inv(S + noise**2 * np.eye(D))
    np.testing.assert_allclose(batch[0], b + gain @ (Y[0] - b), rtol=1e-3, atol=0.05)
    np.testing.assert_allclose(variance, np.diag(S - gain @ S), rtol=1e-2, atol=0.05)


@pytest.mark.parametrize("share", [0.1, 0.8])
@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("pattern", ["random", "stripes"])
def test_a_stripe_sums_the_answers_of_its_groups(share, joint, pattern):
    rng = np.random.default_rng(1)
    shape, row, columns, radius, n_similar, n_answered, tau = (24, 30), 6, [2, 17], 6, 20, 5, 2.0
    patch = 5 if joint else PATCH
    ramp = np.add.outer(np.arange(24) * 3, np.arange(30) * 2) + 20 * np.sin(np.arange(30) / 2)
    x = np.stack([ramp, ramp[::-1] / 4]).astype(np.float32) + rng.normal(0, 1, (2, *shape)).astype(np.float32)
    lost = rng.random((2 if joint else 1, *shape)) < share
    if pattern == "stripes":  # patches of a group know the same positions
        lost[:, 1:] = lost[:, :1]
    confidence = np.where(lost, 0.3, 1).astype(np.float32)
    n_joint = 2 if joint else 1
    prior = stationary_prior(patch, n_joint)

    def cut(a, corner):
        return a[..., corner[0] : corner[0] + patch, corner[1] : corner[1] + patch].astype(float)

    def nearest(corner):
        planes = x if joint else x[:1]
        found = []
        for r in range(max(0, corner[0] - radius), min(shape[0] - patch, corner[0] + radius) + 1):
            for c in range(max(0, corner[1] - radius), min(shape[1] - patch, corner[1] + radius) + 1):
                weight = cut(confidence, corner) * cut(confidence, (r, c))
                square = (cut(planes, corner) - cut(planes, (r, c))) ** 2
                found.append(((weight * square).sum() / np.broadcast_to(weight, square.shape).sum(), (r, c)))
        return sorted(found)[:n_similar]

    expected = np.zeros((4, 2, *shape))
    for column in columns:
        group = nearest((row, column))
        share_of = np.exp(-np.array([d for d, _ in group]) / 1000)
        share_of /= share_of.sum()
        for planes in [[0, 1]] if joint else [[0], [1]]:
            Y = np.array([cut(x[planes], corner).ravel() for _, corner in group])
            known = sum(1 - cut(lost[planes if joint else [0]], corner).mean() for _, corner in group[:n_answered])
            b, S = gaussian(Y, share_of, tau, 2.0, 0.6 * n_answered / known, prior)
            for y, (_, (r, c)) in zip(Y[:n_answered], group, strict=False):
                gone = cut(lost, (r, c)).astype(bool)
                mean, variance = fill(b, S, 1.0, y, gone.ravel())
                v = 1 / np.maximum(variance, 1)
                for target, value in zip(expected, (v, v * mean, v * mean**2, v * variance), strict=True):
                    block = np.zeros(gone.shape)
                    block[gone] = value
                    target[planes, r : r + patch, c : c + patch] += block

    got = np.zeros((4, 2, row + radius + patch, 30), np.float32)
    moments = search_moments(x if joint else x[:1], confidence)
    fill_stripe(
        *(x, x, lost, moments, patch, n_joint, row, np.array(columns), radius, n_similar, n_answered),
        *(1000.0, tau, 2.0, 0.6, prior, 0.0, 1.0, False, got),
    )
    expected = expected[:, :, : row + radius + patch]
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-2, atol=0.2)
    np.testing.assert_allclose(got[2], expected[2], rtol=2e-2, atol=5)
    np.testing.assert_allclose(got[3], expected[3], rtol=1e-2, atol=0.05)
