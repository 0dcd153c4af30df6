"""`fmkit contrast`: what each ingredient of deep learning changes, on digits or on a table of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fmkit.cli._nets import check_torch
from fmkit.cli._plots import check_plot, write_figure
from fmkit.cli._recommending import FILE, Notes, Number, prints
from fmkit.cli._tables import print_table


def _sizes(context: click.Context, parameter: click.Parameter, given: str) -> tuple[int, ...]:
    sizes = given.split(",")
    if not all(size.strip().isdigit() and int(size) for size in sizes):
        raise click.BadParameter(f"{given!r} is no list of sizes, such as 64,64,64.")
    return tuple(int(size) for size in sizes)


@click.command()
@click.argument("table", required=False, type=FILE)
@click.option("--target", metavar="COLUMN", help="The column of TABLE that holds the classes.")
@click.option(
    "--hidden", default="64,64,64,64", show_default=True, callback=_sizes, metavar="N,N,...", help="Hidden layers."
)
@click.option("--epochs", default=25, show_default=True, type=click.IntRange(min=1), help="Passes over the rows.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Fits of each net.")
@click.option(
    "--test",
    default=0.3,
    show_default=True,
    type=Number(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="How much is tested.",
)
@click.option("--plot", type=FILE, metavar="FILE", help="Draw it (.png, .svg, .pdf).")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31), help="Of all draws.")
@prints
def contrast(table: Path | None, **options: Any) -> None:
    """Show what ReLU, normalised first weights, dropout with batch normalisation, and stochastic descent change.

    Nets are fitted to digits, or to a TABLE (CSV, Parquet): a modern one, a traditional one (tanh, weights of constant
    variance, L1 and L2, batch gradient descent), and each of them with one ingredient of the other.

    \b
    fmkit contrast --plot contrasts.png
    fmkit contrast people.csv --target income --hidden 32,32 --epochs 10
    """
    if (table is None) != (options["target"] is None):
        raise click.UsageError("a TABLE and --target COLUMN belong together")
    plot = options["plot"]
    if plot is not None:
        check_plot(plot)
    notes = Notes(options["quiet"])
    check_torch()
    from fmkit.deep.contrasts import contrast as fits
    from fmkit.deep.labelled import read_with_target

    X, y = (None, None) if table is None else read_with_target(table, options["target"])
    result = fits(
        X,
        y,
        hidden_layer_sizes=options["hidden"],
        max_epochs=options["epochs"],
        seeds=options["seeds"],
        test=options["test"],
        random_state=options["seed"],
        progress=lambda net: notes(f"{net} ..."),
    )
    if plot is not None:
        write_figure(result.plot(), plot)
    if options["form"] == "table":
        print(result)
        return
    rows = result.table()
    print_table(list(rows[0]), [list(row.values()) for row in rows], options["form"])
    for note in result.notes:
        notes(note)
