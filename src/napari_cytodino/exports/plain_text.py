"""Texts that no spreadsheet takes for a formula, and numbers without false digits."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

# Apostrophes in front count too: else "'=1" would come back as "=1".
_FORMULA = re.compile(r"'* *[=+\-@\t\r\n\0]")


def safe_text(text: str) -> str:
    """Return a text that is no formula; `plain_text` makes it the same again.

    A text that begins with ``= + - @``, tab, line break or NUL, also after apostrophes
    and spaces, gets one apostrophe in front (OWASP).
    """
    return f"'{text}" if _FORMULA.match(text) else text


def plain_text(text: str) -> str:
    """Undo `safe_text`."""
    if text.startswith("'") and _FORMULA.match(text[1:]):
        return text[1:]
    return text


def formula_safe(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy whose texts went through `safe_text`; numbers stay numbers."""
    safe = table.copy()
    for name in safe.columns:
        if safe[name].dtype.kind in "biuf":
            continue
        texts = [safe_text(v) if isinstance(v, str) else v for v in safe[name]]
        safe[name] = pd.Series(texts, index=safe.index, dtype=object)
    return safe


def in_decimals(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy with 32-bit numbers as they read: 0.1, not 0.10000000149011612."""
    plain = table.copy()
    for name in plain.columns:
        if plain[name].dtype == np.float32:
            plain[name] = plain[name].to_numpy().astype(str).astype(np.float64)
    return plain
