"""TIFF files read within bounds: a damaged one ends in a sentence, not in hours."""

from __future__ import annotations

import logging
import math
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_cytodino.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ALWAYS = 2**28
"""An image of so many bytes is read however small its file is."""

_UNPACKED = 10_000
"""Times its file's size that a larger image may take; blank tiles reach thousands."""

_LINES = 3
"""What tifffile says of one file is passed on up to here."""

_left: ContextVar[list[int] | None] = ContextVar("_left", default=None)


def read_tiff(path: Path) -> npt.NDArray[Any]:
    """Read the first series of a TIFF file, as `tifffile.imread` does.

    That follows directories without end and fills in pixels that a file only declares;
    both are refused here.

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
    import tifffile

    _check_directories(path)
    with _few_lines(), tifffile.TiffFile(path) as tiff:
        if tiff.pages:
            _check_pixels(tiff.series[0], path.stat().st_size)
        return np.asarray(tiff.asarray())


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
        held = min(len(page.dataoffsets), len(page.databytecounts))
        needed = math.prod(page.chunked)
        if held < needed and not page.is_contiguous:
            raise InputError(f"it holds {held} of {needed} strips or tiles")


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
