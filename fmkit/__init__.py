"""Factorization machines that fill tables with holes: ratings nobody gave yet, pixels a picture lost.

Names are imported on first use, so that `import fmkit` and `fmkit --help` do not wait for numba or scikit-learn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fmkit.design import Design, RelationBlock
    from fmkit.estimators import FMClassifier, FMOrdinal, FMRanker, FMRegressor
    from fmkit.estimators.regularisation import regularisation_path
    from fmkit.machine import FactorizationMachine
    from fmkit.memory import estimate_memory
    from fmkit.modelfile import load, save
    from fmkit.tables import TableEncoder

_HOME = {
    "Design": "design",
    "FMClassifier": "estimators",
    "FMOrdinal": "estimators",
    "FMRanker": "estimators",
    "FMRegressor": "estimators",
    "FactorizationMachine": "machine",
    "RelationBlock": "design",
    "TableEncoder": "tables",
    "estimate_memory": "memory",
    "load": "modelfile",
    "regularisation_path": "estimators.regularisation",
    "save": "modelfile",
}

__all__ = [
    "Design",
    "FMClassifier",
    "FMOrdinal",
    "FMRanker",
    "FMRegressor",
    "FactorizationMachine",
    "RelationBlock",
    "TableEncoder",
    "estimate_memory",
    "load",
    "regularisation_path",
    "save",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"fmkit.{_HOME[name]}"), name)
    raise AttributeError(f"module 'fmkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
