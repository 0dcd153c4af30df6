"""scikit-learn's own checks of nets.

The one exception, held to its own bar in test_deep_mlp.py: weights against repeated rows. A row of weight 2 is one step
of twice the length, not two steps at different times of an epoch, as in scikit-learn's own estimators that learn row by
row; with batch_size="full" both are the same but for the rounding of float32.
"""

from sklearn.utils.estimator_checks import parametrize_with_checks

from fmkit.deep import MLPClassifier, MLPRegressor

WEIGHT_CHECKS = ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data")


@parametrize_with_checks(
    [MLPClassifier((32,), max_epochs=20), MLPRegressor((32,), max_epochs=20)],
    expected_failed_checks=lambda estimator: dict.fromkeys(WEIGHT_CHECKS, "a weighted row is one step"),
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
