"""A net's estimator as plain facts (JSON) and arrays, and back: what a model file holds of it."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fmkit.modelfile import pack_labels, unpack_labels

from .estimator import NetEstimator
from .targets import Classifier

Arrays = dict[str, NDArray[Any]]


def pack(model: NetEstimator) -> tuple[dict[str, Any], Arrays]:
    """Parameters, what was learned of rows and targets, and the net's weights.

    Callbacks are not kept, nor is a random state that is no integer: they cannot be told in a file of plain data.
    """
    check_is_fitted(model)
    parameters = model.get_params(deep=False)
    parameters.pop("callbacks")
    if not isinstance(parameters["random_state"], Integral):
        parameters["random_state"] = None
    encoder, arrays = model.encoder_.pack()
    facts = {
        "parameters": {name: _plain(value) for name, value in parameters.items()},
        "history": model.history_,
        "best_epoch": model.best_epoch_,
        "n_outputs": model.n_outputs_,
        "n_features": model.n_features_in_,
        "feature_names": model.feature_names_in_.tolist() if hasattr(model, "feature_names_in_") else None,
        "encoder": encoder,
    }
    if isinstance(model, Classifier):
        facts["classes"] = None if model.multilabel_ else pack_labels(model.classes_)
    else:
        facts["one_target"] = model.one_target_
        arrays |= {"target_mean": model.target_mean_, "target_spread": model.target_spread_}
    arrays |= {f"net.{name}": tensor.cpu().numpy() for name, tensor in model.net_.state_dict().items()}
    return facts, arrays


def unpack(model: Any, facts: dict[str, Any], arrays: Arrays) -> Any:
    """The estimator, filled; a KeyError, TypeError or ValueError if facts and arrays do not fit together."""
    usual = model.get_params(deep=False)
    parameters = {name: _of_its_type(value, usual.get(name)) for name, value in facts["parameters"].items()}
    model.set_params(**parameters)
    model._validate_params()
    model.history_, model.n_iter_ = list(facts["history"]), len(facts["history"])
    model.best_epoch_ = int(facts["best_epoch"])
    model.n_outputs_, model.n_features_in_ = int(facts["n_outputs"]), int(facts["n_features"])
    if facts["feature_names"] is not None:
        model.feature_names_in_ = np.array(facts["feature_names"], object)
    model.encoder_ = model._unpack_encoder(facts["encoder"], arrays)
    if isinstance(model, Classifier):
        packed = facts["classes"]
        model.multilabel_ = packed is None
        model.classes_ = np.arange(model.n_outputs_) if packed is None else unpack_labels(packed, model.n_outputs_)
    else:
        model.one_target_ = bool(facts["one_target"])
        model.target_mean_, model.target_spread_ = arrays["target_mean"], arrays["target_spread"]
        if {a.shape for a in (model.target_mean_, model.target_spread_)} != {(model.n_outputs_,)}:
            raise ValueError("its targets are not those of its net")
    with torch.device("meta"):  # shapes alone: of a file that asks for terabytes, nothing is made
        expected = model._make_net().state_dict()
    weights = {name: torch.from_numpy(arrays[f"net.{name}"]) for name in expected}
    for name, tensor in weights.items():
        if tuple(tensor.shape) != (tuple(expected[name].shape) or (1,)) or tensor.dtype != expected[name].dtype:
            raise ValueError(f"the net's {name} is not of its shape and type")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"the net's {name} holds values that are not finite")
    model.net_ = model._make_net()
    model.net_.load_state_dict({name: tensor.reshape(expected[name].shape) for name, tensor in weights.items()})
    model.net_.eval()
    return model


def _plain(value: Any) -> Any:
    """A parameter as JSON holds it; of an estimator that took part in the fit, only that it did."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, BaseEstimator):
        return True
    if isinstance(value, dict):
        return {"pairs": [[_plain(key), _plain(weight)] for key, weight in value.items()]}  # JSON's keys are text
    return np.asarray(value).tolist()


def _of_its_type(value: Any, usual: Any) -> Any:
    if isinstance(value, dict):
        return dict(value["pairs"])
    return tuple(value) if isinstance(usual, tuple) and isinstance(value, list) else value
