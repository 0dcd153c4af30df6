"""How good a model is, by rows that it did not see; or, without any, what little the file tells of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fmkit import plots
from fmkit.errors import InputError
from fmkit.report.figures import drawn, whole
from fmkit.report.page import Html, Section, beside, bullets, paragraph, table

if TYPE_CHECKING:
    from fmkit.recommend import Recommender
    from fmkit.recommend.evaluation import Evaluation

TITLE = "How good it is"
NOTHING = "Nothing was held out for this report: {how} judges the model by rows that it has not seen."
IN_WORDS = {
    "rmse": "how far ratings foretold are off, in the units of ratings, large errors counting more; lower is better",
    "mae": "how far ratings foretold are off on average; lower is better",
    "ndcg@10": "how near the top of ten listed items stands what people went on to like; 1 would be perfect",
    "recall@10": "how much of what people went on to like is among ten listed items; 1 would be all of it",
}
OF_PICTURES = (
    "PSNR: how near the filled pixels are to the truth; higher is better, and 3 dB more halve the squared error",
    "SSIM: how alike the whole pictures look, at most 1",
)
OF_NUMBERS = (
    "RMSE: how far the numbers foretold are off, in their own units, large errors counting more; lower is better",
    "mean absolute error: how far they are off on average; lower is better",
)
OF_CLASSES = (
    "accuracy: the share of rows whose class is told right",
    "log loss: how surprised the probabilities are by what is true; lower is better, 0 would be perfect",
)
MOST_CLASSES = 30  # that are told one by one
OF_LISTS = ("ndcg@10", "recall@10")  # in the table and, the first, as a figure


def untested(facts: dict[str, float], how: str) -> Section:
    """What the file itself tells, which is not to be taken for a test."""
    body = [paragraph(NOTHING.format(how=how))]
    if facts:
        body.append(paragraph("The file has what the fit found itself, on rows that it could choose by:"))
        body.append(table(["measure", "value"], facts.items()))
    lead = "How far it can be trusted is not known from this report."
    return Section(TITLE, lead, tuple(body))


def recommender(model: Recommender, data: Any) -> Section:
    """Errors and lists on other interactions, beside those of baselines fitted to what the model was."""
    from fmkit.recommend.comparison import beaten_by
    from fmkit.recommend.evaluation import evaluate
    from fmkit.recommend.interactions import Interactions
    from fmkit.recommend.rivals import BASELINES, BaselineRecommender, feasible

    test, train = Interactions.of(data, model.columns_), model.interactions_
    relevant = None if train.ratings is None else float(np.median(train.ratings))
    how: dict[str, Any] = {"relevant": relevant, "n_jobs": model.n_jobs}
    found: dict[str, Evaluation] = {"this model": evaluate(model, test, **how)}
    names, left_out = feasible(train)
    for name in names:
        rival = BaselineRecommender(BASELINES[name](), relevant=relevant, n_jobs=model.n_jobs)
        found[name] = evaluate(rival.fit(train, users=model.users_, items=model.items_), test, **how)
    means = {name: one.mean() for name, one in found.items()}
    metrics = [one for one in ("rmse", "mae", *OF_LISTS) if any(one in of_model for of_model in means.values())]
    rows = []
    for name, evaluation in found.items():
        row: list[Any] = [name]
        for metric in metrics:
            value, ends = means[name].get(metric), evaluation.intervals.get(metric)
            told = "" if value is None else f"{value:.3f}"
            row.append(told + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if value is not None and ends else ""))
        rows.append(row)
    body = [table(["model", *metrics], rows), bullets(f"{one}: {IN_WORDS[one]}" for one in metrics)]
    figures = []
    for metric in ("rmse", OF_LISTS[0]):
        if metric in metrics:
            n = sum(metric in of_model for of_model in means.values())
            figures.append(
                drawn(
                    lambda ax, metric=metric: plots.comparison(found, metric, ax=ax),  # type: ignore[misc]
                    f"{metric} of this model and of baselines",
                    4.8,
                    1.4 + 0.4 * n,
                )
            )
    body += figures
    if model.feedback_ == "explicit":
        body.append(_calibrated(*_foretold(model, test)))
    notes = [*found["this model"].notes, *left_out, *beaten_by(found, set(names), model.feedback_ == "explicit")]
    body.append(bullets(notes))
    lead = (
        f"The model foretold {len(test):,} interactions that it had not seen, beside simple rules that learned from "
        "the same data: it should beat them. What stands in brackets, and as lines on the bars, is where the figure "
        "would lie for other people like these, 19 times of 20."
    )
    return Section(TITLE, lead, tuple(body))


def _foretold(model: Recommender, test: Any) -> tuple[Any, Any, Any]:
    asked = test.users.decode(test.user_codes), test.items.decode(test.item_codes)
    options = {} if test.context is None else {"context": test.context}
    if model.tells_std:
        mean, std = model.predict(*asked, return_std=True, **options)
        return test.ratings, np.asarray(mean), np.asarray(std)
    return test.ratings, np.asarray(model.predict(*asked, **options)), None


def _calibrated(truth: Any, predicted: Any, std: Any = None) -> Html:
    figures = [
        drawn(
            lambda ax: plots.calibration(truth, predicted, ax=ax),
            "What was observed where what was predicted",
            4.8,
            4.6,
            "Dots on the dotted line: high and low predictions are right on average. Grey: how many rows.",
        )
    ]
    if std is not None:
        figures.append(
            drawn(
                lambda ax: plots.intervals(truth, predicted, std, ax=ax),
                "How many truths lie in the intervals",
                4.8,
                4.6,
                "On the dotted line the model knows how sure it is; below it, it promises too much.",
            )
        )
    return beside(figures)


def estimator(model: Any, X: Any, y: NDArray[Any], how_many: str = "rows") -> Section:
    """Errors on other rows, beside what their targets alone would tell."""
    try:
        told = _of_classes(model, X, y) if hasattr(model, "classes_") else _of_numbers(model, X, y)
    except InputError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"the model cannot read these {how_many}: {error}") from None
    lead = (
        f"The model foretold {len(y):,} {how_many} that were given for the test, beside the best that can be said "
        "without looking at them: it should beat that. Whether it had seen any of them, the file does not tell. What "
        "stands in brackets is where the figure would lie for other rows like these, 19 times of 20."
    )
    return Section(TITLE, lead, tuple(told))


def _of_numbers(model: Any, X: Any, y: NDArray[Any]) -> list[Html]:
    if y.dtype.kind not in "iuf":
        raise InputError("this model foretells numbers, the targets of these rows are texts: name another column")
    truth = y.astype(np.float64)
    last = model[-1] if hasattr(model, "steps") else model
    std = None
    if getattr(last, "posterior_", None) is not None:
        predicted, std = model.predict(X, return_std=True)
    else:
        predicted = model.predict(X)
    predicted = np.asarray(predicted, np.float64)
    if predicted.shape != truth.shape:
        raise InputError(f"the model foretells {predicted.shape[1]} numbers a row: a report judges one")
    plain = np.full(len(truth), truth.mean())
    rows = [
        ["RMSE", *(_with_ends((truth - p) ** 2, root=True) for p in (predicted, plain))],
        ["mean absolute error", *(_with_ends(np.abs(truth - p)) for p in (predicted, plain))],
    ]
    told = table(["measure", "this model", "the mean of these rows"], rows)
    return [told, bullets(OF_NUMBERS), _calibrated(truth, predicted, std)]


def _of_classes(model: Any, X: Any, y: NDArray[Any]) -> list[Html]:
    from sklearn.metrics import precision_recall_fscore_support

    classes = np.asarray(model.classes_)
    if getattr(last := model[-1] if hasattr(model, "steps") else model, "multilabel_", False):
        raise InputError(f"this {type(last).__name__} gives several labels a row: a report judges one")
    if {y.dtype.kind, classes.dtype.kind} <= set("OU"):  # texts, however they are held
        classes, y = classes.astype(str), y.astype(str)
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        known = ", ".join(map(str, classes[:6].tolist()))
        raise InputError(
            f"a row is of the class {unknown.tolist()[0]!r}, which the model does not know: it knows {known}"
        )
    p = np.asarray(model.predict_proba(X), np.float64)
    p /= p.sum(axis=1, keepdims=True)
    at = np.searchsorted(classes, y)
    shares = np.tile(np.bincount(at, minlength=len(classes)) / len(y), (len(y), 1))
    loss = [-np.log(np.maximum(q[np.arange(len(y)), at], 1e-15)) for q in (p, shares)]
    right = [(q.argmax(axis=1) == at).astype(np.float64) for q in (p, shares)]
    rows = [["accuracy", *map(_with_ends, right)], ["log loss", *map(_with_ends, loss)]]
    body = [table(["measure", "this model", "the classes' shares in these rows"], rows), bullets(OF_CLASSES)]
    if len(classes) == 2:
        body.append(_calibrated(y == classes[1], p[:, 1]))
        body.append(paragraph(f"The probability is that of the class {classes[1]!s}.", "quiet"))
    else:
        body.append(_calibrated(right[0], p.max(axis=1)))
        body.append(paragraph("The probability is that of the class which the model takes a row for.", "quiet"))
    if len(classes) <= MOST_CLASSES:
        parts = precision_recall_fscore_support(y, classes[p.argmax(axis=1)], labels=classes, zero_division=0)
        told = [
            [str(label), float(precision), float(recall), int(n)]
            for label, precision, recall, _, n in zip(classes, *parts, strict=True)
        ]
        body.append(table(["class", "right where it says so (precision)", "found (recall)", "rows"], told))
    return body


def _with_ends(values: NDArray[np.float64], root: bool = False) -> str:
    """A mean with its bootstrap interval over rows."""
    from fmkit.recommend.bootstrap import bootstrap_interval

    numbers = np.array([values.mean(), *bootstrap_interval(values)])
    value, low, high = np.sqrt(numbers) if root else numbers
    return f"{value:.3g} ({low:.3g} to {high:.3g})"


def restorer(model: Any, picture: NDArray[Any]) -> Section:
    """A clean picture, damaged on purpose and restored."""
    from scipy.ndimage import distance_transform_edt

    from fmkit.datasets import make_damage
    from fmkit.restore import psnr, ssim
    from fmkit.restore.arrays import colours_of

    lost = make_damage(picture.shape[:2], random_state=0)
    white = np.iinfo(picture.dtype).max if picture.dtype.kind in "iu" else 1.0
    damaged = np.where(lost.reshape(lost.shape + (1,) * (picture.ndim - 2)), white, picture).astype(picture.dtype)
    restored, std = model.transform(damaged, lost, return_std=True)
    # Standard deviations are of colours, one for each.
    inside = (
        np.abs(colours_of(restored)[lost].astype(float) - colours_of(picture)[lost])
        < 1.645 * std.reshape(*lost.shape, -1)[lost]
    )
    nearest = distance_transform_edt(lost, return_distances=False, return_indices=True)
    plain = picture[tuple(nearest)]
    rows: list[list[Any]] = [
        ["PSNR of the lost pixels, dB", *(float(psnr(picture, one, lost)) for one in (restored, plain))],
        ["SSIM of the whole picture", *(float(ssim(picture, one)) for one in (restored, plain))],
        ["truths within the interval of 90%", f"{inside.mean():.1%}", ""],
    ]
    stages = {"damaged": damaged, "restored": restored}
    body = (
        table(["measure", "this model", "the nearest known pixel"], rows),
        bullets(OF_PICTURES),
        whole(
            lambda: plots.contact_sheet(stages, truth=picture, lost=lost, crop=min(220, *picture.shape[:2])),
            "A part of the picture: damaged, restored, the truth",
            "The part of the picture where most was lost.",
        ),
        whole(
            lambda: plots.certainty(restored, std),
            "How unsure the restoration is of each pixel that it filled",
            "Known pixels are grey; the brighter a filled one, the less sure it is.",
        ),
    )
    lead = (
        f"{lost.mean():.1%} of a clean picture was taken away by drawn cracks, scratches and flakes, and filled again "
        "by the model: so the truth is known."
    )
    return Section(TITLE, lead, body)
