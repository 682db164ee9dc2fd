"""Pictures larger than memory: what concerns the whole is settled once, then one tile after the other is restored."""

from __future__ import annotations

from imgrestore.tiles.prepare import TASKS, prepare
from imgrestore.tiles.prepared import Prepared
from imgrestore.tiles.source import ArraySource, Source, as_source
from imgrestore.tiles.window import Window

__all__ = ["TASKS", "ArraySource", "Prepared", "Source", "Window", "as_source", "prepare"]
