"""Feed-forward nets for tables: MLPClassifier and MLPRegressor."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data
from torch import Tensor, nn

from fmkit.errors import InputError

from . import files
from .columns import Columns, Table, split_columns
from .estimator import NetEstimator, keep_parameters
from .factorization import FactorizationLayer, embed
from .layers import LayerSettings, SparseLinear, dense_stack
from .targets import Classifier, Regressor
from .training import Net

EMBEDDING_STD = 0.1  # of the first embeddings; their columns are scaled by what follows


class MLP(Net):
    """A multilayer perceptron over a table's columns, with a factorization machine beside it if asked for.

    Numbers and the embeddings of levels are the units of the lowest layer; of a sparse matrix, its columns. With a
    machine, levels are embedded by its factors, and its values are added to the outputs (DeepFM).
    """

    def __init__(
        self,
        columns: Columns,
        hidden_layer_sizes: Sequence[int],
        n_outputs: int,
        settings: LayerSettings,
        embedding_size: int,
        n_factors: int | None,
    ) -> None:
        super().__init__()
        self.is_sparse = columns.is_sparse
        first, *others = [*hidden_layer_sizes, n_outputs]
        width = columns.n_numbers
        self.machine = None if n_factors is None else FactorizationLayer(columns, n_factors, n_outputs)
        if n_factors is not None:
            width += len(columns.levels) * n_outputs * n_factors
        elif columns.levels:
            width += len(columns.levels) * embedding_size
            self.levels = nn.Parameter(EMBEDDING_STD * torch.randn(columns.n_levels, embedding_size))
        self.first = settings.drawn((SparseLinear if columns.is_sparse else nn.Linear)(width, first))
        self.rest = dense_stack([first, *others[:-1]], n_outputs, settings) if others else nn.Identity()
        if self.machine is not None:
            nn.init.zeros_(self.last.weight)  # the net begins as the machine

    @property
    def last(self) -> nn.Linear:
        """The layer of the outputs."""
        layer = self.first if isinstance(self.rest, nn.Identity) else self.rest[-1]
        assert isinstance(layer, nn.Linear | SparseLinear)
        return layer

    def forward(self, *batch: Tensor) -> Tensor:
        """Outputs, (n_rows, n_outputs), of a batch of `TableRows` or `SparseRows`."""
        if self.is_sparse:
            outputs = self.rest(self.first(*batch))
            return outputs if self.machine is None else outputs + self.machine.sparse(*batch)
        if self.machine is not None:
            values, embedded = self.machine.table(*batch)
            return values + self.rest(self.first(torch.cat([batch[0], embedded], dim=1)))
        numbers, *codes = batch
        units = torch.cat([numbers, embed(self.levels, *codes).flatten(1)], dim=1) if codes else numbers
        return self.rest(self.first(units))


class MLPEstimator(NetEstimator):
    """What MLPClassifier and MLPRegressor share: tables, and the net over them."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetEstimator._parameter_constraints,
        "hidden_layer_sizes": ["array-like"],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "embedding_size": [Interval(Integral, 1, None, closed="left")],
        "factorization": ["boolean", BaseEstimator],
    }

    hidden_layer_sizes: Sequence[int]
    categorical_features: Any
    embedding_size: int
    factorization: Any
    encoder_: Columns
    n_factors_: int | None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _read(self, X: Any, *, reset: bool) -> Table:
        parts = split_columns(X, self.categorical_features)
        if parts is None:
            X = validate_data(self, X, reset=reset, accept_sparse="csr", dtype="numeric")
            return Table(sparse.csr_array(X) if sparse.issparse(X) else X)
        validate_data(self, X=X, reset=reset, skip_check_array=True)
        numbers, categories = parts
        numbers = check_array(numbers, ensure_min_features=0, input_name="X")
        return Table(numbers, categories)

    def _learn(self, rows: Table, chosen: NDArray[np.int64]) -> Columns:
        return Columns.learn(rows, chosen)

    def _make_net(self) -> MLP:
        sizes = [int(size) for size in self.hidden_layer_sizes]
        if any(size < 1 for size in sizes):
            raise InputError(f"hidden_layer_sizes must be positive numbers, got {sizes}")
        return MLP(
            self.encoder_, sizes, self.n_outputs_, self._layer_settings(), self.embedding_size, self._n_factors()
        )

    def _n_factors(self) -> int | None:
        if isinstance(self.factorization, BaseEstimator):
            return int(self.factorization.n_factors)
        return self.embedding_size if self.factorization else None

    def _start_net(self, rows: Table, y: NDArray[Any], weights: Any, chosen: NDArray[np.int64]) -> None:
        """Begin with a fitted machine: the one given or, if it is not fitted, one of the same rows."""
        if self.factorization is False:
            return
        from fmkit.estimators import FMClassifier, FMRegressor  # loads numba

        kind = FMClassifier if is_classifier(self) else FMRegressor
        fm = self.factorization
        if fm is True:
            fm = kind(self.embedding_size, random_state=self.random_state, n_jobs=self.n_jobs)
        if not isinstance(fm, kind):
            raise InputError(f"factorization must be True, False or a {kind.__name__}, got {type(fm).__name__}")
        if y.ndim > 1:
            raise InputError("factorization=True is for one target a row: fit an estimator a target")
        if not hasattr(fm, "n_features_in_"):
            fm = clone(fm).fit(self.encoder_.design(rows)[chosen], y[chosen], weights[chosen])
        elif fm.n_features_in_ != self.encoder_.n_numbers + self.encoder_.n_levels:
            raise InputError(
                f"the machine of factorization was fitted to {fm.n_features_in_} columns, the table has "
                f"{self.encoder_.n_numbers} numbers and {self.encoder_.n_levels} levels: give one that is not fitted"
            )
        assert isinstance(self.net_, MLP)
        assert self.net_.machine is not None
        if isinstance(self, Regressor):
            self.net_.machine.start_from([fm.machine_], self.target_mean_[0], self.target_spread_[0])
        else:
            self.net_.machine.start_from(fm.machines_)

    @classmethod
    def _unpack_encoder(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Columns:
        return Columns.unpack(facts, arrays)

    def _to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return files.pack(self)

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        return files.unpack(cls(), facts, arrays)


class MLPClassifier(Classifier, MLPEstimator):
    """DOCC"""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MLPEstimator._parameter_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (256,),
        *,
        activation: str = "relu",
        init: str = "he",
        init_std: float = 0.01,
        l1: float = 0.0,
        l2: float = 0.01,
        dropout: float = 0.0,
        batch_norm: bool = False,
        layer_norm: bool = False,
        categorical_features: Any = "from_dtype",
        embedding_size: int = 8,
        factorization: Any = False,
        label_smoothing: float = 0.0,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        optimizer: str = "adamw",
        momentum: float = 0.9,
        nesterov: bool = True,
        batch_size: int | Literal["auto", "full"] = "auto",
        learning_rate: float | Literal["auto"] | None = None,
        schedule: str = "onecycle",
        early_stopping: bool = False,
        patience: int = 10,
        validation_fraction: float = 0.1,
        max_epochs: int | None = None,
        max_time: float | None = None,
        ema: float = 0.0,
        grad_clip: float | None = None,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        amp: bool = False,
        tell_saturation: bool = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        callbacks: list[Any] | None = None,
    ) -> None:
        keep_parameters(self, locals())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(Regressor, MLPEstimator):
    """DOCR"""

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (256,),
        *,
        activation: str = "relu",
        init: str = "he",
        init_std: float = 0.01,
        l1: float = 0.0,
        l2: float = 0.01,
        dropout: float = 0.0,
        batch_norm: bool = False,
        layer_norm: bool = False,
        categorical_features: Any = "from_dtype",
        embedding_size: int = 8,
        factorization: Any = False,
        optimizer: str = "adamw",
        momentum: float = 0.9,
        nesterov: bool = True,
        batch_size: int | Literal["auto", "full"] = "auto",
        learning_rate: float | Literal["auto"] | None = None,
        schedule: str = "onecycle",
        early_stopping: bool = False,
        patience: int = 10,
        validation_fraction: float = 0.1,
        max_epochs: int | None = None,
        max_time: float | None = None,
        ema: float = 0.0,
        grad_clip: float | None = None,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        amp: bool = False,
        tell_saturation: bool = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        callbacks: list[Any] | None = None,
    ) -> None:
        keep_parameters(self, locals())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
