"""TIFF files read within bounds: a damaged one ends in a sentence, not in hours."""

from __future__ import annotations

import logging
import math
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_ALWAYS = 2**28
"""An image of so many bytes is read however small its file is."""

_UNPACKED = 10_000
"""Times its file's size that a larger image may take; blank tiles reach thousands."""

_LINES = 3
"""What tifffile says of one file is passed on up to here."""

_RGB, _PALETTE, _YCBCR = 2, 3, 6

_OTHER_COLOURS = (5, _YCBCR, 8, 9, 10)
"""PhotometricInterpretation: CMYK, YCbCr, and the three kinds of L*a*b*."""

_JPEG = (6, 7)
"""Compressions whose YCbCr is unpacked as RGB."""

_PRIMARY: dict[object, int] = {
    0xFF0000: 0,
    0x00FF00: 1,
    0x0000FF: 2,
    "red": 0,
    "green": 1,
    "blue": 2,
}
"""What OME says of a channel, and its place in RGB."""

_left: ContextVar[list[int] | None] = ContextVar("_left", default=None)


def read_tiff(path: Path) -> npt.NDArray[Any]:
    """Read the first series of a TIFF file, as `tifffile.imread` does.

    That follows directories without end and fills in pixels that a file only declares;
    both are refused here. Compressed single pages that it leaves to the package
    imagecodecs, as LZW and JPEG, are read by Pillow.

    Parameters
    ----------
    path
        Plain, tiled, multi-page, OME or BigTIFF.

    Returns
    -------
    ndarray
        Of the shape and type that the file declares.

    Raises
    ------
    InputError
        When its directories form a ring or overlap, when pixels are missing, or when
        it unpacks to 10,000 times its size and more than 256 MiB.
    """
    with _opened(path) as tiff:
        return _values(tiff, path)


def read_colours(path: Path) -> npt.NDArray[Any]:
    """Read a TIFF file as `read_tiff` does, with its colours on the last axis.

    Only what the file declares is taken for colours: samples of a pixel that are red,
    green and blue, wherever they lie; OME channels of these names; indices into a
    colour map, which are looked up.

    Returns
    -------
    ndarray
        (..., Y, X) of a grey image, else (..., Y, X, 3 or 4).

    Raises
    ------
    InputError
        As `read_tiff` does, and where the colours are others, or not declared.
    """
    with _opened(path) as tiff:
        values = _values(tiff, path)
        if not tiff.pages:
            return values
        page, axes = tiff.series[0].keyframe, tiff.series[0].axes
        if page.photometric == _PALETTE and page.colormap is not None:
            return _looked_up(values, page.colormap)
        if "S" in axes:
            unpacked = page.photometric == _YCBCR and page.compression in _JPEG
            if page.photometric in _OTHER_COLOURS and not unpacked:
                raise InputError(
                    f"its colours are stored as {page.photometric.name}; save it as RGB"
                )
            if page.photometric == _RGB or unpacked:
                return np.moveaxis(values, axes.index("S"), -1)
        elif axes.count("C") == 1:
            order = _declared_order(tiff)
            if values.shape[axes.index("C")] != len(order):
                raise InputError(
                    f"its {values.shape[axes.index('C')]} channels are not declared as "
                    "red, green and blue; save it as RGB"
                )
            return np.moveaxis(values, axes.index("C"), -1)[..., order]
        return values


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import tifffile

    _check_directories(path)
    with _few_lines(), tifffile.TiffFile(path) as tiff:
        if tiff.pages:
            _check_pixels(tiff.series[0], path.stat().st_size)
        yield tiff


def _values(tiff: Any, path: Path) -> npt.NDArray[Any]:
    try:
        return np.asarray(tiff.asarray())
    except ValueError as error:
        series = tiff.series[0]
        single = len(series.pages) == 1 and series.keyframe.index == 0
        if "imagecodecs" not in str(error) or not single:
            raise
        return _by_pillow(path, series)


