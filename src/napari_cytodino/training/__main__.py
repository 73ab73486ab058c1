"""``python -m napari_cytodino.training``."""

from napari_cytodino.training.commands import app

app(prog_name="python -m napari_cytodino.training")
