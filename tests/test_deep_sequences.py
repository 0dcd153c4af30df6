"""What stands before a recurrent net: texts as words, sounds as spectra, batches of like length."""

import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fmkit.deep.audio import log_mel, mel_filters, read_sounds
from fmkit.deep.buckets import batches
from fmkit.deep.ngrams import hashed_ngrams
from fmkit.deep.sequences import StepInputs, read_series
from fmkit.deep.text import Vocabulary, read_texts, tokenise
from fmkit.errors import InputError


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_tokens_joined_are_the_same_tokens(text):
    tokens = tokenise(text)
    assert tokenise(" ".join(tokens)) == tokens
    assert all(tokens)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \t\n", []),
        ("Don't panic!", ["don't", "panic", "!"]),
        ("ÜBER Straße", ["über", "straße"]),
        ("cafe\u0301", ["café"]),
        ("日本 3.5", ["日本", "3", ".", "5"]),
        ("a😀b", ["a", "😀", "b"]),
    ],
)
def test_words_and_signs(text, tokens):
    assert tokenise(text) == tokens


def test_words_are_numbered_by_how_frequent_they_are():
    texts = [["b", "a", "a"], ["c", "b", "d"], ["a", "c"]]
    vocabulary = Vocabulary.learn(texts, max_words=9, min_count=2, ngrams=0, char_ngrams=0)
    assert vocabulary.words == ["a", "b", "c"]
    assert vocabulary.encode(["c", "d", "a", ""]) == [3, 0, 1, 0]
    assert Vocabulary.learn(texts, max_words=2, min_count=1, ngrams=0, char_ngrams=0).words == ["a", "b"]


@given(st.lists(st.text(min_size=1).filter(str.strip), unique=True, max_size=6))
def test_a_vocabulary_is_packed_and_unpacked(words):
    vocabulary = Vocabulary(words, 2, 4)
    again = Vocabulary.unpack(*vocabulary.pack())
    assert again == vocabulary
    assert [again.words[n - 1] for n in again.encode(words)] == words


@given(st.lists(st.text(min_size=1, max_size=9), max_size=6), st.integers(0, 3), st.integers(0, 7))
def test_ngrams_are_hashed_the_same_everywhere(words, longest, longest_of_characters):
    of_words, characters = [zlib.crc32(word.encode()) for word in words], [ord(c) for c in f" {' '.join(words)} "]
    numbers = {bucket(gram) for gram in grams(of_words, 1, longest)}
    numbers |= {bucket(gram) for gram in grams(characters, 3, longest_of_characters)}
    assert hashed_ngrams(words, longest, longest_of_characters).tolist() == sorted(numbers)


def grams(numbers, shortest, longest):
    return [numbers[i : i + n] for n in range(shortest, longest + 1) for i in range(len(numbers) - n + 1)]


def bucket(gram):
    """The polynomial in 2^64 by the golden ratio, times it, of which the highest 18 bits count."""
    golden, value = 0x9E3779B97F4A7C15, 0
    for number in gram:
        value = (value * golden + number) % 2**64
    return value * golden % 2**64 >> 46


def test_a_text_that_is_none_is_told():
    with pytest.raises(InputError, match=r"X\[1\] is nan and no text"):
        read_texts(["so", np.nan])


@pytest.mark.parametrize("frequency", [300, 1000, 3000])
def test_a_tone_is_in_its_band(frequency):
    rate, n_mels = 16000, 40
    tone = np.sin(2 * np.pi * frequency * np.arange(rate) / rate)
    spectrum = log_mel(tone, rate, n_mels)
    assert spectrum.shape == (101, n_mels)
    filters = mel_filters(n_mels, 512, rate)
    band = int(filters[:, round(frequency * 512 / rate)].argmax())
    assert abs(int(spectrum[10:-10].mean(axis=0).argmax()) - band) <= 1


def test_a_spectrum_is_that_of_plain_numpy():
    rng = np.random.default_rng(0)
    sound = rng.standard_normal(1000)
    hop, n = 80, 200
    padded = np.pad(sound / np.abs(sound).max(), 128)
    window = np.zeros(256)
    window[28:228] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    frames = np.array([padded[t : t + 256] * window for t in range(0, 1001, hop)])
    energy = np.abs(np.fft.rfft(frames)) ** 2
    expected = np.log(energy @ mel_filters(20, 256, 8000).T + 1e-6)
    np.testing.assert_allclose(log_mel(sound, 8000, 20), expected, rtol=1e-5, atol=1e-5)


def test_loudness_and_type_do_not_matter():
    sound = np.array([0, 9, -3, 4, 12] * 99, np.int16)
    np.testing.assert_allclose(log_mel(sound, 8000), log_mel(sound / 1000, 8000), atol=1e-4)
    assert np.isfinite(log_mel(np.zeros(50), 8000)).all()
    assert log_mel(np.empty(0), 8000).shape == (0, 40)


def test_sounds_that_are_none_are_told():
    with pytest.raises(InputError, match=r"X\[1\] must be a sound"):
        read_sounds([np.zeros(9), np.zeros((9, 2))], 8000, 40)
    with pytest.raises(InputError, match=r"X\[0\] holds samples that are NaN"):
        read_sounds([np.array([0, np.nan])], 8000, 40)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 20), st.booleans())
def test_batches_hold_every_row_once(lengths, n_batches, by_length):
    n_batches = min(n_batches, len(lengths))
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(lengths)))
    made = batches(order, n_batches, torch.tensor(lengths) if by_length else None)
    assert sorted(torch.cat(list(made)).tolist()) == list(range(len(lengths)))
    sizes = {len(batch) for batch in made}
    assert len(made) == n_batches
    assert max(sizes) - min(sizes) <= 1


def test_batches_by_length_have_less_padding():
    rng = np.random.default_rng(0)
    lengths, order = torch.from_numpy(rng.integers(1, 100, 640)), torch.from_numpy(rng.permutation(640))

    def steps(made):
        return sum(len(batch) * int(lengths[batch].max()) for batch in made)

    sorted_ones = batches(order, 20, lengths)
    assert steps(sorted_ones) < 1.15 * int(lengths.sum()) < 0.7 * steps(batches(order, 20, None))
    again = batches(order, 20, lengths)
    assert all(bool((a == b).all()) for a, b in zip(sorted_ones, again, strict=True))
    longest = [int(lengths[batch].max()) for batch in sorted_ones]
    assert longest != sorted(longest)


def test_batches_are_padded_with_zeros():
    inputs = StepInputs.of(torch.arange(1.0, 7.0)[:, None], torch.tensor([2, 0, 3, 1]))
    steps, lengths = inputs.batch(torch.tensor([3, 0, 1]))
    assert steps[..., 0].tolist() == [[6, 0], [1, 2], [0, 0]]
    assert lengths.tolist() == [1, 2, 0]
    assert inputs.batch(torch.tensor([1]))[0].tolist() == [[[0.0]]]


def test_only_steps_at_the_end_are_padding():
    nan = np.nan
    rows = read_series(np.array([[[1, nan], [2, 3]], [[1, 1], [nan, nan]]])[::-1][:1])
    assert rows.lengths.tolist() == [1]
    assert rows.steps.tolist() == [[1, 1]]
    assert read_series(np.full((2, 3), nan)).lengths.tolist() == [0, 0]
    assert [len(x) for x in read_series([[1.0], [], [2.0, 3.0]]).each()] == [1, 0, 2]
