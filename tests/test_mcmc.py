"""Whether chains draw from the posterior: against closed forms, and by the joint distribution of model and data."""

import numpy as np
import pytest
from scipy import stats

from fmkit.design import Design, RelationBlock
from fmkit.machine import FactorizationMachine
from fmkit.solvers import mcmc, noise
from fmkit.solvers.mcmc import Chain
from fmkit.solvers.noise import SHAPES, SPAN, USUAL, NoiseLevels
from fmkit.solvers.sides import Prior, Sides

BIAS = 0.5


def pair_of_blocks(rng, n=8):
    """Users with an id and a value, and items with ids: nothing is kept a row."""
    users = RelationBlock(np.c_[np.eye(3), [0.5, -1, 2]], rng.integers(0, 3, n), fields=[0, 0, 0, 1])
    return Design.from_blocks([users, RelationBlock(np.eye(2), rng.integers(0, 2, n))])


def fields_and_block(rng, n=8):
    """A field with gaps, one without, values in a block: predictions are kept a row."""
    fields = Design.from_codes([rng.integers(-1, 2, n), np.r_[0, 1, rng.integers(0, 2, n - 2)]])
    block = RelationBlock([[1, 0.5, 0], [0, -1, 1]], rng.integers(0, 2, n), fields=[0, 1, 1])
    return Design.from_blocks([block], fields)


def hierarchical_block(rng, n=8):
    """Users whose value and set tell where their vectors are, and items."""
    table = np.c_[np.eye(3), [0.5, -1, 2], [[1, 1], [0, 0.5], [1, 0]]]
    users = RelationBlock(table, rng.integers(0, 3, n), fields=[0, 0, 0, 1, 2, 2], hierarchical=True)
    return Design.from_blocks([users], Design.from_codes([np.r_[0, 1, rng.integers(0, 2, n - 2)]]))


DESIGNS = [pair_of_blocks, fields_and_block, hierarchical_block]


class Joint:
    """The joint distribution of parameters and targets: draws from the prior, and a chain whose targets can change."""

    def __init__(self, design, k, seed):
        self.rng = np.random.default_rng(seed)
        machine = FactorizationMachine(
            BIAS, np.zeros(design.n_features, np.float32), np.zeros((design.n_features, k), np.float32)
        )
        y = np.zeros(design.n_rows, np.float32)
        sides = Sides(design, machine, y, None, 1, changing=True)
        chosen = [s for s in range(len(sides.sides)) if sides.sides[s].own]
        self.chain = Chain(design, y, None, machine, noise_fields=chosen, burn_in=1, n_sweeps=1, keep_draws=0,
                           seed=seed + 1, n_threads=1)  # fmt: skip
        self.design = self.chain.hierarchies.design  # columns that stand for rows, where a block is hierarchical
        if self.design is not design:
            sides = Sides(self.design, machine, y, None, 1, changing=True)
        self.chain.sides = self.chain.noise.sides = sides
        sides.move_bias = lambda shift: None  # a flat prior cannot be drawn from
        self.groups = sides.groups

    def draw_parameters(self, shape=None):
        """From the prior, noise shapes being given or drawn, too."""
        rng, chain = self.rng, self.chain
        machine, levels = chain.sides.machine, chain.noise
        k = machine.n_factors
        self.priors = []
        for g in range(self.groups.max() + 1):
            precision = rng.gamma(mcmc.A0, 1 / mcmc.C0, k + 1)
            centre = rng.standard_normal(k + 1) / np.sqrt(mcmc.BETA0 * precision)
            columns = np.flatnonzero(self.groups == g)
            theta = centre + rng.standard_normal((len(columns), k + 1)) / np.sqrt(precision)
            machine.factors[columns], machine.linear[columns] = theta[:, :k], theta[:, k]
            self.priors.append(Prior(precision.astype(np.float32), centre.astype(np.float32)))
        for hierarchy in chain.hierarchies.of_side.values():
            hierarchy.tell(machine)
            machine.factors[hierarchy.own] += hierarchy.told[:, :-1]
            machine.linear[hierarchy.own] += hierarchy.told[:, -1]
        chain._priors = list(self.priors)
        levels.common = rng.gamma(noise.PRIOR) / noise.PRIOR
        for s in levels.levels:
            c = levels.shapes[s] = shape or 0.0
            while not SHAPES[0] <= c <= SHAPES[-1]:
                c = levels.shapes[s] = float(np.exp(USUAL + SPAN * rng.standard_normal()))
            tau = rng.gamma(c, 1 / c, len(levels.levels[s]))
            levels.levels[s] = np.maximum(tau, 1e-6).astype(np.float32)
        self._refresh()

    def draw_targets(self):
        """Given the parameters."""
        n = self.design.n_rows
        precision = np.full(n, self.chain.noise.common)
        for s, tau in self.chain.noise.levels.items():
            precision = precision * tau[self.chain.sides.sides[s].codes]
        f = self.chain.sides.machine.predict(self.design)
        self.set_targets((f + self.rng.standard_normal(n) / np.sqrt(precision)).astype(np.float32))

    def set_targets(self, y):
        self.y = y
        self.chain.sides.set_targets(y, np.ones(len(y), np.float32))

    def sweep(self):
        self.chain.sweep += 1
        self.chain._step()

    def statistics(self):
        """Functions of parameters and targets, tame ones: the prior has heavy tails."""
        machine, levels = self.chain.sides.machine, self.chain.noise
        priors = self.chain._priors
        told = [machine.linear[0], machine.linear[-1], machine.linear[0] * machine.linear[1]]
        told += [machine.linear[-1] ** 2, machine.factors[0, 0] * machine.factors[-1, 0], machine.factors[1, 0] ** 2]
        told += [self.y[0], self.y[-1], self.y[0] * machine.linear[0]]
        told = [np.arctan(value) for value in told]
        told += [np.log(levels.common), np.log(priors[0].precision[-1]), np.log(priors[-1].precision[0])]
        told += [np.arctan(priors[0].centre[0])]
        for s, tau in levels.levels.items():
            told += [np.log(levels.shapes[s]), np.arctan(np.log(tau[0]))]
        return np.array(told, float)

    def _refresh(self):
        """Let what is kept beside the parameters follow them."""
        sides, machine = self.chain.sides, self.chain.sides.machine
        fresh = Sides(self.design, machine, sides.y, sides.weights, 1, changing=True)
        for side, other in zip(sides.sides, fresh.sides, strict=True):
            if side.table:
                side.table.q, side.table.c = other.table.q, other.table.c
        if not sides.pair:
            sides.f, sides.Q = fresh.f, fresh.Q
        self.chain.noise._rows = None


