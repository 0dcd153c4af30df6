"""Pipelines of this package's estimators, `make_pipeline(TableEncoder(), FMClassifier())`, say: steps, and model files.

A file holds what each step's own file would, under the step's name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def steps_of(model: Any) -> list[Any]:
    """The estimators of a pipeline, or the one that a model is."""
    return [step for _, step in getattr(model, "steps", [("", model)])]


def set_threads(model: Any, n_threads: int) -> None:
    """Set the threads of a model, of each step that has any."""
    for step in steps_of(model):
        if hasattr(step, "n_jobs"):
            step.n_jobs = n_threads


def pack(pipeline: Any, known: dict[str, str]) -> tuple[dict[str, Any], Arrays]:
    """Facts and arrays of a fitted pipeline.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
    known : dict of str
        Classes that model files hold.

    Raises
    ------
    TypeError
        If a step is none of these.
    """
    steps: list[dict[str, Any]] = []
    arrays: Arrays = {}
    for name, step in pipeline.steps:
        kind = type(step).__name__
        if kind not in known:
            raise TypeError(f"save takes pipelines of {', '.join(known)}, got a {kind} as its step {name!r}")
        facts, of_step = step._to_file()
        steps.append({"name": name, "class": kind, "facts": facts})
        arrays |= {f"{name}/{key}": array for key, array in of_step.items()}
    return {"steps": steps}, arrays


def unpack(facts: dict[str, Any], arrays: Arrays, find: Callable[[str], Any]) -> Any:
    """The reverse of `pack`; a KeyError, TypeError or ValueError if the file holds something else.

    Parameters
    ----------
    facts, arrays
        Of the file.
    find : callable
        Gives the class of a name.
    """
    from sklearn.pipeline import Pipeline

    steps = []
    for step in facts["steps"]:
        name = str(step["name"])
        own = {key.partition("/")[2]: a for key, a in arrays.items() if key.startswith(f"{name}/")}
        steps.append((name, find(step["class"])._from_file(step["facts"], own)))
    if not steps:
        raise ValueError("it is a pipeline without steps")
    return Pipeline(steps)
