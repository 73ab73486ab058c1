"""Which key gives which verdict: data, so that a laboratory can have its own."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING

from napari_cytodino.common import InputError, read_record, read_toml, record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from napari_cytodino.taxonomy import CellClass, Taxonomy


ACTIONS = (
    "accept",
    "skip",
    "back",
    "not_a_cell",
    "search",
    "withdraw",
    "undo",
    "redo",
)
"""What a key can do besides naming a class."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_STROKE = re.compile(
    r"((Ctrl|Shift|Alt|Meta)\+)*"
    r"([A-Z0-9/.,;'\[\]=+-]|F[1-9]|F1[0-2]|Space|Tab|Delete|Backspace|Return|Insert)"
)


@dataclass(frozen=True)
class ReviewKeys:
    """Keys as Qt writes them: ``"B"``, ``"Ctrl+Z"``, or two strokes, ``"G, B"``.

    Attributes
    ----------
    actions : mapping
        Key of each of `ACTIONS`.
    classes : mapping
        Key of each class code of a taxonomy.

    Raises
    ------
    InputError
        When a key is written wrongly, used twice, or begins another one.
    """

    actions: Mapping[str, str]
    classes: Mapping[str, str]

    def __post_init__(self) -> None:
        faults = list(_faults({**self.actions, **self.classes}))
        if faults:
            raise InputError(
                f"These keys cannot be used: {'; '.join(faults)}. Correct the file "
                "of keys that the preferences name."
            )


@record
class _KeyFile:
    """What a user's file may have."""

    actions: dict[str, str] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)


def read_keys(taxonomy: Taxonomy, path: Path | None = None) -> ReviewKeys:
    """Return the keys for the classes of a taxonomy.

    Parameters
    ----------
    path
        A user's TOML file with some of ``[actions]`` and ``[classes]``; what it does
        not name stays as it ships. Classes that nobody gave a key get a free letter of
        their name, or two strokes: a letter of the lineage, then one of the class.

    Raises
    ------
    InputError
        When the file is missing, is no TOML, names an unknown action, or its keys
        collide.
    """
    shipped = resources.files("napari_cytodino.review") / "keys.toml"
    content = tomllib.loads(shipped.read_text("utf-8"))
    own = _KeyFile()
    if path is not None:
        remedy = "check 'Review keys' in the preferences, or leave it empty"
        own = read_record(_KeyFile, read_toml(path, remedy), str(path))
    actions = {**content["actions"], **own.actions}
    if unknown := sorted(set(actions) - set(ACTIONS)):
        raise InputError(
            f"{path} gives a key to '{unknown[0]}'; actions are {', '.join(ACTIONS)}."
        )
    named = own.classes
    taken = set(actions.values()) | set(named.values())
    # a key that the user took for one class is no longer another's
    known = {k: v for k, v in content["classes"].items() if v not in taken} | named
    classes = {c: known[c] for c in taxonomy.codes if c in known}
    for cell in taxonomy.classes:
        if cell.code not in classes:
            used = {*actions.values(), *classes.values()}
            classes[cell.code] = next(k for k in _proposals(cell) if _free(k, used))
    return ReviewKeys(actions, {code: classes[code] for code in taxonomy.codes})


def _proposals(cell: CellClass) -> Iterator[str]:
    own = [k for k in (cell.name + cell.code).upper() if k in LETTERS]
    yield from own
    for first in [k for k in cell.lineage.upper() if k in LETTERS] + list(LETTERS):
        yield from (f"{first}, {second}" for second in own + list(LETTERS))


def _free(key: str, used: set[str]) -> bool:
    first = key.partition(", ")[0]
    if "," not in key:
        # a letter that begins two strokes would fire only after a wait
        return all(other.partition(", ")[0] != key for other in used)
    return key not in used and first not in used


def _faults(keys: dict[str, str]) -> Iterator[str]:
    for what, key in keys.items():
        strokes = key.split(", ")
        if len(strokes) > 2 or not all(_STROKE.fullmatch(stroke) for stroke in strokes):
            yield f"{what} = '{key}' is no key such as 'B', 'Ctrl+Z' or 'G, B'"
    for key, times in Counter(keys.values()).items():
        if times > 1:
            both = " and ".join(what for what, other in keys.items() if other == key)
            yield f"'{key}' is given to {both}"
    firsts = {key.partition(", ")[0] for key in keys.values() if ", " in key}
    for what, key in keys.items():
        if key in firsts:
            yield f"'{key}' of {what} begins a key of two strokes"
