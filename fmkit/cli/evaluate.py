"""`fmkit evaluate`: how good lists and ratings are, beside the baselines that they should beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fmkit.cli._plots import check_plot, write_figure
from fmkit.cli._recommending import (
    FILE,
    Notes,
    Number,
    Tables,
    loaded,
    prints,
    takes_quality,
    takes_settings,
    takes_tables,
    unfitted,
)
from fmkit.cli._sentences import in_options
from fmkit.cli._tables import print_arrow

RULES = ("random", "time", "time-per-user", "leave-last-out", "cold-users", "cold-items")


@click.command()
@click.argument("ratings", nargs=-1, required=True, type=FILE)
@click.option(
    "--model", "model_path", type=FILE, metavar="FILE", help="Judge a saved model by RATINGS, none of its own."
)
@click.option("--split", "how", type=click.Choice(RULES), help="What is tested; by default time, random without times.")
@click.option(
    "--test",
    default=0.2,
    show_default=True,
    type=Number(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="How much is tested.",
)
@click.option(
    "--top", default=10, show_default=True, type=click.IntRange(min=1), metavar="K", help="Length of the lists."
)
@click.option(
    "--relevant", type=Number(), metavar="R", help="Least rating that counts as liked; by default the median."
)
@click.option("--sampled", type=click.IntRange(min=1), metavar="N", help="Rank among N drawn items: quick, and biased.")
@click.option("--no-baselines", is_flag=True, help="The recommender alone.")
@takes_quality
@click.option("--context", multiple=True, metavar="NAME", help="A column of the context.")
@click.option("--plot", type=FILE, metavar="FILE", help="Draw the comparison (.png, .svg, .pdf).")
@takes_tables
@takes_settings
@prints
def evaluate(ratings: tuple[Path, ...], **options: Any) -> None:
    """Judge a recommender: RATINGS are split, one part is fitted, the other is foretold.

    Lists are ranked over all items, those of the training part left out. With --model, nothing is split or fitted:
    RATINGS are the test.

    \b
    fmkit evaluate ratings.csv --items movies.csv
    fmkit evaluate ratings.csv --split random --test 0.1 --plot models.png
    fmkit evaluate tomorrow.csv --model movies.fmkit
    """
    _check_plot(options)
    notes = Notes(options["quiet"])
    tables = Tables.of(ratings, options)
    tables.check_apart(options["plot"])
    common = {"k": options["top"], "relevant": options["relevant"], "sampled": options["sampled"]}
    common |= {"n_jobs": options["jobs"], "random_state": options["seed"]}
    if options["model_path"]:
        from fmkit.recommend import evaluate as judge

        result: Any = judge(loaded(options["model_path"]), tables.ratings, **common)
    else:
        from fmkit.recommend import compare

        recommender = unfitted(options)
        common |= {"how": options["how"], "test": options["test"], "baselines": not options["no_baselines"]}
        common |= {"verbose": int(not notes.quiet), **tables.given()}
        result = compare({"fmkit": recommender}, tables.ratings, **common)
    if options["plot"]:
        write_figure(result.plot().figure, options["plot"], bbox_inches="tight")
    if options["form"] == "table":
        print(in_options(str(result)))
        return
    print_arrow(result.to_table(), options["form"])
    for sentence in result.notes:
        notes(sentence)


def _check_plot(options: dict[str, Any]) -> None:
    if options["plot"] is None:
        return
    check_plot(options["plot"])
    if options["model_path"]:
        raise click.UsageError("--plot draws a comparison, with --model there is none")
