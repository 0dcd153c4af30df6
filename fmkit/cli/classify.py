"""`fmkit classify`: a net for what a folder or a table holds, how good it is, and what it says of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fmkit.cli._nets import check_torch, loaded_net
from fmkit.cli._recommending import FILE, Notes, Number, prints
from fmkit.cli._tables import print_table

NETS = {
    "pictures": "a convolutional net",
    "sounds": "a recurrent net over their spectra",
    "texts": "a recurrent net over their words",
    "table": "a multilayer perceptron",
}


@click.command()
@click.argument("train", required=False, type=FILE)
@click.option("--target", metavar="COLUMN", help="The column of classes; by default label, target, class or y.")
@click.option("--predict", type=FILE, metavar="PATH", help="Classify these, too, and print their classes.")
@click.option("--model", "model_path", type=FILE, metavar="FILE", help="Use a saved net instead of fitting one.")
@click.option("--save", "save_path", type=FILE, metavar="FILE", help="Keep the net in this file.")
@click.option(
    "--test",
    default=0.2,
    show_default=True,
    type=Number(0, 1, max_open=True),
    metavar="SHARE",
    help="Rows that the net does not see and is judged by; 0 for none.",
)
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Passes over the rows; by default as fits.")
@click.option("--minutes", type=Number(0, min_open=True), metavar="M", help="To train, at most.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31), help="Of all draws.")
@prints
def classify(train: Path | None, **options: Any) -> None:
    """Fit a net to TRAIN and tell how good it is: a folder with a folder of pictures or of WAV files for each class, or
    a table (CSV, TSV, Parquet) of texts or of any columns with a column of classes.

    The report is of rows that the net did not see. With --predict, classes are printed instead, and the report is left
    to stderr.

    \b
    fmkit classify flowers/ --save flowers.fmkit
    fmkit classify reviews.csv --target label --predict new_reviews.csv --format csv
    fmkit classify --model flowers.fmkit --predict holiday/
    """
    _check_usage(train, options)
    notes = Notes(options["quiet"])
    check_torch()
    from fmkit.deep.labelled import read_for, read_labelled

    if train is None:
        model = loaded_net(options["model_path"])
    else:
        labelled = read_labelled(train, options["target"])
        notes(f"{labelled.told}: {NETS[labelled.kind]}")
        model, report = _fitted(labelled, options)
        if options["save_path"]:
            from fmkit import save

            save(model, options["save_path"])
        if report and not options["predict"]:
            print_table(list(report[0]), [list(row.values()) for row in report], options["form"])
        elif report:
            notes(f"of {report[-1]['rows']:,} rows set aside, {report[-1]['recall']:.1%} are classified right")
    if options["predict"]:
        asked = read_for(model, options["predict"])
        chances = model.predict_proba(asked.X)
        best = chances.argmax(axis=1)
        labels = model.classes_[best].tolist()
        rows = [[name, label, round(float(p), 4)] for name, label, p in
                zip(asked.names, labels, chances.max(axis=1), strict=True)]  # fmt: skip
        print_table(["row", "class", "probability"], rows, options["form"])


def _check_usage(train: Path | None, options: dict[str, Any]) -> None:
    """Raise, before minutes of work, what would be raised after them."""
    if (train is None) == (options["model_path"] is None):
        raise click.UsageError("name what to fit, or a saved net with --model")
    if train is None and not options["predict"]:
        raise click.UsageError("a saved net classifies what --predict names")
    if train is None and (options["save_path"] or options["target"]):
        raise click.UsageError("--save and --target are for a fit, but with --model nothing is fitted")
    if options["save_path"]:
        from fmkit.files import check_writable

        check_writable(options["save_path"])


def _fitted(labelled: Any, options: dict[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
    """A net fitted to all rows but those set aside, and a row of the report for each class, then for all."""
    import numpy as np
    from sklearn.metrics import precision_recall_fscore_support
    from sklearn.model_selection import train_test_split

    parameters = {"random_state": options["seed"], "verbose": int(not options["quiet"])}
    if options["epochs"]:
        parameters["max_epochs"] = options["epochs"]
    if options["minutes"]:
        parameters["max_time"] = 60 * options["minutes"]
    model, rows = labelled.net(**parameters), np.arange(len(labelled))
    if not options["test"]:
        return model.fit(labelled.X, labelled.y), []
    counts = np.unique(labelled.y, return_counts=True)[1]
    strata = labelled.y if counts.min() > 1 and options["test"] * len(rows) >= len(counts) else None
    fitted, tested = train_test_split(rows, test_size=options["test"], random_state=options["seed"], stratify=strata)
    model.fit(labelled.rows(fitted), labelled.y[fitted])
    predicted = model.predict(labelled.rows(tested))
    truth = labelled.y[tested]
    classes = np.unique(np.concatenate([truth, predicted]))
    parts = precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
    report = [
        {"class": str(label), "precision": float(p), "recall": float(r), "f1": float(f), "rows": int(n)}
        for label, p, r, f, n in zip(classes, *parts, strict=True)
    ]
    right = float((truth == predicted).mean())  # which is precision, recall and F1 of all rows together
    report.append({"class": "all", "precision": right, "recall": right, "f1": right, "rows": len(truth)})
    return model, report
