"""The sides of a design whose columns are solved for, or drawn, on a torch device, a batch of levels at a time.

The machine stays on the host, where everything beside the steps reads and changes it; what a step needs of it travels
there and back, two copies of it a sweep. Where predictions are kept a row, they and the sums of factors stay on the
device for good: a table with a row [Q, 1, e, root] for each of the design's, e being the residual and root that of its
weight. A level's rows of that table, side by side, hold all that its system sums up.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.errors import InputError
from fmkit.machine import NEGLIGIBLE, FactorizationMachine
from fmkit.solvers.columns import JITTER, NONE
from fmkit.solvers.sides import NO_DRAW, Floats, Prior, Side, Sides
from fmkit.tensors.device import free_memory
from fmkit.tensors.draws import normals
from fmkit.tensors.entries import BUDGETS, Entries
from fmkit.tensors.systems import products, rounded_operands, solve

AT_WORK = 6  # times the numbers of a batch that a step holds at once


class TensorSides(Sides):
    """`Sides` of a design without blocks, at work on a device.

    Parameters
    ----------
    design, machine, y, weights, n_threads, changing
        As of `Sides`.
    device : torch.device

    Raises
    ------
    InputError
        If the device has too little memory for what is kept a row.

    Warns
    -----
    UserWarning
        If it has too little for the entries, which travel batch by batch then.
    """

    def __init__(
        self,
        design: Design,
        machine: FactorizationMachine,
        y: Floats,
        weights: Floats | None,
        n_threads: int,
        changing: bool = False,
        *,
        device: torch.device,
    ) -> None:
        super().__init__(design, machine, y, weights, n_threads, changing)
        self.device, self.k = device, machine.n_factors
        self.width = -(-(self.k + 3) // 4) * 4  # Q or the other side's factors, 1, the residual or prediction, root
        self._at_hand()
        n_table = machine.n_features if self.pair else design.n_rows
        resident = self._check_memory(n_table)
        self._table = torch.zeros(n_table + 1, self.width, device=device)  # the last row is of what is not there
        self._table[:-1, self.k] = 1
        self._table[:-1, self.k + 2] = 1
        if not self.pair:
            self.set_rows(y - self.f, self.Q)
            del self.f, self.Q
            if weights is not None:
                self._table[:-1, self.k + 2] = self._sent(np.sqrt(weights))
        self._entries = [self._entries_of(side, resident, n_table) for side in self.sides]

    def _at_hand(self) -> None:
        """Keep the machine where the device can fetch it at full speed."""
        if self.device.type == "cuda":
            for name in ("linear", "factors"):
                pinned = torch.from_numpy(getattr(self.machine, name)).pin_memory()
                setattr(self.machine, name, pinned.numpy())

    def _check_memory(self, n_table: int) -> bool:
        """Whether the entries fit beside the table, which is told if not; refuses a table that does not."""
        free = free_memory(self.device) - 4 * AT_WORK * BUDGETS[self.device.type]
        table = 4 * self.width * (n_table + 1)
        if table > free:
            raise InputError(
                f"the device has {max(free, 0) / 1e9:.1f} GB to spare and the fit keeps {table / 1e9:.1f} GB there: "
                "take fewer n_factors, or device='cpu'"
            )
        sizes = [len(side.source) for side in self.sides]
        numbers = sum(
            n * (2 + len(side.x) // n + len(side.omega) // n) for n, side in zip(sizes, self.sides, strict=True) if n
        )
        places = 12 * (sum(sizes) if self.pair and self._changing else max(sizes, default=0))  # and what goes to them
        fits = 5 * numbers + places < free - table  # 4 bytes each, padded by a fifth
        if not fits:
            warnings.warn(
                f"the device has {(free - table) / 1e9:.1f} GB to spare and the entries take "
                f"{(5 * numbers + places) / 1e9:.1f} GB: they stay in memory and travel batch by batch",
                stacklevel=2,
            )
        return fits

    def _entries_of(self, side: Side, resident: bool, missing: int) -> Entries:
        entries = Entries(side.ptr, self.width, self.device, resident)
        entries.put("source", side.source, missing)
        if len(side.x):
            entries.put("x", side.x, 0)
        if self.pair:
            self._put_targets(entries, side)
        if not (self.pair and self._changing):
            entries.settle()
        return entries

    def _put_targets(self, entries: Entries, side: Side) -> None:
        entries.put("y", side.y, 0)
        if len(side.omega):
            entries.put("root", np.sqrt(side.omega), 0)

    def _sent(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, non_blocking=True)

    def set_targets(self, y: Floats, weights: Floats) -> None:
        """Replace the targets and weights of all rows."""
        if not self.pair:
            self._table[:-1, self.k + 1] += self._sent(y - self.y)
            self._table[:-1, self.k + 2] = self._sent(np.sqrt(weights))
        super().set_targets(y, weights)
        if self.pair:
            for entries, side in zip(self._entries, self.sides, strict=True):
                self._put_targets(entries, side)

    def rows(self) -> tuple[Floats, Floats]:
        """Residuals and sums of factors of all rows, where they are kept."""
        return self.residuals(), self._table[:-1, : self.k].cpu().numpy()

    def set_rows(self, f: Floats, Q: Floats) -> None:
        """Replace them: `f` is of residuals here."""
        self._table[:-1, : self.k] = self._sent(Q)
        self._table[:-1, self.k + 1] = self._sent(f)

    def predict(self) -> Floats:
        """The machine's value for every row."""
        return super().predict() if self.pair else self.y - self.residuals()

    def residuals(self) -> Floats:
        """Targets less predictions, where these are kept."""
        return self._table[:-1, self.k + 1].cpu().numpy()

    def solve(
        self,
        number: int,
        priors: Sequence[Prior],
        penalties: tuple[Floats, Floats] = (NONE, NONE),
        scale: Floats | None = None,
        level: Floats = NONE,
        draw: tuple[np.uint64, np.uint32, np.uint32] = NO_DRAW,
        centres: Floats | None = None,
    ) -> NDArray[np.float64]:
        """Solve, or draw, all columns of a side; see `Sides.solve`."""
        side, machine, k = self.sides[number], self.machine, self.k
        columns, prior = side.columns, priors[side.group]
        weighted = self._renew_table(number, level)
        precision = self._sent(prior.precision).expand(side.n_levels, k + 1)
        if len(penalties[0]):
            of_columns = np.column_stack([np.repeat(penalties[1][columns, None], k, axis=1), penalties[0][columns]])
            precision = precision + self._sent(of_columns)
        centre = self._sent(prior.centre[None] if centres is None else centres[columns])
        times = self._sent(np.ones(1, np.float32) if scale is None else scale).expand(side.n_levels)
        noise = None
        if draw[0]:
            noise = normals(int(draw[0]), int(draw[1]), int(draw[2]), self._sent(columns.astype(np.int64)), k + 1)
        theta = torch.zeros(side.n_levels, k + 1, device=self.device)
        if not self.pair:
            theta[:, :k], theta[:, k] = self._sent(machine.factors[columns]), self._sent(machine.linear[columns])
        step, sums = torch.empty_like(theta), torch.zeros(side.n_levels, 3, dtype=torch.float64, device=self.device)
        for batch, parts in self._entries[number].on_device():
            at = batch.levels
            A = self._rows_of(batch.length, parts, theta[at], weighted)
            with rounded_operands(self.device) if self.pair else nullcontext():
                G = products(A)
            P, h = G[:, : k + 1, : k + 1], G[:, : k + 1, k + 1]
            S = P * times[at, None, None]
            S.diagonal(dim1=1, dim2=2).mul_(1 + float(JITTER)).add_(precision[at])
            right = times[at, None] * h + precision[at] * (centre if len(centre) == 1 else centre[at])
            right -= precision[at] * theta[at] if not self.pair else 0
            made = solve(S, right, None if noise is None else noise[at])
            step[at] = made
            told = torch.stack([G[:, k + 1, k + 1], G[:, k + 2, k + 1], G[:, k + 2, k + 2]], dim=1).double()
            if self.pair:
                moved = torch.bmm(P, made[:, :, None])[:, :, 0]
                told[:, 0] += ((moved - 2 * h) * made).sum(dim=1)
                told[:, 1] -= moved[:, k]
            else:
                self._follow(A, parts, made)
            sums[at] = told
        return self._keep(side, theta + step, sums)

    def _renew_table(self, number: int, level: Floats) -> bool:
        """Bring what the other columns are up to date; returns whether rows have weights that the table knows."""
        k, machine, table = self.k, self.machine, self._table
        if not self.pair:
            if len(level):
                table[:-1, k + 2] = self._sent(np.sqrt(level))
            return len(level) > 0 or self.weights is not None
        other = self.sides[1 - number].columns
        span: Any = slice(int(other[0]), int(other[-1]) + 1) if len(other) else slice(0)
        if span.stop - span.start != len(other):
            span = other
        at = span if isinstance(span, slice) else self._sent(span.astype(np.int64))
        table[at, :k], table[at, k] = self._sent(machine.factors[span]), 1
        table[at, k + 1] = self._sent(machine.linear[span] + np.float32(machine.bias))
        table[at, k + 2] = 1
        if len(level):
            table[at, : k + 3] *= self._sent(np.sqrt(level[span]))[:, None]
        return len(level) > 0

    def _rows_of(
        self, length: int, parts: dict[str, torch.Tensor], theta: torch.Tensor, weighted: bool
    ) -> torch.Tensor:
        """The entries of a batch's levels as matrices with rows sqrt(omega) (x q, x, e, 1)."""
        k = self.k
        A = self._table.index_select(0, parts["source"]).view(len(theta), length, self.width)
        if self.pair:  # `level`, if any, is in the table already, in the other side's prediction too
            y = parts["y"].view(len(theta), length)
            A[..., k + 1] = (y * A[..., k + 2] if weighted else y) - A[..., k + 1]
            if "root" in parts:
                A *= parts["root"].view(len(theta), length, 1)
            return A
        if "x" in parts:
            x = parts["x"].view(len(theta), length, 1)
            A[..., :k] -= x * theta[:, None, :k]
            A[..., : k + 1] *= x
        else:
            A[..., :k] -= A[..., k : k + 1] * theta[:, None, :k]
        if weighted:
            A[..., : k + 2] *= A[..., k + 2 : k + 3]
        else:
            A[..., k + 2] = (A[..., k + 2] > 0).to(A.dtype)
        return A

    def _follow(self, A: torch.Tensor, parts: dict[str, torch.Tensor], step: torch.Tensor) -> None:
        """Let residuals and sums of factors of the rows follow a batch's steps: one entry a row, so no two collide."""
        k = self.k
        root = A[..., k + 2 : k + 3]
        change = torch.bmm(A[..., : k + 1], step[:, :, None]) / torch.where(root > 0, root, 1)
        moved = torch.zeros_like(A)
        x = parts["x"].view(*A.shape[:2], 1) if "x" in parts else (root > 0).to(A.dtype)
        moved[..., :k] = x * step[:, None, :k]
        moved[..., k + 1 : k + 2] = -change
        self._table.index_add_(0, parts["source"], moved.view(-1, self.width))

    def _keep(self, side: Side, theta: torch.Tensor, sums: torch.Tensor) -> NDArray[np.float64]:
        """Hand what was found to the machine."""
        k, machine = self.k, self.machine
        V = torch.where(theta[:, :k].abs() > float(NEGLIGIBLE), theta[:, :k], 0)
        machine.factors[side.columns], machine.linear[side.columns] = V.cpu().numpy(), theta[:, k].cpu().numpy()
        self._last = sums.cpu().numpy()
        return self._last

    def follow_columns(self, side: Side, columns: Any, old: Floats) -> None:
        """Let the rows follow a change of the factors of a side's columns, where predictions are kept a row."""
        number = next(i for i, one in enumerate(self.sides) if one is side)
        theta = torch.zeros(side.n_levels, self.k + 1, device=self.device)
        theta[:, : self.k] = self._sent(old)
        step = torch.zeros_like(theta)
        step[:, : self.k] = self._sent(self.machine.factors[columns] - old)
        for batch, parts in self._entries[number].on_device():
            self._follow(self._rows_of(batch.length, parts, theta[batch.levels], False), parts, step[batch.levels])

    def residual_sums(self, weights: Floats | None) -> tuple[float, float]:
        """Sums of omega e and of omega over all rows; see `Sides.residual_sums`."""
        if self.pair:
            return super().residual_sums(weights)
        e = self._table[:-1, self.k + 1].double()
        if weights is None:
            return float(e.sum()), float(len(e))
        omega = self._sent(weights).double()
        return float(omega @ e), float(omega.sum())

    def scale(self, times: np.float32) -> None:
        """Multiply the machine's values by a number, positive."""
        machine = self.machine
        machine.bias *= float(times)
        machine.linear *= times
        machine.factors *= np.sqrt(times)
        if not self.pair:
            self._table[:-1, : self.k] *= float(np.sqrt(times))
            self._table[:-1, self.k + 1] = self._sent(self.y - self.predict() * times)

    def move_bias(self, shift: float) -> None:
        """Add to the bias."""
        self.machine.bias += shift
        if not self.pair:
            self._table[:-1, self.k + 1] -= shift
