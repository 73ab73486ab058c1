"""Classify blood and bone-marrow cells with CytoDINO; for research use only."""

import lazy_loader as lazy

__version__ = "0.1.0"

# torch waits until a name that needs it is first asked for
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
__all__ += ["__version__"]
