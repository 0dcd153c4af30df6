"""Fits to streams, and to chunks, by steps of SGD: what regressors and classifiers share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils.validation import _check_sample_weight, validate_data

from fmkit.checkpoint import Checkpoint
from fmkit.design import Design, canonical_csr
from fmkit.estimators.common import START, FMEstimator
from fmkit.estimators.regularisation import mean_and_spread
from fmkit.fitting import FitRecord, run_fit
from fmkit.solvers.rates import USUAL
from fmkit.streams.coded import Coded

if TYPE_CHECKING:  # they load Arrow, and kernels
    from fmkit.streams.encoder import Encoder
    from fmkit.streams.learner import Learner
    from fmkit.streams.stream import Stream

WIDEST = 2**31 - 1  # columns, or rows at once

BATCH_ROWS = 1 << 15


class Streaming(FMEstimator):
    """The fit of one machine to a stream."""

    stream_: Encoder
    learners_: list[Learner]
    chunk_fields_: NDArray[np.int32]

    def _fit_stream(
        self,
        reader: Any,
        *,
        target: str | None,
        sample_weight: str | None,
        ids: Sequence[str] | None,
        numbers: Sequence[str] | None,
        n_hash: int | None,
        passes: int,
        batch_rows: int,
        validation: str | None,
        checkpoint: str | PathLike[str] | None,
        labels: list[Any] | None = None,
    ) -> tuple[Stream, FitRecord[Any]]:
        """The stream, all of it learned, and the record of the fit."""
        from fmkit.streams.stream import Stream

        self._validate_params()
        self._check_steps("fit_stream")
        for name, count in (("passes", passes), ("batch_rows", batch_rows), ("n_hash", n_hash)):
            if (name, count) != ("n_hash", None) and not (isinstance(count, int | np.integer) and 1 <= count <= WIDEST):
                raise ValueError(f"{name} must be a whole number from 1 to {WIDEST}, got {count!r}")
        if validation not in ("progressive", None):
            raise ValueError(f"validation must be 'progressive' or None, got {validation!r}")
        kept = None if checkpoint is None else Checkpoint(checkpoint, self.checkpoint_sweeps, self.checkpoint_minutes)
        stream = Stream(
            reader,
            target=target,
            weight=sample_weight,
            ids=ids,
            numbers=numbers,
            n_hash=n_hash,
            passes=passes,
            batch_rows=batch_rows,
            labels=labels,
        )
        rng = self._generator()
        if kept is not None:
            kept.continue_generator(rng)
        seed = int(rng.integers(1, 2**63))
        first = stream.first
        learner = self._learner(first.targets, first.weights if len(first.weights) else None, seed)
        stream.begin(learner, seed, validation is not None)
        if kept is not None:
            told = {**self._told_parameters(), **stream.told, "passes": passes, "validation": validation}
            kept.identify(told, stream.digest, "")
        steps = iter(stream)
        try:
            record = run_fit(
                steps,
                learner.machine(),
                None,
                unit="batch",
                callbacks=self.callbacks or (),
                checkpoint=kept,
                solver=stream,
                verbose=bool(self.verbose),
            )
        finally:
            steps.close()  # type: ignore[attr-defined]
        if kept is not None and not record.stopped:
            kept.remove()
        stream.encoder.forget(learner.n_columns)
        for name in ("feature_names_in_", "learners_"):
            self.__dict__.pop(name, None)
        self.stream_, self.n_features_in_ = stream.encoder, learner.n_columns
        return stream, record

    def _learn_chunk(
        self, X: Any, targets: list[NDArray[np.float64]], weights: NDArray[np.float32] | None, passes: int
    ) -> None:
        """Visit the rows of a chunk, by a learner for each of the targets; the first chunk begins them.

        A model that was fitted, or read from a file, goes on from its machines; steps are then as long as first ones.
        """
        if not hasattr(self, "learners_"):
            draw = self._generator()
            seeds = [int(draw.integers(1, 2**63)) for _ in targets]
            fields = _fields_of(X, self.fields)
            learners = [self._learner(y, weights, seed) for y, seed in zip(targets, seeds, strict=True)]
            fitted = [self.machine_] if hasattr(self, "machine_") else getattr(self, "machines_", [])
            for learner, machine in zip(learners, fitted, strict=False):
                learner.take(machine)
            self.learners_, self.chunk_fields_, self.history_ = learners, fields, []
        start, n, ones = time.perf_counter(), X.shape[0], bool((X.data == 1).all())
        values = np.empty(0, np.float32) if ones else X.data.astype(np.float32)
        columns, fields = X.indices.astype(np.int32), self.chunk_fields_
        rows = Coded(
            X.indptr.astype(np.int64),
            columns,
            fields[columns],
            values,
            targets[0],
            np.empty(0, np.float32) if weights is None else weights,
            X.shape[1],
            int(fields.max(initial=-1)) + 1,
        )
        number, total = len(self.history_) + 1, float(n if weights is None else weights.sum(dtype=np.float64))
        loss = 0.0
        for learner, y in zip(self.learners_, targets, strict=True):
            for p in range(passes):
                order = np.random.default_rng([learner.seed, number, p]).permutation(n).astype(np.int32)
                loss = learner.learn(replace(rows, targets=y), order, known=p > 0) / total
                if not np.isfinite(loss):
                    raise ValueError("the fit diverged: lower learning_rate, or bring X and y to about unit size")
        seconds = time.perf_counter() - start
        self.history_ = [*self.history_, {"chunk": number, "train_loss": loss, "rows": n, "seconds": seconds}]
        self.n_iter_ = number

    def _check_chunk(self, X: Any, y: Any, sample_weight: Any, numeric: bool) -> tuple[Any, Any, Any]:
        """A chunk's rows, targets, and weights or None; rows without weight are left out."""
        self._validate_params()
        self._check_steps("partial_fit by steps")
        self._check_plain("partial_fit")
        first = not hasattr(self, "learners_") and not hasattr(self, "n_features_in_")
        if isinstance(X, Design):
            X = X.to_csr()
        X, y = validate_data(self, X, y, reset=first, accept_sparse=True, accept_large_sparse=True, y_numeric=numeric)
        X = canonical_csr(X)
        if sample_weight is None:
            return X, y, None
        weights = _check_sample_weight(sample_weight, y, dtype=np.float64, ensure_non_negative=True).astype(np.float32)
        return X[weights > 0], y[weights > 0], weights[weights > 0]

    def _learner(self, y: NDArray[np.float64], weights: NDArray[Any] | None, seed: int) -> Learner:
        """A learner that begins with these targets."""
        from fmkit.streams.learner import Learner

        offset, bias, spread = 0.0, 0.0, 0.0
        if is_classifier(self):
            from fmkit.estimators.classification import LOG_ODDS_SPREAD

            total = float(len(y) if weights is None else weights.sum())
            ones = float(y.sum() if weights is None else np.dot(y, weights))
            bias, spread = float(np.log((ones + 1) / (total - ones + 1))), LOG_ODDS_SPREAD
        else:
            offset, spread = mean_and_spread(y, weights)
        return Learner(
            self.n_factors,
            logistic=is_classifier(self),
            offset=offset,
            bias=bias,
            spread=spread,
            reg_linear=self.reg_linear,
            reg_factors=self.reg_factors,
            learning_rate=USUAL if isinstance(self.learning_rate, str) else self.learning_rate,
            init_scale=START["sgd"] if self.init_scale is None else self.init_scale,
            seed=seed,
        )

    def _check_steps(self, what: str) -> None:
        """Refuse what takes no steps over a stream."""
        self._check_solver()
        chosen = {
            "solver": (self.solver, "sgd"),
            "interaction": (self.interaction, "fm"),
            "loss": (self.loss, "squared"),
            "optimizer": (self.optimizer, "adagrad"),
        }
        for name, (value, wanted) in chosen.items():
            if value != wanted:
                raise ValueError(f"{what} is for {name}={wanted!r}, got {name}={value!r}")
        if self.early_stopping:
            raise ValueError(f"{what} has no part set aside: set early_stopping=False")


def _fields_of(X: Any, labels: Any) -> NDArray[np.int32]:
    """The field of each column: by label, or as the rows show it; a column without rows is of the last one's."""
    if labels is not None:
        if len(labels) != X.shape[1]:
            raise ValueError(f"fields must hold a label for each of {X.shape[1]} columns, got {len(labels)}")
        return np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int32)
    fields = np.full(X.shape[1], -1, np.int32)
    for number, field in enumerate(Design.from_matrix(X).fields):
        fields[field.columns] = number
    last = np.maximum.accumulate(np.where(fields >= 0, np.arange(len(fields)), 0))
    return np.maximum(fields[last], 0)
