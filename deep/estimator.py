"""What the estimators share: parameters, the fit, more rows by `partial_fit`, predictions, and model files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import ceil
from numbers import Integral, Real
from operator import itemgetter
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted
from torch import Tensor

from fmkit.errors import InputError
from fmkit.fitting import run_fit
from fmkit.threads import count_threads

from .activations import ACTIVATIONS
from .distributed import check_alike, divided, is_first, take_from_first, together, told
from .initialization import INITS
from .layers import LayerSettings
from .losses import Loss
from .optimizers import LEARNING_RATES, OptimizerSettings
from .range_test import range_test
from .schedules import SCHEDULES
from .set_aside import set_aside
from .training import Examples, Inputs, Net, Training, TrainingSettings, outputs, seeded, validation_loss

USUAL_STEPS, USUAL_EPOCHS = 700, (10, 100)  # steps of a fit, and the bounds of the epochs that they make
# What a fitted start gains by the rows set aside: it is fitted to all of them if no epoch is better by more. On a
# validation part of MovieLens, a machine's squared loss falls by 1.0 to 1.6 % with a tenth more rows.
WORTH_OF_ROWS = 0.015
FEW = 16  # first rows that processes compare
LBFGS_EPOCHS = 20  # of up to 20 iterations each


def keep_parameters(model: BaseEstimator, given: dict[str, Any]) -> None:
    """Keep what a constructor was given, as scikit-learn wants it: as it is, under its name."""
    for name in type(model)._get_param_names():
        setattr(model, name, given[name])


class Encoder(Protocol):
    """What is learned of the rows before the net is: scales, levels, a vocabulary."""

    def inputs(self, rows: Any, dtype: torch.dtype) -> Inputs:
        """Rows as the net takes them."""

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Facts and arrays for a model file."""


