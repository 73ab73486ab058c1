"""Any picture or lazy array as windows of 8-bit RGB; TIFF files within bounds."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
