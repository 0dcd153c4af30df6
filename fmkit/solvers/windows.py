"""Windows of a standard normal variable: probability, mean and variance, with all their digits in either tail."""

import math
from typing import Any

import numpy as np

from fmkit.draws import normal_cdf
from fmkit.kernels import kernel

FAR = -30.0  # from here on phi / Phi is a continued fraction of a few terms
NARROW = 1e-3  # of a window's width times its distance from 0: below, two differences of a cdf have lost digits
LOG_ROOT_TAU = 0.5 * math.log(2 * math.pi)
NODES, SHARES = (0.5 * a for a in np.polynomial.legendre.leggauss(20))  # of Gauss and Legendre, on [-1/2, 1/2]


@kernel(error_model="numpy")
def mills_ratio(x: float) -> float:
    """(1 - Phi(x)) / phi(x) for x >= -FAR, by Laplace's continued fraction."""
    tail: float = x
    for i in range(8, 0, -1):
        tail = x + i / tail
    return 1.0 / tail


@kernel(error_model="numpy")
def window(a: float, b: float) -> Any:
    """log P, phi(a) / P and phi(b) / P of P = Phi(b) - Phi(a), a <= b, with the digits of either tail."""
    mirrored = a + b > 0.0  # the lower tail has probabilities of full precision
    if mirrored:
        a, b = -b, -a
    width, middle = b - a, 0.5 * (a + b)
    if width * (1.0 + abs(middle)) < NARROW:
        rise = 1.0 + (middle * middle - 1.0) * width * width / 24.0
        log_p = -0.5 * middle * middle - LOG_ROOT_TAU + math.log(width * rise)
        g_a = math.exp(0.25 * width * (middle + a)) / (width * rise)
        g_b = math.exp(-0.25 * width * (middle + b)) / (width * rise)
    elif b > FAR:
        p = normal_cdf(b) - (normal_cdf(a) if a > -40.0 else 0.0)
        scale = 1.0 / (p * math.sqrt(2 * math.pi))
        log_p = math.log(p)
        g_a, g_b = (math.exp(-0.5 * a * a) if a > -40.0 else 0.0) * scale, math.exp(-0.5 * b * b) * scale
    else:
        ratio = math.exp(0.5 * width * (a + b)) if a > -math.inf else 0.0
        p = mills_ratio(-b) - (ratio * mills_ratio(-a) if ratio > 0.0 else 0.0)
        log_p = -0.5 * b * b - LOG_ROOT_TAU + math.log(p)
        g_a, g_b = ratio / p, 1.0 / p
    return (log_p, g_b, g_a) if mirrored else (log_p, g_a, g_b)


@kernel(error_model="numpy")
def window_mean(a: float, b: float) -> float:
    """Mean of a standard normal variable given a <= z <= b."""
    width, middle = b - a, 0.5 * (a + b)
    if width * (1.0 + abs(middle)) < NARROW:
        return middle - middle * width * width / 12.0
    _, g_a, g_b = window(a, b)
    mean: float = g_a - g_b
    return max(a, min(mean, b))


@kernel(error_model="numpy")
def window_variance(a: float, b: float) -> float:
    """Variance of a standard normal variable given a <= z <= b.

    The closed form where it keeps its digits. Else, for windows that are narrow or far from 0, sums by the rule of
    Gauss and Legendre, as far as the density falls by e^-40.
    """
    if a + b > 0.0:
        a, b = -b, -a
    if b > FAR and (b - a) * max(1.0, -b) > 8.0:
        _, g_a, g_b = window(a, b)
        mean: float = g_a - g_b
        return 1.0 + (a * g_a if g_a > 0.0 else 0.0) - (b * g_b if g_b > 0.0 else 0.0) - mean * mean
    width, below = b - a, max(-b, 0.0)
    if b < 0.0:
        width = min(width, 80.0 / (math.sqrt(b * b + 80.0) + below))
    total, first, second = 0.0, 0.0, 0.0
    for node, share in zip(NODES, SHARES):  # noqa: B905 (numba knows no strict)
        t = width * (0.5 + node)
        density = share * math.exp(t * (b - 0.5 * t))
        total += density
        first += density * t
        second += density * t * t
    first /= total
    return second / total - first * first
