"""One module for each command of `python -m napari_cytodino.training`."""
