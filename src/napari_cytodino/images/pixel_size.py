"""How large a pixel is, where a file says so."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SANE_MICRONS = (0.02, 2.0)
"""Micrometres a pixel that a picture of cells can have; what else files hold (72 dots
an inch are 353) is of printers and screens."""

MICROMETRES = {"µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0}
MICROMETRES |= {"\\u00B5m": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
"""Units of OME and ImageJ, in micrometres."""

PER_UNIT = {2: 25_400.0, 3: 10_000.0}
"""TIFF's units of resolution, inch and centimetre, in micrometres."""


def microns_in(path: Path) -> float | None:
    """Return the micrometres a pixel that a TIFF file gives, None where it does not.

    Notes
    -----
    OME's PhysicalSizeX, else ImageJ's unit with the resolution, else the resolution
    by inch or centimetre. What is no size of a pixel under a microscope is left out.
    """
    try:
        found = _given(path)
    except Exception:  # tags are as others wrote them, and pixels need none of these
        return None
    least, most = SANE_MICRONS
    return found if found is not None and least <= found <= most else None


def _given(path: Path) -> float | None:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        if not tiff.pages:
            return None
        if tiff.is_ome and tiff.ome_metadata:
            return _of_ome(tiff.ome_metadata)
        tags = tiff.pages[0].tags
        if "XResolution" not in tags:
            return None
        unit = (tiff.imagej_metadata or {}).get("unit", "")
        resolution = tags["ResolutionUnit"].value if "ResolutionUnit" in tags else 1
        microns = MICROMETRES.get(str(unit), PER_UNIT.get(int(resolution)))
        return _over(microns, tags["XResolution"].value)


def _of_ome(text: str) -> float | None:
    pixels = re.search(r"<(?:\w+:)?Pixels\s[^>]*>", text)
    words = dict(
        re.findall(r'(PhysicalSizeX\w*)\s*=\s*"([^"]*)"', pixels[0] if pixels else "")
    )
    unit = MICROMETRES.get(words.get("PhysicalSizeXUnit", "µm"))
    try:
        return None if unit is None else float(words["PhysicalSizeX"]) * unit
    except (KeyError, ValueError):
        return None


def _over(microns: float | None, fraction: Any) -> float | None:
    above, below = fraction if isinstance(fraction, tuple) else (fraction, 1)
    if microns is None or not above or not below:
        return None
    size = microns * below / above
    return size if math.isfinite(size) else None
