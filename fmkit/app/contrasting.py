"""Nets that differ in their ingredients, in training side by side, a pass over the rows each in turn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from fmkit.app.apart import Apart
from fmkit.errors import InputError

MOST_NETS, MOST_EPOCHS = 4, 200
CHOICES: dict[str, tuple[str, ...]] = {
    "activation": ("relu", "tanh"),
    "init": ("normalised", "constant"),
    "regularisation": ("none", "dropout", "dropout and batch normalisation", "L2", "L1 and L2"),
    "descent": ("stochastic", "batch"),
}


def parameters_of(wishes: dict[str, Any]) -> dict[str, Any]:
    """The parameters of `MLPClassifier` that some choices stand for; as JSON gives them: they are checked.

    Raises
    ------
    InputError
        If something else is chosen.

    Examples
    --------
    >>> from fmkit.app.contrasting import parameters_of
    >>> wishes = {"activation": "tanh", "init": "normalised", "regularisation": "L2", "descent": "stochastic"}
    >>> parameters_of(wishes)["activation"], parameters_of(wishes)["l2"]
    ('tanh', 0.01)
    """
    for name, choices in CHOICES.items():
        if wishes.get(name) not in choices:
            raise InputError(f"{name} must be one of {', '.join(choices)}, got {wishes.get(name)!r}")
    from fmkit.deep.contrasts import CONTRASTS

    regular, normal = CONTRASTS["regularisation"]
    none = {**regular, "l1": 0.0, "l2": 0.0}
    regularisations: dict[str, dict[str, Any]] = {
        "none": none,
        "dropout": {**none, "dropout": normal["dropout"]},
        "dropout and batch normalisation": normal,
        "L2": {**none, "l2": regular["l2"]},
        "L1 and L2": regular,
    }
    return {
        **CONTRASTS["activation"][wishes["activation"] == "relu"],
        **CONTRASTS["first weights"][wishes["init"] == "normalised"],
        **CONTRASTS["descent"][wishes["descent"] == "stochastic"],
        **regularisations[wishes["regularisation"]],
    }


def fit_in_turns(nets: list[dict[str, Any]], epochs: int, told: Callable[[tuple[int, dict[str, Any]]], object]) -> None:
    """Fit nets to the digits; tell every epoch with the number of its net, and the runs at their ends.

    In one process, for torch takes seconds to be loaded, and one thread at a time: between epochs, nothing of a fit is
    left in torch's generators, so that each is what it would be alone.
    """
    turns = [threading.Semaphore(0) for _ in nets]
    over = threading.Semaphore(0)
    left = set(range(len(nets)))
    wrong: list[Exception] = []

    def fit(number: int) -> None:
        def tell(row: dict[str, Any]) -> None:
            numbers = {name: float(f"{row[name]:.4g}") for name in ("train_loss", "train", "test")}
            saturation = [round(one, 3) for one in row["saturation"].values()]
            told((number, {"epoch": row["epoch"], **numbers, "saturation": saturation}))
            over.release()
            turns[number].acquire()

        turns[number].acquire()
        try:
            run = fit_net(parameters_of(nets[number]), max_epochs=epochs, told=tell)
            told((number, {"end": {name: run[name] for name in ("test", "train", "overfit", "diverged")}}))
        except Exception as error:
            wrong.append(error)
        finally:
            left.discard(number)
            over.release()

    from fmkit.deep.contrasts import fit_net

    for number in range(len(nets)):
        threading.Thread(target=fit, args=(number,), daemon=True).start()
    while left:
        for number in sorted(left):
            turns[number].release()
            over.acquire()
    if wrong:
        raise wrong[0]


class Contrasting:
    """Nets in training.

    Parameters
    ----------
    nets : list of dict
        A choice for each name of CHOICES.
    epochs : int
    """

    def __init__(self, nets: list[dict[str, Any]], epochs: int) -> None:
        self.rows: list[list[dict[str, Any]]] = [[] for _ in nets]
        self.ends: list[dict[str, Any] | None] = [None for _ in nets]
        self.epochs, self.error = epochs, ""
        self.running, self.stopped = True, False
        self._fit = Apart(fit_in_turns, (nets, epochs), self._hear, self._done)

    def facts(self) -> dict[str, Any]:
        """What the page shows."""
        nets = [{"rows": list(rows), "end": end} for rows, end in zip(self.rows, self.ends, strict=True)]
        told = {name: getattr(self, name) for name in ("running", "stopped", "epochs", "error")}
        return {**told, "nets": nets}

    def end(self) -> None:
        """Stop all of them."""
        if self.running:
            self._fit.end()
            self.running, self.stopped = False, True

    def _hear(self, told: tuple[int, dict[str, Any]]) -> None:
        number, fact = told
        if "end" in fact:
            self.ends[number] = fact["end"]
        else:
            self.rows[number].append(fact)

    def _done(self, sentence: str) -> None:
        self.error, self.running = sentence, False
