"""What a command need not wait for: packages that others import at their start, and that no command uses.

scikit-learn imports scipy.stats, pandas (as pyarrow does) is looked for wherever it is installed: 1.3 of the 2 s that
`import sklearn.base` took on two slow cores, and more than the fit of a small table.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """A module that is imported when the first of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


class _NoPandas(Loader):
    """Finds pandas first, and does not import it, as if it were not installed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """A module of its own for pandas; all others are left to the next finder."""
        return ModuleSpec(name, self) if name == "pandas" else None

    def exec_module(self, module: ModuleType) -> None:
        """Raise what an import of a package that is missing raises."""
        raise ModuleNotFoundError("the command line does without pandas", name=module.__name__)


def spare_imports() -> None:
    """Let what comes later in this process find no pandas, and import scipy.stats not before it is used."""
    sys.meta_path.insert(0, _NoPandas())
    sys.modules.setdefault("scipy.stats", _Later("scipy.stats"))
