"""Texts as word numbers, and the numbers of their n-grams beside: a tokeniser, and a vocabulary."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fmkit.errors import InputError
from fmkit.modelfile import pack_strings, unpack_strings

from .ngrams import SHORTEST, hashed_ngrams
from .sequences import StepInputs

WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")  # a word, with apostrophes within it; or one sign
UNKNOWN = 0  # the number of a word that is not in the vocabulary


def tokenise(text: str) -> list[str]:
    """Words and signs of a text, in small letters, accents composed (NFC).

    Examples
    --------
    >>> from fmkit.deep.text import tokenise
    >>> tokenise("It's a Café, isn't it?")
    ["it's", 'a', 'café', ',', "isn't", 'it', '?']
    """
    return WORD.findall(unicodedata.normalize("NFC", text.lower()))


@dataclass
class Texts:
    """Texts, tokenised.

    Parameters
    ----------
    words : list of list of str
    """

    words: list[list[str]]
    dtype: torch.dtype = torch.float32

    def __len__(self) -> int:
        return len(self.words)

    def first(self) -> Texts:
        """The first alone."""
        return Texts(self.words[:1])


def read_texts(X: Any) -> Texts:
    """Texts, of a list, an array or a column of strings.

    Raises
    ------
    InputError
        If one of them is none.
    """
    texts = list(X)
    for n, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"X[{n}] is {text!r} and no text: give '' for an empty one")
    return Texts([tokenise(text) for text in texts])


@dataclass
class Vocabulary:
    """The words that have a number, and how long the n-grams are that are hashed.

    Parameters
    ----------
    words : list of str
        The first has the number 1; `UNKNOWN` is all others'.
    ngrams, char_ngrams : int
        The longest, of words and of characters; 0 for none.
    """

    words: list[str]
    ngrams: int
    char_ngrams: int

    def __post_init__(self) -> None:
        self.numbers = {word: n for n, word in enumerate(self.words, 1)}

    @property
    def has_bag(self) -> bool:
        """Whether there are n-grams beside the words."""
        return self.ngrams > 0 or self.char_ngrams >= SHORTEST

    @classmethod
    def learn(
        cls, texts: Iterable[list[str]], max_words: int, min_count: int, ngrams: int, char_ngrams: int
    ) -> Vocabulary:
        """The most frequent words; of those as frequent, the first by the alphabet."""
        counts = Counter(word for words in texts for word in words)
        often = [word for word, times in counts.items() if times >= min_count]
        return cls(sorted(often, key=lambda word: (-counts[word], word))[:max_words], ngrams, char_ngrams)

    def encode(self, words: list[str]) -> list[int]:
        """Numbers of words."""
        return [self.numbers.get(word, UNKNOWN) for word in words]

    def inputs(self, rows: Texts, dtype: torch.dtype) -> StepInputs | TextInputs:
        """Texts as numbers, with their n-grams beside them if there are to be any."""
        codes = [number for words in rows.words for number in self.encode(words)]
        lengths = torch.tensor([len(words) for words in rows.words])
        words = StepInputs.of(torch.tensor(codes, dtype=torch.int64), lengths)
        if not self.has_bag:
            return words
        bags = [hashed_ngrams(words, self.ngrams, self.char_ngrams) for words in rows.words]
        sizes = torch.tensor([len(bag) for bag in bags])
        return TextInputs(words, StepInputs.of(torch.from_numpy(np.concatenate(bags)), sizes))

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Facts and arrays for a model file."""
        return {"ngrams": self.ngrams, "char_ngrams": self.char_ngrams}, pack_strings(self.words, "vocabulary")

    @classmethod
    def unpack(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Vocabulary:
        """What `pack` packed; a KeyError or ValueError if it is damaged."""
        return cls(unpack_strings(arrays, "vocabulary"), int(facts["ngrams"]), int(facts["char_ngrams"]))


@dataclass
class TextInputs:
    """Word numbers and, beside them, numbers of n-grams."""

    words: StepInputs
    bags: StepInputs

    @property
    def lengths(self) -> Tensor:
        """Words a text."""
        return self.words.lengths

    def __len__(self) -> int:
        return len(self.words)

    def batch(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Word numbers, lengths, n-gram numbers, and how many."""
        return *self.words.batch(rows), *self.bags.batch(rows)

    def to(self, device: torch.device) -> TextInputs:
        """The same on a device."""
        return TextInputs(self.words.to(device), self.bags.to(device))
