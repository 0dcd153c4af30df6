"""What recurrent estimators share: what their sequences are, the net over them, gates, and model files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from fmkit.errors import InputError

from . import files, onnx
from .audio import read_sounds
from .estimator import NetEstimator
from .gates import trace
from .layers import LayerSettings
from .ngrams import as_matrix
from .onnx_sequences import described, sequence_net
from .recurrent import CELLS, POOLINGS, RNN
from .sequences import Scale, Sequences, read_series, warn_of_turned
from .targets import Classifier
from .text import TextInputs, Texts, Vocabulary, read_texts
from .training import Examples

KINDS = ("series", "text", "audio")
MIN_COUNT = 2  # times that a word must be met to have a vector: those met once teach that of unknown words
# Steps of a fit to texts, and the bounds of the epochs that they make: a third of the usual, for words are soon learned
# by heart. On a validation part of the sentences, ten epochs at a lower rate were behind six.
TEXT_STEPS, TEXT_EPOCHS = 250, (5, 60)
DROPOUT, DROPOUT_OF_TEXTS = 0.5, 0.7


def find_kind(X: Any, sampling_rate: float | None) -> str:
    """What sequences are: "audio" where there is a sampling rate, "text" of strings, else "series".

    Examples
    --------
    >>> from fmkit.deep.sequence_estimator import find_kind
    >>> find_kind(["a text"], None), find_kind([[1.0, 2.0]], None), find_kind([[0, 9, -9]], 8000)
    ('text', 'series', 'audio')
    """
    if sampling_rate is not None:
        return "audio"
    if sparse.issparse(X) or hasattr(X, "columns") or not hasattr(X, "__iter__"):
        return "series"
    return "text" if isinstance(next(iter(X), None), str) else "series"


class RNNEstimator(NetEstimator):
    """What RNNClassifier and RNNRegressor share: sequences, and the net over them."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetEstimator._parameter_constraints,
        "dropout": [Interval(Real, 0, 1, closed="left"), None],
        "cell": [StrOptions(set(CELLS))],
        "n_units": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "bidirectional": ["boolean"],
        "pooling": [StrOptions(set(POOLINGS))],
        "hidden_layer_sizes": ["array-like"],
        "kind": [StrOptions({"auto", *KINDS})],
        "sampling_rate": [Interval(Real, 0, None, closed="neither"), None],
        "n_mels": [Interval(Integral, 1, None, closed="left")],
        "max_words": [Interval(Integral, 1, None, closed="left")],
        "embedding_size": [Interval(Integral, 1, None, closed="left")],
        "ngrams": [Interval(Integral, 0, None, closed="left")],
        "char_ngrams": [Interval(Integral, 0, None, closed="left")],
    }

    cell: str
    n_units: int
    n_layers: int
    bidirectional: bool
    pooling: str
    hidden_layer_sizes: Sequence[int]
    kind: str
    sampling_rate: float | None
    n_mels: int
    max_words: int
    embedding_size: int
    ngrams: int
    char_ngrams: int
    encoder_: Scale | Vocabulary
    kind_: str
    n_features_in_: int

    def _read(self, X: Any, *, reset: bool) -> Sequences | Texts:
        if reset:
            self._learn_kind(X)
        if self.kind_ == "text":
            rows: Sequences | Texts = read_texts(X)
        elif self.kind_ == "audio":
            assert self.sampling_rate is not None
            rows = read_sounds(X, self.sampling_rate, self.n_mels)
        else:
            rows = read_series(X, None if reset else self.n_features_in_)
            if reset:
                warn_of_turned(rows)
        if reset:
            self.n_features_in_ = rows.steps.shape[1] if isinstance(rows, Sequences) else 1
            self._first = rows.first()
        return rows

    def _learn_kind(self, X: Any) -> None:
        kind = find_kind(X, self.sampling_rate) if self.kind == "auto" else self.kind
        if kind == "audio" and self.sampling_rate is None:
            raise InputError("kind='audio' needs sampling_rate, the samples a second")
        if getattr(self, "kind_", kind) != kind:
            self.__dict__.pop("net_", None)  # there is nothing to go on from by warm_start
        self.kind_ = kind

    def _learn(self, rows: Sequences | Texts, chosen: NDArray[np.int64]) -> Scale | Vocabulary:
        if isinstance(rows, Sequences):
            return Scale.learn(rows, chosen)
        words = (rows.words[n] for n in chosen)
        return Vocabulary.learn(words, self.max_words, MIN_COUNT, self.ngrams, self.char_ngrams)

    def _make_net(self) -> RNN:
        sizes = [int(size) for size in self.hidden_layer_sizes]
        if any(size < 1 for size in sizes):
            raise InputError(f"hidden_layer_sizes must be positive numbers, got {sizes}")
        encoder = self.encoder_
        n_words = len(encoder.words) + 1 if isinstance(encoder, Vocabulary) else None
        return RNN(
            len(encoder.mean) if isinstance(encoder, Scale) else None,
            n_words,
            self.cell,
            self.n_units,
            self.n_layers,
            self.bidirectional,
            self.pooling,
            sizes,
            self.n_outputs_,
            self._layer_settings(),
            self.embedding_size,
            isinstance(encoder, Vocabulary) and encoder.has_bag,
        )

    def _meet(self, examples: Examples, chosen: NDArray[np.int64]) -> None:
        """Let the bag of n-grams learn what the rows tell."""
        assert isinstance(self.net_, RNN)
        bag, inputs = self.net_.bag, examples.inputs
        if bag is None:
            return
        assert isinstance(inputs, TextInputs)
        targets, labels = examples.targets.cpu()[chosen], None
        if isinstance(self, Classifier):
            labels = targets if targets.ndim > 1 else torch.nn.functional.one_hot(targets, self.n_outputs_).float()
        weights = torch.ones(len(chosen)) if examples.weights is None else examples.weights.cpu()[chosen]
        device = bag.bias.device
        bag.cpu().learn(as_matrix(inputs.bags)[chosen], targets, labels, weights, self._loss())
        bag.to(device)

    def _layer_settings(self) -> LayerSettings:
        settings = super()._layer_settings()
        usual = DROPOUT_OF_TEXTS if isinstance(self.encoder_, Vocabulary) else DROPOUT
        return settings if self.dropout is not None else replace(settings, dropout=usual)

    def _epochs(self, n_batches: int) -> int:
        if self.max_epochs is None and self.kind_ == "text" and self.optimizer != "lbfgs":
            return int(np.clip(ceil(TEXT_STEPS / n_batches), *TEXT_EPOCHS))
        return super()._epochs(n_batches)

    def gates(self, X: Any) -> list[dict[str, NDArray[Any]]]:
        """What gates let through, a step at a time.

        Parameters
        ----------
        X : sequences, as of `fit`

        Returns
        -------
        list of dict of str to ndarray of shape (n_layers, n_directions, length, n_units)
            A dict a sequence, of values in (0, 1). Of cell="gru": "update", the share of a unit's state that is
            carried on, where 0 forgets all, and "reset", what the new one sees of it. Of "lstm": "forget", the share
            that is carried, "input", what is written, and "output", what is shown; and the "cell". Of both the "state".
            A step of the backward direction stands where its input does.

        Raises
        ------
        InputError
            Of cell="tanh", which has no gates.
        """
        check_is_fitted(self)
        return self._gates_of(self._read(X, reset=False))

    @property
    def gates_(self) -> dict[str, NDArray[Any]]:
        """`gates` of the first sequence of the last fit."""
        check_is_fitted(self)
        if not hasattr(self, "_first"):
            raise AttributeError("a model file holds no sequence whose gates could be shown: ask gates(X)")
        try:
            return self._gates_of(self._first)[0]
        except InputError as error:
            raise AttributeError(str(error)) from None

    def _gates_of(self, rows: Sequences | Texts) -> list[dict[str, NDArray[Any]]]:
        net = self.net_.copy().to(rows.dtype)
        assert isinstance(net, RNN)
        inputs = cast(Any, self.encoder_).inputs(rows, rows.dtype)
        traces = []
        with torch.inference_mode(), self._threads():
            for row in torch.arange(len(rows)):
                steps, lengths, *_ = inputs.batch(row[None])
                one = trace(net.recurrent, net.embedded(steps)[0, : int(lengths[0])])
                traces.append({name: values.numpy() for name, values in one.items()})
        return traces

    def to_onnx(self, path: str | PathLike[str]) -> None:
        """Write the net as an ONNX file, with what comes before and after it.

        Its inputs are padded sequences "X" and their "lengths", (n_rows,) int64; numbers of rows and steps are free,
        from one on, and what comes after a sequence's length is of no account. Its output "answer" is what
        `predict_proba` gives, or the `predict` of a regressor, as (n_rows, n_outputs). The metadata tell "classes",
        and what is named below, as JSON. X is

        - of series (n_rows, longest, n_channels), float32, in the units of `fit`;
        - of sounds (n_rows, n_samples), float32, at the "sampling_rate" of the metadata: their spectra are made inside;
        - of texts (n_rows, longest), int64: the numbers of words, from 1 in the "vocabulary" of the metadata, and 0 of
          others; "words" tells how a text is parted. With n-grams there are the inputs "ngrams", (n_rows, most), and
          "n_ngrams", (n_rows,), int64: the different numbers of a text's one to `ngrams` words, hashed as "ngrams" in
          the metadata says (`fmkit.deep.text.hashed_ngrams`).

        Parameters
        ----------
        path : str or path
            Customarily with the suffix `.onnx`.

        Raises
        ------
        ImportError
            Without onnxscript: `pip install fmkit[onnx]`.
        """
        check_is_fitted(self)
        rate = self.sampling_rate if self.kind_ == "audio" else None
        module, inputs = sequence_net(cast(RNN, self.net_.copy()), self.encoder_, rate, onnx.answers(self))
        onnx.export(self, module, inputs, path, facts=described(self.encoder_, rate))

    @classmethod
    def _unpack_encoder(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Scale | Vocabulary:
        return Vocabulary.unpack(facts, arrays) if "ngrams" in facts else Scale.unpack(arrays)

    def _to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        facts, arrays = files.pack(self)
        return {**facts, "kind": self.kind_}, arrays

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        model = cast(Self, files.unpack(cls(), facts, arrays))
        model.kind_ = facts["kind"]
        if model.kind_ not in KINDS or (model.kind_ == "text") != isinstance(model.encoder_, Vocabulary):
            raise ValueError("its sequences are of no known kind")
        return model
