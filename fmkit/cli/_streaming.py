"""`fmkit train --stream`: rows are learned as they are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from fmkit.cli._recommending import Notes
from fmkit.cli._tables import print_table
from fmkit.errors import InputError

HEAD = 1000  # rows of sparse text that tell whether their labels are classes


def train_on_stream(paths: tuple[Path, ...], options: dict[str, Any], notes: Notes) -> None:
    """Fit by `fit_stream`, keep the model, and tell how good it is: on a file, or on each row before it was learned."""
    for name, usual in (("interaction", "fm"), ("loss", "squared")):
        if options[name] != usual:
            raise click.UsageError(f"--stream takes --{name} {usual}, got {options[name]}")
    if options["solver"] not in (None, "sgd") or options["sweeps"]:
        raise click.UsageError("--stream takes steps of sgd, and --passes in place of --sweeps")

    from fmkit import FMClassifier, FMRegressor, save
    from fmkit.streams.sources import open_source

    task, source = options["task"], open_source(list(paths))
    classes = task == "classification" or (task == "auto" and _of_classes(source, paths, options["target"]))
    how: dict[str, Any] = {"solver": "sgd", "random_state": options["seed"], "verbose": int(not notes.quiet)}
    if options["penalty"] is not None:
        how["reg_factors"] = options["penalty"]
    model = (FMClassifier if classes else FMRegressor)(options["factors"], **how)
    of_stream: dict[str, Any] = {"target": options["target"], "passes": options["passes"] or 1}
    if options["ids"]:
        of_stream["ids"] = [name.strip() for name in options["ids"].split(",")]
    if options["n_hash"] is not None:
        of_stream["n_hash"] = options["n_hash"] or None
    file = options["validate"] if isinstance(options["validate"], Path) else None
    try:
        model.fit_stream(
            list(paths),
            **of_stream,
            validation=None if file or not options["validate"] else "progressive",
            checkpoint=options["checkpoint"],
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    save(model, options["save_path"])
    notes(f"{model.n_iter_:,} batches, {model.n_features_in_:,} columns: {'classes' if classes else 'numbers'} by sgd")
    if file:
        _report_on(file, model, classes, options)
    elif options["validate"]:
        loss = next(row["running_loss"] for row in reversed(model.history_) if row.get("running_loss") is not None)
        measure = ["log loss", float(loss)] if classes else ["rmse", float(loss) ** 0.5]
        print_table(["measure", "before it was learned"], [measure], options["form"], digits=4)


def _of_classes(source: Any, paths: tuple[Path, ...], target: str | None) -> bool:
    """Whether targets are texts or truth values; of sparse text, two different numbers."""
    schema = source.schema()
    if schema is not None:
        if target is None or target not in schema.names:
            return False  # what is told when it is read
        kind = schema.field(target).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind))

    from fmkit.datasets import iter_libffm, iter_libfm
    from fmkit.training import kind_of

    rows: Any = iter_libffm if kind_of(paths[0]) == "libffm" else iter_libfm
    first = next(iter(rows(paths[0], chunk_rows=HEAD)), None)
    return first is not None and len(set(first[1].tolist())) == 2


def _report_on(file: Path, model: Any, classes: bool, options: dict[str, Any]) -> None:
    """The report of `fmkit train`, on the rows of a file."""
    from fmkit.cli.train import print_report
    from fmkit.training import read_training_rows

    held = read_training_rows([file], options["target"])
    if held.kind != "table":
        held = replace(held, X=file)  # entries of libffm's files have fields, which a matrix would lack
    print_report(model, held.y, held, classes, options["form"])
