"""Batches of small least-squares problems: their sums of products, and their solutions or draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fmkit.solvers.columns import JITTER

PIECE = 1024  # rows of a matrix that are summed in one go, or up to twice as many; a longer one's pieces are added up


def products(A: torch.Tensor) -> torch.Tensor:
    """A'A of each matrix of a batch, of shape (m, length, width): (m, width, width), pieces of long ones added up."""
    m, length, width = A.shape
    n_pieces = 1
    while length // n_pieces >= 2 * PIECE and length % (2 * n_pieces) == 0:
        n_pieces *= 2
    pieces = A.reshape(m * n_pieces, length // n_pieces, width)
    sums = torch.bmm(pieces.mT, pieces)
    return sums.view(m, n_pieces, width, width).sum(dim=1) if n_pieces > 1 else sums


@contextmanager
def rounded_operands(device: torch.device) -> Iterator[None]:
    """Let a GPU round what `products` multiplies to TF32, 10 bits of mantissa; sums stay float32.

    For tables of two one-hot fields. Emulated on MovieLens latest-small (operands rounded before each product, 16 and
    64 factors, 20 sweeps) the loss moves by 1e-5 and the test RMSE by less than 1e-6. The setting is the process's, and
    is put back.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def solve(S: torch.Tensor, right: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
    """Solutions of positive definite systems, or draws about them with the inverses as covariances.

    A system without full rank is solved in the directions that it tells of.

    Parameters
    ----------
    S : Tensor of shape (m, n, n)
        Overwritten.
    right : Tensor of shape (m, n)
    noise : Tensor of shape (m, n), or None
        Standard normals.
    """
    diagonal = S.diagonal(dim1=1, dim2=2)
    diagonal += (diagonal <= 0).to(S.dtype)  # an unknown that nothing tells of becomes 0
    L, failed = torch.linalg.cholesky_ex(S)
    if noise is None:
        x = torch.cholesky_solve(right[..., None], L)[..., 0]
    else:
        half = torch.linalg.solve_triangular(L, right[..., None], upper=False) + noise[..., None]
        x = torch.linalg.solve_triangular(L.mT, half, upper=True)[..., 0]
    bad = torch.nonzero(failed)[:, 0]
    if len(bad):
        values, axes = torch.linalg.eigh(S[bad].double())
        known = values > values[:, -1:] * float(JITTER)
        inverse = torch.where(known, 1 / torch.where(known, values, 1), 0)
        along = (axes.mT @ right[bad, :, None].double())[..., 0] * inverse
        if noise is not None:
            along += noise[bad] * inverse.sqrt()
        x[bad] = (axes @ along[..., None])[..., 0].to(x.dtype)
    return x
