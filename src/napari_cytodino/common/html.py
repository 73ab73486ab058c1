"""Pieces of a page: every text from data is escaped here, and nowhere else."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


MISSING = "–"
"""Stands for a number that is not defined, such as the recall of no cell."""


@dataclass(frozen=True)
class Markup:
    """HTML that may stand as it is; all other text is escaped."""

    html: str


Text = str | int | Markup


def html_of(text: Text) -> str:
    """Return a text as HTML, escaped unless it is markup."""
    return text.html if isinstance(text, Markup) else escape(str(text), quote=True)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many decimals."""
    return MISSING if value is None else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent."""
    return MISSING if value is None else f"{100 * value:.{digits}f} %"


def interval(value: float | None, low: float | None, high: float | None) -> Markup:
    """Return a score with its interval in small type."""
    return _with_range(number(value), number(low), number(high), known=low is not None)


def share(value: float | None, low: float | None, high: float | None) -> Markup:
    """Return a share in per cent with its interval in small type."""
    return _with_range(
        percent(value), percent(low)[:-2], percent(high)[:-2], known=low is not None
    )


def _with_range(value: str, low: str, high: str, *, known: bool) -> Markup:
    return Markup(f"{value} <small>({low} to {high})</small>" if known else value)


def chip(colour: str, text: str) -> Markup:
    """Return a name with a small field of its colour, which says nothing alone."""
    style = escape(f"background:{colour}", quote=True)
    field = f'<span class="chip" style="{style}" aria-hidden="true"></span>'
    return Markup(f"{field}{escape(text)}")


def paragraph(text: Text, kind: str = "") -> str:
    """Return a paragraph, optionally of a class of the page's style."""
    return (
        f'<p class="{kind}">{html_of(text)}</p>' if kind else f"<p>{html_of(text)}</p>"
    )


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def facts(pairs: Iterable[tuple[str, Text]]) -> str:
    """Return a list of names and values; a value that is empty is left out."""
    rows = [
        f"<dt>{escape(name)}</dt><dd>{html_of(value)}</dd>"
        for name, value in pairs
        if value != ""
    ]
    return f"<dl>{''.join(rows)}</dl>"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Text]]) -> str:
    """Return a table whose first column names the rows.

    A plain text among the values is set as words, markup and numbers as figures.
    """
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{html_of(first)}</th>{"".join(map(_cell, rest))}</tr>'
        for first, *rest in rows
    )
    # a reader who has only the keyboard must be able to scroll it
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(value: Text) -> str:
    kind = ' class="text"' if isinstance(value, str) else ""
    return f"<td{kind}>{html_of(value)}</td>"


def picture(path: Path, alt: str, caption: str) -> str:
    """Return a PNG file as part of the page, with words for those who cannot see it."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<figure><img alt="{escape(alt, quote=True)}" '
        f'src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
