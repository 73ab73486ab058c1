"""Training, evaluation and the recipes behind the shipped checkpoints."""

import lazy_loader as lazy

from napari_cytodino.models import leave_out_broken_torchvision

# before any module here imports transformers
leave_out_broken_torchvision()

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
