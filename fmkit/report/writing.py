"""A model file in, a page out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fmkit import __version__
from fmkit.errors import InputError
from fmkit.report.page import Section, page

if TYPE_CHECKING:
    from fmkit.recommend import Recommender

HOW = "fmkit report --data FILE"


def report(
    model: str | Path,
    *,
    data: str | Path | None = None,
    target: str | None = None,
    users: Sequence[Any] = (),
    title: str | None = None,
) -> str:
    """A page about a model file: what it is, its data, its fit, how good it is, examples, settings.

    Parameters
    ----------
    model : str or Path
        A file that `fmkit.save` or a command wrote.
    data : str or Path, optional
        What to judge it by, which it has not seen: ratings or clicks with the columns of the fit, a table or a file of
        libFM with targets; for a restorer a clean picture. Without it the report says that nothing was held out.
    target : str, optional
        The column of targets in a table `data`.
    users : sequence of id, optional
        Of a recommender: whose lists are shown; by default three, of few, of usual and of many interactions.
    title : str, optional

    Returns
    -------
    str
        HTML that asks for no other file and runs no script.

    Raises
    ------
    InputError
        If the model cannot be judged by `data`, or the file is no model.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fmkit import FMRegressor, save
    >>> from fmkit.report import report
    >>> path = Path(tempfile.mkdtemp()) / "model.fmkit"
    >>> save(FMRegressor(1, random_state=0).fit([[1, 0], [0, 1], [1, 1]], [1, 2, 3]), path)
    >>> html = report(path)
    >>> "Nothing was held out" in html
    True
    """
    from fmkit.modelfile import load, read_header
    from fmkit.report import estimators

    path = Path(model)
    loaded, header = load(path), read_header(path)
    rows = None if data is None else Path(data)
    if hasattr(loaded, "interactions_"):
        if target is not None:
            raise InputError("a recommender is judged by its own columns: leave target=None", path=path)
        from fmkit.report import recommenders

        about, sections = recommenders.about(loaded), _of_recommender(loaded, rows, users)
    else:
        if len(users):
            raise InputError(f"this model is a {type(loaded).__name__}, users are of a Recommender", path=path)
        about, sections = estimators.about(loaded), _of_estimator(loaded, rows, target)
    from fmkit.report.settings import settings

    sections.append(settings(loaded, header, path))
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    foot = f"Written by fmkit {__version__} on {today} from {path.name}"
    foot += "." if rows is None else f", judged by {rows.name}."
    return page(title or f"A report on {path.name}", about, sections, foot)


def _of_recommender(model: Recommender, data: Path | None, users: Sequence[Any]) -> list[Section]:
    from fmkit.recommend.explaining import known_codes
    from fmkit.report import quality, recommenders

    known_codes(model.users_, list(users), "user")  # before minutes of work
    good = quality.untested(model.fitted_["good"], HOW) if data is None else quality.recommender(model, data)
    sections = [recommenders.data(model), recommenders.fit(model), good, recommenders.examples(model, users)]
    sections += [one for one in (recommenders.alike(model), recommenders.map_of_items(model)) if one is not None]
    return sections


def _of_estimator(model: Any, data: Path | None, target: str | None) -> list[Section]:
    from fmkit.report import estimators, quality

    last = estimators.last_of(model)
    found: list[Section | None] = [estimators.columns(model), estimators.fit(model)]
    if data is None:
        validation = getattr(last, "validation_", None) or {}
        told = {f"NDCG@10, {name}": value for name, value in validation.items()}
        found.append(quality.untested(told, HOW) if hasattr(last, "predict") or told else None)
    else:
        found.append(_judged(model, last, data, target))
    found.append(estimators.pictures(last) if hasattr(last, "n_channels_") else estimators.inside(model))
    return [one for one in found if one is not None]


def _judged(model: Any, last: Any, data: Path, target: str | None) -> Section:
    from fmkit.report import quality

    if hasattr(last, "n_channels_"):
        from fmkit.restore.picture_file import read_picture

        return quality.restorer(last, read_picture(data).colours)
    if not hasattr(last, "predict") or type(last).__name__ == "FMRanker":
        raise InputError(f"a {type(last).__name__} cannot be judged by a file of rows: leave the data out", path=data)
    if hasattr(last, "net_") and (data.is_dir() or type(last).__name__.startswith(("RNN", "CNN"))):
        from fmkit.deep.labelled import read_labelled

        labelled = read_labelled(data, target)
        return quality.estimator(model, labelled.X, np.asarray(labelled.y), labelled.kind if data.is_dir() else "rows")
    from fmkit.training import read_training_rows

    rows = read_training_rows([data], target)
    X = rows.X
    if rows.kind != "table" and X.shape[1] < last.n_features_in_:
        X.resize(X.shape[0], last.n_features_in_)
    return quality.estimator(model, X, rows.y)
