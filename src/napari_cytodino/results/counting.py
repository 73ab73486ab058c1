"""What a differential counts: classes, sides of the M:E ratio, target, thresholds."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass, fields, replace
from importlib import resources
from typing import TYPE_CHECKING, Any

from napari_cytodino.common import InputError, read_toml

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.taxonomy import Taxonomy


TARGETS = (300, 500)
"""Cells that ICSH asks for: 500 where a percentage decides, else 300."""

MOST = 100_000
"""The largest target."""

_LISTS = ("counted", "myeloid", "erythroid", "blasts")


@dataclass(frozen=True)
class CountingRules:
    """Which cells make up a differential, and what it is held against.

    Attributes
    ----------
    counted : tuple of str
        Codes whose cells are the 100 %; all others stand apart.
    myeloid, erythroid : tuple of str
        Codes on either side of the M:E ratio; of these only counted cells enter it.
    blasts : tuple of str
        Codes whose summed share is held against `thresholds`.
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

    counted: tuple[str, ...]
    myeloid: tuple[str, ...] = ()
    erythroid: tuple[str, ...] = ()
    blasts: tuple[str, ...] = ()
    blasts_in_me: bool = True
    target: int = 500
    thresholds: tuple[float, ...] = ()
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            raise InputError(
                f"This way of counting cannot be used: {'; '.join(faults)}. "
                "Correct it; counting.toml in the package shows the fields."
            )

    @staticmethod
    def of(taxonomy: Taxonomy) -> CountingRules:
        """Return the taxonomy's own way of counting, with the package's thresholds."""
        file = resources.files("napari_cytodino.results") / "counting.toml"
        own = tomllib.loads(file.read_text(encoding="utf-8"))
        return _fitted({**_defaults(taxonomy), **own}, taxonomy)

    @staticmethod
    def read(path: Path, taxonomy: Taxonomy) -> CountingRules:
        """Read a user's TOML; what it does not name stays as `of` has it.

        Raises
        ------
        InputError
            When the file cannot be read, or its fields or values are wrong.
        """
        try:
            content = read_toml(path)
        except (OSError, ValueError) as error:
            raise InputError(
                f"The counting rules in {path} cannot be read ({error}); give a TOML "
                "file such as 'target = 300'."
            ) from error
        known = [f.name for f in fields(CountingRules) if f.name != "left_out"]
        unknown = sorted(set(content) - set(known))
        if unknown:
            raise InputError(
                f"{path} names '{unknown[0]}'; a way of counting has "
                f"{', '.join(known)}."
            )
        default = CountingRules.of(taxonomy)
        return _fitted(
            {name: getattr(default, name) for name in known} | content, taxonomy
        )

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


def _fitted(content: dict[str, Any], taxonomy: Taxonomy) -> CountingRules:
    """Build it of plain values, without the codes that the taxonomy lacks."""
    values, missing = dict(content), []
    for name in (*_LISTS, "thresholds"):
        if not isinstance(values[name], (list, tuple)):
            raise InputError(
                f"{name} is {values[name]!r}, but must be a list, such as {name} = []."
            )
        values[name] = tuple(values[name])
    for name in _LISTS:
        missing += [str(c) for c in values[name] if c not in taxonomy]
        values[name] = tuple(c for c in values[name] if c in taxonomy)
    return CountingRules(**values, left_out=tuple(dict.fromkeys(missing)))


def _faults(counting: CountingRules) -> list[str]:
    faults = []
    for name in _LISTS:
        listed = Counter(getattr(counting, name))
        faults += [f"{name} has {c!r} twice" for c, n in listed.items() if n > 1]
    both = sorted(set(counting.myeloid) & set(counting.erythroid))
    faults += [f"{code!r} is both myeloid and erythroid" for code in both]
    target = counting.target
    if not _whole(target) or not 1 <= target <= MOST:
        faults.append(f"target {target!r} is no whole number from 1 to {MOST:,}")
    if not isinstance(counting.blasts_in_me, bool):
        faults.append(f"blasts_in_me {counting.blasts_in_me!r} is not true or false")
    for value in counting.thresholds:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            faults.append(f"threshold {value!r} is no number")
        elif not 0 < value < 100:
            faults.append(f"threshold {value!r} is not between 0 and 100 per cent")
    return faults or _order_faults(counting.thresholds)


def _order_faults(thresholds: tuple[float, ...]) -> list[str]:
    if list(thresholds) == sorted(set(thresholds)):
        return []
    return [f"thresholds {list(thresholds)} are not in ascending order"]


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
