"""What every room uses: errors, whole files, provenance, HTML, threads."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
