"""Schedules: the learning rate as a share of its highest, by the share of the training that is done.

A share of the training, and not a number of steps, so that a schedule comes to its end also where the training is given
by time.
"""

from collections.abc import Callable
from math import cos, pi

WARM_UP = 0.2  # share of the training in which "onecycle" rises


def onecycle(done: float) -> float:
    """Up from 1/25 to 1 and down to nearly nothing, both along a cosine (L. Smith, "Super-convergence", 2018)."""
    if done < WARM_UP:
        return 1 - 0.96 * (1 + cos(pi * done / WARM_UP)) / 2
    return cosine((done - WARM_UP) / (1 - WARM_UP))


def cosine(done: float) -> float:
    """Down from 1 to nearly nothing (I. Loshchilov and F. Hutter, "SGDR", ICLR 2017)."""
    return max(1e-4, (1 + cos(pi * min(done, 1.0))) / 2)


def constant(done: float) -> float:
    """Always 1."""
    return 1.0


def step(done: float) -> float:
    """A tenth after half of the training, a hundredth after three quarters (K. He et al., CVPR 2016)."""
    return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01


SCHEDULES: dict[str, Callable[[float], float]] = {
    "onecycle": onecycle,
    "cosine": cosine,
    "constant": constant,
    "step": step,
}
