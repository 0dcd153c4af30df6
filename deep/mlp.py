"""Feed-forward nets for tables: MLPClassifier and MLPRegressor."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from fmkit.errors import InputError
from fmkit.tables.frames import as_arrow

from . import files, onnx
from .columns import Columns, Table, find_categories, is_arrow, split_columns
from .estimator import NetEstimator, keep_parameters
from .perceptron import MLP
from .targets import Classifier, Regressor

N_KNOTS = 16  # as of TableEncoder


class MLPEstimator(NetEstimator):
    """What MLPClassifier and MLPRegressor share: tables, and the net over them."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetEstimator._parameter_constraints,
        "hidden_layer_sizes": ["array-like"],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "n_knots": [Interval(Integral, 2, None, closed="left"), StrOptions({"auto"}), Options(Integral, {0})],
        "embedding_size": [Interval(Integral, 1, None, closed="left")],
        "factorization": ["boolean", BaseEstimator],
    }

    hidden_layer_sizes: Sequence[int]
    categorical_features: Any
    n_knots: int | Literal["auto"]
    embedding_size: int
    factorization: Any
    encoder_: Columns
    categories_: list[int] | None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _read(self, X: Any, *, reset: bool) -> Table:
        if reset:
            self.categories_ = find_categories(X, self.categorical_features)
        if self.categories_ is None and not is_arrow(X):
            X = validate_data(self, X, reset=reset, accept_sparse="csr", dtype="numeric")
            return Table(sparse.csr_array(X) if sparse.issparse(X) else X)
        table = as_arrow(X)
        # Of what scikit-learn knows no columns of, the table's are told.
        validate_data(self, X=table if is_arrow(X) else X, reset=reset, skip_check_array=True)
        numbers, categories = split_columns(table, self.categories_ or [])
        return Table(check_array(numbers, ensure_min_features=0, input_name="X"), categories)

    def _learn(self, rows: Table, chosen: NDArray[np.int64]) -> Columns:
        usual = min(N_KNOTS, max(2, round(np.cbrt(len(chosen)) / 2))) if rows.categories else 0
        return Columns.learn(rows, chosen, usual if self.n_knots == "auto" else self.n_knots)

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
        if fm.interaction != "fm":
            raise InputError(
                f"factorization must be a plain machine, of interaction='fm': got interaction={fm.interaction!r}"
            )
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

    def _starts_fitted(self) -> bool:
        return self.factorization is not False

    @classmethod
    def _unpack_encoder(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Columns:
        return Columns.unpack(facts, arrays)

    def to_onnx(self, path: str | PathLike[str]) -> None:
        """Write the net as an ONNX file, with what comes before and after it.

        Its input "X" are numbers (n_rows, n_features), float32, in the units of `fit`; its output "answer" what
        `predict_proba` gives, or the `predict` of a regressor, as (n_rows, n_outputs). For nets of numbers alone that
        are scaled, not of sparse matrices and categories.

        Parameters
        ----------
        path : str or path
            Customarily with the suffix `.onnx`.

        Raises
        ------
        InputError
            If the net is of other tables.
        ImportError
            Without onnxscript: `pip install fmkit[onnx]`.
        """
        check_is_fitted(self)
        columns = self.encoder_
        if columns.is_sparse or columns.levels or columns.knots:
            raise InputError("to_onnx is for nets of numbers that are scaled: without categories, knots, sparse rows")
        module = nn.Sequential(onnx.Standardised(columns.centre, columns.spread), self.net_.copy(), onnx.answers(self))
        onnx.export(self, module, {"X": (torch.zeros(2, columns.n_numbers), ["n_rows"])}, path)

    def _to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        facts, arrays = files.pack(self)
        return {**facts, "categories": self.categories_}, arrays

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        model = cast(Self, files.unpack(cls(), facts, arrays))
        model.categories_ = facts["categories"]
        return model


class MLPClassifier(Classifier, MLPEstimator):
    """Multilayer perceptron for classification: of tables of numbers, categories, or both, and of sparse matrices.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(256,)
        Units of the hidden layers; () is a linear model.
    activation : {"relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "logistic"}, default="relu"
        Of hidden units.
    init : {"he", "xavier", "lecun", "orthogonal", "constant-variance"}, default="he"
        How weights are drawn (`fmkit.deep.initialization`).
    init_std : float, default=0.01
        Standard deviation of the weights by init="constant-variance".
    l1 : float, default=0.0
        Penalty l1 `|w|` on weights, not on biases; makes some exactly zero.
    l2 : float, default=0.1
        Penalty l2 w² / 2 on weights: every step shrinks them by the learning rate times l2 (decoupled weight decay).
        On validation parts of digits, Fashion-MNIST and adult, 0.1 was no worse than 0.01 and than 1.
    dropout : float, default=0.0
        Share of hidden units that are left out in a training step; none in predictions.
    batch_norm, layer_norm : bool, default=False
        Standardise units before the activation, over the batch or over the layer; one of the two.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Columns that are categories, by name, position, or a boolean each; "from_dtype" takes those of text,
        dictionaries and booleans of a DataFrame or pyarrow.Table. A level is a vector that is learned (an embedding);
        of a level that the fit did not see it is zero. Missing values are a level.
    n_knots : int or "auto", default="auto"
        With 2 or more, a number becomes so many columns at most, piecewise linear between knots at its quantiles; with
        0 it is standardised, and drawn in beyond some three standard deviations. "auto" is 16 (fewer of few rows) where
        there are categories, else 0: knots lower the log loss on adult from .320 to .307, and blow up a picture.
    embedding_size : int, default=8
        Length of a level's vector, and of a column's factors by factorization=True.
    factorization : bool or FMClassifier, default=False
        Put a factorization machine beside the net (DeepFM): its values are added to the net's outputs, and its factors
        are the net's embeddings. It is fitted to the training rows first, and then trained on with the net, whose
        outputs begin at zero. With early_stopping=True, a machine that no epoch betters, by 1.5 % of the loss on the
        rows set aside, is what remains, fitted to all rows: so it is with ratings by users and items alone. An
        FMClassifier says how it is fitted, and with how many factors; one that is fitted already, to these columns
        (numbers, then a column a level, in their order), is taken as it is.
    label_smoothing : float, default=0.0
        Share of a row's probability that the loss wants given to all classes alike.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes; "balanced" gives all the same sum.
    optimizer : {"adamw", "sgd", "adagrad", "rmsprop", "lbfgs"}, default="adamw"
        "lbfgs" takes all rows at once, at a constant rate, 20 iterations an epoch.
    momentum : float, default=0.9
        Of "sgd".
    nesterov : bool, default=True
        Of "sgd".
    batch_size : int, "auto" or "full", default="auto"
        Rows a step; "full" is batch gradient descent; "auto" a fiftieth of the rows, as a power of two from 16 to 256.
    learning_rate : float, "auto" or None, default=None
        The highest of the schedule. None takes the optimizer's usual (AdamW .005, SGD .1, AdaGrad .02, RMSProp .002,
        L-BFGS 1), "auto" a range test of 100 steps (`fmkit.deep.range_test`).
    schedule : {"onecycle", "cosine", "constant", "step"}, default="onecycle"
        Learning rate over the training (`fmkit.deep.schedules`).
    early_stopping : bool, default=False
        Set `validation_fraction` of the rows aside, of every class its share, keep the net that is best there, and stop
        after `patience` epochs that make it no better.
    patience : int, default=10
        Epochs.
    validation_fraction : float, default=0.1
        Share of the rows, in (0, 1).
    max_epochs : int, optional
        Passes over the rows; by default as many as make 700 steps, from 10 to 100, or as many as `max_time` allows.
    max_time : float, optional
        Seconds; the schedule comes to its end with the time.
    ema : float, default=0.0
        Decay, .99 say, of an exponential moving average over the steps' weights, which is then the net; 0 for none.
    grad_clip : float, optional
        The longest gradient, of all parameters together; longer ones are scaled down.
    device : {"auto", "cpu", "cuda", "mps"}, default="auto"
        "auto" takes a GPU if there is one.
    amp : bool, default=False
        Compute in bfloat16 where that is safe: sooner on GPUs, and much later on most CPUs.
    compile : bool, default=False
        Compile the training steps (`torch.compile`), with a C++ compiler. It did not pay on one core: epochs of digits
        took .064 s instead of .041, after 4 s of compiling.
    tell_saturation : bool, default=False
        Have `history_` tell, of every hidden layer, the share of units whose activation is flat, `|f'|` < 0.05.
    n_jobs : int, optional
        Threads of the processor, -1 for every core; by default one: a second one took three times the processor time on
        Fashion-MNIST, and no less of the clock's.
    random_state : int, RandomState instance or None, default=None
        Draws weights, the part set aside, orders of rows, and dropout: the same number on the same machine gives the
        same net, bit for bit. The order of the rows is part of the data: permuted rows give another net, as good.
    warm_start : bool, default=False
        Go on from the net of the last fit, and its scales, if columns and classes are the same.
    verbose : int, default=0
        1 shows a progress bar.
    callbacks : list of callable, optional
        Each is called with the `fmkit.progress.Progress` of every epoch; one that returns True ends the fit.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; of a table of labels their numbers.
    multilabel_ : bool
        Whether y was a table of 0 and 1.
    net_ : fmkit.deep.perceptron.MLP
        The torch module, on the processor.
    categories_ : list of int, or None
        Positions of the columns that are categories; None of an array of numbers.
    encoder_ : fmkit.deep.columns.Columns
        Scales, knots and levels; of the training rows alone.
    history_ : list of dict
        `epoch`, `train_loss`, `validation_loss`, `seconds`, `learning_rate` (and `saturation`) of every epoch: rows for
        a DataFrame.
    n_iter_ : int
        Epochs done.
    best_epoch_ : int
        The one whose net is kept: the last or, by early stopping, the best on the rows set aside; 0 if none of them
        bettered the machine, or the net of before, that the fit began with.
    n_outputs_ : int
        1 for two classes, else one a class or label.
    n_features_in_, feature_names_in_
        Columns of X, and their names if it has any.

    References
    ----------
    D. Rumelhart, G. Hinton and R. Williams, "Learning representations by back-propagating errors", Nature 1986; H. Guo
    et al., "DeepFM", IJCAI 2017; Y. Gorishniy et al., "On embeddings for numerical features in tabular deep learning",
    NeurIPS 2022. Those of the parameters stand in the modules that bear their names.

    Examples
    --------
    >>> from fmkit.deep import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(random_state=0).fit(X[::2], y[::2])
    >>> bool(model.score(X[1::2], y[1::2]) > 0.9)
    True
    >>> model.predict_proba(X[:2]).shape
    (2, 3)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MLPEstimator._parameter_constraints,
        **Classifier._parameter_constraints,
    }

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (256,),
        *,
        activation: str = "relu",
        init: str = "he",
        init_std: float = 0.01,
        l1: float = 0.0,
        l2: float = 0.1,
        dropout: float = 0.0,
        batch_norm: bool = False,
        layer_norm: bool = False,
        categorical_features: Any = "from_dtype",
        n_knots: int | Literal["auto"] = "auto",
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
        compile: bool = False,
        tell_saturation: bool = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        callbacks: list[Any] | None = None,
    ) -> None:
        keep_parameters(self, locals())


class MLPRegressor(Regressor, MLPEstimator):
    """Multilayer perceptron for regression: of tables of numbers, categories, or both, and of sparse matrices.

    Targets are learned in standard units, by squared loss; y of shape (n_rows, n_targets) has several.

    Parameters
    ----------
    hidden_layer_sizes, activation, init, init_std, l1, l2, dropout, batch_norm, layer_norm, categorical_features, \
    n_knots, embedding_size, optimizer, momentum, nesterov, batch_size, learning_rate, schedule, early_stopping, \
    patience, validation_fraction, max_epochs, max_time, ema, grad_clip, device, amp, compile, tell_saturation, \
    n_jobs, random_state, warm_start, verbose, callbacks
        As those of `MLPClassifier`.
    factorization : bool or FMRegressor, default=False
        As that of `MLPClassifier`.

    Attributes
    ----------
    target_mean_, target_spread_ : ndarrays of shape (n_targets,)
        Of the training rows.
    net_, categories_, encoder_, history_, n_iter_, best_epoch_, n_outputs_, n_features_in_, \
    feature_names_in_
        As those of `MLPClassifier`; losses in standard units.

    Examples
    --------
    >>> from fmkit.deep import MLPRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MLPRegressor((32,), random_state=0, max_epochs=20).fit(X[::2], y[::2])
    >>> bool(model.score(X[1::2], y[1::2]) > 0.3)
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (256,),
        *,
        activation: str = "relu",
        init: str = "he",
        init_std: float = 0.01,
        l1: float = 0.0,
        l2: float = 0.1,
        dropout: float = 0.0,
        batch_norm: bool = False,
        layer_norm: bool = False,
        categorical_features: Any = "from_dtype",
        n_knots: int | Literal["auto"] = "auto",
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
        compile: bool = False,
        tell_saturation: bool = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        callbacks: list[Any] | None = None,
    ) -> None:
        keep_parameters(self, locals())