@pytest.fixture
def tame_priors(monkeypatch):
    """Priors with moments: those of the solver have such tails that chains of targets and parameters hardly return."""
    monkeypatch.setattr(mcmc, "A0", 3.0)
    monkeypatch.setattr(mcmc, "C0", 3.0)
    monkeypatch.setattr(mcmc, "BETA0", 2.0)
    monkeypatch.setattr(noise, "PRIOR", 3.0)


def plant(monkeypatch):
    """Half the noise in the draws of columns."""
    scale, of_rows = NoiseLevels.scale, NoiseLevels.of_rows
    monkeypatch.setattr(NoiseLevels, "scale", lambda self, s: (4 if self.sides.pair else 1) * scale(self, s))
    monkeypatch.setattr(NoiseLevels, "level", lambda self, s, level=NoiseLevels.level: (
        level(self, s) if self.sides.pair else 4 * of_rows(self)))  # fmt: skip


def geweke(make, sweeps, seed=3):
    """z-scores between draws from the prior and from a chain that draws parameters and targets by turns.

    Geweke, "Getting it right: joint distribution tests of posterior simulators", JASA 2004.
    """
    joint = Joint(make(np.random.default_rng(seed)), 1, seed)
    independent = []
    for _ in range(2000):
        joint.draw_parameters()
        joint.draw_targets()
        independent.append(joint.statistics())
    successive = []
    for _ in range(sweeps):
        joint.sweep()
        joint.draw_targets()
        successive.append(joint.statistics())
    independent = np.array(independent)
    batches = np.array(successive).reshape(40, -1, independent.shape[1]).mean(axis=1)
    error = np.sqrt(independent.var(axis=0) / len(independent) + batches.var(axis=0, ddof=1) / len(batches))
    return (batches.mean(axis=0) - independent.mean(axis=0)) / error


@pytest.mark.parametrize("make", DESIGNS)
def test_draws_of_the_joint_distribution_agree(make, tame_priors):
    z = geweke(make, 12000)
    assert np.abs(z).max() < 4, z


@pytest.mark.parametrize("make", DESIGNS)
def test_a_wrong_draw_shows_in_the_joint_distribution(make, tame_priors, monkeypatch):
    plant(monkeypatch)
    z = geweke(make, 4000)
    assert np.abs(z).max() > 6, z


def calibration(make, monkeypatch, replicas=200, draws=7, thin=8, burn_in=20):
    """p-values of uniform ranks of true values among posterior draws, noise shapes being known.

    Talts, Betancourt, Simpson, Vehtari, Gelman, "Validating Bayesian inference algorithms with simulation-based
    calibration", 2018.
    """
    monkeypatch.setattr(noise, "_draw_shape", lambda shape, *_: shape)  # a slow walk, which the test above covers
    joint = Joint(make(np.random.default_rng(5), 12), 1, 5)
    ranks = []
    for _ in range(replicas):
        joint.draw_parameters(shape=4.0)
        joint.draw_targets()
        truth, y = joint.statistics(), joint.y
        joint.draw_parameters(shape=4.0)  # the chain starts elsewhere
        joint.set_targets(y)
        rank = np.zeros(len(truth))
        for sweep in range(burn_in + draws * thin):
            joint.sweep()
            if sweep >= burn_in and (sweep - burn_in) % thin == thin - 1:
                rank += joint.statistics() < truth
        ranks.append(rank)
    moving = np.ptp(ranks, axis=0) > 0  # targets and shapes are given, they have no rank
    counts = [np.bincount(column.astype(int), minlength=draws + 1) for column in np.array(ranks).T[moving]]
    assert len(counts) >= 11
    return stats.chisquare(counts, axis=1).pvalue


