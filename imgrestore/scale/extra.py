"""The packages of the extra ``scale``, imported when they are first needed."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["needed"]


def needed(name: str) -> ModuleType:
    """A module of dask, distributed or zarr.

    Parameters
    ----------
    name : str

    Returns
    -------
    module

    Raises
    ------
    ImportError
        It is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f'{package} is missing ({error}): pip install "imgrestore[scale]"') from None
