"""The morphology of each drawn cell class, read from ``synthetic.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from napari_cytodino.common import InputError, read_record, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray


def _as_pair(value: Any) -> Any:
    """Take one number for both ends; a validator gives lists on, not tuples."""
    if isinstance(value, list):
        return tuple(value)
    return value if isinstance(value, tuple) else (value, value)


Range = Annotated[tuple[float, float], BeforeValidator(_as_pair)]
"""Lowest and highest value from which each cell draws its own."""


def optical_density(colour: str) -> NDArray[np.float32]:
    """Turn a colour as seen on white into stain absorbance per channel.

    Parameters
    ----------
    colour : str
        Hexadecimal ``#RRGGBB``.

    Returns
    -------
    ndarray of float32, shape (3,)
        Natural-log absorbance, so that stains laid over each other add up.
    """
    value = np.frombuffer(bytes.fromhex(colour.lstrip("#")), np.uint8)
    return (-np.log((value.astype(np.float32) + 1) / 256)).astype(np.float32)


def sample(rng: np.random.Generator, bounds: Range) -> float:
    """Draw a value from a range."""
    return float(rng.uniform(*bounds))


def sample_count(rng: np.random.Generator, bounds: Range) -> int:
    """Draw a whole number from a range, both ends included."""
    return int(rng.integers(int(bounds[0]), int(bounds[1]) + 1))


@record
class Cytoplasm:
    """Colour and texture of the cell body.

    ``halo`` is the pallor beside the nucleus, 0 for none and 1 for colourless.
    """

    colour: str
    edge: str
    opacity: Range = (1.0, 1.0)
    mottling: Range = (0.07, 0.07)
    halo: Range = (0.0, 0.0)
    vacuoles: Range = (0, 0)
    vacuole_radius: Range = (3, 4)


@record
class Nucleus:
    """Shape and chromatin of the nucleus: lobes along an arc, joined by a thread.

    One lobe without an arc is a round nucleus; a thread as wide as the lobes is a
    band or a kidney; a thin one joins segments.
    """

    colour: str
    opacity: Range = (1.0, 1.0)
    lobes: Range = (1, 1)
    lobe_radius: Range = (0.5, 0.5)
    arc: Range = (0, 0)
    arc_radius: Range = (0, 0)
    thread: Range = (0, 0)
    scatter: Range = (0.05, 0.05)
    offset: Range = (0, 0)
    elongation: Range = (1, 1.1)
    irregular: Range = (1, 1)
    softness: Range = (1.8, 1.8)
    texture: Range = (0.15, 0.15)
    texture_size: Range = (3, 3)
    streak: Range = (0, 0)
    spokes: Range = (0, 0)
    nucleoli: Range = (0, 0)
    nucleolus_radius: Range = (0.1, 0.1)


@record
class Granules:
    """One population of granules; ``over_nucleus`` is the share seen on top of it."""

    colour: str
    count: Range
    radius: Range
    over_nucleus: Range = (0, 0)


@record
class Morphology:
    """How the cells of one class look."""

    code: str
    name: str
    diameter: Range
    cytoplasm: Cytoplasm
    nucleus: Nucleus
    elongation: Range = (1, 1)
    outline: Range = (0.03, 0.03)
    blur: Range = (0, 0)
    hairs: Range = (0, 0)
    hair_length: Range = (0, 0)
    rods: Range = (0, 0)
    rod_length: Range = (0, 0)
    rod_colour: str = "#B0165A"
    granules: tuple[Granules, ...] = ()


def parse_morphologies(tables: Mapping[str, Any]) -> dict[str, Morphology]:
    """Build the morphologies from the tables of a TOML file.

    Parameters
    ----------
    tables : mapping
        Class code to table, shaped as in ``synthetic.toml``.

    Returns
    -------
    dict of str to Morphology
        In the order of the file.

    Raises
    ------
    InputError
        If a table has a key that nothing draws.
    """
    return {
        code: read_record(Morphology, {"code": code, **table}, f"[{code}]")
        for code, table in tables.items()
    }


@cache
def _packaged() -> dict[str, Morphology]:
    source = resources.files("napari_cytodino.synthetic").joinpath("morphology.toml")
    return parse_morphologies(tomllib.loads(source.read_text(encoding="utf-8")))


def morphologies(codes: Iterable[str] | None = None) -> tuple[Morphology, ...]:
    """Look up how classes are drawn.

    Parameters
    ----------
    codes : iterable of str, optional
        Class codes; all of them by default.

    Returns
    -------
    tuple of Morphology
        One per code, in the order given.

    Raises
    ------
    InputError
        If there is no drawing for a code, or no code at all.
    """
    known = _packaged()
    wanted = tuple(known) if codes is None else tuple(codes)
    unknown = [code for code in wanted if code not in known]
    if unknown:
        raise InputError(
            f"No synthetic cell can be drawn for {', '.join(map(repr, unknown))}; "
            f"choose from {', '.join(known)}."
        )
    if not wanted:
        raise InputError(
            "codes is empty; name at least one class code or leave it out."
        )
    return tuple(known[code] for code in wanted)
