"""`fmkit inspect`: what is in a model file, made when, of what, and how good it is."""

from __future__ import annotations

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
    facts: list[tuple[str, Any]] = [
        ("file", str(model)),
        ("size", f"{model.stat().st_size / 1e3:,.0f} kB"),
        ("holds", type(loaded).__name__),
        ("written by", f"fmkit {header['fmkit']}"),
    ]
    facts += _of_recommender(loaded) if isinstance(loaded, Recommender) else _of_estimator(loaded)
    if form == "table":
        width = max(len(name) for name, _ in facts)
        for name, value in facts:
            click.echo(f"{name:{width}}  {value}")
        return
    print_table(["what", "value"], [[name, value] for name, value in facts], form)


def _of_recommender(recommender: Any) -> list[tuple[str, Any]]:
    fitted = recommender.fitted_
    facts = [
        ("fitted", f"{fitted['when']}, in {fitted['seconds']:g} s"),
        ("rows", f"{len(recommender.interactions_):,}"),
        ("users", f"{len(recommender.users_):,}"),
        ("items", f"{len(recommender.items_):,}"),
    ]
    facts += [("told", told) for told in recommender.told_]
    facts += [(f"good: {name}", f"{value:.4f}") for name, value in fitted["good"].items()]
    for side, features in recommender.features_.items():
        facts += [
            (f"feature of {side}", f"{one.column}: {one.kind}, {one.n_columns} columns ({one.why})") for one in features
        ]
    changed = {name: value for name, value in recommender.get_params().items() if value not in (None, "auto")}
    return [*facts, ("settings", ", ".join(f"{name}={value!r}" for name, value in changed.items()))]


def _of_estimator(estimator: Any) -> list[tuple[str, Any]]:
    facts = [("settings", repr(estimator).replace("\n", " "))]
    for name in ("n_features_in_", "n_iter_"):
        if hasattr(estimator, name):
            facts.append((name.strip("_").replace("_", " "), f"{getattr(estimator, name):,}"))
    return facts
