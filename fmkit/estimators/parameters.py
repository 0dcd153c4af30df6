"""The parameters that all estimators of factorization machines have."""

from __future__ import annotations

from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from fmkit.interactions import INTERACTIONS
from fmkit.solvers.losses import LOSSES
from fmkit.solvers.optimizers import OPTIMIZERS
from fmkit.tensors.device import check_device

WITHOUT_EFFECT = (
    *("callbacks", "checkpoint", "checkpoint_sweeps", "checkpoint_minutes"),
    *("fields", "n_jobs", "verbose", "warm_start"),
)


class FMParameters(BaseEstimator):
    """Parameters that the estimators of machines share, and what is asked of them together."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_factors": [Interval(Integral, 0, 4096, closed="both")],
        "solver": [StrOptions({"als", "mcmc", "sgd", "vb"})],
        "interaction": [StrOptions({"fm", *INTERACTIONS})],
        "loss": [StrOptions(set(LOSSES) - {"logistic"})],
        "huber_width": [Interval(Real, 0, None, closed="neither")],
        "optimizer": [StrOptions(set(OPTIMIZERS))],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "reg_linear": [Interval(Real, 0, None, closed="left"), "array-like"],
        "reg_factors": [Interval(Real, 0, None, closed="left"), "array-like", StrOptions({"auto"})],
        "l1_linear": [Interval(Real, 0, None, closed="left"), "array-like"],
        "l1_factors": [Interval(Real, 0, None, closed="left"), "array-like"],
        "nonnegative": ["boolean"],
        "average": ["boolean"],
        "noise_fields": [StrOptions({"auto"}), "array-like", None],
        "burn_in": [Interval(Integral, 0, None, closed="left"), None],
        "keep_draws": [Interval(Integral, 0, None, closed="left")],
        "init_scale": [Interval(Real, 0, None, closed="neither"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "fields": ["array-like", None],
        "early_stopping": ["boolean"],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_jobs": [Integral, None],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "callbacks": [list, tuple, None],
        "checkpoint": [str, PathLike, None],
        "checkpoint_sweeps": [Interval(Integral, 1, None, closed="left"), None],
        "checkpoint_minutes": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_factors: int = 16,
        *,
        solver: str = "als",
        interaction: str = "fm",
        loss: str = "squared",
        huber_width: float = 1.0,
        optimizer: str = "adagrad",
        max_iter: int | None = None,
        reg_linear: float | ArrayLike = 3.0,
        reg_factors: float | ArrayLike | Literal["auto"] = 0.9,
        l1_linear: float | ArrayLike = 0.0,
        l1_factors: float | ArrayLike = 0.0,
        nonnegative: bool = False,
        average: bool = False,
        noise_fields: Literal["auto"] | ArrayLike | None = "auto",
        burn_in: int | None = None,
        keep_draws: int = 0,
        init_scale: float | None = None,
        learning_rate: float | Literal["auto"] = "auto",
        fields: ArrayLike | None = None,
        early_stopping: bool = False,
        patience: int = 3,
        validation_fraction: float = 0.1,
        n_jobs: int | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        warm_start: bool = False,
        callbacks: list[Any] | None = None,
        checkpoint: str | PathLike[str] | None = None,
        checkpoint_sweeps: int | None = None,
        checkpoint_minutes: float = 10.0,
    ) -> None:
        self.n_factors = n_factors
        self.solver = solver
        self.interaction = interaction
        self.loss = loss
        self.huber_width = huber_width
        self.optimizer = optimizer
        self.max_iter = max_iter
        self.reg_linear = reg_linear
        self.reg_factors = reg_factors
        self.l1_linear = l1_linear
        self.l1_factors = l1_factors
        self.nonnegative = nonnegative
        self.average = average
        self.noise_fields = noise_fields
        self.burn_in = burn_in
        self.keep_draws = keep_draws
        self.init_scale = init_scale
        self.learning_rate = learning_rate
        self.fields = fields
        self.early_stopping = early_stopping
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.n_jobs = n_jobs
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.checkpoint_sweeps = checkpoint_sweeps
        self.checkpoint_minutes = checkpoint_minutes

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _check_solver(self) -> None:
        """Refuse what the solver, or the device, does not know."""
        check_device(self.device)
        if self.device not in ("cpu", "auto") and not self._has_device():
            raise ValueError(
                f"device={self.device!r} is for solver='als' and 'mcmc' without nonnegative=True, and for 'sgd' with "
                "interaction='fm' and optimizer='adagrad': set device='cpu'"
            )
        chosen = {"average": self.average, "nonnegative": self.nonnegative}
        names = [f"{name}=True" for name, value in chosen.items() if value]
        names += ["reg_factors='auto'"] if isinstance(self.reg_factors, str) else []
        if names and self.solver != "als":
            raise ValueError(f"{names[0]} is for solver='als', got solver={self.solver!r}")
        if self.interaction != "fm" and self.solver != "sgd":
            raise ValueError(
                f"interaction={self.interaction!r} is for solver='sgd', got solver={self.solver!r}: "
                "set solver='sgd', or interaction='fm'"
            )

        of_sgd = {"loss": (self.loss, "squared"), "optimizer": (self.optimizer, "adagrad")}
        for name, (value, usual) in of_sgd.items():
            if value != usual and self.solver != "sgd":
                raise ValueError(
                    f"{name}={value!r} is for solver='sgd', got solver={self.solver!r}: "
                    f"set solver='sgd', or {name}={usual!r}"
                )
        if self.optimizer != "adagrad" and self.interaction != "fm":
            raise ValueError(
                f"optimizer={self.optimizer!r} is for interaction='fm', got interaction={self.interaction!r}: "
                "set optimizer='adagrad', or interaction='fm'"
            )
        for name, penalty in {"l1_linear": self.l1_linear, "l1_factors": self.l1_factors}.items():
            if self.optimizer != "ftrl" and np.any(penalty):
                raise ValueError(
                    f"{name} is for optimizer='ftrl', got optimizer={self.optimizer!r}: "
                    f"set solver='sgd' and optimizer='ftrl', or {name}=0"
                )

    def _has_device(self) -> bool:
        """Whether there are steps for torch's devices."""
        if self.solver == "sgd":
            return self.interaction == "fm" and self.optimizer == "adagrad"
        return self.solver in ("als", "mcmc") and not self.nonnegative

    def _told_parameters(self) -> dict[str, Any]:
        """Parameters on which the result depends, as plain facts; the fields show in the design."""
        told = {name: value for name, value in self.get_params(deep=False).items() if name not in WITHOUT_EFFECT}
        if not isinstance(self.random_state, Integral):
            told.pop("random_state")  # the checkpoint knows what was drawn
        return {
            name: value if value is None or isinstance(value, str) else np.asarray(value).tolist()
            for name, value in told.items()
        }
