"""What is fitted where nobody says it: by the data, its size, and how much time there is."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.estimators import FMClassifier, FMOrdinal, FMRanker, FMRegressor

Feedback = Literal["auto", "explicit", "implicit"]
Quality = Literal["fast", "balanced", "best"]

# Sweeps by quality. VB is where it is going after some 20, with errors for which MCMC needs 40 and half as long again.
# MCMC with 200 and 500 comes to an RMSE of .803 and .802 on MovieLens latest-small with titles and genres in 6.7 and
# 17 s; with more ratings fewer sweeps do, down to `FEWEST` with a million.
SOLVERS = {"fast": "vb", "balanced": "mcmc", "best": "mcmc"}
SWEEPS = {"fast": 20, "balanced": 200, "best": 500}
FACTORS = {"fast": 8, "balanced": 16, "best": 16}
ROWS_TIMES_SWEEPS = 60_000_000
FEWEST = 60
BLENDED_ROWS = 500_000  # clicks up to which several losses are tried: a million of them took 100 s and more than 2 GB
MCMC_ROWS = 20_000_000  # ratings from which ALS on ids and features alone is taken


def check_model(model: Any) -> None:
    """Refuse what a recommender cannot ask."""
    if not isinstance(model, FMRegressor | FMOrdinal | FMClassifier | FMRanker):
        raise InputError(
            "model must be 'auto', an FMRegressor, FMOrdinal or FMClassifier (ratings) or an FMRanker (clicks), "
            f"got {model!r}"
        )
    if getattr(model, "interaction", "fm") != "fm":
        raise InputError(
            f"a recommender asks a plain machine, of interaction='fm': got interaction={model.interaction!r}"
        )
    if isinstance(model, FMRegressor) and model.loss != "squared":
        raise InputError(f"a recommender asks a machine of squared errors: set loss='squared', got loss={model.loss!r}")
    if isinstance(model, FMClassifier) and model.solver not in ("mcmc", "vb"):
        raise InputError(f"an FMClassifier must know how sure it is: solver='mcmc' or 'vb', got {model.solver!r}")


def feedback_of(
    ratings: NDArray[np.float32] | None, wanted: Feedback, model: Any
) -> tuple[Literal["explicit", "implicit"], str]:
    """Which feedback there is, and what says so."""
    if not isinstance(model, str):
        found: Literal["explicit", "implicit"] = "implicit" if isinstance(model, FMRanker) else "explicit"
        if wanted not in ("auto", found):
            raise InputError(f"feedback={wanted!r} does not go with an {type(model).__name__}")
        why = f"the model is an {type(model).__name__}"
    elif wanted != "auto":
        found, why = wanted, "as asked for"
    elif ratings is None:
        found, why = "implicit", "there is no column of ratings"
    elif ratings.min() == ratings.max():
        found, why = "implicit", f"all ratings are {ratings[0]:g}"
    else:
        found, why = "explicit", f"there are ratings from {ratings.min():g} to {ratings.max():g}"
    if found == "explicit" and ratings is None:
        raise InputError("explicit feedback needs ratings: name their column with rating=")
    return found, why


def regressor(n: int, quality: Quality, n_factors: int | None, max_iter: int | None, **how: Any) -> FMRegressor:
    """For n ratings: MCMC, VB for a first look, and ALS where there are many."""
    k = n_factors or FACTORS[quality]
    if n > MCMC_ROWS:
        return FMRegressor(k, max_iter=max_iter, **how)
    usual = SWEEPS[quality]
    sweeps = max_iter or max(min(usual, ROWS_TIMES_SWEEPS // n), min(usual, FEWEST))
    return FMRegressor(k, solver=SOLVERS[quality], max_iter=sweeps, **how)


def clicks_ranker(n: int, quality: Quality, n_factors: int | None, max_iter: int | None, **how: Any) -> FMRanker:
    """For n clicks: a blend of what is best on a part set aside; the squared loss alone where there are many."""
    alone = quality == "fast" or (quality == "balanced" and n > BLENDED_ROWS)
    return FMRanker("implicit" if alone else "auto", n_factors=n_factors or 128, max_iter=max_iter, **how)


def in_brief(estimator: Any, with_partners: bool) -> str:
    """What is told of it."""
    sweeps = "" if estimator.max_iter is None else f" and {estimator.max_iter} sweeps"
    kind = "" if isinstance(estimator, FMRegressor) else f" of {type(estimator).__name__}"
    told = f"{estimator.solver.upper()}{kind} with {estimator.n_factors} factors{sweeps}"
    return (
        f"{told}, from ids, features and what was rated beside" if with_partners else f"{told}, from ids and features"
    )
