"""Recurrent nets for sequences: RNNClassifier and RNNRegressor."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from fmkit.errors import InputError

from . import files
from .audio import read_sounds
from .estimator import NetEstimator, keep_parameters
from .gates import trace
from .recurrent import CELLS, POOLINGS, RNN
from .sequences import Scale, Sequences, read_series
from .targets import Classifier, Regressor
from .text import TextInputs, Texts, Vocabulary, read_texts

KINDS = ("series", "text", "audio")
MIN_COUNT = 2  # times that a word must be met to have a vector: those met once teach that of unknown words
# Steps of a fit to texts, and the bounds of the epochs that they make: a third of the usual, for words are soon learned
# by heart. On a validation part of the sentences, ten epochs at a lower rate were behind six.
TEXT_STEPS, TEXT_EPOCHS = 250, (5, 60)


def find_kind(X: Any, sampling_rate: float | None) -> str:
    """What sequences are: "audio" where there is a sampling rate, "text" of strings, else "series".

    Examples
    --------
    >>> from fmkit.deep.rnn import find_kind
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
            self.n_features_in_ = rows.steps.shape[1] if isinstance(rows, Sequences) else 1
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
        return Vocabulary.learn((rows.words[n] for n in chosen), self.max_words, MIN_COUNT, self.ngrams)

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
            n_words is not None and self.ngrams > 0,
        )

    def _start_net(self, rows: Any, y: NDArray[Any], weights: Any, chosen: NDArray[np.int64]) -> None:
        """Scale n-grams by what those of the training rows tell of the classes."""
        assert isinstance(self.net_, RNN)
        if self.net_.bag is None or not isinstance(self, Classifier):
            return
        assert isinstance(self.encoder_, Vocabulary)
        inputs = self.encoder_.inputs(Texts([rows.words[n] for n in chosen]), torch.float32)
        assert isinstance(inputs, TextInputs)
        targets = self._encode_targets(y[chosen])
        if targets.ndim == 1:
            targets = torch.nn.functional.one_hot(targets, self.n_outputs_)
        self.net_.bag.start_from(inputs.bags, targets.float(), torch.from_numpy(weights[chosen]).float())

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
        rows = self._read(X, reset=False)
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


