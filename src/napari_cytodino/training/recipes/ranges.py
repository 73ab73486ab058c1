"""Ranges that several recipes share; others stand beside their field."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field

from napari_cytodino.common import InputError, must_be

T = TypeVar("T")

MANY = 10**9

Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""numpy takes 32 bits, and every process adds its rank."""

Side = Annotated[int, Field(ge=8, le=4096)]
"""Of an image, in pixels."""

Count = Annotated[int, Field(ge=1, le=MANY)]

Share = Annotated[float, Field(ge=0, le=1)]

Dropout = Annotated[float, Field(ge=0, le=0.95)]

Deviation = Annotated[float, Field(ge=0.001, le=1)]
"""Of a channel."""


Range = Annotated[
    tuple[T, T], must_be("two numbers, the lower first", lambda v: v[0] <= v[1])
]
"""From the lower to the higher."""


def check_heads(key: str, heads: int, width: int, parts: int = 1) -> None:
    """Refuse attention heads that do not share the width out evenly.

    Parameters
    ----------
    key
        What the recipe calls the heads.
    heads, width
        Of the transformer.
    parts
        What each head's share must be a multiple of.

    Raises
    ------
    InputError
        With the heads that would do.
    """
    if width % (heads * parts):
        good = [n for n in range(1, width + 1) if width % (n * parts) == 0]
        do = f"use one of {', '.join(map(str, good))}" if good else "change the width"
        raise InputError(
            f"{key} is {heads}, which does not share out a width of {width}"
            f"{f' in parts of {parts}' if parts > 1 else ''}: {do}."
        )
