"""Tables of ratings -> machine -> top-N lists with their reasons; splits, metrics, tests and baselines beside it.

Names are imported on first use: reading a table, or refusing it, does not wait for the engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmkit.recommend.baselines import EASE, Baseline, ItemKNN, Popularity, UserItemMeans
    from fmkit.recommend.beyond_accuracy import ListMetrics, list_metrics
    from fmkit.recommend.bootstrap import bootstrap_interval
    from fmkit.recommend.comparison import ModelComparison, compare
    from fmkit.recommend.evaluation import Evaluation, evaluate
    from fmkit.recommend.metrics import RankMetrics, evaluate_scores, rank_metrics
    from fmkit.recommend.rating_accuracy import RatingMetrics, rating_metrics
    from fmkit.recommend.reasons import Reason
    from fmkit.recommend.recommender import Recommender
    from fmkit.recommend.rivals import BaselineRecommender
    from fmkit.recommend.significance import (
        Comparison,
        PairedTest,
        compare_models,
        holm,
        paired_test,
    )
    from fmkit.recommend.splits import Split, check_no_leak, split
    from fmkit.recommend.tuning import Tuned, tune
    from fmkit.recommend.vocabulary import Vocabulary

_HOME = {
    "Baseline": "baselines",
    "BaselineRecommender": "rivals",
    "Comparison": "significance",
    "EASE": "baselines",
    "Evaluation": "evaluation",
    "ItemKNN": "baselines",
    "ListMetrics": "beyond_accuracy",
    "ModelComparison": "comparison",
    "PairedTest": "significance",
    "Popularity": "baselines",
    "RankMetrics": "metrics",
    "RatingMetrics": "rating_accuracy",
    "Reason": "reasons",
    "Recommender": "recommender",
    "Split": "splits",
    "Tuned": "tuning",
    "UserItemMeans": "baselines",
    "Vocabulary": "vocabulary",
    "bootstrap_interval": "bootstrap",
    "check_no_leak": "splits",
    "compare": "comparison",
    "compare_models": "significance",
    "evaluate": "evaluation",
    "evaluate_scores": "metrics",
    "holm": "significance",
    "list_metrics": "beyond_accuracy",
    "paired_test": "significance",
    "rank_metrics": "metrics",
    "rating_metrics": "rating_accuracy",
    "split": "splits",
    "tune": "tuning",
}

__all__ = [
    "EASE",
    "Baseline",
    "BaselineRecommender",
    "Comparison",
    "Evaluation",
    "ItemKNN",
    "ListMetrics",
    "ModelComparison",
    "PairedTest",
    "Popularity",
    "RankMetrics",
    "RatingMetrics",
    "Reason",
    "Recommender",
    "Split",
    "Tuned",
    "UserItemMeans",
    "Vocabulary",
    "bootstrap_interval",
    "check_no_leak",
    "compare",
    "compare_models",
    "evaluate",
    "evaluate_scores",
    "holm",
    "list_metrics",
    "paired_test",
    "rank_metrics",
    "rating_metrics",
    "split",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"fmkit.recommend.{_HOME[name]}"), name)
    raise AttributeError(f"module 'fmkit.recommend' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
