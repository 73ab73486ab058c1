"""``python -m napari_cytodino.training``."""

from __future__ import annotations

from napari_cytodino.training.commands.app import app

app(prog_name="python -m napari_cytodino.training")
