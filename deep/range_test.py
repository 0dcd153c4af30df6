"""learning_rate="auto": the range test."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

import numpy as np
from torch import Tensor

from .losses import Loss
from .optimizers import LEARNING_RATES
from .training import Examples, Net, Training, TrainingSettings

N_STEPS = 100
BELOW = 10.0  # how far the rate stays under that of the lowest loss, which is about to rise
RISEN = 3.0  # times the lowest loss, from which on nothing is to be learned


def range_test(
    net: Net, examples: Examples, rows: Tensor, loss: Loss, settings: TrainingSettings, rng: np.random.Generator
) -> float:
    """A learning rate for a schedule's highest: a tenth of that at which a rising rate has the lowest loss.

    A copy of the net takes 100 steps, each on a batch of its own, at rates that rise by equal factors from a
    ten-thousandth of the optimizer's usual rate to a hundred times it; the loss is smoothed, and the test ends where it
    is three times its lowest.

    References
    ----------
    L. Smith, "Cyclical learning rates for training neural networks", WACV 2017.
    """
    trial = Training(net.copy(), loss, replace(settings, ema=0.0, compile=False), rng)
    trial.net.train()
    rates = LEARNING_RATES[settings.optimizer.name] * np.geomspace(1e-4, 1e2, N_STEPS)
    mean = lowest = best = 0.0
    for n, rate in enumerate(rates, 1):
        batch = rows[rng.choice(len(rows), min(settings.batch_size, len(rows)), replace=False)]
        trial.optimizer.rate = rate
        mean = 0.9 * mean + 0.1 * float(trial.step(examples, batch))
        smoothed = mean / (1 - 0.9**n)
        if not isfinite(smoothed) or (n > 1 and smoothed > RISEN * lowest):
            break
        if n == 1 or smoothed < lowest:
            lowest, best = smoothed, rate
    return float(best / BELOW)
