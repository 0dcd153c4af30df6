"""Feed-forward and recurrent nets on torch as scikit-learn estimators: own training loop, one for every kind of net.

They stand beside the factorization machines, and share with them the habits of estimators, the fit loop that asks for
epoch after epoch, and model files; a machine may also stand in front of a net (`MLPClassifier(factorization=True)`).
"""

from . import waiting  # noqa: F401 (before torch is loaded)

# isort: split
from .cnn import CNNClassifier
from .mlp import MLPClassifier, MLPRegressor
from .rnn import RNNClassifier, RNNRegressor
from .sequences import next_steps, ragged

__all__ = ["CNNClassifier", "MLPClassifier", "MLPRegressor", "RNNClassifier", "RNNRegressor", "next_steps", "ragged"]
