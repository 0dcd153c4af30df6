"""TableEncoder: a table of any columns -> a design matrix whose columns have names."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from numbers import Integral
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted, validate_data

from fmkit.errors import InputError
from fmkit.tables.dates import Dates
from fmkit.tables.entries import Entries
from fmkit.tables.frames import as_arrow
from fmkit.tables.kinds import KINDS, Kind, Recognised, recognise
from fmkit.tables.knots import Knots, as_numbers
from fmkit.tables.levels import Levels
from fmkit.tables.saved import pack, unpack

Encoder = Levels | Knots | Dates
SETS = "|"  # between the members of a set, where the schema names no other separator


@dataclass(frozen=True)
class Feature:
    """What became of a column.

    Parameters
    ----------
    column : str
    kind : {"number", "category", "set", "text", "date", "ignore"}
    n_columns : int
        Of the design.
    why : str
        What said that it is of this kind.
    """

    column: str
    kind: Kind
    n_columns: int
    why: str


class TableEncoder(TransformerMixin, BaseEstimator):
    """Columns of a table as columns of a design matrix, each by what it holds.

    =========  =========================================================================================
    kind       becomes
    =========  =========================================================================================
    number     piecewise linear between knots at its quantiles; few distinct values: a column each
    category   a column a level
    set        ("Action|Comedy", lists) a column a member; a row is a vector of length 1
    text       a column a word that comes back; a row is a vector of length 1
    date       its time as a number, and columns for month, weekday and hour, as far as they differ;
               whole numbers count seconds from 1970 (or parts of seconds, by their size)
    ignore     nothing
    =========  =========================================================================================

    Kinds are recognised by types and by what texts have in common; `features_` says how, `schema` overrides. Values
    that are missing have a column of their own if some were missing in the fit; levels that the fit did not see are
    left out.

    Parameters
    ----------
    schema : mapping of column to kind, optional
        Kinds of columns in place of those recognised; of a set also ("set", separator).
    n_knots : int, default 16
        Columns of a number, at most, and no more than half the cube root of the rows, but 2: with 350 rows of diabetes
        2 to 4 are best, with 8,000 of adult 8 to 16.
    min_count : int, default 2
        Rows that a word must be in: what one row has alone predicts no other.
    max_words : int, default 10_000
        Words of a text column, those that most rows have.
    sparse_output : bool, default True
        A CSR matrix; False for a dense array, which `set_output` needs.

    Attributes
    ----------
    features_ : list of Feature
        What became of each column, and why.
    fields_ : ndarray of shape (n_columns,), int32
        Number of the table's column that each column of the matrix comes from: the `fields` of a machine with
        interaction="ffm" or "fwfm".
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        If the table names its columns by text.

    Examples
    --------
    >>> from fmkit.tables import TableEncoder
    >>> table = {"year": [1995, 1995, 2001], "genres": ["Action|Comedy", "Comedy", "Action"]}
    >>> encoder = TableEncoder(schema={"genres": "set"}).fit(table)
    >>> encoder.get_feature_names_out()
    array(['year~1995', 'year~2001', 'genres=Action', 'genres=Comedy'],
          dtype=object)
    >>> encoder.transform(table).toarray().round(2)
    array([[1.  , 0.  , 0.71, 0.71],
           [1.  , 0.  , 0.  , 1.  ],
           [0.  , 1.  , 1.  , 0.  ]], dtype=float32)
    >>> [feature.why for feature in encoder.features_]
    ['its type is int64', 'the schema says so']
    >>> encoder.fields_
    array([0, 0, 1, 1], dtype=int32)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "schema": [Mapping, None],
        "n_knots": [Interval(Integral, 2, None, closed="left")],
        "min_count": [Interval(Integral, 1, None, closed="left")],
        "max_words": [Interval(Integral, 0, None, closed="left")],
        "sparse_output": ["boolean"],
    }

    features_: list[Feature]
    feature_names_in_: NDArray[np.object_]
    n_features_in_: int

    def __init__(
        self,
        schema: Mapping[str, Kind | tuple[Literal["set"], str]] | None = None,
        *,
        n_knots: int = 16,
        min_count: int = 2,
        max_words: int = 10_000,
        sparse_output: bool = True,
    ) -> None:
        self.schema = schema
        self.n_knots = n_knots
        self.min_count = min_count
        self.max_words = max_words
        self.sparse_output = sparse_output

    @property
    def fields_(self) -> NDArray[np.int32]:
        sizes = [feature.n_columns for feature in self.features_]
        return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)

    @classmethod
    def of_levels(cls, levels: Mapping[str, pa.StringArray]) -> Self:
        """An encoder of categories, as a fit to columns with these levels would leave it, but in this order.

        Parameters
        ----------
        levels : mapping of str to pyarrow.StringArray
            Of each column; texts as `fmkit.tables.levels.as_levels` makes them, each once.
        """
        encoder = cls(dict.fromkeys(levels, "category"))
        encoder._encoders = {name: Levels("category", "", values, False) for name, values in levels.items()}
        encoder.features_ = [
            Feature(name, "category", len(values), "the schema says so") for name, values in levels.items()
        ]
        encoder.n_features_in_ = len(levels)
        encoder.feature_names_in_ = np.asarray(list(levels), dtype=object)
        return encoder

    def fit(self, X: Any, y: Any = None) -> Self:
        """Recognise the columns, and learn their knots and levels.

        Parameters
        ----------
        X : DataFrame, pyarrow.Table, array-like of shape (n_rows, n_columns), or mapping of columns
        y : ignored

        Raises
        ------
        InputError
            If a column cannot be what the schema says, or holds what no kind is for; the message names it.
        """
        self._validate_params()
        table = self._table(X, reset=True)
        schema = {str(name): kind for name, kind in (self.schema or {}).items()}
        for name in schema:
            if name not in table.column_names:
                raise InputError(f"schema names the column '{name}', the table has {', '.join(table.column_names)}")
        self._encoders: dict[str, Encoder] = {}
        self.features_ = []
        for name in table.column_names:
            column = table.column(name).combine_chunks()
            try:
                told = _of_schema(schema[name]) if name in schema else recognise(column, name)
                encoder = self._learn(column, told)
            except (InputError, pa.ArrowException) as error:
                raise InputError(f"column '{name}': {error}") from None
            if encoder is not None:
                self._encoders[name] = encoder
            self.features_.append(Feature(name, told.kind, 0 if encoder is None else len(encoder), told.why))
        return self

    def transform(self, X: Any) -> sparse.csr_array | NDArray[np.float32]:
        """The design matrix of a table with the columns of the fit.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        csr_array or ndarray of shape (n_rows, n_columns_out), float32
        """
        check_is_fitted(self)
        if self.sparse_output and (wished := _get_output_config("transform", self)["dense"]) != "default":
            raise InputError(
                f"frames of {wished} hold no sparse columns: set TableEncoder(sparse_output=False), or "
                "set_output(transform='default')"
            )
        table = self._table(X, reset=False)
        parts: list[Entries | sparse.csr_array] = []
        for name, encoder in self._encoders.items():
            column = table.column(name)
            try:
                parts.append(_encoded(encoder, column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()))
            except (InputError, pa.ArrowException) as error:
                raise InputError(f"column '{name}': {error}") from None
        design = _side_by_side(parts, len(table))
        return design if self.sparse_output else design.toarray()

    def unmet(self, X: Any) -> dict[str, list[str]]:
        """Categories, and members of sets, that the fit did not see, by column: `transform` leaves them out.

        Parameters
        ----------
        X : as in `fit`
        """
        check_is_fitted(self)
        table = self._table(X, reset=False)
        unmet = {
            name: encoder.unmet(table.column(name).combine_chunks())
            for name, encoder in self._encoders.items()
            if isinstance(encoder, Levels) and encoder.kind != "text"  # new words come with every text
        }
        return {name: levels for name, levels in unmet.items() if levels}

    def without(self, gone: NDArray[np.bool_]) -> tuple[Self, NDArray[np.bool_]]:
        """An encoder that has forgotten what no row has any more.

        Parameters
        ----------
        gone : bool ndarray of shape (n_columns_out,)
            Columns of the design that rows had, and have no longer.

        Returns
        -------
        encoder : TableEncoder
            For the rows that are left it does what this one does.
        stay : bool ndarray of shape (n_columns_out,)
            Which columns it has; those of months, weekdays and hours, which name nobody, stay in any case.
        """
        check_is_fitted(self)
        left, stay = copy.copy(self), ~gone
        left._encoders, left.features_ = {}, []
        start = 0
        for feature in self.features_:
            encoder = self._encoders.get(feature.column)
            if encoder is not None:
                own = stay[start : start + len(encoder)]
                start += len(encoder)
                if isinstance(encoder, Dates):
                    own[len(encoder.time) :] = True
                left._encoders[feature.column] = encoder.select(np.flatnonzero(own))
                feature = replace(feature, n_columns=len(left._encoders[feature.column]))
            left.features_.append(feature)
        return left, stay

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the design's columns: column=level, column:word, column~knot.

        Parameters
        ----------
        input_features : ignored
            As scikit-learn passes it.
        """
        check_is_fitted(self)
        names = [name for column, encoder in self._encoders.items() for name in encoder.names(column)]
        return np.asarray(names, dtype=object)

    def _to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        check_is_fitted(self)
        arrays: dict[str, NDArray[Any]] = {}
        packed: list[Any] = []
        for number, feature in enumerate(self.features_):
            facts = None
            if feature.column in self._encoders:
                facts, held = pack(self._encoders[feature.column], f"column{number}")
                arrays |= held
            packed.append([asdict(feature), facts])
        names = list(self.feature_names_in_) if hasattr(self, "feature_names_in_") else None
        parameters = {name: value for name, value in self.get_params().items() if name != "schema"}
        schema = None if self.schema is None else {name: _listed(kind) for name, kind in self.schema.items()}
        return {"parameters": parameters, "schema": schema, "columns": packed, "names": names}, arrays

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        schema = facts["schema"]
        if schema is not None:
            schema = {name: tuple(kind) if isinstance(kind, list) else kind for name, kind in schema.items()}
        encoder = cls(schema, **facts["parameters"])
        encoder._validate_params()
        encoder.features_ = [Feature(**feature) for feature, _ in facts["columns"]]
        encoder._encoders = {}
        for number, (feature, held) in enumerate(facts["columns"]):
            if held is not None:
                made = encoder._encoders[feature["column"]] = unpack(held, arrays, f"column{number}")
                if len(made) != feature["n_columns"]:
                    raise ValueError(
                        f"column {feature['column']!r} has {len(made)} columns, not {feature['n_columns']}"
                    )
        encoder.n_features_in_ = len(encoder.features_)
        if facts["names"] is not None:
            encoder.feature_names_in_ = np.asarray(facts["names"], dtype=object)
        return encoder

    def _learn(self, column: pa.Array, told: Recognised) -> Encoder | None:
        n_knots = min(self.n_knots, max(2, round(np.cbrt(len(column)) / 2)))
        if told.kind == "number":
            return Knots.learn(as_numbers(column), n_knots)
        if told.kind == "date":
            return Dates.learn(column, n_knots)
        if told.kind == "ignore":
            return None
        pruned = (self.min_count, self.max_words) if told.kind == "text" else ()
        return Levels.learn(column, told.kind, told.separator, *pruned)

    def _table(self, X: Any, *, reset: bool) -> pa.Table:
        if sparse.issparse(X):
            raise TypeError("Sparse data was passed, but a table has dense columns: give the matrix to the estimator")
        table = as_arrow(X)
        # Of what scikit-learn knows no columns of, the table's are told.
        validate_data(self, X=table if isinstance(X, Mapping | pa.Table) else X, reset=reset, skip_check_array=True)
        if not table.num_columns:
            raise InputError(f"0 feature(s) (shape=({len(table)}, 0)) while a minimum of 1 is required: no columns")
        if not len(table):
            raise InputError("Found array with 0 sample(s) while a minimum of 1 is required: the table has no rows")
        return table if reset else table.rename_columns([feature.column for feature in self.features_])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # float32 of whatever
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def _encoded(encoder: Encoder, column: pa.Array) -> Entries | sparse.csr_array:
    if isinstance(encoder, Knots):
        return encoder.entries(as_numbers(column))
    if isinstance(encoder, Levels) and encoder.kind == "category":
        return encoder.entries(column)
    return encoder.encode(column)


def _side_by_side(parts: list[Entries | sparse.csr_array], n_rows: int) -> sparse.csr_array:
    blocks = []
    for of_entries, group in groupby(parts, lambda part: isinstance(part, Entries)):
        some: list[Any] = list(group)
        blocks += [Entries.beside(some).csr()] if of_entries else some
    if len(blocks) == 1:
        return blocks[0]
    return sparse.hstack([sparse.csr_array((n_rows, 0), dtype=np.float32), *blocks], format="csr", dtype=np.float32)


def _listed(kind: Any) -> Any:
    return list(kind) if isinstance(kind, tuple) else kind


def _of_schema(given: Any) -> Recognised:
    kind, separator = given if isinstance(given, tuple) else (given, SETS)
    if kind not in KINDS:
        raise InputError(
            f"the schema gives {given!r}: its kind must be one of {', '.join(KINDS)}, or ('set', separator)"
        )
    return Recognised(kind, "the schema says so", separator)
