"""The recurrent net as a torch module: words or numbers, recurrence, pooling over the steps, dense layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .dropout import Dropout
from .initialization import initialize
from .layers import LayerSettings, dense_stack
from .ngrams import NgramBag
from .normalization import BatchNorm
from .sequences import within
from .training import Net

CELLS: dict[str, type[nn.GRU | nn.LSTM | nn.RNN]] = {"gru": nn.GRU, "lstm": nn.LSTM, "tanh": nn.RNN}
POOLINGS = ("last", "mean", "max", "last+mean+max", "attention")
EMBEDDING_STD = 0.1
FORGET_BIAS = 1.0  # of an LSTM: it begins by keeping what it has (F. Gers et al., 2000; R. Jozefowicz et al., 2015)


class RNN(Net):
    """Numbers or words, step by step; the states pooled; dense layers; of texts a bag of n-grams beside it.

    Every sequence is read to its own end, and no further: by padding, nothing changes.
    """

    def __init__(
        self,
        n_channels: int | None,
        n_words: int | None,
        cell: str,
        n_units: int,
        n_layers: int,
        bidirectional: bool,
        pooling: str,
        hidden_layer_sizes: Sequence[int],
        n_outputs: int,
        settings: LayerSettings,
        embedding_size: int,
        has_bag: bool,
    ) -> None:
        super().__init__()
        width = n_channels or embedding_size
        self.words = None
        if n_words is not None:
            self.words = nn.Embedding(n_words, embedding_size)
            nn.init.normal_(self.words.weight, std=EMBEDDING_STD)
        self.dropout = Dropout(settings.dropout)
        self.recurrent = CELLS[cell](
            width,
            n_units,
            n_layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=settings.dropout if n_layers > 1 else 0.0,
        )
        draw(self.recurrent, settings)
        n_states = n_units * (1 + bidirectional)
        self.pooling = Attention(n_states) if pooling == "attention" else Pooling(pooling.split("+"), bidirectional)
        first, *others = [*hidden_layer_sizes, n_outputs]
        width = n_states * self.pooling.n_parts
        parts: list[nn.Module] = []
        if settings.layer_norm or settings.batch_norm:
            parts.append(nn.LayerNorm(width) if settings.layer_norm else BatchNorm(width))
        parts += [Dropout(settings.dropout), settings.drawn(nn.Linear(width, first))]
        if others:
            parts += dense_stack([first, *others[:-1]], n_outputs, settings)
        self.head = nn.Sequential(*parts)
        self.bag = NgramBag(n_outputs) if has_bag else None

    def forward(self, steps: Tensor, lengths: Tensor, *bag: Tensor) -> Tensor:
        """Outputs, (n_rows, n_outputs), of a batch of `StepInputs` or `TextInputs`.

        Those of a text are the mean of the recurrent net's and the bag's; in training the net's alone, which would
        else leave to the bag what it could learn.
        """
        return self.answer(self.states(steps, lengths), lengths, *bag)

    def answer(self, states: Tensor, lengths: Tensor, *bag: Tensor) -> Tensor:
        """What `forward` gives, of the topmost layer's states."""
        outputs: Tensor = self.head(self.pooling(states, lengths))
        if self.bag is None or self.training:
            return outputs
        others: Tensor = self.bag(*bag)
        return (outputs + others) / 2

    def embedded(self, steps: Tensor) -> Tensor:
        """What the recurrence reads, (n_rows, longest, n_inputs): numbers as they are, words as their vectors."""
        if self.words is None:
            return steps
        vectors: Tensor = self.dropout(self.words(steps))
        return vectors

    def states(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Of the topmost layer, both directions beside each other, (n_rows, longest, n_states); 0 after the end."""
        inputs = self.embedded(steps)
        # torch packs no empty sequence: one step of padding is read instead, and left out by the pooling.
        packed = pack_padded_sequence(inputs, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
        states: Tensor
        states, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=inputs.shape[1])
        return states


def draw(recurrent: nn.RNNBase, settings: LayerSettings) -> None:
    """Weights of a recurrence in place: of inputs by `init`, gate by gate; of states orthogonal, biases zero.

    Orthogonal matrices let a signal neither die nor explode over the steps (A. Saxe et al., ICLR 2014);
    init="constant-variance" draws states' weights like all others.
    """
    n = recurrent.hidden_size
    with torch.no_grad():
        for name, parameter in recurrent.named_parameters():
            if name.startswith("bias"):
                parameter.zero_()
                if isinstance(recurrent, nn.LSTM) and name.startswith("bias_ih"):
                    parameter[n : 2 * n] = FORGET_BIAS
                continue
            of_states = name.startswith("weight_hh") and settings.init != "constant-variance"
            for gate in parameter.chunk(len(parameter) // n):
                initialize(gate, "orthogonal" if of_states else settings.init, settings.init_std)


class Pooling(nn.Module):
    """States of all steps as one vector: the last, their mean, the highest of each unit, one beside the other.

    The last of the backward direction is that of the first step. Of no steps, all are zero.
    """

    def __init__(self, parts: Sequence[str], bidirectional: bool) -> None:
        super().__init__()
        self.parts, self.bidirectional, self.n_parts = parts, bidirectional, len(parts)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """(n_rows, n_states * n_parts)."""
        there = within(lengths, states.shape[1])
        pooled = []
        if "last" in self.parts:
            pooled.append(self._last(states, lengths) * (lengths > 0)[:, None])
        if "mean" in self.parts:
            pooled.append((states * there).sum(dim=1) / lengths.clamp(min=1)[:, None])
        if "max" in self.parts:
            highest = states.masked_fill(~there, -torch.inf).amax(dim=1)
            pooled.append(highest.masked_fill((lengths == 0)[:, None], 0.0))
        return torch.cat(pooled, dim=1)

    def _last(self, states: Tensor, lengths: Tensor) -> Tensor:
        last = states[torch.arange(states.shape[0], device=states.device), (lengths - 1).clamp(min=0)]
        if not self.bidirectional:
            return last
        n = states.shape[2] // 2
        return torch.cat([last[:, :n], states[:, 0, n:]], dim=1)


class Attention(nn.Module):
    """The mean of the states, weighted by what a small net makes of each (Z. Yang et al., NAACL 2016)."""

    n_parts = 1

    def __init__(self, n_states: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(n_states, n_states), nn.Tanh(), nn.Linear(n_states, 1, bias=False))

    def weights(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Of the steps, (n_rows, longest), with the sum 1; 0 after the end."""
        there = within(lengths, states.shape[1])
        lowest = torch.finfo(states.dtype).min  # not infinity, of which an empty sequence would make NaN
        weights: Tensor = self.score(states).masked_fill(~there, lowest).softmax(dim=1) * there
        return weights.squeeze(2)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """(n_rows, n_states)."""
        return (self.weights(states, lengths)[..., None] * states).sum(dim=1)
