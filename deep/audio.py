"""Sound as a series: the logarithm of its energy in bands of the mel scale, a hundred times a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fmkit.errors import InputError

from .sequences import Sequences

WINDOW, HOP = 0.025, 0.010  # seconds
FLOOR = 1e-6  # of the energy, where the loudest sample is 1: what is softer is silence


def mel(frequency: Any) -> Any:
    """Hertz in mel, by which steps of pitch sound alike (S. Stevens et al., 1937), as by D. O'Shaughnessy."""
    return 2595 * np.log10(1 + np.asarray(frequency) / 700)


def mel_filters(n_mels: int, n_fft: int, sampling_rate: float) -> NDArray[np.float64]:
    """Weights of frequencies in triangular bands, evenly spaced by mel, shape (n_mels, n_fft // 2 + 1)."""
    edges = np.linspace(0, mel(sampling_rate / 2), n_mels + 2)
    at = mel(np.arange(n_fft // 2 + 1) * sampling_rate / n_fft)
    rising = (at - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - at) / np.diff(edges)[1:, None]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


def window_sizes(sampling_rate: float) -> tuple[int, int, int]:
    """Samples from step to step, of a step's window, and of its Fourier transform, a power of two."""
    hop, n_window = max(1, round(HOP * sampling_rate)), max(2, round(WINDOW * sampling_rate))
    return hop, n_window, 2 ** (n_window - 1).bit_length()


def log_mel(sound: NDArray[Any], sampling_rate: float, n_mels: int = 40) -> NDArray[np.float32]:
    """The logarithm of a sound's energy, by time and mel band.

    Parameters
    ----------
    sound : ndarray of shape (n_samples,)
        Samples, integers of any size or floats; loudness does not matter, for the loudest sample becomes 1.
    sampling_rate : float
        Samples a second.
    n_mels : int, default=40

    Returns
    -------
    ndarray of shape (1 + n_samples // hop, n_mels), float32
        A step every 10 ms, of 25 ms (Hann's window). Of a sound without samples, no step.

    References
    ----------
    S. Davis and P. Mermelstein, "Comparison of parametric representations for monosyllabic word recognition in
    continuously spoken sentences", IEEE Transactions on Acoustics, Speech and Signal Processing 1980.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit.deep.audio import log_mel
    >>> second = np.arange(8000) / 8000
    >>> spectrum = log_mel(np.sin(2 * np.pi * 440 * second), sampling_rate=8000)
    >>> spectrum.shape, int(spectrum.mean(axis=0).argmax())
    ((101, 40), 10)
    """
    if not len(sound):
        return np.empty((0, n_mels), np.float32)
    samples = torch.from_numpy(np.asarray(sound, np.float64))
    samples = samples / samples.abs().max().clamp(min=1e-12)
    hop, n_window, n_fft = window_sizes(sampling_rate)
    window = torch.hann_window(n_window, dtype=torch.float64)
    spectrum = torch.stft(samples, n_fft, hop, n_window, window, pad_mode="constant", return_complex=True)
    filters: Tensor = torch.from_numpy(mel_filters(n_mels, n_fft, sampling_rate))
    return np.asarray(torch.log(filters @ spectrum.abs().square() + FLOOR).T.numpy(), np.float32)


def read_sounds(X: Sequence[Any], sampling_rate: float, n_mels: int) -> Sequences:
    """Sounds as series of `log_mel`.

    Raises
    ------
    InputError
        If one of them is no (n_samples,) of finite numbers.
    """
    sounds = [np.asarray(x) for x in X]
    for n, sound in enumerate(sounds):
        if sound.ndim != 1 or (sound.dtype.kind not in "iuf" and sound.size):
            raise InputError(f"X[{n}] must be a sound, (n_samples,) of numbers: mix channels down to one")
        if not np.isfinite(sound).all():
            raise InputError(f"X[{n}] holds samples that are NaN or infinite")
    if not sounds:
        raise InputError("Found array with 0 sample(s): X must hold one sound at least")
    spectra = [log_mel(sound, sampling_rate, n_mels) for sound in sounds]
    return Sequences(np.concatenate(spectra), np.array([len(spectrum) for spectrum in spectra], np.int64))