def _by_pillow(path: Path, series: Any) -> npt.NDArray[Any]:
    """Read the first page, or refuse what would come out as other values."""
    from PIL import Image

    page, most = series.keyframe, Image.MAX_IMAGE_PIXELS
    how = page.compression.name
    if most is not None and page.imagewidth * page.imagelength > most:
        raise InputError(f"it has more than {most} pixels compressed as {how}")
    # Pillow would turn the one upright and invert the other
    if page.tags.valueof("Orientation", default=1) != 1 or not page.photometric:
        raise InputError(f"it is turned or inverted, and compressed as {how}")
    with Image.open(path) as picture:
        values = np.asarray(picture)
    if "S" in series.axes:
        values = np.moveaxis(values, -1, series.axes.index("S"))
    same = values.dtype.newbyteorder("=") == series.dtype.newbyteorder("=")
    if values.shape != series.shape or not same:
        raise InputError(f"its {series.dtype} values are compressed as {how}")
    return values


def _looked_up(
    indices: npt.NDArray[Any], colours: npt.NDArray[np.uint16]
) -> npt.NDArray[np.uint8]:
    """Return what a colour map, (3, N), says of indices; a grey one gives (..., Y, X).

    It has 16 bits; old programs wrote 8.
    """
    colours = (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)
    if (colours == colours[0]).all():
        return np.asarray(colours[0][indices])
    return np.asarray(np.ascontiguousarray(colours.T)[indices])


def _declared_order(tiff: Any) -> list[int]:
    """Return where red, green and blue are among OME channels; empty if unknown."""
    import tifffile

    if not tiff.ome_metadata:
        return []
    image = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]
    image = image[0] if isinstance(image, list) else image
    channels = image["Pixels"].get("Channel", [])
    channels = channels if isinstance(channels, list) else [channels]
    for field in ("Color", "Name"):
        words = [_PRIMARY.get(_word(channel.get(field))) for channel in channels]
        if sorted(words, key=str) == [0, 1, 2]:
            return [words.index(colour) for colour in range(3)]
    return []


def _word(value: object) -> object:
    # OME writes red, green, blue and opacity as one signed number of 32 bits
    if isinstance(value, int):
        return value >> 8 & 0xFFFFFF
    return str(value).strip().lower()


def _check_directories(path: Path) -> None:
    """Refuse directories that lead back, or hold more than the file has bytes for."""
    size, taken = path.stat().st_size, 0
    with path.open("rb") as file:
        order = {b"II": "little", b"MM": "big"}.get(file.read(2))
        if order is None:
            return  # tifffile says what the file is not

        def number(place: int, width: int) -> int:
            file.seek(place)
            return int.from_bytes(file.read(width), order)  # type: ignore[arg-type]

        big = number(2, 2) == 43
        counter, entry, pointer = (8, 20, 8) if big else (2, 12, 4)
        place = number(8 if big else 4, pointer)
        seen: set[int] = set()
        while 0 < place < size:
            if place in seen:
                raise InputError("its directories form a ring")
            seen.add(place)
            tags = number(place, counter)
            taken += counter + tags * entry + pointer
            if taken > size:
                raise InputError("its directories are longer than the file")
            place = number(place + counter + tags * entry, pointer)


def _check_pixels(series: Any, size: int) -> None:
    """Refuse pixels that the file declares but cannot hold."""
    most = max(_ALWAYS, _UNPACKED * size)
    _check_bytes(series.shape, series.dtype, most)
    if series.dataoffset is not None:
        return  # in one piece, which is read whole or not at all
    for page in series.pages:
        if page is None:
            continue
        _check_bytes(page.shape, page.dtype, most)
        _check_bytes(page.chunks, page.dtype, most)
        present = min(len(page.dataoffsets), len(page.databytecounts))
        needed = math.prod(page.chunked)
        if present < needed and not page.is_contiguous:
            raise InputError(f"it holds {present} of {needed} strips or tiles")


def _check_bytes(shape: tuple[int, ...], dtype: Any, most: int) -> None:
    declared = math.prod(shape) * (dtype.itemsize if dtype else 1)
    if declared > most:
        raise InputError(f"it declares {declared} bytes of pixels, too many for it")


@contextmanager
def _few_lines() -> Iterator[None]:
    """Pass on the first lines that tifffile logs here; a bad file makes thousands."""
    log = logging.getLogger("tifffile")
    if _first_ones not in log.filters:
        log.addFilter(_first_ones)
    before = _left.set([_LINES])
    try:
        yield
    finally:
        _left.reset(before)


def _first_ones(record: logging.LogRecord) -> bool:
    left = _left.get()
    if left is None:
        return True
    left[0] -= 1
    return left[0] >= 0
