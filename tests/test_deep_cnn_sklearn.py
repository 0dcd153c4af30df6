"""scikit-learn's own checks of nets for pictures.

The checks give tables, and so say nothing to an estimator that wants pictures. A subclass sees a row of a table as a
picture of one line: all checks pass then, but for weights against repeated rows, as in test_deep_sklearn.py.
"""

from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data

from fmkit.deep import CNNClassifier

WEIGHT_CHECK = "check_sample_weight_equivalence_on_dense_data"


class LineClassifier(CNNClassifier):
    """Rows of numbers as pictures of one line."""

    def _read(self, X, *, reset):
        X = validate_data(self, X, reset=reset)
        return super()._read(X[:, None], reset=reset)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        return tags


@parametrize_with_checks(
    [
        CNNClassifier(["conv 4"], n_jobs=1),
        LineClassifier(["conv 8", "dense 32"], shift=0, label_smoothing=0.0, max_epochs=15, n_jobs=1),
    ],
    expected_failed_checks=lambda estimator: {WEIGHT_CHECK: "a weighted row is one step"},
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
