"""An estimator as plain facts (JSON) and arrays, and back: what a model file holds of it."""

from __future__ import annotations

import dataclasses
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fmkit.machine import FactorizationMachine
from fmkit.posterior import GroupPriors, Posterior
from fmkit.solvers.knowledge import Evidence

if TYPE_CHECKING:
    from fmkit.interactions.machine import InteractionMachine

Model = TypeVar("Model", bound=Any)
PRIORS = ("groups", "units", "precision", "centre", "noise_shape")


def kept_parameters(model: Any) -> dict[str, Any]:
    """Parameters of an estimator as plain data.

    A random state that is no integer and callbacks are not kept: they cannot be told in a file of plain data. The path
    of checkpoints is a fit's, not the model's, and a device one computer's.
    """
    parameters = model.get_params(deep=False)
    for name in ("callbacks", "checkpoint", "device"):
        parameters.pop(name, None)
    if not isinstance(parameters["random_state"], Integral):
        parameters["random_state"] = None
    return {
        name: value if value is None or isinstance(value, str) else np.asarray(value).tolist()
        for name, value in parameters.items()  # numpy's numbers, as grid searches set them, are none of JSON
    }


def pack(model: Any, machines: list[FactorizationMachine]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Parameters, training facts and machines of a fitted estimator."""
    facts = {
        "parameters": kept_parameters(model),
        "n_iter": model.n_iter_,
        "history": model.history_,
        "interaction": machines[0].interaction,
        "reg_factors": np.asarray(model.reg_factors_).tolist(),
        "learning_rate": getattr(model, "learning_rate_", model.learning_rate),
        "more_factors": int(machines[0].n_factors - model.n_factors),
        "feature_names": model.feature_names_in_.tolist() if hasattr(model, "feature_names_in_") else None,
    }
    arrays = {"bias": np.array([m.bias for m in machines])}
    if hasattr(model, "stream_"):
        facts["stream"], of_stream = model.stream_.pack()
        arrays |= of_stream
    arrays |= {name: np.stack([getattr(m, name) for m in machines]) for name in _of_machines(machines[0])}
    return facts, arrays


def _of_machines(machine: Any) -> list[str]:
    return ["linear", "factors"] if machine.interaction == "fm" else list(machine.arrays())


def unpack(model: Model, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> tuple[Model, list[Any]]:
    """The estimator, filled, and its machines; a KeyError, TypeError or ValueError if they do not fit together."""
    model.set_params(**facts["parameters"])
    model._validate_params()
    if facts.get("interaction", "fm") != "fm":
        n_factors = model.n_factors + int(facts["more_factors"])
        from fmkit.interactions.solver import MACHINES  # loads their kernels

        others = _unpack_interactions(MACHINES[facts["interaction"]], n_factors, arrays)
        return _filled(model, facts, arrays, others[0].n_features), others
    bias, linear, factors = arrays["bias"], arrays["linear"], arrays["factors"]
    if [a.dtype.str for a in (bias, linear, factors)] != ["<f8", "<f4", "<f4"]:
        raise ValueError("its machines are not of float32")
    n_machines, n_features = len(bias), linear.shape[-1]
    n_factors = model.n_factors + int(facts.get("more_factors", 0))
    shapes = (n_machines,), (n_machines, n_features), (n_machines, n_features, n_factors)
    if not n_machines or n_factors < model.n_factors or (bias.shape, linear.shape, factors.shape) != shapes:
        raise ValueError("the shapes of its machines do not fit together")
    if not all(np.isfinite(a).all() for a in (bias, linear, factors)):
        raise ValueError("its machines hold values that are not finite")
    machines = [FactorizationMachine(float(b), w, V) for b, w, V in zip(bias, linear, factors, strict=True)]
    return _filled(model, facts, arrays, n_features), machines


def _unpack_interactions(
    kind: type[InteractionMachine], n_factors: int, arrays: dict[str, NDArray[Any]]
) -> list[InteractionMachine]:
    """The machines of `fmkit.interactions`."""
    bias = arrays["bias"]
    if bias.dtype.str != "<f8" or bias.ndim != 1 or not len(bias) or not np.isfinite(bias).all():
        raise ValueError("its biases are none")
    names = [field.name for field in dataclasses.fields(kind) if field.name != "bias"]
    machines: list[InteractionMachine] = []
    for number, b in enumerate(bias):
        own = {name: arrays[name][number] for name in names}
        if "fields" in own and (own["fields"].dtype.kind != "i" or own["fields"].min(initial=0) < 0):
            raise ValueError("its fields are none of its columns")
        for name, (dtype, shape) in kind.shapes(own, n_factors).items():
            if own[name].dtype.str != dtype or own[name].shape != shape or not np.isfinite(own[name]).all():
                raise ValueError(f"its machines' {name} do not fit together")
        machines.append(kind(bias=float(b), **own))
    return machines


def _filled(model: Model, facts: dict[str, Any], arrays: dict[str, NDArray[Any]], n_features: int) -> Model:
    """The estimator with what was learned beside its machines."""
    if facts.get("stream") is not None:
        from fmkit.streams.encoder import Encoder  # loads Arrow, and kernels

        model.stream_ = Encoder.unpack(facts["stream"], arrays)
        if model.stream_.n_columns != n_features:
            raise ValueError("its stream's columns are not those of its machines")
    names = facts["feature_names"]
    if names is not None:
        if not isinstance(names, list) or len(names) != n_features or not all(isinstance(name, str) for name in names):
            raise ValueError("its feature names are not those of its machines")
        model.feature_names_in_ = np.array(names, object)
    model.n_features_in_, model.n_iter_, model.history_ = n_features, int(facts["n_iter"]), list(facts["history"])
    model.reg_factors_ = facts.get("reg_factors", model.reg_factors)
    model.learning_rate_ = facts.get("learning_rate", model.learning_rate)
    return model


def pack_posterior(posterior: Posterior | None, prefix: str = "posterior") -> dict[str, NDArray[Any]]:
    """A posterior beside its machine as arrays; none if there is none."""
    if posterior is None:
        return {}
    draws = posterior.draws
    arrays = {
        "linear_variance": posterior.linear_variance,
        "factor_variance": posterior.factor_variance,
        "covariance": posterior.covariance,
        "stands_for_row": posterior.stands_for_row,
        "noise": np.array([posterior.noise]),
        "noise_levels": posterior.noise_levels,
        "means": posterior.means,
    }
    if posterior.priors is not None:
        arrays |= {f"priors.{name}": getattr(posterior.priors, name) for name in PRIORS}
    if draws:
        arrays["draws.bias"] = np.array([d.bias for d in draws])
        arrays["draws.linear"] = np.stack([d.linear for d in draws])
        arrays["draws.factors"] = np.stack([d.factors for d in draws])
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def unpack_posterior(
    arrays: dict[str, NDArray[Any]], machine: FactorizationMachine, n_factors: int, prefix: str = "posterior"
) -> Posterior | None:
    """The reverse of `pack_posterior`; a KeyError or ValueError if the arrays do not fit the machine."""
    of = {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}
    if not of:
        return None
    n, n_draws = machine.n_features, len(of.get("draws.bias", []))
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "linear_variance": ("<f4", (n,)),
        "factor_variance": ("<f4", (n, n_factors)),
        "covariance": ("<f4", (len(of["covariance"]), n_factors)),
        "stands_for_row": ("|b1", (n,)),
        "noise": ("<f8", (1,)),
        "noise_levels": ("<f4", (n,)),
        "means": ("<f8", (n,)),
    }
    if n_draws:
        expected |= {
            "draws.bias": ("<f8", (n_draws,)),
            "draws.linear": ("<f4", (n_draws, n)),
            "draws.factors": ("<f4", (n_draws, n, n_factors)),
        }
    for name, (kind, shape) in expected.items():
        if of[name].dtype.str != kind or of[name].shape != shape or not np.isfinite(of[name]).all():
            raise ValueError(f"its posterior's {name} does not fit its machine")
    if len(of["covariance"]) not in (0, n):
        raise ValueError("its posterior's covariance does not fit its machine")
    positive = of["noise"], of["noise_levels"]
    if any((a <= 0).any() for a in positive) or any((of[a] < 0).any() for a in ("linear_variance", "factor_variance")):
        raise ValueError("its posterior has variances that are none")
    draws = [
        FactorizationMachine(float(of["draws.bias"][d]), of["draws.linear"][d], of["draws.factors"][d])
        for d in range(n_draws)
    ]
    return Posterior(
        machine,
        of["linear_variance"],
        of["factor_variance"],
        of["covariance"],
        of["stands_for_row"],
        float(of["noise"][0]),
        of["noise_levels"],
        of["means"],
        draws,
        _unpack_priors(of, n, n_factors),
    )


def _unpack_priors(of: dict[str, NDArray[Any]], n: int, n_factors: int) -> GroupPriors | None:
    if "priors.groups" not in of:
        return None
    priors = GroupPriors(*(of[f"priors.{name}"] for name in PRIORS))
    n_groups = len(priors.precision)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "groups": ("<i4", (n,)),
        "units": ("<f4", (n,)),
        "precision": ("<f4", (n_groups, n_factors + 1)),
        "centre": ("<f4", (n_groups, n_factors + 1)),
        "noise_shape": ("<f4", (n_groups,)),
    }
    for name, (kind, shape) in shapes.items():
        array = getattr(priors, name)
        if array.dtype.str != kind or array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"its priors' {name} does not fit its machine")
    wrong = (priors.groups < 0) | (priors.groups >= n_groups)
    if wrong.any() or (priors.units <= 0).any() or (priors.precision <= 0).any() or (priors.noise_shape < 0).any():
        raise ValueError("its priors are none of its columns")
    return priors


def pack_evidence(evidence: Evidence | None) -> dict[str, NDArray[Any]]:
    """What later rows need to know of those of a ridge fit, as arrays; none if there is none."""
    if evidence is None:
        return {}
    return {f"evidence.{name}": getattr(evidence, name) for name in ("counts", "groups", "squares", "means")}


def unpack_evidence(arrays: dict[str, NDArray[Any]], machine: FactorizationMachine) -> Evidence | None:
    """The reverse of `pack_evidence`; a KeyError or ValueError if the arrays do not fit the machine."""
    if "evidence.counts" not in arrays:
        return None
    evidence = Evidence(*(arrays[f"evidence.{name}"] for name in ("counts", "groups", "squares", "means")))
    n, k = machine.factors.shape
    told = [(a.dtype.str, a.shape) for a in (evidence.counts, evidence.groups, evidence.squares, evidence.means)]
    n_groups = len(evidence.squares)
    if told != [("<f4", (n,)), ("<i4", (n,)), ("<f4", (n_groups, k)), ("<f8", (n,))]:
        raise ValueError("its evidence does not fit its machine")
    numbers = evidence.counts, evidence.squares, evidence.means
    if not all(np.isfinite(a).all() for a in numbers) or min(a.min(initial=0) for a in numbers[:2]) < 0:
        raise ValueError("its evidence is none")
    if ((evidence.groups < 0) | (evidence.groups >= n_groups)).any():
        raise ValueError("its evidence is of other groups")
    return evidence
