"""How many pixels of an image a crop spans, so that cells keep their size."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_cytodino.cells import crop_side
from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from napari_cytodino.checkpoints import Preprocessing
    from napari_cytodino.finding import PixelSize


def side_of_crops(
    preprocessing: Preprocessing,
    pixel_size: PixelSize | None = None,
    *,
    field_of_view: float | None = None,
    field_microns: float | None = None,
) -> int:
    """Return the side of a crop in pixels of the image.

    Parameters
    ----------
    preprocessing : Preprocessing
        Of the checkpoint.
    pixel_size : PixelSize, optional
        Of the image. An estimate is followed where the checkpoint's own scale is beyond
        its limits.
    field_of_view : float, optional
        In pixels, where the user gives it.
    field_microns : float, optional
        In micrometres, likewise.

    Raises
    ------
    InputError
        When micrometres are given and the size of a pixel is not known, or the side is
        out of range.
    """
    if field_of_view is not None:
        return crop_side(field_of_view)
    if field_microns is not None:
        if pixel_size is None:
            raise InputError(
                f"A field of view of {field_microns:g} µm needs the size of a pixel; "
                "give --pixel-size, or the field of view in pixels."
            )
        return crop_side(field_microns / pixel_size.microns)
    own = preprocessing.microns_per_pixel
    if own is None or pixel_size is None:
        return crop_side(preprocessing.field_of_view)
    estimated = pixel_size.origin == "estimated"
    if estimated and pixel_size.low <= own <= pixel_size.high:
        return crop_side(preprocessing.field_of_view)
    return crop_side(preprocessing.field_of_view, own / pixel_size.microns)


def read_field_of_view(text: str | None) -> tuple[float | None, float | None]:
    """Return a field of view in pixels and in micrometres; one of them is None.

    Parameters
    ----------
    text
        As in "192" or "19.2um"; None for the checkpoint's own.

    Raises
    ------
    InputError
        When it is no such number.
    """
    if text is None:
        return None, None
    unit = re.search(r"(px|um|µm|μm|microns?)?\s*$", text.strip())
    number = text.strip()[: unit.start()] if unit else text
    try:
        side = float(number)
    except ValueError as error:
        raise InputError(
            f"'{text}' is no field of view; give pixels as in 192, or micrometres as "
            "in 19.2um."
        ) from error
    return (side, None) if unit is None or unit[1] in (None, "px") else (None, side)
