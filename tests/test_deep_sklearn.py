"""scikit-learn's own checks of nets.

Exceptions: weights against repeated rows, held to its own bar in test_deep_mlp.py, for a row of weight 2 is one step of
twice the length, not two steps at different times of an epoch, as in scikit-learn's own estimators that learn row by
row (with batch_size="full" both are the same but for the rounding of float32); and, of recurrent nets, to refuse rows
that are longer or shorter than those of the fit, for sequences are as long as they are.
"""

from sklearn.utils.estimator_checks import parametrize_with_checks

from fmkit.deep import MLPClassifier, MLPRegressor, RNNClassifier, RNNRegressor

WEIGHT_CHECKS = ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data")


@parametrize_with_checks(
    [MLPClassifier((32,), max_epochs=20), MLPRegressor((32,), max_epochs=20)],
    expected_failed_checks=lambda estimator: dict.fromkeys(WEIGHT_CHECKS, "a weighted row is one step"),
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# They ask for an error where rows have other columns than those of the fit.
FEATURE_CHECKS = (
    "check_classifiers_train",
    "check_estimators_partial_fit_n_features",
    "check_n_features_in",
    "check_n_features_in_after_fitting",
    "check_regressors_train",
)


@parametrize_with_checks(
    [RNNClassifier(n_units=8, max_epochs=10), RNNRegressor(n_units=8, max_epochs=10)],
    expected_failed_checks=lambda estimator: {
        **dict.fromkeys(WEIGHT_CHECKS, "a weighted row is one step"),
        **dict.fromkeys(FEATURE_CHECKS, "steps are no features"),
    },
)
def test_scikit_learns_checks_of_sequences(estimator, check):
    check(estimator)
