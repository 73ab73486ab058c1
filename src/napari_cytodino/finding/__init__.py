"""Where the nucleated cells of any smear are, and how large its pixels are."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
