"""`fmkit train`: files to a model file, and how good the model is on rows that it did not see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmkit.cli._recommending import FILE, Notes, Number, prints
from fmkit.cli._tables import print_table
from fmkit.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fmkit.training import TrainingRows


class ShareOrFile(click.ParamType):  # type: ignore[type-arg]
    """A share of the rows, or files of others."""

    name = "share or file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | Path:
        """As click asks for it."""
        try:
            share = float(value)
        except ValueError:
            return Path(value)
        if not 0 <= share < 1:
            self.fail(f"{value} is no share: from 0 to less than 1.", param, ctx)
        return share


@click.command()
@click.argument("train", nargs=-1, required=True, type=FILE)
@click.option("--target", metavar="COLUMN", help="The column of targets; not for libFM's and libffm's formats.")
@click.option("--save", "save_path", required=True, type=FILE, metavar="FILE", help="Keep the model in this file.")
@click.option(
    "--task",
    type=click.Choice(["auto", "regression", "classification"]),
    default="auto",
    show_default=True,
    help="auto: classes where targets are texts, truth values, or two numbers.",
)
@click.option(
    "--solver",
    type=click.Choice(["als", "mcmc", "sgd", "vb"]),
    help="By default als; sgd where an interaction, a loss or --stream asks for it.",
)
@click.option(
    "--interaction",
    type=click.Choice(["fm", "ffm", "fwfm", "anova3"]),
    default="fm",
    show_default=True,
    help="How columns interact.",
)
@click.option(
    "--loss",
    type=click.Choice(["squared", "absolute", "huber", "poisson"]),
    default="squared",
    show_default=True,
    help="Of numbers.",
)
@click.option("--factors", default=16, show_default=True, type=click.IntRange(0, 4096), metavar="N")
@click.option("--sweeps", type=click.IntRange(min=1), metavar="N", help="Or epochs; by default as fits.")
@click.option(
    "--penalty",
    type=Number(0),
    metavar="X",
    help="Of factors (reg_factors); by default .9, which grows with the noise that they could take up.",
)
@click.option(
    "--validate",
    default="0.1",
    show_default=True,
    type=ShareOrFile(),
    metavar="SHARE|FILE",
    help="Rows that the model does not see and is judged by: a share, or a file of others; 0 for none. With --stream, "
    "each row is judged before it is learned unless a file is named.",
)
@click.option("--stream", is_flag=True, help="Learn rows as they are read, in bounded memory: docs/streams.md.")
@click.option("--passes", type=click.IntRange(min=1), metavar="N", help="Of --stream, over all rows.  [default: 1]")
@click.option("--ids", metavar="COLUMN,...", help="Of --stream, columns of ids; by default all but those of decimals.")
@click.option(
    "--hash",
    "n_hash",
    type=click.IntRange(0, 2**31 - 1),
    metavar="N",
    help="Of --stream, buckets of all ids; 0 for a column an id.  [default: 2097152]",
)
@click.option("--checkpoint", type=FILE, metavar="FILE", help="Of --stream: go on from it if the fit was cut short.")
@click.option("--device", default="cpu", show_default=True, help="cuda, or auto: see docs/gpu.md.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Of all draws.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Threads; by default as fits.")
@prints
def train(train: tuple[Path, ...], **options: Any) -> None:
    """Fit a factorization machine to the rows of TRAIN, keep it in a file, and tell how good it is.

    TRAIN are tables (CSV, TSV, Parquet) with a column of targets, whose other columns are recognised (numbers,
    categories, sets, texts, dates), or files in the format of libFM, svmlight or libffm. The model takes such tables,
    or such rows, in Python: `fmkit.load(FILE).predict(table)`.

    \b
    fmkit train ratings.csv --target rating --save ratings.fmkit
    fmkit train day1.parquet day2.parquet --target clicked --interaction fwfm --save clicks.fmkit
    fmkit train train.ffm --interaction ffm --validate test.ffm --save model.fmkit
    fmkit train log*.parquet --target clicked --task classification --stream --save clicks.fmkit
    """
    from fmkit.files import check_writable

    check_writable(options["save_path"])
    notes = Notes(options["quiet"])
    of_stream = ("passes", "ids", "n_hash", "checkpoint")
    given = [name for name in of_stream if options[name] is not None]
    if given and not options["stream"]:
        raise click.UsageError(f"--{given[0].removeprefix('n_')} is for --stream")
    if options["stream"]:
        from fmkit.cli._streaming import train_on_stream

        train_on_stream(train, options, notes)
    else:
        _train_in_memory(train, options, notes)


def _train_in_memory(paths: tuple[Path, ...], options: dict[str, Any], notes: Notes) -> None:
    """Fit to all rows at once, keep the model, and tell how good it is."""
    from fmkit import save
    from fmkit.training import read_training_rows

    rows = read_training_rows(paths, options["target"])
    held: TrainingRows | None = None
    if isinstance(options["validate"], Path):
        held = read_training_rows([options["validate"]], options["target"], rows)
    classes = options["task"] == "classification" or (options["task"] == "auto" and rows.of_classes)
    if not classes and rows.y.dtype.kind not in "iuf":
        raise InputError("targets of a regression are numbers, these are texts: set --task classification")
    if held is None and options["validate"]:
        rows, held = _cut(rows, options["validate"], options["seed"], classes)
    if classes and held is not None:
        _check_known(rows.y, held.y)
    model = _model(rows, classes, options)
    notes(f"{len(rows):,} rows of the kind {rows.kind}: {'classes' if classes else 'numbers'} by {model[-1].solver}")
    try:
        model.fit(rows.X, rows.y)
    except ValueError as error:  # settings that do not go together, a column that cannot be read
        raise InputError(str(error)) from error
    if rows.kind == "table":
        notes("read as " + ", ".join(f"{f.kind}: {f.column}" for f in model[0].features_))
    save(model, options["save_path"])
    if held is not None:
        print_report(model, rows.y, held, classes, options["form"])


def _cut(rows: TrainingRows, share: float, seed: int, classes: bool) -> tuple[TrainingRows, TrainingRows]:
    """Rows to fit and rows to judge by."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    counts = np.unique(rows.y, return_counts=True)[1] if classes else np.array([0])
    strata = rows.y if counts.min() > 1 and share * len(rows) >= len(counts) else None
    try:
        fitted, held = train_test_split(np.arange(len(rows)), test_size=share, random_state=seed, stratify=strata)
    except ValueError:
        raise InputError(f"{len(rows)} rows are too few to set some aside: use --validate 0") from None
    return rows.rows(fitted), rows.rows(held)


