"""What a differential counts: classes, sides of the M:E ratio, target, thresholds."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, replace
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from napari_cytodino.common import must_be, read_record, read_toml, record

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.taxonomy import Taxonomy


TARGETS = (300, 500)
"""Cells that ICSH asks for: 500 where a percentage decides, else 300."""

MOST = 100_000
"""The largest target."""

_LISTS = ("counted", "myeloid", "erythroid", "blasts")


Codes = Annotated[
    tuple[str, ...],
    must_be("a list that names no class twice", lambda v: len(set(v)) == len(v)),
]

Thresholds = Annotated[
    tuple[Annotated[float, Field(gt=0, lt=100)], ...],
    must_be("in ascending order", lambda v: list(v) == sorted(set(v))),
]


@record
class CountingRules:
    """Which cells make up a differential, and what it is compared with.

    Attributes
    ----------
    counted : tuple of str
        Codes whose cells are the 100 %; all others stand apart.
    myeloid, erythroid : tuple of str
        Codes on either side of the M:E ratio; of these only counted cells enter it.
    blasts : tuple of str
        Codes whose summed share is compared with `thresholds`.
    blasts_in_me : bool
        False leaves blasts out of the M:E ratio.
    target : int
        Cells to count.
    thresholds : tuple of float
        Per cent, 0 to 100, in ascending order.
    left_out : tuple of str
        Codes that were asked for, but that the taxonomy lacks.

    Raises
    ------
    InputError
        When the values contradict each other; the message lists every fault.
    """

    counted: Codes
    myeloid: Codes = ()
    erythroid: Codes = ()
    blasts: Codes = ()
    blasts_in_me: bool = True
    target: Annotated[int, Field(ge=1, le=MOST)] = 500
    thresholds: Thresholds = ()
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        both = sorted(set(self.myeloid) & set(self.erythroid))
        if both:
            raise ValueError(f"{', '.join(both)} cannot be both myeloid and erythroid")

    @staticmethod
    def of(taxonomy: Taxonomy) -> CountingRules:
        """Return the taxonomy's own way of counting, with the package's thresholds."""
        file = resources.files("napari_cytodino.results") / "counting.toml"
        own = tomllib.loads(file.read_text(encoding="utf-8"))
        return _fitted(_defaults(taxonomy) | own, taxonomy, "counting.toml")

    @staticmethod
    def read(path: Path, taxonomy: Taxonomy) -> CountingRules:
        """Read a user's TOML; what it does not name stays as `of` has it.

        Raises
        ------
        InputError
            When the file cannot be read, or its fields or values are wrong.
        """
        own = read_toml(path, "give a TOML file such as 'target = 300'")
        content = asdict(CountingRules.of(taxonomy)) | own
        return _fitted(content, taxonomy, str(path))

    def with_class(self, code: str, wanted: bool) -> CountingRules:
        """Return the same, with the cells of a class counted or not."""
        others = tuple(c for c in self.counted if c != code)
        return replace(self, counted=(*others, code) if wanted else others)

    @property
    def sides(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The codes that enter the M:E ratio: myeloid, erythroid."""
        out = set() if self.blasts_in_me else set(self.blasts)
        into = set(self.counted) - out
        return (
            tuple(c for c in self.myeloid if c in into),
            tuple(c for c in self.erythroid if c in into),
        )

    @property
    def counted_blasts(self) -> tuple[str, ...]:
        """The blasts that count; without any there is no share of blasts."""
        return tuple(c for c in self.blasts if c in self.counted)


def _defaults(taxonomy: Taxonomy) -> dict[str, Any]:
    classes = taxonomy.classes
    return {
        "counted": [c.code for c in classes if c.counted],
        "myeloid": [c.code for c in classes if c.me_ratio == "myeloid"],
        "erythroid": [c.code for c in classes if c.me_ratio == "erythroid"],
    }


def _fitted(content: dict[str, Any], taxonomy: Taxonomy, where: str) -> CountingRules:
    """Build it of plain values, without the codes that the taxonomy lacks."""
    rules = read_record(CountingRules, content, where)
    lists = {name: getattr(rules, name) for name in _LISTS}
    missing = dict.fromkeys(c for v in lists.values() for c in v if c not in taxonomy)
    kept: dict[str, Any] = {
        n: tuple(c for c in v if c in taxonomy) for n, v in lists.items()
    }
    return replace(rules, **kept, left_out=tuple(missing))