@pytest.mark.parametrize("make", DESIGNS)
def test_true_values_have_uniform_ranks_among_draws(make, tame_priors, monkeypatch):
    more = {"replicas": 120}
    if make is hierarchical_block:  # rows and what tells of them go by turns: its chain is slow
        more = {"thin": 40, "burn_in": 100, "replicas": 60}
    p = calibration(make, monkeypatch, **more)
    assert p.min() > 0.05 / len(p) / 5, p


def test_a_wrong_draw_shows_in_the_ranks(tame_priors, monkeypatch):
    plant(monkeypatch)
    assert calibration(pair_of_blocks, monkeypatch).min() < 1e-6


def test_without_factors_it_is_bayesian_linear_regression():
    """Means and covariances of the weights with all else fixed, in closed form."""
    rng = np.random.default_rng(0)
    table = RelationBlock(np.c_[np.eye(3), rng.standard_normal((3, 1))], rng.integers(0, 3, 40))
    design = Design.from_blocks([table], np.c_[np.eye(2)[rng.integers(0, 2, 40)], rng.standard_normal((40, 2))])
    X, p = design.to_csr().toarray().astype(float), design.n_features
    y = (X @ rng.standard_normal(p) + rng.standard_normal(40)).astype(np.float32)
    weights = rng.integers(1, 4, 40).astype(np.float32)
    machine = FactorizationMachine(BIAS, np.zeros(p, np.float32), np.zeros((p, 0), np.float32))
    sides = Sides(design, machine, y, weights, 1)
    levels = NoiseLevels(sides, [], weights)
    levels.common = 2.0
    priors = [Prior(np.float32([1 + g]), np.float32([0.5 * g])) for g in range(sides.groups.max() + 1)]
    draws = []
    for sweep in range(1, 12001):
        draw = np.uint64(3), np.uint32(1), np.uint32(sweep)
        for s in range(len(sides.sides)):
            sides.solve(s, priors, scale=levels.scale(s), level=levels.level(s), draw=draw)
        draws.append(machine.linear.copy())
    draws = np.array(draws[100:], float)
    precision, centre = 1.0 + sides.groups, 0.5 * sides.groups
    S = 2 * X.T @ (weights[:, None] * X) + np.diag(precision)
    mean = np.linalg.solve(S, 2 * X.T @ (weights * (y - BIAS)) + precision * centre)
    covariance = np.linalg.inv(S)
    deviations = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.15 * deviations.max())
    scaled = (np.cov(draws.T) - covariance) / np.outer(deviations, deviations)
    assert np.abs(scaled).max() < 0.15


@pytest.mark.parametrize("make", DESIGNS)
def test_a_row_of_weight_two_is_two_rows(make):
    """The same draws, since the sums are the same."""
    rng = np.random.default_rng(1)
    design = make(rng, 12)
    repeats = rng.integers(1, 3, 12)
    rows = np.repeat(np.arange(12), repeats)
    blocks = [RelationBlock(b.table, b.codes[rows], hierarchical=b.hierarchical) for b in design.blocks]
    flat = design.to_csr().toarray()[rows][:, : design.n_features - sum(b.table.n_features for b in blocks)]
    twice = Design.from_blocks(
        blocks, flat if flat.shape[1] else None, [0, 0, 1, 1][: flat.shape[1]] if flat.shape[1] else None
    )
    y = rng.standard_normal(12).astype(np.float32)
    factors = 0.3 * rng.standard_normal((design.n_features, 2)).astype(np.float32)
    chains = []
    for d, targets, weights in ((design, y, repeats.astype(np.float32)), (twice, y[rows], None)):
        machine = FactorizationMachine(BIAS, np.zeros(d.n_features, np.float32), factors.copy())
        chain = Chain(d, targets, weights, machine, noise_fields=[1], burn_in=1, n_sweeps=1, keep_draws=0, seed=4,
                      n_threads=1)  # fmt: skip
        for _ in range(5):
            chain.sweep += 1
            chain._step()
        chains.append(chain)
    one, other = chains
    assert one.noise.common == pytest.approx(other.noise.common, rel=1e-2)
    assert one.sides.machine.bias == pytest.approx(other.sides.machine.bias, rel=1e-2)
    np.testing.assert_allclose(one.noise.levels[1], other.noise.levels[1], rtol=1e-2)
    np.testing.assert_allclose(one.sides.machine.factors, other.sides.machine.factors, atol=1e-2)
    np.testing.assert_allclose(one.sides.machine.linear, other.sides.machine.linear, atol=1e-2)
