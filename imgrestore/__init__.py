"""imgrestore: pictures freed of blur and other damage, by classical estimates that a net refines.

Everything public is here; nothing heavy is imported before something is called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgrestore._native import build_info
    from imgrestore.classical import estimate_noise
    from imgrestore.diagnosis import Finding, Report, diagnose
    from imgrestore.evidence import Explanation, explain
    from imgrestore.plan import Restored, restore
    from imgrestore.psf import Psf
    from imgrestore.psf_field import PsfField
    from imgrestore.tasks.deblur import deblur
    from imgrestore.tasks.demoire import demoire
    from imgrestore.tasks.dereflect import dereflect
    from imgrestore.tasks.derust import derust
    from imgrestore.tasks.deshadow import deshadow
    from imgrestore.tasks.despecular import despecular
    from imgrestore.types import Restoration

__version__ = "0.1.0"

__all__ = [
    "Explanation",
    "Finding",
    "Psf",
    "PsfField",
    "Report",
    "Restoration",
    "Restored",
    "__version__",
    "build_info",
    "deblur",
    "demoire",
    "dereflect",
    "derust",
    "deshadow",
    "despecular",
    "diagnose",
    "estimate_noise",
    "explain",
    "restore",
]

_HOMES = {
    "Explanation": "imgrestore.evidence",
    "Finding": "imgrestore.diagnosis",
    "Psf": "imgrestore.psf",
    "PsfField": "imgrestore.psf_field",
    "Report": "imgrestore.diagnosis",
    "Restoration": "imgrestore.types",
    "Restored": "imgrestore.plan",
    "build_info": "imgrestore._native",
    "deblur": "imgrestore.tasks.deblur",
    "demoire": "imgrestore.tasks.demoire",
    "dereflect": "imgrestore.tasks.dereflect",
    "derust": "imgrestore.tasks.derust",
    "deshadow": "imgrestore.tasks.deshadow",
    "despecular": "imgrestore.tasks.despecular",
    "diagnose": "imgrestore.diagnosis",
    "estimate_noise": "imgrestore.classical",
    "explain": "imgrestore.evidence",
    "restore": "imgrestore.plan",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'imgrestore' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
