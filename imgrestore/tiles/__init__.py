"""Pictures larger than memory: what concerns the whole is settled once, then one tile after the other is restored."""

from __future__ import annotations

from imgrestore.tiles.memory import choose_tile, parse_bytes, predicted_bytes
from imgrestore.tiles.prepare import TASKS, prepare
from imgrestore.tiles.prepared import Prepared
from imgrestore.tiles.run import Summary, restore_large
from imgrestore.tiles.source import ArraySource, Source, as_source
from imgrestore.tiles.window import Window

__all__ = [
    "TASKS",
    "ArraySource",
    "Prepared",
    "Source",
    "Summary",
    "Window",
    "as_source",
    "choose_tile",
    "parse_bytes",
    "predicted_bytes",
    "prepare",
    "restore_large",
]
