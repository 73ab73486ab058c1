"""One door for pixels: any image as 8-bit RGB, read window by window."""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_cytodino.common import InputError
from napari_cytodino.images.chunks import (
    Edges,
    chunk_edges,
    full_resolution,
    read_blocks,
)
from napari_cytodino.images.pixel_size import microns_in
from napari_cytodino.images.tiff import read_colours

if TYPE_CHECKING:
    from collections.abc import Iterator


IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""File types that `read_image` reads."""

_NO_CHUNKS = 512
"""Side of the blocks in which a lazy image without chunks is read, in pixels."""

_LIMIT_SAMPLE = 1024
"""Side of the grid of pixels from which the limits of an image are estimated."""

_COMMON = 1e-30, 1e30
"""Limits between these, some way apart, can be distinguished in float32."""


class ImageSource:
    """An image of any common layout, read as (h, w, 3) uint8 one window at a time.

    Its `microns_per_pixel` is None unless its file gives it.

    Parameters
    ----------
    data
        (..., Y, X), (..., Y, X, 3) or (..., Y, X, 4); numpy, dask, zarr, or a
        multiscale list of these, of which the finest is read.
    channel_axis
        The axis of the three or four channels. None takes the last axis when it has
        three or four entries and the image is colour, else the image is grey.
    limits
        The values shown as 0 and 255. None: 0 and 255 for uint8, 0 and 1 for floats
        within these, else the smallest and largest value of a sample of pixels.
    plane
        The index along each leading axis (time, z) of the plane to read.

    Raises
    ------
    InputError
        When the array cannot be an image.
    """

    def __init__(
        self,
        data: Any,
        *,
        channel_axis: int | None = None,
        limits: tuple[float, float] | None = None,
        plane: tuple[int, ...] = (),
    ) -> None:
        array = full_resolution(data)
        shape = tuple(array.shape)
        axis = _channel_axis(shape, channel_axis)
        leading = len(shape) - (2 if axis is None else 3)
        if leading < 0 or 0 in shape:
            raise InputError(
                f"An array of shape {shape} is not an image; (Y, X) or (Y, X, 3) is "
                "needed, with leading axes for time or z."
            )
        if len(plane) != leading:
            raise InputError(
                f"An image of shape {shape} has {leading} leading axes but plane "
                f"{plane} names {len(plane)}; name one index for each."
            )
        sizes = [n for i, n in enumerate(shape) if i != axis][:leading]
        if any(not -n <= place < n for place, n in zip(plane, sizes, strict=True)):
            raise InputError(
                f"An image of shape {shape} has no plane {plane}; its leading axes are "
                f"{tuple(sizes)} long."
            )
        if np.dtype(array.dtype).kind not in "biuf":
            raise InputError(
                f"An image of type {array.dtype} cannot be shown; convert it to uint8, "
                "uint16 or float."
            )
        self._array, self._axis, self._plane = array, axis, plane
        spatial = [n for i, n in enumerate(shape) if i != axis][leading:]
        self.shape: tuple[int, int] = (int(spatial[0]), int(spatial[1]))
        self.colour = axis is not None
        self.limits = limits or self._estimate_limits()
        self.microns_per_pixel: float | None = None
        self.is_rgb8 = np.dtype(array.dtype) == np.uint8 and self.limits == (0, 255)

    def read(self, top: int, left: int, bottom: int, right: int) -> npt.NDArray[Any]:
        """Return the window as (bottom - top, right - left, 3) uint8.

        Raises
        ------
        InputError
            When the window leaves the image or a pixel in it is not a number.
        """
        height, width = self.shape
        if not (0 <= top <= bottom <= height and 0 <= left <= right <= width):
            raise InputError(
                f"Window {(top, left, bottom, right)} leaves an image of "
                f"{height} x {width} pixels; clip it first."
            )
        pixels, gaps = self.to_rgb8(self.raw(slice(top, bottom), slice(left, right)))
        if gaps is not None:
            raise InputError(
                "The image holds values that are not numbers (NaN or infinite) in "
                "this window; repair or crop it."
            )
        return pixels

    def edges(self) -> tuple[Edges, Edges] | None:
        """Return where the chunks lie along y and x; None for pixels in memory."""
        if isinstance(self._array, np.ndarray):
            return None
        axes = [i for i in range(len(self._array.shape)) if i != self._axis][-2:]
        found = [chunk_edges(self._array, axis) for axis in axes]
        y, x = (
            np.append(np.arange(0, length, _NO_CHUNKS), length) if e is None else e
            for e, length in zip(found, self.shape, strict=True)
        )
        return y, x

    def raw(self, rows: slice, columns: slice) -> npt.NDArray[Any]:
        """Return a part of the plane as it is stored, (h, w, 1, 3 or 4).

        Raises
        ------
        InputError
            When the array gives fewer pixels than it was asked for.
        """
        spatial: list[Any] = [*self._plane, rows, columns]
        if self._axis is not None:
            spatial.insert(self._axis, slice(None))
        block = np.asarray(self._array[tuple(spatial)])
        axis = self._axis
        if axis is None:
            block = block[..., None]
        else:
            block = np.moveaxis(block, axis - min(axis, len(self._plane)), -1)
        asked = [
            len(range(*part.indices(length)))
            for part, length in zip((rows, columns), self.shape, strict=True)
        ]
        if list(block.shape[:2]) != asked:
            raise InputError(
                f"The image gave {block.shape[:2]} pixels where {tuple(asked)} were "
                "asked for: it is damaged or was changed; open it anew."
            )
        return block

    def _estimate_limits(self) -> tuple[float, float]:
        kind = np.dtype(self._array.dtype)
        if kind == np.uint8:
            return (0.0, 255.0)
        if kind.kind == "b":
            return (0.0, 1.0)
        finite = [part[np.isfinite(part)] for part in self._samples()]
        finite = [part for part in finite if part.size]
        if not finite:
            raise InputError(
                "The image holds no finite value; check how it was made or read."
            )
        low = float(min(part.min() for part in finite))
        high = float(max(part.max() for part in finite))
        if kind.kind == "f" and low >= 0 and high <= 1:
            return (0.0, 1.0)
        if low >= 0:
            low = 0.0
        return (low, high if high > low else low + max(1.0, abs(low)))

    def _samples(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the colours on a grid of pixels; of a lazy image, part by part."""
        edges = self.edges()
        if edges is None:
            yield self._sample((0, self.shape[0]), (0, self.shape[1]))
            return
        rows, columns = (unit.tolist() for unit in read_blocks(edges, np.inf))
        for unit in product(pairwise(rows), pairwise(columns)):
            try:
                yield self._sample(*unit)
            except MemoryError:
                raise
            except Exception:
                # A broken chunk costs the cells on it, not the image.
                yield from self._whole_chunks(unit, edges)

    def _sample(self, rows: tuple[int, int], columns: tuple[int, int]) -> Any:
        parts = [
            slice(start + -start % step, end, step)
            for (start, end), length in zip((rows, columns), self.shape, strict=True)
            for step in [max(1, length // _LIMIT_SAMPLE)]
        ]
        return self.raw(parts[0], parts[1])[..., :3]

    def _whole_chunks(
        self, unit: tuple[tuple[int, int], ...], edges: tuple[Edges, Edges]
    ) -> Iterator[npt.NDArray[Any]]:
        """Yield samples of those chunks of a part that can be read."""
        inner = [
            [start, *(e for e in chunks.tolist() if start < e < end), end]
            for (start, end), chunks in zip(unit, edges, strict=True)
        ]
        for rows, columns in product(pairwise(inner[0]), pairwise(inner[1])):
            try:
                yield self._sample(rows, columns)
            except MemoryError:
                raise
            except Exception:  # noqa: S112 - reported where its cells are read
                continue

    def to_rgb8(
        self, raw: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None]:
        """Return a raw part as (h, w, 3) uint8, and where it holds no number.

        The second is None where every value is a number.
        """
        colours, gaps = raw[..., :3], None
        if not self.is_rgb8:
            finite = np.isfinite(colours)
            if not finite.all():
                gaps = np.asarray(~finite.all(axis=-1))
                colours = np.where(finite, colours, self.limits[0])
            colours = _to_8_bit(colours, *self.limits)
        if colours.shape[-1] == 1:
            colours = np.repeat(colours, 3, axis=-1)
        return np.ascontiguousarray(colours), gaps


def _to_8_bit(
    values: npt.NDArray[Any], low: float, high: float
) -> npt.NDArray[np.uint8]:
    """Return finite values with the limits as 0 and 255, clipped to these."""
    largest = max(abs(low), abs(high))
    # what overflows lies beyond the limits
    with np.errstate(over="ignore"):
        if _COMMON[0] < (high - low) and largest < min(_COMMON[1], 1e6 * (high - low)):
            scaled = (values.astype(np.float32) - low) * (255.0 / (high - low))
        else:
            # halved, as the difference of two float64 may be none
            span = high / 2 - low / 2
            scaled = (values.astype(np.float64) / 2 - low / 2) / span * 255.0
    clipped: npt.NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return clipped


def _channel_axis(shape: tuple[int, ...], wish: int | None) -> int | None:
    if wish is None:
        return len(shape) - 1 if len(shape) >= 3 and shape[-1] in (3, 4) else None
    if not -len(shape) <= wish < len(shape) or shape[wish] not in (3, 4):
        raise InputError(
            f"Axis {wish} of an image of shape {shape} does not hold three or four "
            "channels; choose the axis that does."
        )
    return wish % len(shape)


def read_image(path: Path | str) -> ImageSource:
    """Read an image file.

    Parameters
    ----------
    path
        PNG, JPEG, WebP, BMP or TIFF.

    Raises
    ------
    InputError
        When the file is missing, of another type, or damaged.
    """
    from PIL import Image, ImageOps

    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no image {path}; check the path.")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(
            f"{path.name} is of no type that can be read here; "
            f"use {', '.join(IMAGE_SUFFIXES)}."
        )
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            source = ImageSource(read_colours(path))
            source.microns_per_pixel = microns_in(path)
            return source
        with Image.open(path) as picture:
            if picture.mode in ("1", "I", "I;16", "L", "F"):
                return ImageSource(np.asarray(picture))
            return ImageSource(
                np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
            )
    except MemoryError:
        raise
    except Exception as error:  # each decoder has errors of its own
        raise InputError(
            f"{path} cannot be read as an image ({error}); export it anew."
        ) from error
