"""Tables of ratings -> machine -> top-N lists with their reasons; metrics of rankings.

Names are imported on first use: reading a table, or refusing it, does not wait for the engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmkit.recommend.metrics import RankMetrics, evaluate, evaluate_scores, rank_metrics
    from fmkit.recommend.ratings import RatingsTable, read_ratings
    from fmkit.recommend.reasons import Reason
    from fmkit.recommend.recommender import Recommender
    from fmkit.recommend.splits import Split, check_no_leak, split
    from fmkit.recommend.titles import read_titles
    from fmkit.recommend.vocabulary import Vocabulary

_HOME = {
    "RankMetrics": "metrics",
    "RatingsTable": "ratings",
    "Reason": "reasons",
    "Recommender": "recommender",
    "Split": "splits",
    "Vocabulary": "vocabulary",
    "check_no_leak": "splits",
    "evaluate": "metrics",
    "evaluate_scores": "metrics",
    "rank_metrics": "metrics",
    "read_ratings": "ratings",
    "read_titles": "titles",
    "split": "splits",
}

__all__ = [
    "RankMetrics",
    "RatingsTable",
    "Reason",
    "Recommender",
    "Split",
    "Vocabulary",
    "check_no_leak",
    "evaluate",
    "evaluate_scores",
    "rank_metrics",
    "read_ratings",
    "read_titles",
    "split",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"fmkit.recommend.{_HOME[name]}"), name)
    raise AttributeError(f"module 'fmkit.recommend' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