def _check_known(y: NDArray[Any], held: NDArray[Any]) -> None:
    """Raise, before minutes of work, what could not be judged after them."""
    import numpy as np

    unknown = np.setdiff1d(held, y).tolist()
    if unknown:
        raise InputError(f"a row to judge by is of the class {unknown[0]!r}, which no training row has")


def _model(rows: TrainingRows, classes: bool, options: dict[str, Any]) -> Any:
    """An estimator, behind an encoder where rows are a table's."""
    from sklearn.pipeline import make_pipeline

    from fmkit import FMClassifier, FMRegressor, TableEncoder

    how: dict[str, Any] = {name: options[name] for name in ("interaction", "device")}
    usual = options["interaction"] == "fm" and options["loss"] == "squared"
    how |= {"solver": options["solver"] or ("als" if usual else "sgd")}
    if not classes:
        how["loss"] = options["loss"]
    how |= {"max_iter": options["sweeps"], "n_jobs": options["jobs"], "random_state": options["seed"]}
    how |= {"verbose": int(not options["quiet"]), "fields": rows.field_of}
    if options["penalty"] is not None:
        how["reg_factors"] = options["penalty"]
    estimator = (FMClassifier if classes else FMRegressor)(options["factors"], **how)
    return make_pipeline(TableEncoder(), estimator) if rows.kind == "table" else make_pipeline(estimator)


def print_report(model: Any, y: NDArray[Any], held: TrainingRows, classes: bool, form: str) -> None:
    """How good a model is on rows that it did not see, beside what the targets of the others alone would tell."""
    report = _judged_classes(model, y, held) if classes else _judged_numbers(model, y, held)
    print_table(["measure", "model", "without columns"], report, form, digits=4)


def _judged_numbers(model: Any, y: NDArray[np.float64], held: TrainingRows) -> list[list[Any]]:
    """Errors of predictions, beside those of the mean."""
    import numpy as np

    errors = np.abs(np.stack([model.predict(held.X), np.full(len(held), np.mean(y))]) - held.y.astype(float))
    rmse, mae = np.sqrt(np.mean(errors**2, axis=1)), np.mean(errors, axis=1)
    return [["rmse", *map(float, rmse.round(4))], ["mae", *map(float, mae.round(4))], ["rows", len(held), len(held)]]


def _judged_classes(model: Any, y: NDArray[Any], held: TrainingRows) -> list[list[Any]]:
    """Log loss, AUC of two classes, and accuracy, beside those of the classes' shares."""
    import numpy as np
    from sklearn.metrics import log_loss, roc_auc_score

    classes = model.classes_
    shares = np.mean(y[:, None] == classes, axis=0)
    p = np.asarray(model.predict_proba(held.X), np.float64)
    p, plain = p / p.sum(axis=1, keepdims=True), np.tile(shares / shares.sum(), (len(held), 1))
    report = [["log loss", *(float(round(log_loss(held.y, q, labels=classes), 4)) for q in (p, plain))]]
    if len(classes) == 2 and len(np.unique(held.y)) == 2:
        report.append(["auc", round(float(roc_auc_score(held.y == classes[1], p[:, 1])), 4), 0.5])
    right = [float(np.mean(classes[q.argmax(axis=1)] == held.y).round(4)) for q in (p, plain)]
    return [*report, ["accuracy", *right], ["rows", len(held), len(held)]]
