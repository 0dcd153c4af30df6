import numpy as np
import pytest

from fmkit import FMRegressor, load, save
from fmkit.solvers.diagnostics import bulk_size, diagnose_bound, diagnose_chain, split_r_hat
from tests.problems import problem


def autoregressive(correlation, n_chains, n_draws, seed=0):
    """Chains in their stationary state, of unit variance; a draw is worth (1 - c) / (1 + c) independent ones."""
    z = np.random.default_rng(seed).standard_normal((n_draws, n_chains))
    z[1:] *= np.sqrt(1 - correlation**2)
    for t in range(1, n_draws):
        z[t] += correlation * z[t - 1]
    return z.T


T = np.arange(60)
CHAINS = {
    "one": np.sin(0.7 * T**2) + 0.02 * T,
    "two": np.stack([np.sin(0.7 * T**2) + 0.02 * T, np.cos(1.3 * T) * np.exp(np.sin(T**2))]),
    "odd": np.stack([np.sin(0.3 * T**2), 2 * np.sin(0.9 * T**2), np.cos(0.2 * T)])[:, :51],
}


@pytest.mark.parametrize(
    ("name", "size", "r_hat"),
    [
        ("one", 14.58877560953554, None),
        ("two", 79.68989556176383, 1.0777209098158718),
        ("odd", 67.29651890025248, 1.1828081218425774),
    ],
)
def test_the_figures_are_those_of_arviz(name, size, r_hat):
    """ArviZ 0.23.4, `ess(method="bulk")` and `rhat(method="rank")`, which wants two chains."""
    assert bulk_size(CHAINS[name]) == pytest.approx(size, rel=1e-9)
    if r_hat is not None:
        assert split_r_hat(CHAINS[name]) == pytest.approx(r_hat, rel=1e-9)


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.6, 0.9])
def test_sizes_of_chains_whose_size_is_known(correlation):
    sizes = [bulk_size(x) for x in autoregressive(correlation, 40, 4000)]
    assert np.mean(sizes) == pytest.approx(4000 * (1 - correlation) / (1 + correlation), rel=0.08)


def test_r_hat_of_settled_chains_is_small_and_of_drifting_ones_large():
    chains = autoregressive(0.5, 20, 2000)
    settled = [split_r_hat(x) for x in chains]
    assert max(settled) < 1.02
    assert min(split_r_hat(x + np.linspace(0, 3, 2000)) for x in chains) > 1.2
    wider = np.linspace(0.2, 3, 2000)  # the same mean, but another spread: seen by the distances from the median
    assert min(split_r_hat(x * wider) for x in chains) > 1.1
    assert split_r_hat(np.exp(5 * chains[0])) < 1.02  # by ranks, heavy tails do no harm


def test_a_constant_is_settled_and_few_draws_tell_nothing():
    assert split_r_hat(np.ones(10)) == 1
    assert bulk_size(np.ones(10)) == 10
    assert np.isnan(split_r_hat([1, 2, 3]))
    assert np.isnan(bulk_size([1, 2, 3]))
    assert split_r_hat([1, 1, 1, 2, 2, 2]) == np.inf


def trace(correlation, n):
    loss, noise = autoregressive(correlation, 2, n)
    return [{"loss": float(a), "noise": float(b)} for a, b in zip(loss, noise, strict=True)]


def test_a_long_chain_is_told_to_be_long_enough():
    told = diagnose_chain([{"loss": 99.0, "noise": -99.0}] * 50 + trace(0.3, 1000), 50)
    assert told.settled
    assert [row.name for row in told.rows] == ["loss", "noise"]
    assert all(row.size > 300 and row.r_hat < 1.02 and abs(row.mean) < 0.2 for row in told.rows)
    assert str(told).startswith("the chain is long enough: its halves agree (R-hat is 1.0")


@pytest.mark.parametrize(
    ("burn_in", "planned", "share", "mend"),
    [
        (50, 250, None, "ask for max_iter=850"),  # 4 times 200 draws and the burn-in
        (50, 250, 0.2, "ask for max_iter=1000"),
        (50, 500, 0.2, "let it go on, it was ended after 250 of 500 sweeps"),
    ],
)
def test_a_short_chain_is_told_what_to_ask_for(burn_in, planned, share, mend):
    told = diagnose_chain(trace(0.99, 250), burn_in, planned, share)
    assert not told.settled
    assert str(told).startswith("the chain is too short: R-hat of the ")
    assert "above 1.05, and the 200 draws of the " in str(told)
    assert "independent ones, not 100; " in str(told)
    assert str(told).endswith(mend)


def test_a_chain_that_ended_in_its_burn_in_has_no_figures():
    told = diagnose_chain(trace(0.5, 20), 50)
    assert not told.settled
    assert not told.rows
    assert str(told) == (
        "the chain is too short: 0 sweeps after a burn-in of 50 tell nothing of it; ask for max_iter=250"
    )


def test_a_bound_that_still_rises():
    rising = [{"bound": -1000 + t} for t in range(20)]
    assert str(diagnose_bound(rising)) == "the bound still rises: it rose by 0.1 % in the last of 20 sweeps; " + (
        "ask for max_iter=40"
    )
    settled = diagnose_bound([*rising, {"bound": -980.999}])
    assert settled.settled
    assert str(settled) == "the bound has settled: it rose by 0.0001 % in the last of 21 sweeps"
    assert not diagnose_bound(rising[:1]).settled


@pytest.mark.parametrize("solver", ["mcmc", "vb"])
def test_an_estimator_tells_whether_it_was_fitted_long_enough(solver, tmp_path, capsys):
    p = problem("gaps", n=200)
    model = FMRegressor(2, solver=solver, max_iter=40, random_state=0, verbose=1).fit(p.design, p.y)
    told = model.diagnostics()
    assert str(told) in capsys.readouterr().err
    if solver == "mcmc":
        assert [row.name for row in told.rows] == list(model.trace_[-1])
        losses = [row["loss"] for row in model.trace_[8:]]
        assert told.rows[0].mean == pytest.approx(np.mean(losses))
        assert told.rows[0].size == bulk_size(losses)
    save(model, tmp_path / "model.fmkit")
    assert load(tmp_path / "model.fmkit").diagnostics() == told


def test_only_a_posterior_has_diagnostics():
    with pytest.raises(ValueError, match="diagnostics needs a posterior: fit with solver='mcmc' or solver='vb'"):
        FMRegressor(1).fit(np.eye(3), [1, 2, 3]).diagnostics()
