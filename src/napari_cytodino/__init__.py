"""Classify blood and bone-marrow cells with CytoDINO; for research use only."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_cytodino.core.cells import Cells
    from napari_cytodino.core.checkpoint import Checkpoint, load_checkpoint
    from napari_cytodino.core.differential import differential
    from napari_cytodino.core.errors import CytoDinoError
    from napari_cytodino.core.export import export
    from napari_cytodino.core.finding import find_cells
    from napari_cytodino.core.inference import classify
    from napari_cytodino.core.taxonomy import Taxonomy

__version__ = "0.1.0"

_HOMES = {
    "Cells": "cells",
    "Checkpoint": "checkpoint",
    "CytoDinoError": "errors",
    "Taxonomy": "taxonomy",
    "classify": "inference",
    "differential": "differential",
    "export": "export",
    "find_cells": "finding",
    "load_checkpoint": "checkpoint",
}

__all__ = [
    "Cells",
    "Checkpoint",
    "CytoDinoError",
    "Taxonomy",
    "__version__",
    "classify",
    "differential",
    "export",
    "find_cells",
    "load_checkpoint",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that torch can wait."""
    if name not in _HOMES:
        raise AttributeError(f"module 'napari_cytodino' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.core.{_HOMES[name]}"), name)
