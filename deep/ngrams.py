"""N-grams of texts, in hashed columns, and a linear model of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from .losses import Loss
from .sequences import StepInputs, within

N_BUCKETS = 2**18  # ten thousand sentences have half a million n-grams; of 2^20 and 2^22 buckets nothing more was right
SHORTEST = 3  # n-gram of characters
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 by the golden ratio, odd
HIGHEST = np.uint64(64 - 18)
C = 3.0  # the inverse of the penalty, as scikit-learn's LogisticRegression counts it
ITERATIONS = 50
SHORT = 1e-6


def hashed_ngrams(words: list[str], longest: int, longest_of_characters: int) -> NDArray[np.int64]:
    """Numbers of a text's n-grams, each once and rising, below `N_BUCKETS`.

    Of one to `longest` words that follow each other; and of `SHORTEST` to `longest_of_characters` characters of the
    words, spaces between and around them, by which a word's forms share what they tell.
    """
    of_words = np.fromiter((crc32(word.encode()) for word in words), np.uint64, len(words))
    characters = np.frombuffer(f" {' '.join(words)} ".encode("utf-32-le"), np.uint32)
    grams = [
        *islice(rolled(of_words), longest),
        *islice(rolled(characters.astype(np.uint64)), SHORTEST - 1, longest_of_characters),
    ]
    # The highest bits of a product depend on all bits of its factors (D. Knuth, TAOCP 3, 6.4).
    return np.unique(np.concatenate([*grams, of_words[:0]]) * GOLDEN >> HIGHEST).astype(np.int64)


def rolled(numbers: NDArray[np.uint64]) -> Iterator[NDArray[np.uint64]]:
    """Hashes of every number, of every two that follow each other, of every three, and so on: polynomials mod 2^64."""
    hashes = numbers
    for n in count(1):
        yield hashes
        hashes = hashes[:-1] * GOLDEN + numbers[n:]


class NgramBag(nn.Module):
    """A linear model of a text's n-grams, in columns scaled by how much they tell of the classes; rows have length 1.

    The scales are naive Bayes' log-count ratios. Weights are the optimum of a convex problem and found as such, before
    the net beside them is trained: by the net's own optimizer, whose steps are as long for an n-gram met twice as for
    one met a thousand times, fewer of other texts were right.

    References
    ----------
    S. Wang and C. Manning, "Baselines and bigrams: simple, good sentiment and topic classification", ACL 2012.
    """

    weight: Tensor
    bias: Tensor
    scales: Tensor

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(N_BUCKETS, n_outputs))
        self.register_buffer("bias", torch.zeros(n_outputs))
        self.register_buffer("scales", torch.zeros(N_BUCKETS, n_outputs))

    def learn(
        self, texts: sparse.csr_array, targets: Tensor, labels: Tensor | None, weights: Tensor, loss: Loss
    ) -> None:
        """Learn of more texts: the weights nearest to those there are, by a squared distance, that lower the loss.

        Parameters
        ----------
        texts : csr_array of shape (n_texts, N_BUCKETS)
            1 for each n-gram of a training text (`as_matrix`).
        targets : Tensor of shape (n_texts, ...)
            As the loss takes them.
        labels : Tensor of shape (n_texts, n_outputs), optional
            1 where the output's class is the text's, else 0; None for numbers, whose n-grams are all scaled alike.
        weights : Tensor of shape (n_texts,)
        loss : callable
        """
        from scipy.optimize import minimize  # slow to load

        columns, ngrams = np.unique(texts.indices, return_inverse=True)
        texts = sparse.csr_array((texts.data, ngrams, texts.indptr), (texts.shape[0], len(columns)))
        new = np.ones((len(columns), 1)) if labels is None else tell(texts, labels.numpy(), weights[:, None].numpy())
        there = torch.from_numpy(columns).long()
        old = self.scales[there]
        self.scales[there] = torch.where(old == 0, torch.from_numpy(new).float(), old)  # of columns that are new
        scales = self.scales[there].numpy()
        norms = np.sqrt(texts @ scales**2).clip(min=SHORT)
        start, n = self.weight[there].numpy(), scales.size

        def objective(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weight = parameters[:n].reshape(scales.shape)
            answers = texts @ (weight * scales).astype(np.float32) / norms + parameters[n:]
            outputs = torch.from_numpy(answers.astype(np.float32)).requires_grad_()
            value = (loss(outputs, targets) * weights).sum()
            (slopes,) = torch.autograd.grad(value, outputs)
            of_weight = texts.T @ (slopes.numpy() / norms) * scales + (weight - start) / C
            gradient = np.append(of_weight, slopes.sum(dim=0).numpy())
            return float(value.detach()) + float(np.square(weight - start).sum()) / (2 * C), gradient

        first = np.append(start, self.bias.numpy()).astype(np.float64)
        found = minimize(objective, first, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS, "maxcor": 5})
        self.weight[there] = torch.from_numpy(found.x[:n].reshape(scales.shape)).float()
        self.bias.copy_(torch.from_numpy(found.x[n:]))

    def forward(self, ngrams: Tensor, sizes: Tensor) -> Tensor:
        """(n_rows, n_outputs)."""
        scales = functional.embedding(ngrams, self.scales) * within(sizes, ngrams.shape[1])
        norms = scales.square().sum(dim=1).sqrt().clamp(min=SHORT)
        return (functional.embedding(ngrams, self.weight) * scales).sum(dim=1) / norms + self.bias


def as_matrix(bags: StepInputs) -> sparse.csr_array:
    """Bags of n-grams as rows of ones, (n_texts, N_BUCKETS), float32."""
    ngrams, ends = bags.steps[:-1].cpu().numpy(), np.append(0, bags.lengths.cpu().numpy().cumsum())
    return sparse.csr_array((np.ones(len(ngrams), np.float32), ngrams, ends), (len(bags), N_BUCKETS))


def tell(texts: sparse.csr_array, labels: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Naive Bayes' log-count ratios, (n_columns, n_outputs), of n-grams in texts."""
    with_it, without = (1.0 + texts.T @ (of * weights) for of in (labels, 1 - labels))
    ratios: NDArray[np.float64] = np.log(with_it / with_it.sum(axis=0)) - np.log(without / without.sum(axis=0))
    return ratios
