"""Recurrent nets for sequences: RNNClassifier and RNNRegressor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from fmkit.errors import InputError

from .estimator import keep_parameters
from .sequence_estimator import RNNEstimator
from .sequences import read_series
from .targets import Classifier, Regressor


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
          sequence in all of them: the (n, n_channels, length) of the UCR and UEA archives wants `X.transpose(0, 2, 1)`,
          and a fit to eight times as many channels as steps asks about it.
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
        Of texts, a linear model of n-grams of up to so many words stands beside the recurrent net, and the outputs are
        the mean of both (`fmkit.deep.ngrams`); 0 for none.
    char_ngrams : int, default=6
        The longest n-gram of characters in that model, from 3 on; 0 for none. With them, 1.5 points more of held-out
        sentences were right.
    activation : {"relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "logistic"}, default="relu"
        Of the dense hidden layers; the recurrent ones have their cell's.
    init : {"xavier", "he", "lecun", "orthogonal", "constant-variance"}, default="xavier"
        How weights are drawn (`fmkit.deep.initialization`); those from state to state are orthogonal, but for
        "constant-variance".
    init_std : float, default=0.01
        Standard deviation of the weights by init="constant-variance".
    l1, l2 : float, default=0.0 and 0.1
        Penalties on weights, not on biases, as of `MLPClassifier`.
    dropout : float, optional
        Share of pooled states and hidden units, between recurrent layers of states, and of texts of the words' vectors'
        entries, that are left out in a training step; by default .5, of texts .7. On the training rows of
        JapaneseVowels, four-fold, .5 had .989 right, .3 .974; of sentences, of which words are soon learned by heart,
        .7 had a log loss of .51 on rows set aside, .5 one of .64.
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
    compile : bool, default=False
        As that of `MLPClassifier`; torch leaves recurrences as they are, so that it gains nothing: on one core, epochs
        of series took 1.01 s instead of 1.00, of texts 1.91 s instead of 1.34.
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
    gates_ : dict of str to ndarray of shape (n_layers, n_directions, length, n_units)
        What gates let through, a step at a time, of the first sequence of the last fit; `gates` tells it of others, and
        alone after `load`. Not of cell="tanh".

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
        **Classifier._parameter_constraints,
        **RNNEstimator._parameter_constraints,
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
        char_ngrams: int = 6,
        activation: str = "relu",
        init: str = "xavier",
        init_std: float = 0.01,
        l1: float = 0.0,
        l2: float = 0.1,
        dropout: float | None = None,
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
        compile: bool = False,
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
    embedding_size, ngrams, char_ngrams, activation, init, init_std, l1, l2, dropout, batch_norm, layer_norm, \
    optimizer, momentum, nesterov, batch_size, learning_rate, schedule, early_stopping, patience, \
    validation_fraction, max_epochs, \
    max_time, ema, grad_clip, device, amp, compile, tell_saturation, n_jobs, random_state, warm_start, verbose, \
    callbacks
        As those of `RNNClassifier`; dropout is 0 by default.

    Attributes
    ----------
    target_mean_, target_spread_ : ndarrays of shape (n_targets,)
        Of the training rows.
    kind_, net_, encoder_, history_, n_iter_, best_epoch_, n_outputs_, n_features_in_, gates_
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
        char_ngrams: int = 6,
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
        compile: bool = False,
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
