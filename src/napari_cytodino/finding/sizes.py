"""Sizes that are known, of pixels and cells; light to import, for docks."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from napari_cytodino.common import InputError
from napari_cytodino.images import SANE_MICRONS

if TYPE_CHECKING:
    from napari_cytodino.finding._readable import Readable

CELL = 12.5
"""Diameter of a typical nucleated cell in micrometres."""

SENSITIVITY = 0.75
"""Cells whose centre has a probability of at least one minus this are found."""


@dataclass(frozen=True)
class PixelSize:
    """Size of a pixel in micrometres, and how it is known.

    Attributes
    ----------
    microns : float
    low, high : float
        What it may as well be.
    origin : str
        "given", "file", "cell size" or "estimated".
    red_cells : int
        Measured for the estimate.
    """

    microns: float
    low: float
    high: float
    origin: str = "given"
    red_cells: int = 0

    @property
    def doubtful(self) -> bool:
        """Whether it may be off by a quarter or more."""
        return self.high / self.low > 1.5

    def __str__(self) -> str:
        """Return it in words."""
        about = f"{self.microns:.3g} µm a pixel"
        if self.origin != "estimated":
            return (
                f"{about}, {'from the ' if self.origin != 'given' else ''}{self.origin}"
            )
        seen = f"{self.red_cells} red cells" if self.red_cells else "how it looks"
        return f"about {about}, from {seen} ({self.low:.2g} to {self.high:.2g})"


def as_pixel_size(
    given: float | PixelSize | None, diameter: float | None = None
) -> PixelSize | None:
    """Return what is known of the size of a pixel, None where nothing is.

    Parameters
    ----------
    given : float or PixelSize or None
        In micrometres.
    diameter : float or None
        Of a typical nucleated cell, in pixels.

    Raises
    ------
    InputError
        When a number is out of range.
    """
    if isinstance(given, PixelSize):
        return given
    if given is not None:
        least, most = SANE_MICRONS
        if not least <= given <= most:
            raise InputError(
                f"the pixel size is {given} µm; pictures of cells have {least:g} to "
                f"{most:g} µm a pixel"
            )
        return PixelSize(given, given, given)
    if diameter is None:
        return None
    microns = CELL / checked_diameter(diameter)
    return PixelSize(microns, microns * 0.7, microns * 1.4, "cell size")


def in_file(source: Readable) -> PixelSize | None:
    """Return the size of a pixel that the image's file gives, None without one."""
    microns = getattr(source, "microns_per_pixel", None)
    return None if microns is None else PixelSize(microns, microns, microns, "file")


def checked_diameter(diameter: float) -> float:
    """Return a cell's diameter in pixels.

    Raises
    ------
    InputError
        When it is no positive number, or none that a cell can have.
    """
    if not (isfinite(diameter) and diameter > 0):
        raise InputError(
            f"the diameter is {diameter}; give a cell diameter in pixels above 0, "
            "or None to have it estimated"
        )
    least, most = SANE_MICRONS
    return float(min(max(diameter, CELL / most), CELL / least))
