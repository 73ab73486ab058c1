"""The same values, laid out in memory as few programs expect them."""

from __future__ import annotations

import numpy as np


def spread(array: np.ndarray) -> np.ndarray:
    """Return the same values with gaps in memory, from the last to the first."""
    wide = np.zeros(tuple(3 * n for n in array.shape), array.dtype)
    view = wide[tuple([slice(None, None, -3)] * array.ndim)]
    view[...] = array
    return view


def locked(array: np.ndarray) -> np.ndarray:
    """Return the same values where nobody may write."""
    copy = array.copy()
    copy.setflags(write=False)
    return copy