class RNNClassifier(Classifier, RNNEstimator):
    """Recurrent net for classification: of series, texts and sounds, of unequal length.

    Parameters
    ----------
    cell : {"gru", "lstm", "tanh"}, default="gru"
        "gru" and "lstm" have gates that decide what to carry on and what to forget (`gates`); "tanh" is Elman's,
        without.
    n_units : int, default=64
        Of every layer and direction.
    n_layers : int, default=1
        Recurrent layers, each of which reads the states of the one below.
    bidirectional : bool, default=True
        Read sequences backwards, too.
    pooling : {"last+mean+max", "last", "mean", "max", "attention"}, default="last+mean+max"
        What of all steps' states the outputs are made of: the last, their mean, the highest of each unit, these three,
        or a mean by weights that are learned.
    hidden_layer_sizes : sequence of int, default=()
        Units of dense layers between the pooled states and the outputs.
    kind : {"auto", "series", "text", "audio"}, default="auto"
        What X holds: "auto" takes strings for texts, what comes with a `sampling_rate` for sounds, all else for series;
        `kind_` tells.

        - "series": a list of arrays (length,) or (length, n_channels), float or int; or an array (n, max_length) or
          (n, max_length, n_channels), where steps of NaN at a sequence's end are padding. Time is the first axis of a
          sequence in all of them: the (n, n_channels, length) of the UCR and UEA archives wants `X.transpose(0, 2, 1)`.
          With lengths: `fmkit.deep.ragged(X, lengths)`. Channels are standardised by the training rows.
        - "text": strings. Words are put in small letters, and numbered by how frequent they are.
        - "audio": a list of arrays (n_samples,), of integers or floats, which become log-mel spectra
          (`fmkit.deep.audio.log_mel`).
    sampling_rate : float, optional
        Of sounds, samples a second.
    n_mels : int, default=40
        Of sounds, bands of frequencies.
    max_words : int, default=20000
        Of texts, the most frequent words that have a vector; the others, and those met once, share one.
    embedding_size : int, default=64
        Of texts, the length of a word's vector.
    ngrams : int, default=2
        Of texts, a linear bag of hashed n-grams of up to so many words stands beside the recurrent net, and the
        outputs are the mean of both; 0 for none.
    activation : {"relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "logistic"}, default="relu"
        Of the dense hidden layers; the recurrent ones have their cell's.
    init : {"xavier", "he", "lecun", "orthogonal", "constant-variance"}, default="xavier"
        How weights are drawn (`fmkit.deep.initialization`); those from state to state are orthogonal, but for
        "constant-variance".
    init_std : float, default=0.01
        Standard deviation of the weights by init="constant-variance".
    l1, l2 : float, default=0.0 and 0.1
        Penalties on weights, not on biases, as of `MLPClassifier`.
    dropout : float, default=0.5
        Share of pooled states and hidden units, between recurrent layers of states, and of texts of the words' vectors'
        entries, that are left out in a training step. On the training rows of JapaneseVowels, four-fold, .5 had .989
        right, .3 .974.
    batch_norm : bool, default=False
        Standardise pooled states and hidden units over the batch.
    layer_norm : bool, default=True
        Standardise them over the layer.
    label_smoothing : float, default=0.0
        Share of a row's probability that the loss wants given to all classes alike.
    class_weight, optimizer, momentum, nesterov, batch_size, learning_rate, schedule, early_stopping, patience, \
    validation_fraction, max_time, ema, device, amp, n_jobs, random_state, warm_start, verbose, callbacks
        As those of `MLPClassifier`.
    max_epochs : int, optional
        Passes over the sequences; by default as many as make 700 steps, from 10 to 100, of texts 250 steps, from 5 to
        60; or as many as `max_time` allows.
    grad_clip : float, default=1.0
        The longest gradient, of all parameters together; longer ones are scaled down: over many steps, gradients may
        explode (R. Pascanu et al., ICML 2013).
    tell_saturation : bool, default=False
        As that of `MLPClassifier`, of the dense hidden layers.

    Attributes
    ----------
    kind_ : {"series", "text", "audio"}
        What the sequences were taken for.
    classes_, multilabel_, history_, n_iter_, best_epoch_, n_outputs_
        As those of `MLPClassifier`.
    net_ : fmkit.deep.recurrent.RNN
        The torch module, on the processor.
    encoder_ : fmkit.deep.sequences.Scale or fmkit.deep.text.Vocabulary
        Means and spreads of the channels, or the words; of the training rows alone.
    n_features_in_ : int
        Channels; bands of sounds, 1 of texts.

    Notes
    -----
    Batches are of sequences of like length (`fmkit.deep.buckets`), and each is read to its own end (packed), so padding
    changes no result. A sequence of length 0 has the pooled states 0.

    References
    ----------
    J. Elman, "Finding structure in time", Cognitive Science 1990; S. Hochreiter and J. Schmidhuber, "Long short-term
    memory", Neural Computation 1997; M. Schuster and K. Paliwal, "Bidirectional recurrent neural networks", IEEE
    Transactions on Signal Processing 1997; K. Cho et al., "Learning phrase representations using RNN encoder-decoder
    for statistical machine translation", EMNLP 2014; J. Howard and S. Ruder, "Universal language model fine-tuning for
    text classification", ACL 2018 (last, mean and max, one beside the other).

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit.deep import RNNClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.standard_normal(n) + np.linspace(0, 3 * (n % 2), n) for n in rng.integers(8, 20, 60)]
    >>> y = ["rising" if len(x) % 2 else "level" for x in X]
    >>> model = RNNClassifier(n_units=8, max_epochs=20, random_state=0).fit(X, y)
    >>> model.kind_, bool(model.score(X, y) > 0.9)
    ('series', True)
    >>> model.gates(X[:1])[0]["update"].shape == (1, 2, len(X[0]), 8)
    True
    >>> texts = RNNClassifier(n_units=8, max_epochs=5).fit(["good", "so good", "bad", "so bad"] * 5, [1, 1, 0, 0] * 5)
    >>> texts.kind_
    'text'
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **RNNEstimator._parameter_constraints,
        **Classifier._parameter_constraints,
    }

    def __init__(
        self,
        cell: str = "gru",
        *,
        n_units: int = 64,
        n_layers: int = 1,
        bidirectional: bool = True,
        pooling: str = "last+mean+max",
        hidden_layer_sizes: Sequence[int] = (),
        kind: str = "auto",
        sampling_rate: float | None = None,
        n_mels: int = 40,
        max_words: int = 20000,
        embedding_size: int = 64,
        ngrams: int = 2,
        activation: str = "relu",
        init: str = "xavier",
        init_std: float = 0.01,
        l1: float = 0.0,
        l2: float = 0.1,
        dropout: float = 0.5,
        batch_norm: bool = False,
        layer_norm: bool = True,
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
        grad_clip: float | None = 1.0,
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


class RNNRegressor(Regressor, RNNEstimator):
    """Recurrent net for regression: a number, or several, of every sequence; and what comes next in a series.

    Targets are learned in standard units, by squared loss. For forecasts, one step ahead, X are sequences and y the
    step that comes after each (`next_steps` makes both of a series); `forecast` goes on from its own.

    Parameters
    ----------
    cell, n_units, n_layers, bidirectional, pooling, hidden_layer_sizes, kind, sampling_rate, n_mels, max_words, \
    embedding_size, ngrams, activation, init, init_std, l1, l2, dropout, batch_norm, layer_norm, optimizer, momentum, \
    nesterov, batch_size, learning_rate, schedule, early_stopping, patience, validation_fraction, max_epochs, \
    max_time, ema, grad_clip, device, amp, tell_saturation, n_jobs, random_state, warm_start, verbose, callbacks
        As those of `RNNClassifier`; dropout is 0 by default.

    Attributes
    ----------
    target_mean_, target_spread_ : ndarrays of shape (n_targets,)
        Of the training rows.
    kind_, net_, encoder_, history_, n_iter_, best_epoch_, n_outputs_, n_features_in_
        As those of `RNNClassifier`; losses in standard units.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit.deep import RNNRegressor, next_steps
    >>> wave = np.sin(np.arange(400) / 5)
    >>> X, y = next_steps(wave, 20)
    >>> model = RNNRegressor(n_units=16, max_epochs=30, random_state=0).fit(X[:300], y[:300])
    >>> bool(model.score(X[300:], y[300:]) > 0.95)
    True
    >>> model.forecast(X[300:302], 5).shape
    (2, 5)
    """

    def __init__(
        self,
        cell: str = "gru",
        *,
        n_units: int = 64,
        n_layers: int = 1,
        bidirectional: bool = True,
        pooling: str = "last+mean+max",
        hidden_layer_sizes: Sequence[int] = (),
        kind: str = "auto",
        sampling_rate: float | None = None,
        n_mels: int = 40,
        max_words: int = 20000,
        embedding_size: int = 64,
        ngrams: int = 2,
        activation: str = "relu",
        init: str = "xavier",
        init_std: float = 0.01,
        l1: float = 0.0,
        l2: float = 0.1,
        dropout: float = 0.0,
        batch_norm: bool = False,
        layer_norm: bool = False,
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
        grad_clip: float | None = 1.0,
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

    def forecast(self, X: Any, n_steps: int = 1) -> NDArray[np.float64]:
        """The next steps of series, each predicted from those before it, the predicted ones among them.

        Parameters
        ----------
        X : series, as of `fit`
            As many channels as targets.
        n_steps : int, default=1

        Returns
        -------
        ndarray of shape (n_series, n_steps), or (n_series, n_steps, n_channels) where y was (n, n_channels)
            A series keeps its length: its first step is left out for every one that is added.

        Raises
        ------
        InputError
            If what was fitted does not forecast all channels of a series.
        """
        check_is_fitted(self)
        if self.kind_ != "series" or self.n_outputs_ != self.n_features_in_:
            raise InputError("forecast needs a net fitted to series, with the next step of every channel as y")
        series = [x.astype(np.float64) for x in read_series(X, self.n_features_in_).each()]
        steps = []
        for _ in range(n_steps):
            steps.append(self.predict(series).reshape(len(series), -1))
            series = [np.vstack([x[min(1, len(x)) :], step]) for x, step in zip(series, steps[-1], strict=True)]
        forecast = np.stack(steps, axis=1)
        return forecast[..., 0] if self.one_target_ else forecast


def next_steps(series: ArrayLike, window: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Windows of a series and the step after each, to learn one-step-ahead forecasts from.

    Parameters
    ----------
    series : array-like of shape (length,) or (length, n_channels)
    window : int
        Steps that a forecast is made from, 1 or more.

    Returns
    -------
    X : ndarray of shape (length - window, window) or (length - window, window, n_channels)
    y : ndarray of shape (length - window,) or (length - window, n_channels)

    Examples
    --------
    >>> from fmkit.deep import next_steps
    >>> X, y = next_steps([1, 2, 3, 4], 2)
    >>> X.tolist(), y.tolist()
    ([[1, 2], [2, 3]], [3, 4])
    """
    steps = np.asarray(series)
    if not 1 <= window < len(steps):
        raise InputError(f"window must be from 1 to {len(steps) - 1}, one less than the series has steps, got {window}")
    windows = np.lib.stride_tricks.sliding_window_view(steps, window, axis=0)[:-1]
    return np.moveaxis(windows, -1, 1), steps[window:]
