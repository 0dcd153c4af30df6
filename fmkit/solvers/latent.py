"""What stands between a likelihood and a solver of Gaussian rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fmkit.solvers.columns import NONE
from fmkit.solvers.likelihood import Draw, Likelihood
from fmkit.solvers.noise import NoiseLevels, many_rows
from fmkit.solvers.ordinal import LOG_GAP, Ordinal
from fmkit.solvers.sides import Sides

SCALE_STEP = 0.7  # of the log scale, times about its standard deviation
MANY = 5  # rows a level, on average, from which on its noise can be told


class LatentRows:
    """The rows of a likelihood, made Gaussian anew each sweep: with targets and weights that it makes up.

    Parameters
    ----------
    sides : Sides
    noise : NoiseLevels
    likelihood : Likelihood

    Attributes
    ----------
    f : ndarray of shape (n_rows,), float32, or None
        Predictions of the present machine; None where they are to be made anew.
    given_others : bool
        Whether the likelihood is given other machines, which change between two sweeps (`fmkit.solvers.classes`).
    tried, taken : int
        Moves of the scale.
    """

    def __init__(self, sides: Sides, noise: NoiseLevels, likelihood: Likelihood) -> None:
        self.sides, self.noise, self.likelihood = sides, noise, likelihood
        self.f: NDArray[np.float32] | None = None
        self._made: tuple[NDArray[np.float32], ...] = (NONE, NONE, NONE)
        self.given_others = False
        self.tried = self.taken = 0

    def augment(self, draw: Draw | None, variance: NDArray[np.float32] = NONE) -> None:
        """Renew targets and weights at the present machine; with a draw's key, sweep and generator, or in expectation.

        Parameters
        ----------
        draw : tuple, or None
        variance : ndarray of shape (n_rows,) or (0,), float32
            Of the predictions.
        """
        f = self.sides.predict() if self.f is None else self.f
        tau, given = self.noise.levels_of_rows(), self.noise.sample_weights
        target, omega = self.likelihood.augment(f, tau, draw, variance)
        unseen = NONE
        if self.noise.levels and (draw is None or given is not None):
            times = omega if draw is None else omega - 1  # a draw has the spread of an average of `omega` variables
            assert isinstance(self.likelihood, Ordinal)  # no other has rows with a noise
            unseen = times * self.likelihood.latent_variance(f, tau)
        self._made = target, omega, unseen
        self.resume()

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Targets, weights and unseen squares as they are, for a checkpoint between `augment` and a sweep."""
        return dict(zip(("targets", "omega", "unseen"), self._made, strict=True))

    def resume(self) -> None:
        """Let sides and noise have what `arrays` holds."""
        target, omega, unseen = self._made
        self.sides.set_targets(target, omega)
        self.noise.set_rows(omega, unseen)

    def rescale(self, prior: Callable[[float], float], rng: np.random.Generator) -> None:
        """Multiply predictions and cutpoints by a common factor: Metropolis, latents and priors integrated out.

        Given the latent variables, the scale of it all creeps (Liu and Sabatti, "Generalised Gibbs sampler and
        multigrid Monte Carlo for Bayesian computation", Biometrika 2000). Weights take the factor, and factors its
        root. So do the noises of a side's levels, the side whose prior ties them the least: then no row becomes more or
        less likely, and the factor is further from 1. On MovieLens latest-small the autocorrelation of the distance
        between the outer cutpoints is .24 after five sweeps, not .95.

        Parameters
        ----------
        prior : callable
            Log ratio of the prior densities, volumes included, of the machine times e^step and of itself, by the step.
        rng : Generator
        """
        noise, likelihood = self.noise, self.likelihood
        ties = {s: noise.shapes[s] * len(tau) for s, tau in noise.levels.items()}
        if ties:
            s = min(ties, key=lambda s: ties[s])
            step = SCALE_STEP / math.sqrt(ties[s]) * float(rng.standard_t(4))
            chance = -2 * step * ties[s] - math.expm1(-2 * step) * noise.shapes[s] * float(noise.levels[s].sum())
        else:
            s, step = -1, 2 * SCALE_STEP / math.sqrt(likelihood.total + 1) * float(rng.standard_t(4))
            f = self.sides.predict() if self.f is None else self.f
            chance = -likelihood.log_likelihood(f)
        coin, before = rng.random(), likelihood.log_prior()
        chance += prior(step)
        likelihood.log_gaps += step
        chance += likelihood.log_prior() - before
        if not ties:
            chance += likelihood.log_likelihood(f * np.float32(math.exp(step)))
        self.tried += 1
        if not (math.log(coin) < chance and np.abs(likelihood.log_gaps).max(initial=0) < LOG_GAP):
            likelihood.log_gaps -= step
            return
        self.taken += 1
        if ties:
            noise.set_levels(s, noise.levels[s] * np.float32(math.exp(-2 * step)))
        times = np.float32(math.exp(step))
        self.sides.scale(times)
        self.f = self.f * times if self.sides.pair and self.f is not None else None

    def bound(self, variance: NDArray[np.float32]) -> float:
        """What rows and noise add to the bound of the log evidence after `augment` in expectation.

        Parameters
        ----------
        variance : ndarray of shape (n_rows,), float32
            Of the predictions.
        """
        likelihood, tau = self.likelihood, self.noise.levels_of_rows()
        f = self.sides.predict() if self.f is None else self.f
        return likelihood.log_likelihood(f, tau, variance) + likelihood.log_prior() + self.noise.levels_bound()

    def loss(self) -> float:
        """Mean log loss of the present machine."""
        self.f = self.sides.predict()
        return -self.likelihood.log_likelihood(self.f, self.noise.levels_of_rows()) / self.likelihood.total


def noise_levels(
    sides: Sides, chosen: Sequence[int] | None, weights: NDArray[np.float32] | None, likelihood: Likelihood | None
) -> NoiseLevels:
    """The noise of the chosen sides' levels, or of those with many rows a level, under a likelihood or a Gaussian."""
    if likelihood is not None and not likelihood.has_noise:
        if chosen:
            raise ValueError("noise_fields are for a likelihood with a noise: take likelihood='probit', or leave them")
        chosen = []
    elif likelihood is not None and chosen is None and not likelihood.tells_noise:
        chosen = []
    chosen = many_rows(sides, MANY) if chosen is None else chosen
    return NoiseLevels(sides, chosen, weights, fixed=likelihood is not None)
