"""What a model is asked of a batch, and what it answers: an adapter for each kind of model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import pyarrow as pa

from fmkit.batch.asked.columns import Column
from fmkit.errors import InputError

ADAPTERS = {
    "CNNClassifier": ("pictures", "Classifying"),
    "FMRanker": ("pairs", "Codes"),
    "ImageRestorer": ("pictures", "Restoring"),
    "RNNClassifier": ("sequences", "Sequenced"),
    "RNNRegressor": ("sequences", "Sequenced"),
    "Recommender": ("pairs", "Pairs"),
}


@dataclass(frozen=True)
class Wishes:
    """What is to be told beside predictions.

    Parameters
    ----------
    std : bool, default=False
        Standard deviations.
    proba : bool, default=False
        Probabilities of classes.
    top : int, optional
        Lists of so many items for each user instead.
    columns : mapping of role to column, optional
        Columns with unusual names: user, item, text, picture, mask, series, ...
    """

    std: bool = False
    proba: bool = False
    top: int | None = None
    columns: Mapping[str, str] | None = None

    def column(self, role: str, present: Sequence[str], usual: Sequence[str]) -> str:
        """The column of a role: the one named, the first of the usual names, or the only one there is.

        Raises
        ------
        InputError
            If it is not there.
        """
        named = (self.columns or {}).get(role)
        if named is not None:
            if named not in present:
                raise InputError(f"there is no column '{named}' for {role}: {_listed(present)}")
            return named
        for name in (role, *usual):
            if name in present:
                return name
        if len(present) == 1:
            return present[0]
        raise InputError(f"no column for {role} was found, name it ({role}=COLUMN): {_listed(present)}")

    def check(self, kind: str, *, roles: Sequence[str] = (), std: bool = False, proba: bool = False, top: bool = False)\
            -> None:  # fmt: skip
        """Raise an InputError about the first wish that a kind of model does not grant."""
        for wished, granted, what in (
            (self.std, std, "std: standard deviations are told by MCMC and VB fits of numbers"),
            (self.proba, proba, "proba: probabilities are told by classifiers"),
            (self.top is not None, top, "top: lists are made by a Recommender"),
        ):
            if wished and not granted:
                raise InputError(f"{kind} does not grant {what}")
        for role in self.columns or {}:
            if role not in roles:
                raise InputError(f"{kind} has no column for '{role}': {', '.join(roles) or 'its columns have names'}")


class Asked(Protocol):
    """A model with the columns that it is asked by."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """What is read of a batch."""

    @property
    def fields(self) -> Sequence[pa.Field]:
        """What is answered."""

    def answer(self, values: Mapping[str, Any], n: int) -> list[pa.Array]:
        """An array for each of the fields, of n rows (one at least) whose columns were read.

        Raises
        ------
        Refused
            If columns of a row do not go together.
        """


def ask(model: Any, schema: pa.Schema, wishes: Wishes) -> Asked:
    """A model, to be asked of batches of this schema.

    Raises
    ------
    InputError
        If the batches lack a column, or it is of a wrong type; if the model does not tell what is wished.
    """
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    name = type(model).__name__
    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError):
        raise InputError(f"the {name} is not fitted, or is no estimator: fit or load one") from None
    module, adapter = ADAPTERS.get(name, ("rows", "Rows"))
    asked: Asked = getattr(import_module(f"fmkit.batch.asked.{module}"), adapter)(model, schema, wishes)
    for column, kind in asked.columns.items():
        _check_column(column, kind, schema)
    return asked


def _check_column(name: str, kind: Column, schema: pa.Schema) -> None:
    count = len(schema.get_all_field_indices(name))
    if count != 1:
        told = f"there are {count} columns" if count else "there is no column"
        raise InputError(f"{told} '{name}', and the model needs it: {_listed(schema.names)}")
    try:
        kind.check(schema.field(name).type)
    except (InputError, pa.ArrowException) as error:
        raise InputError(f"column '{name}': {error}") from None


def _listed(names: Sequence[str]) -> str:
    return f"the columns are {', '.join(names)}" if names else "there are no columns"
