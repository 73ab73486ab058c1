"""One way to make a page: templates lay it out, and no text from data is markup."""

from __future__ import annotations

import base64
import math
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


MISSING = "–"
"""Stands for a number that is not defined, such as the recall of no cell."""

_HARMLESS = "\n\t\u200c\u200d"
"""Line break, tab, and the joiners that some scripts are written with."""


class _Visible(dict[int, str]):
    """A table for `str.translate`, filled as letters come by."""

    def __missing__(self, code: int) -> str:
        # half characters cannot be written, and some controls turn a text around
        control = unicodedata.category(letter := chr(code)).startswith("C")
        self[code] = "\ufffd" if control and letter not in _HARMLESS else letter
        return self[code]


_VISIBLE = _Visible()


def render_html(template: str, **values: object) -> str:
    """Return a page.

    Every text is escaped, control characters become a mark, and a number that there is
    not becomes a dash.

    Parameters
    ----------
    template : str
        Path of a template inside the package, such as ``case_report/page.html``.
    **values
        What the template names; a name without a value is an error.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    # only who makes a page waits for it
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("napari_cytodino", ""),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "number": number,
        "percent": percent,
        "span": span,
        "of_all": of_all,
        "data_uri": data_uri,
    }
    return made


def _finalize(value: object) -> str:
    # of all values only NaN, whatever its type, is not itself
    if value is None or value != value:
        return MISSING
    # markup stays markup, and is cleaned all the same
    return (value if isinstance(value, str) else str(value)).translate(_VISIBLE)


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with so many decimals; a dash where there is none."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:,.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share of one in per cent; a dash where there is none."""
    if share is None or math.isnan(share):
        return MISSING
    return f"{number(100 * share, digits)} %"


def span(low: float | None, high: float | None, digits: int = 1) -> str:
    """Return an interval; empty where there is none."""
    ends = number(low, digits), number(high, digits)
    return "" if MISSING in ends else " to ".join(ends)


def of_all(part: int, whole: int) -> str:
    """Return so many of so many, with the per cent."""
    share = f" ({percent(part / whole)})" if whole else ""
    return f"{part:,} of {whole:,}{share}"


def data_uri(png: bytes) -> str:
    """Return a PNG file as an address that needs no file."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
