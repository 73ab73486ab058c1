"""What a run does, as plain frozen plans read from TOML; no torch."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
