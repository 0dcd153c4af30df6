"""What a command need not wait for: packages that others import at their start, and that no command uses.

scikit-learn imports scipy.stats, pandas (as pyarrow does) is looked for wherever it is installed: 1.3 of the 2 s that
`import sklearn.base` took on two slow cores, and more than the fit of a small table.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """A module that is imported when the first of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def spare_imports() -> None:
    """Let what comes later in this process find no pandas, and import scipy.stats not before it is used."""
    sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]  # Python's own sign for "not to be imported"
    sys.modules.setdefault("scipy.stats", _Later("scipy.stats"))
