"""From logits to a decision with a reason, and the thresholds that decide."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
