"""Pieces of the report's HTML; every text from data is made safe here."""

from __future__ import annotations

import base64
import io
import math
import unicodedata
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from napari_cytodino.results import Share


_HARMLESS = "\n\t\u200c\u200d"
"""Line break, tab, and the joiners that some scripts are written with."""

MISSING = "–"
"""Stands for a number that there is not."""


def clean(value: object) -> str:
    """Return a text as HTML, in quotes too; control characters become a mark."""
    return escape("".join(map(_shown, str(value))), quote=True)


def _shown(letter: str) -> str:
    # half characters cannot be written, and some controls turn a text around
    control = unicodedata.category(letter).startswith("C")
    return "\ufffd" if control and letter not in _HARMLESS else letter


def number(value: float | None, digits: int = 1) -> str:
    """Return a number with so many decimals; a dash where there is none."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:.{digits}f}"


def span(low: float | None, high: float | None, digits: int = 1) -> str:
    """Return an interval; empty where there is none."""
    if low is None or high is None or math.isnan(low):
        return ""
    return f"{low:.{digits}f} to {high:.{digits}f}"


def of_all(part: int, whole: int) -> str:
    """Return so many of so many, with the per cent."""
    if not whole:
        return f"{part:,} of {whole:,}"
    return f"{part:,} of {whole:,} ({100 * part / whole:.1f} %)"


def share_cells(share: Share, kind: str = "") -> str:
    """Return count, per cent and interval as three cells of a table."""
    first = f' class="{kind}"' if kind else ""
    return (
        f"<td{first}>{share.count:,}</td><td>{number(share.percent)}</td>"
        f'<td class="span">{span(*share.interval)}</td>'
    )


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of plain text; nothing where there is none."""
    if not text:
        return ""
    return f'<p class="{kind}">{clean(text)}</p>' if kind else f"<p>{clean(text)}</p>"


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Return names and values; a value that is empty is left out."""
    rows = [
        f"<dt>{clean(name)}</dt><dd>{clean(value)}</dd>"
        for name, value in pairs
        if value not in ("", None)
    ]
    return f"<dl>{''.join(rows)}</dl>"


def picture(pixels: NDArray[np.uint8], alt: str) -> str:
    """Return a picture as PNG inside the page, with words for who cannot see it."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img src="data:image/png;base64,{data}" alt="{clean(alt)}">'
