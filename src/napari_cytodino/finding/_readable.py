"""What finding needs of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@runtime_checkable
class Readable(Protocol):
    """An image that is read in parts."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""

    def read(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        """Return the window as (h, w, 3) uint8."""


class _ArrayImage:
    """An array behind the same door as an image source."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self._array = array
        self.shape: tuple[int, int] = (array.shape[0], array.shape[1])

    def read(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        return self._array[top:bottom, left:right]


def as_source(image: NDArray[np.uint8] | Readable) -> Readable:
    """Return the image behind one door.

    Raises
    ------
    InputError
        If it is not RGB uint8, or has no pixels.
    """
    if not isinstance(image, np.ndarray):
        if 0 in image.shape:
            raise InputError(f"the image has shape {image.shape}; give one with pixels")
        if not getattr(image, "colour", True):
            raise InputError(
                "the image is grey, but stained cells are found by colour; choose the "
                "colour axis, an RGB image, or a segmentation"
            )
        return image
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(
            f"the image has shape {image.shape}, but finding cells needs colour; "
            "give an RGB array of shape (H, W, 3)"
        )
    if image.dtype != np.uint8:
        nan = np.issubdtype(image.dtype, np.floating) and bool(np.isnan(image).any())
        what = f"{image.dtype}, with NaN" if nan else f"{image.dtype}"
        raise InputError(
            f"the image has values of type {what}; "
            "scale them to 0..255 without NaN and convert to uint8"
        )
    if image.size == 0:
        raise InputError(
            f"the image has shape {image.shape}, so no pixels; give a larger region"
        )
    return _ArrayImage(image)
