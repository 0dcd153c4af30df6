"""scikit-learn's own checks. The exceptions, each held to its own bar in test_estimators.py:

- Weights against repeated rows, ALS: the check asks for a relative difference under 1e-7, less than the rounding of
  the float32 numbers that a machine consists of. It is about 2e-6.
- Weights against repeated rows, SGD: a row of weight 2 is one step of twice the length, not two steps at different
  times of the epoch, as in scikit-learn's own SGD estimators, which have the same exception.
- Weights against repeated rows, MCMC: the same posterior, but other draws, for rounding and the number of rows change
  what follows. Held to the noise of the draws in test_ordinal.py and test_classification_bayes.py.
- Weights against repeated rows, VB: float32, over 60 sweeps that have not settled to the last digit: about 1e-4. Bars
  in the same files.
- Weights against repeated rows, reg_factors="auto": other rows are set aside, of which there are more or fewer.
"""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fmkit import FMClassifier, FMOrdinal, FMRegressor
from fmkit.interactions.solver import MACHINES

WEIGHT_CHECKS = ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data")


def expected_failures(estimator):
    reasons = {"als": "a float32 machine", "vb": "a float32 machine", "mcmc": "other draws of the same posterior"}
    reason = reasons.get(estimator.solver, "a weighted row is one step")
    reason = "other rows are set aside" if isinstance(estimator.reg_factors, str) else reason
    return dict.fromkeys(WEIGHT_CHECKS, reason)


@pytest.mark.filterwarnings("ignore:Can't check dok sparse matrix for nan or inf:UserWarning")
@parametrize_with_checks(
    [
        FMRegressor(),
        FMRegressor(solver="sgd"),
        FMRegressor(nonnegative=True),
        FMRegressor(average=True),
        FMRegressor(reg_factors="auto"),
        FMRegressor(solver="mcmc", max_iter=100),
        FMRegressor(solver="vb"),
        FMClassifier(),
        FMClassifier(solver="sgd"),
        FMClassifier(solver="mcmc", max_iter=50),  # some checks ask for hundreds of fits
        FMClassifier(solver="vb", max_iter=40),
        *(FMRegressor(solver="sgd", interaction=kind, learning_rate=0.1) for kind in MACHINES),
        FMClassifier(solver="sgd", interaction="ffm", learning_rate=0.1),
        FMOrdinal(max_iter=50),
        FMOrdinal(solver="vb"),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
