"""A torchvision made for another torch, left out before transformers trips over it."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from importlib.util import find_spec

logger = logging.getLogger(__name__)

_NAME = "torchvision"


def leave_out_broken_torchvision() -> None:
    """Let a torchvision that cannot be imported count as one that is not there.

    transformers takes torchvision wherever it is installed, and where that one was
    made for another torch, none of its models can be imported. We need nothing of it.
    """
    if _NAME in sys.modules or find_spec(_NAME) is None:
        return
    try:
        import_module(_NAME)
    except Exception as error:  # its own extension raises what it likes
        for name in [n for n in sys.modules if n.split(".")[0] == _NAME]:
            del sys.modules[name]
        # find_spec, by which transformers asks, then says that there is none
        sys.modules[_NAME] = None  # type: ignore[assignment]
        logger.warning(
            "The torchvision installed here does not fit torch (%s) and is left out; "
            "for other programs run: pip install --upgrade torch torchvision",
            str(error).splitlines()[0] if str(error) else type(error).__name__,
        )
