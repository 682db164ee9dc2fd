"""The examples in the docstrings run and give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import imgrestore

FOUND = pkgutil.walk_packages(imgrestore.__path__, "imgrestore.")
MODULES = sorted(m.name for m in FOUND if not m.name.rpartition(".")[2].startswith("_C") and "__main__" not in m.name)


@pytest.mark.parametrize("name", ["imgrestore", *MODULES])
def test_examples(name, tmp_path, monkeypatch, fresh_process):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
