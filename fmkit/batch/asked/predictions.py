"""The columns of what estimators predict: numbers, labels, probabilities."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.base import is_classifier

from fmkit.batch.asked.answers import Wishes
from fmkit.errors import InputError
from fmkit.pipelines import steps_of

PREDICTION = "prediction"


class Predictions:
    """What an estimator predicts of rows, as columns.

    Parameters
    ----------
    model : estimator
        Fitted.
    wishes : Wishes
    kind : str
        What to call it in messages.
    roles : tuple of str
        Columns that may be named.
    """

    def __init__(self, model: Any, wishes: Wishes, roles: tuple[str, ...] = ()) -> None:
        classes = getattr(model, "classes_", None) if is_classifier(model) else None
        last = steps_of(model)[-1]
        kind = f"a {type(last).__name__}"
        wishes.check(kind, roles=roles, std=_tells_std(last), proba=hasattr(model, "predict_proba"))
        self.model, self.wishes = model, wishes
        self.fields = [pa.field(PREDICTION, pa.float32() if classes is None else pa.array(classes).type)]
        if wishes.std:
            self.fields.append(pa.field(f"{PREDICTION}_std", pa.float32()))
        if wishes.proba:
            self.fields += [pa.field(f"proba_{label}", pa.float32()) for label in np.asarray(classes).tolist()]

    def of(self, X: Any) -> list[pa.Array]:
        """An array for each of the fields."""
        if self.wishes.std:
            columns = list(self.model.predict(X, return_std=True))
        elif self.wishes.proba:
            chances = self.model.predict_proba(X)
            labels = np.asarray(self.model.classes_)[chances.argmax(axis=1)]
            columns = [labels, *chances.T]
        else:
            columns = [self.model.predict(X)]
        arrays = []
        for column, field in zip(columns, self.fields, strict=True):
            column = np.asarray(column)
            if column.ndim != 1:
                raise InputError(f"a model of one target is needed, this one predicts {column.shape[1]} a row")
            plain = column.astype(field.type.to_pandas_dtype()) if column.dtype.kind in "iuf" else column
            arrays.append(pa.array(plain, field.type))
        return arrays


def _tells_std(model: Any) -> bool:
    if "return_std" not in signature(model.predict).parameters:
        return False
    return getattr(model, "solver", None) in ("mcmc", "vb")
