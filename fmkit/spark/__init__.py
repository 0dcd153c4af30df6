"""Fits and predictions on a Spark cluster, or on this machine by Spark's local mode; `pip install 'fmkit[spark]'`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fmkit.spark.session import check_pyspark, local_session

if TYPE_CHECKING:
    from fmkit.spark.estimator import SparkFM, SparkFMModel
    from fmkit.spark.scoring import recommend_for_all_users, score

_HOME = {
    "SparkFM": "estimator",
    "SparkFMModel": "estimator",
    "recommend_for_all_users": "scoring",
    "score": "scoring",
}

__all__ = ["SparkFM", "SparkFMModel", "local_session", "recommend_for_all_users", "score"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        check_pyspark()
        return getattr(import_module(f"fmkit.spark.{_HOME[name]}"), name)
    raise AttributeError(f"module 'fmkit.spark' has no attribute {name!r}")
