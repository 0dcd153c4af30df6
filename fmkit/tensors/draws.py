"""The random numbers of `fmkit.draws` on tensors: the same key, stream, sweep and index give the same normals."""

from __future__ import annotations

import math

import torch

from fmkit.draws import GROUP, M0, M2, W0, W1

LOW = 0xFFFFFFFF


def normals(key: int, stream: int, sweep: int, indices: torch.Tensor, n: int) -> torch.Tensor:
    """Standard normals, row i those of `fmkit.draws.fill_normals` for indices[i], but for the last bits.

    Parameters
    ----------
    key, stream, sweep : int
    indices : Tensor of shape (m,), int64
    n : int

    Returns
    -------
    Tensor of shape (m, n), float32
    """
    m, groups = len(indices), -(-n // GROUP)
    blocks = torch.arange(4 * groups, device=indices.device)
    # Words are lanes of 64 bits, for the sake of their products; those wrap as unsigned numbers do.
    a = (indices & LOW)[:, None].expand(m, len(blocks))
    b = blocks.expand(m, len(blocks))
    c, d = torch.full_like(b, sweep & LOW), torch.full_like(b, stream & LOW)
    k0, k1 = key & LOW, key >> 32 & LOW
    for _ in range(10):
        p, q = a * M0, c * M2
        a, b = (q >> 32 & LOW) ^ b ^ k0, q & LOW
        c, d = (p >> 32 & LOW) ^ d ^ k1, p & LOW
        k0, k1 = (k0 + W0) & LOW, (k1 + W1) & LOW

    def by_group(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        return torch.stack([low.reshape(m, groups, 4), high.reshape(m, groups, 4)], dim=2).reshape(m, groups, 8)

    first, second = by_group(a, b), by_group(c, d)
    radius = (-2 * ((first.float() + 0.5) * 2.0**-32).log()).sqrt()
    # An angle within an eighth of a turn of 0; the two lowest bits mirror it into the other quarters.
    signed = torch.where(second >= 1 << 31, second - (1 << 32), second)
    angle = (signed >> 2).float() * (2.0**-31 * math.pi)
    sine, cosine = radius * angle.sin(), radius * angle.cos() * (1 - 2 * (second & 1)).float()
    swap = (second & 2) > 0
    pair = torch.cat([torch.where(swap, sine, cosine), torch.where(swap, cosine, sine)], dim=2)
    return pair.reshape(m, groups * GROUP)[:, :n]
