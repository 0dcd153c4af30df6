"""How good lists are: NDCG, recall, precision, MAP, MRR and hit rate over exact full rankings.

`rank_metrics` judges lists that somebody made, `evaluate` the rankings of all items by vectors, `evaluate_scores`
those of any other scorer. (`fmkit.recommend.evaluate` is another function: it judges a fitted recommender.)
"""

from fmkit.ranking.evaluation import evaluate, evaluate_scores
from fmkit.ranking.metrics import RankMetrics, rank_metrics

__all__ = ["RankMetrics", "evaluate", "evaluate_scores", "rank_metrics"]
