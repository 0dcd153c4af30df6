"""Recurrent nets for ONNX files: over padded sequences and their lengths, by ONNX's own recurrences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .audio import FLOOR, mel_filters, window_sizes
from .ngrams import GOLDEN, HIGHEST, SHORTEST
from .onnx import Scaled
from .recurrent import RNN
from .sequences import Scale, within
from .text import UNKNOWN, WORD, Vocabulary

GATES = {"GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2), "RNN": (0,)}  # in ONNX's order, by their numbers in torch's


class Recurrence(nn.Module):
    """A layer of a recurrence as ONNX has it, in which every sequence is read to its own end, and from there back."""

    def __init__(self, recurrent: nn.RNNBase, layer: int) -> None:
        super().__init__()
        self.operator, self.n_units = type(recurrent).__name__, recurrent.hidden_size
        ways = [f"_l{layer}", f"_l{layer}_reverse"][: 1 + recurrent.bidirectional]

        def stacked(name: str) -> Tensor:
            order = GATES[self.operator]
            gates = [getattr(recurrent, name + way).detach().chunk(len(order)) for way in ways]
            return torch.stack([torch.cat([of_way[n] for n in order]) for of_way in gates])

        self.W, self.U = nn.Buffer(stacked("weight_ih")), nn.Buffer(stacked("weight_hh"))
        self.b = nn.Buffer(torch.cat([stacked("bias_ih"), stacked("bias_hh")], dim=1))

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """States, (longest, n_rows, n_states), of inputs, (longest, n_rows, n_inputs); 0 after the end."""
        longest, n_rows, _ = inputs.shape
        n_ways = len(self.W)
        attributes: dict[str, Any] = {"hidden_size": self.n_units}
        attributes["direction"] = "bidirectional" if n_ways == 2 else "forward"
        if self.operator == "GRU":
            attributes["linear_before_reset"] = 1  # as torch does: see `gates.gru_step`
        states = torch.onnx.ops.symbolic(
            self.operator,
            (inputs, self.W, self.U, self.b, lengths),
            attributes,
            dtype=inputs.dtype,
            shape=(longest, n_ways, n_rows, self.n_units),
        )
        return states.transpose(1, 2).flatten(2)


class LogMel(nn.Module):
    """`audio.log_mel` of padded sounds; the Fourier transform is a convolution, which is quick everywhere."""

    def __init__(self, sampling_rate: float, n_mels: int) -> None:
        super().__init__()
        self.hop, n_window, self.n_fft = window_sizes(sampling_rate)
        before = (self.n_fft - n_window) // 2
        window = functional.pad(
            torch.hann_window(n_window, dtype=torch.float64), (before, self.n_fft - n_window - before)
        )
        turns = torch.outer(torch.arange(self.n_fft // 2 + 1), torch.arange(self.n_fft)) / self.n_fft
        angles = 2 * torch.pi * turns.double()
        self.waves = nn.Buffer((torch.cat([angles.cos(), angles.sin()]) * window)[:, None].float())
        self.filters = nn.Buffer(torch.from_numpy(mel_filters(n_mels, self.n_fft, sampling_rate)).float())

    def forward(self, sounds: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra, (n_rows, longest, n_mels), of sounds, (n_rows, n_samples), and how many steps each has."""
        sounds = sounds.masked_fill(~within(lengths, sounds.shape[1])[..., 0], 0.0)
        sounds = sounds / sounds.abs().amax(dim=1, keepdim=True).clamp(min=1e-12)
        padded = functional.pad(sounds[:, None], (self.n_fft // 2, self.n_fft // 2))
        real, imaginary = functional.conv1d(padded, self.waves, stride=self.hop).chunk(2, dim=1)
        energy = self.filters @ (real.square() + imaginary.square())
        return torch.log(energy + FLOOR).transpose(1, 2), torch.where(lengths > 0, 1 + lengths // self.hop, 0)


class SequenceNet(nn.Module):
    """A net over padded sequences as the user has them; what stands after their ends is of no account, NaN included."""

    def __init__(self, net: RNN, scale: Scaled | None, log_mel: LogMel | None, answers: nn.Module) -> None:
        super().__init__()
        self.net, self.scale, self.log_mel, self.answers = net, scale, log_mel, answers
        self.recurrences = nn.ModuleList(Recurrence(net.recurrent, n) for n in range(net.recurrent.num_layers))

    def forward(
        self, X: Tensor, lengths: Tensor, ngrams: Tensor | None = None, n_ngrams: Tensor | None = None
    ) -> Tensor:
        """Answers, (n_rows, n_outputs), of series, of sounds, or of the numbers of words and n-grams."""
        if self.log_mel is not None:
            X, lengths = self.log_mel(X, lengths)
        if self.scale is not None:
            X = self.scale(X)
        there = within(lengths, X.shape[1])
        states = self.net.embedded(X.masked_fill(~(there if X.ndim == 3 else there[..., 0]), 0)).transpose(0, 1)
        for recurrence in self.recurrences:
            states = recurrence(states, lengths.clamp(min=1).int())  # a step of an empty one, as `RNN.states` does
        bag = []
        if ngrams is not None and n_ngrams is not None:
            bag = [ngrams.masked_fill(~within(n_ngrams, ngrams.shape[1])[..., 0], 0), n_ngrams]
        answers: Tensor = self.answers(self.net.answer(states.transpose(0, 1), lengths, *bag))
        return answers


def sequence_net(
    net: RNN, encoder: Scale | Vocabulary, sampling_rate: float | None, answers: nn.Module
) -> tuple[SequenceNet, dict[str, tuple[Tensor, list[str]]]]:
    """A net for export, and examples of its inputs with the names of their free axes, as `onnx.export` takes them."""
    lengths = torch.tensor([3, 2])
    if isinstance(encoder, Scale):
        n_channels = len(encoder.mean)
        scale = Scaled(encoder.mean, encoder.spread)
        if sampling_rate is None:
            module, X = SequenceNet(net, scale, None, answers), torch.zeros(2, 3, n_channels)
        else:
            module, X = SequenceNet(net, scale, LogMel(sampling_rate, n_channels), answers), torch.zeros(2, 3)
    else:
        module, X = SequenceNet(net, None, None, answers), torch.zeros(2, 3, dtype=torch.int64)
    inputs = {"X": (X, ["n_rows", "longest"]), "lengths": (lengths, ["n_rows"])}
    if net.bag is not None:
        inputs["ngrams"] = torch.zeros(2, 3, dtype=torch.int64), ["n_rows", "most_ngrams"]
        inputs["n_ngrams"] = lengths.clone(), ["n_rows"]  # of one tensor twice, torch makes one input
    return module, inputs


def described(encoder: Scale | Vocabulary, sampling_rate: float | None) -> dict[str, Any]:
    """How the inputs are made of texts, or the sampling rate of sounds."""
    if isinstance(encoder, Scale):
        return {} if sampling_rate is None else {"sampling_rate": float(sampling_rate)}
    words = {"before": "small letters, then Unicode's NFC", "pattern": WORD.pattern, "unknown": UNKNOWN}
    hashing = {
        "of_words": {"shortest": 1, "longest": encoder.ngrams, "numbers": "CRC-32 of UTF-8"},
        "of_characters": {
            "shortest": SHORTEST,
            "longest": encoder.char_ngrams,
            "numbers": "code points of the words, with a space before, between and after them",
        },
        "hash": "of the first number, h; of each after it, h * factor + number; then h * factor; modulo 2^64",
        "factor": int(GOLDEN),
        "shift": int(HIGHEST),  # what is left of the hash is an n-gram's number, each once a text
    }
    return {"words": words, "vocabulary": encoder.words, "ngrams": hashing if encoder.has_bag else None}
