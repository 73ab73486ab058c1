"""Training, evaluation and the recipes behind the shipped checkpoints."""

from napari_cytodino.core.broken_torchvision import leave_out_broken_torchvision

# before any module here imports transformers
leave_out_broken_torchvision()