class NetEstimator(BaseEstimator, ABC):
    """An estimator around a net. Each kind of net says how rows are read, encoded and put through it.

    `Classifier` and `Regressor` have what concerns targets.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "activation": [StrOptions(set(ACTIVATIONS))],
        "init": [StrOptions(set(INITS))],
        "init_std": [Interval(Real, 0, None, closed="neither")],
        "l1": [Interval(Real, 0, None, closed="left")],
        "l2": [Interval(Real, 0, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "batch_norm": ["boolean"],
        "layer_norm": ["boolean"],
        "optimizer": [StrOptions(set(LEARNING_RATES))],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterov": ["boolean"],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto", "full"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"}), None],
        "schedule": [StrOptions(set(SCHEDULES))],
        "early_stopping": ["boolean"],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "ema": [Interval(Real, 0, 1, closed="left")],
        "grad_clip": [Interval(Real, 0, None, closed="neither"), None],
        "device": [StrOptions({"auto", "cpu", "cuda", "mps"})],
        "amp": ["boolean"],
        "compile": ["boolean"],
        "tell_saturation": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "callbacks": [list, tuple, None],
    }

    activation: str
    init: str
    init_std: float
    l1: float
    l2: float
    dropout: float
    batch_norm: bool
    layer_norm: bool
    optimizer: str
    momentum: float
    nesterov: bool
    batch_size: int | Literal["auto", "full"]
    learning_rate: float | Literal["auto"] | None
    schedule: str
    early_stopping: bool
    patience: int
    validation_fraction: float
    max_epochs: int | None
    max_time: float | None
    ema: float
    grad_clip: float | None
    device: Literal["auto", "cpu", "cuda", "mps"]
    amp: bool
    compile: bool
    tell_saturation: bool
    n_jobs: int | None
    random_state: int | np.random.RandomState | None
    warm_start: bool
    verbose: int
    callbacks: list[Any] | None

    _training: Training  # of partial_fit, which goes on
    net_: Net
    encoder_: Encoder
    history_: list[dict[str, Any]]
    n_iter_: int
    best_epoch_: int
    n_outputs_: int

    @abstractmethod
    def _read(self, X: Any, *, reset: bool) -> Any:
        """X, checked: anything with a length and a `dtype` of torch."""

    @abstractmethod
    def _learn(self, rows: Any, chosen: NDArray[np.int64]) -> Encoder:
        """The encoder, from some of the rows."""

    @abstractmethod
    def _make_net(self) -> Net:
        """A new net, for the encoder and the targets."""

    @classmethod
    @abstractmethod
    def _unpack_encoder(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Encoder:
        """Its encoder, of a model file."""

    @abstractmethod
    def _check_targets(self, y: Any) -> NDArray[Any]:
        """Targets as an array."""

    @abstractmethod
    def _learn_targets(self, y: NDArray[Any], weights: NDArray[np.float64], classes: ArrayLike | None) -> None:
        """What is learned of the targets before the net is, `n_outputs_` among it."""

    @abstractmethod
    def _fits_targets(self, y: NDArray[Any]) -> bool:
        """Whether the net that there is can learn these."""

    @abstractmethod
    def _encode_targets(self, y: NDArray[Any]) -> Tensor:
        """Targets as the loss takes them."""

    def _class_weights(self, y: NDArray[Any], chosen: NDArray[np.int64]) -> NDArray[np.float64] | None:
        return None

    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        """The groups of rows that a validation part has its share of."""
        return None

    @abstractmethod
    def _loss(self) -> Loss:
        """What is made small."""

    def _start_net(self, rows: Any, y: NDArray[Any], weights: Any, chosen: NDArray[np.int64]) -> None:
        """Change a new net's weights by what the rows tell, before its training."""

    def _meet(self, examples: Examples, chosen: NDArray[np.int64]) -> None:
        """Whatever a net takes of rows before it is trained on them; of new rows once more."""

    def _starts_fitted(self) -> bool:
        """Whether `_start_net` leaves a net that may be better than any that is trained from it."""
        return False

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X with targets y.

        Parameters
        ----------
        X : as the class says
        y : array-like of shape (n_rows,) or (n_rows, n_targets)
        sample_weight : array-like of shape (n_rows,), optional
            Weights of the rows, not negative; rows of weight 0 are left out.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If parameters do not fit together, or the loss is not finite, with half the learning rate too.

        Warns
        -----
        FitInterrupted
            On Ctrl-C after an epoch, or more; the net of the last epoch, or of the best, is kept.

        Notes
        -----
        After `torch.distributed.init_process_group()`, all of its processes fit one net together: call it in each, with
        the same rows and parameters (`fmkit.deep.distributed`).
        """
        self._validate_params()
        n_features = getattr(self, "n_features_in_", None)
        rows, y, weights = self._check_rows(X, y, sample_weight, reset=True)
        rng = self._generator()
        train = np.flatnonzero(weights > 0)
        held = train[:0]
        if self.early_stopping:
            train, held = set_aside(train, self._strata(y), self.validation_fraction, rng)
        goes_on = self.warm_start and hasattr(self, "net_") and n_features == getattr(self, "n_features_in_", None)
        goes_on = goes_on and self._fits_targets(y)
        if not goes_on:
            self._begin(rows, y, weights, train, rng)
        self.__dict__.pop("_training", None)
        with self._threads():
            examples = self._examples(rows, y, weights, train)
            self._meet(examples, train)
            training = self._make_training(examples, train, rng)
            held_rows = torch.from_numpy(held).to(training.device)
            loss = partial(validation_loss, examples=examples, loss=self._loss(), rows=held_rows)
            start = self.net_.copy() if len(held) and (goes_on or self._starts_fitted()) else None
            start_loss = np.inf if start is None else loss(start) * (1.0 if goes_on else 1 - WORTH_OF_ROWS)
            record = run_fit(
                training.epochs(examples, torch.from_numpy(train).to(training.device)),
                training.machine,
                training.settings.max_epochs,
                unit="epoch",
                validation_loss=loss if len(held) else None,
                patience=self.patience,
                callbacks=together(self.callbacks or ()),
                verbose=bool(self.verbose) and is_first(),
            )
        self.net_, self.history_, self.n_iter_ = record.machine.cpu().eval(), record.history, len(record.history)
        rows_told = [{"epoch": 0, "validation_loss": start_loss}, *record.history]
        best = min(rows_told, key=itemgetter("validation_loss")) if len(held) else rows_told[-1]
        self.best_epoch_ = best["epoch"]
        if self.best_epoch_ == 0 and start is not None:  # the training has only made worse what there was
            if goes_on:
                self.net_ = start.cpu().eval()
            else:
                self._begin(rows, y, weights, np.flatnonzero(weights > 0), rng)
        take_from_first(self.net_)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: ArrayLike | None = None) -> Self:
        """One more epoch, on these rows."""
        self._validate_params()
        begun = hasattr(self, "net_")
        rows, y, weights = self._check_rows(X, y, sample_weight, reset=not begun)
        chosen = np.flatnonzero(weights > 0)
        rng = self._generator()
        if not begun:
            self._begin(rows, y, weights, chosen, rng, classes)
            self.history_ = []
        if not self._fits_targets(y):
            raise InputError("y holds classes or targets that the first call of partial_fit did not name")
        if hasattr(self, "_training"):
            self.net_ = self._training.net  # of which the machine may be an average
        with self._threads():
            examples = self._examples(rows, y, weights, chosen)
            self._meet(examples, chosen)
            if not hasattr(self, "_training"):
                self._training = self._make_training(examples, chosen, rng, one_epoch=True)
            training = self._training
            loss = training.epoch(examples, torch.from_numpy(chosen).to(training.device))
        if not np.isfinite(loss):
            raise InputError("the loss is not finite: lower learning_rate, or set grad_clip=1.0, and begin again")
        self.history_.append({"epoch": len(self.history_) + 1, "train_loss": loss})
        self.net_, self.n_iter_ = training.machine.eval(), len(self.history_)
        self.best_epoch_ = self.n_iter_
        return self

    def _check_rows(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool
    ) -> tuple[Any, NDArray[Any], NDArray[np.float64]]:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        rows = self._read(X, reset=reset)
        y = self._check_targets(y)
        check_consistent_length(np.empty(len(rows)), y)
        weights = _check_sample_weight(sample_weight, np.empty(len(y)), dtype=np.float64, ensure_non_negative=True)
        if not (weights > 0).any():
            raise InputError("all rows have a sample_weight of 0: one must count")
        of_classes = self._class_weights(y, np.flatnonzero(weights))
        return rows, y, weights if of_classes is None else weights * of_classes

    def _begin(
        self,
        rows: Any,
        y: NDArray[Any],
        weights: NDArray[np.float64],
        chosen: NDArray[np.int64],
        rng: np.random.Generator,
        classes: ArrayLike | None = None,
    ) -> None:
        """A new net, after what it stands on: of targets and rows, only those that it will be trained on are seen."""
        self._learn_targets(y[chosen], weights[chosen], classes)
        self.encoder_ = self._learn(rows, chosen)
        with seeded(int(rng.integers(2**63)), torch.device("cpu")):
            self.net_ = self._make_net()
        self._start_net(rows, y, weights, chosen)

    def _examples(
        self, rows: Any, y: NDArray[Any], weights: NDArray[np.float64], chosen: NDArray[np.int64]
    ) -> Examples:
        weights = weights / weights[chosen].mean()
        same = bool((weights[chosen] == 1).all())
        tensor = None if same else torch.from_numpy(weights.astype(np.float32))
        inputs, targets = self.encoder_.inputs(rows, torch.float32), self._encode_targets(y)
        mine = {"random_state", "callbacks", "verbose", "n_jobs"}  # may be a process's own
        parameters = {name: value for name, value in self.get_params(deep=False).items() if name not in mine}
        check_alike(parameters, targets, tensor, *inputs.batch(torch.arange(min(FEW, len(targets)))))
        return Examples(inputs, targets, tensor).to(self._device())

    def _make_training(
        self, examples: Examples, train: NDArray[np.int64], rng: Any, *, one_epoch: bool = False
    ) -> Training:
        n = len(train)
        size = self._batch_size(n)
        epochs = None if one_epoch or (self.max_epochs is None and self.max_time) else self._epochs(ceil(n / size))
        rate = self._usual_rate() if self.learning_rate is None else self.learning_rate
        settings = TrainingSettings(
            OptimizerSettings(self.optimizer, self.momentum, self.nesterov, self.l1, self.l2),
            self._usual_rate() if rate == "auto" else rate,
            "constant" if one_epoch or self.optimizer == "lbfgs" else self.schedule,
            size,
            epochs,
            None if one_epoch else self.max_time,
            self.ema,
            self.grad_clip,
            self.amp,
            self.compile,
            self.tell_saturation,
        )
        net, loss = self.net_.to(self._device()), self._loss()
        if rate == "auto":
            rows = torch.from_numpy(train).to(self._device())
            settings = replace(settings, learning_rate=range_test(net, examples, rows, loss, settings, rng))
        return Training(net, loss, settings, rng)

    def _usual_rate(self) -> float:
        return LEARNING_RATES[self.optimizer]

    def _batch_size(self, n: int) -> int:
        if self.batch_size == "full" or (self.batch_size == "auto" and self.optimizer == "lbfgs"):
            return n
        return int(np.clip(2 ** round(np.log2(n / 50)), 16, 256)) if self.batch_size == "auto" else self.batch_size

    def _epochs(self, n_batches: int) -> int:
        if self.max_epochs is not None:
            return int(self.max_epochs)
        return LBFGS_EPOCHS if self.optimizer == "lbfgs" else int(np.clip(ceil(USUAL_STEPS / n_batches), *USUAL_EPOCHS))

    def _layer_settings(self) -> LayerSettings:
        names = ("activation", "init", "init_std", "dropout", "batch_norm", "layer_norm")
        return LayerSettings(**{name: getattr(self, name) for name in names})

    def _outputs(self, X: Any) -> NDArray[Any]:
        """What the net puts out, in float64 if X is, so that a row's answer is the same whatever it is asked with."""
        check_is_fitted(self)
        rows = self._read(X, reset=False)
        exact = rows.dtype == torch.float64
        device = torch.device("cpu") if exact else self._device()
        net = self.net_.copy().to(device, rows.dtype) if exact or device.type != "cpu" else self.net_
        with self._threads():
            inputs = self.encoder_.inputs(rows, rows.dtype).to(device)
            values = outputs(net, inputs, torch.arange(len(rows), device=device))
        return np.asarray(values.cpu().numpy())

    def _device(self) -> torch.device:
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        if self.device == "auto":
            return torch.device(next(name for name, is_there in there.items() if is_there))
        if not there[self.device]:
            raise InputError(f"device={self.device!r}: torch finds none here; set device='auto' or device='cpu'")
        return torch.device(self.device)

    @contextmanager
    def _threads(self) -> Iterator[None]:
        before = torch.get_num_threads()
        torch.set_num_threads(1 if self.n_jobs is None else divided(count_threads(self.n_jobs)))
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(told(check_random_state(self.random_state).randint(2**31))[0])
