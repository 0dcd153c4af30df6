"""Row kernels of a (cumulative) probit: latent variables between two cutpoints, sums by class, probabilities."""

import math
from typing import Any

import numpy as np

from fmkit.draws import draw_truncated_normal, normal_cdf
from fmkit.kernels import kernel
from fmkit.solvers.windows import window, window_mean, window_variance


@kernel(error_model="numpy")
def bounds_of(code: Any, cuts: Any, f: float, tau: float) -> Any:
    """A row's window in standard deviations from f, and their number a unit; an erratic row's tau may round to 0."""
    root = math.sqrt(max(tau, 1e-30))
    return (cuts[code] - f) * root, (cuts[code + 1] - f) * root, root


@kernel(error_model="numpy")
def fill_latents(
    begin: int,
    end: int,
    codes: Any,
    cuts: Any,
    f: Any,
    tau: Any,
    weights: Any,
    drawn: bool,
    key: Any,
    stream: Any,
    sweep: Any,
    target: Any,
) -> None:
    """Latent variables of the rows begin:end, y* ~ N(f, 1 / tau) given cuts[code] < y* < cuts[code + 1].

    Parameters
    ----------
    codes : int32 array of shape (n_rows,)
    cuts : float64 array of shape (n_classes + 1,)
        From -infinity to infinity.
    f : float32 array of shape (n_rows,)
    tau, weights : float32 arrays of shape (n_rows,) or (0,)
    drawn : bool
        Draws, or expectations.
    key, stream, sweep : uint64, uint32, uint32
    target : float32 array of shape (n_rows,)
        The result. A row of weight w gets a value with the mean and variance of an average of w latent variables.
    """
    for r in range(begin, end):
        a, b, root = bounds_of(codes[r], cuts, f[r], tau[r] if len(tau) else 1.0)
        z: float = 0.0
        if drawn:
            z = draw_truncated_normal(key, stream, sweep, np.uint32(r), a, b)
        if not drawn or (len(weights) and weights[r] != 1):
            mean: float = window_mean(a, b)
            spread = 1.0 / math.sqrt(weights[r]) if drawn and weights[r] > 0 else 0.0
            z = mean + (z - mean) * spread
        target[r] = f[r] + z / root


@kernel(error_model="numpy")
def fill_latent_variances(begin: int, end: int, codes: Any, cuts: Any, f: Any, tau: Any, out: Any) -> None:
    """Variances of the latent variables of `fill_latents`."""
    for r in range(begin, end):
        a, b, root = bounds_of(codes[r], cuts, f[r], tau[r] if len(tau) else 1.0)
        out[r] = window_variance(a, b) / (root * root)


@kernel(error_model="numpy")
def sum_classes(begin: int, end: int, codes: Any, cuts: Any, f: Any, tau: Any, weights: Any, variance: Any) -> Any:
    """Sums over the rows begin:end of each class: the log likelihood and its derivatives.

    Parameters
    ----------
    codes, cuts, f, tau, weights
        See `fill_latents`.
    variance : float32 array of shape (n_rows,) or (0,)
        Of f.

    Returns
    -------
    float64 array of shape (n_classes, 6)
        L = sum w (log P - tau variance / 2); its slopes by the lower cutpoint (negated) and the upper one; its
        curvatures (negated) by the lower one, by the upper one, and by both (not negated).
    """
    sums = np.zeros((len(cuts) - 1, 6))
    for r in range(begin, end):
        code = codes[r]
        precision = tau[r] if len(tau) else np.float32(1)
        a, b, root = bounds_of(code, cuts, f[r], precision)
        weight: float = weights[r] if len(weights) else 1.0
        log_p, g_a, g_b = window(a, b)
        if len(variance):
            log_p -= 0.5 * precision * variance[r]
        slope = weight * root
        curve = slope * root
        sums[code, 0] += weight * log_p
        sums[code, 1] += slope * g_a
        sums[code, 2] += slope * g_b
        if g_a > 0.0:
            sums[code, 3] += curve * g_a * (g_a - a)
        if g_b > 0.0:
            sums[code, 4] += curve * g_b * (g_b + b)
        sums[code, 5] += curve * g_a * g_b
    return sums


@kernel(error_model="numpy")
def fill_probabilities(begin: int, end: int, cuts: Any, f: Any, variance: Any, tau: Any, out: Any) -> None:
    """Probabilities (n_rows, n_classes) of the classes, from both tails so that small ones keep their digits."""
    for r in range(begin, end):
        scale = _scale(r, variance, tau)
        below, above = 0.0, 1.0
        for k in range(len(cuts) - 1):
            z = (cuts[k + 1] - f[r]) * scale
            below_next, above_next = normal_cdf(z), normal_cdf(-z)
            out[r, k] = below_next - below if z < 0.0 else above - above_next
            below, above = below_next, above_next


@kernel(error_model="numpy")
def fill_class_moments(
    begin: int, end: int, cuts: Any, values: Any, f: Any, variance: Any, tau: Any, mean: Any, spread: Any
) -> None:
    """Mean and variance (n_rows,) of `values` (n_classes,), float64, a class, under the classes' probabilities."""
    n = len(values)
    for r in range(begin, end):
        scale = _scale(r, variance, tau)
        first: float = 0.0
        second: float = 0.0
        for k in range(n - 1):
            p = normal_cdf((cuts[k + 1] - f[r]) * scale)
            low, high = values[k] - values[n - 1], values[k + 1] - values[n - 1]
            first += p * (low - high)
            second += p * (low - high) * (low + high)
        mean[r], spread[r] = values[n - 1] + first, max(second - first * first, 0.0)


@kernel(error_model="numpy")
def _scale(r: int, variance: Any, tau: Any) -> float:
    square = 1.0 / max(tau[r], np.float32(1e-30)) if len(tau) else 1.0
    return 1.0 / math.sqrt(square + (variance[r] if len(variance) else 0.0))
