"""`fmkit inspect`: what is in a model file, made when, of what, and how good it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from fmkit.cli._recommending import FILE, prints
from fmkit.cli._tables import print_table


@click.command()
@click.argument("model", type=FILE)
@prints
def inspect(model: Path, form: str, quiet: bool) -> None:
    """Tell what is in MODEL, a file that fmkit saved: by which data and settings, when, how good.

    \b
    fmkit inspect movies.fmkit
    fmkit inspect movies.fmkit --format json
    """
    from fmkit import load
    from fmkit.modelfile import read_header
    from fmkit.recommend import Recommender

    header, loaded = read_header(model), load(model)
    facts: dict[str, Any] = {
        "file": str(model),
        "bytes": model.stat().st_size,
        "holds": type(loaded).__name__,
        "written by": f"fmkit {header['fmkit']}",
    }
    facts |= _of_recommender(loaded) if isinstance(loaded, Recommender) else _of_estimator(loaded)
    if form == "json":
        click.echo(json.dumps(facts, ensure_ascii=False, indent=2, default=str))
        return
    lines = [line for name, fact in facts.items() for line in _lines(name, fact)]
    if form == "table":
        width = max(len(name) for name, _ in lines)
        for name, value in lines:
            click.echo(f"{name:{width}}  {value}")
        return
    print_table(["what", "value"], lines, form)


def _of_recommender(recommender: Any) -> dict[str, Any]:
    fitted = recommender.fitted_
    features = {
        side: {one.column: f"{one.kind}, {one.n_columns} columns ({one.why})" for one in features}
        for side, features in recommender.features_.items()
    }
    return {
        "fitted": fitted["when"],
        "seconds": fitted["seconds"],
        "rows": len(recommender.interactions_),
        "users": len(recommender.users_),
        "items": len(recommender.items_),
        "told": recommender.told_,
        "good": fitted["good"],
        "features": features,
        "settings": {name: value for name, value in recommender.get_params().items() if value not in (None, "auto")},
    }


def _of_estimator(estimator: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"settings": repr(estimator).replace("\n", " ")}
    for name in ("n_features_in_", "n_iter_"):
        if hasattr(estimator, name):
            facts[name.strip("_").replace("_", " ")] = getattr(estimator, name)
    return facts


def _lines(name: str, fact: Any) -> Iterator[tuple[str, str]]:
    """A line for each fact in it."""
    if isinstance(fact, dict):
        for inner, one in fact.items():
            yield from _lines(f"{name}: {inner}", one)
    elif isinstance(fact, list):
        for one in fact:
            yield from _lines(name, one)
    else:
        yield name, f"{fact:,}" if isinstance(fact, int) else f"{fact:.4g}" if isinstance(fact, float) else str(fact)
