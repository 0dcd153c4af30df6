"""The scikit-learn faces of the engine."""

from fmkit.estimators.classification import FMClassifier
from fmkit.estimators.ordinal import FMOrdinal
from fmkit.estimators.ranker import FMRanker
from fmkit.estimators.regression import FMRegressor

__all__ = ["FMClassifier", "FMOrdinal", "FMRanker", "FMRegressor"]
