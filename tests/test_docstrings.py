"""The examples in docstrings run, and every public name has one."""

import doctest
import inspect
import pkgutil
from importlib import import_module

import pytest

import fmkit
import fmkit.datasets
import fmkit.deep

MODULES = sorted(
    {
        module.name
        for package in (fmkit, fmkit.datasets, fmkit.deep)  # whose folders an editable install has apart
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not module.name.startswith("fmkit.spark")  # run by test_spark.py, in the session that it has
    }
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.parametrize("name", fmkit.__all__)
def test_public_names_are_explained_with_an_example(name):
    text = inspect.getdoc(getattr(fmkit, name))
    if name != "load":  # shown with save
        assert ">>> " in text
    assert "Parameters\n---" in text or "Raises\n---" in text
