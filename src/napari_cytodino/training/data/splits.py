"""Splits: whole groups on one side, made once, saved, hashed, never recomputed."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.common import InputError, atomic_write, sha256
from napari_cytodino.training.data.crops import read_rows
from napari_cytodino.training.data.duplicates import joined
from napari_cytodino.training.data.grouped_split import stratified_group_split
from napari_cytodino.training.recipes import (
    BOTH,
    PARTS,
    PROTOCOLS,
    PUBLISHED,
    THREE_WAY,
    Protocol,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.training.data.crops import CellFile
    from napari_cytodino.training.data.duplicates import ImageHashes


@dataclass(frozen=True)
class Split:
    """A saved split.

    Attributes
    ----------
    parts : mapping of str to str
        Key of a cell -> part.
    protocol : Protocol
        How it was made.
    sha256 : str
        Of its file; a checkpoint keeps it.
    notes : tuple of str
        One sentence for each thing to know: classes that a part lacks, cells left out.
    """

    parts: Mapping[str, str]
    protocol: Protocol
    sha256: str
    notes: tuple[str, ...] = ()

    def take(self, files: Iterable[CellFile], *parts: str) -> list[CellFile]:
        """Return the cells of some parts, in the order given.

        Raises
        ------
        InputError
            When the protocol has no such part.
        """
        unknown = sorted(set(parts) - set(self.protocol.parts))
        if unknown:
            raise InputError(
                f"A {self.protocol.name} split has no part '{unknown[0]}': use "
                f"{', '.join(self.protocol.parts)}."
            )
        return [f for f in files if _within(self.parts.get(f.key, ""), parts)]


def _within(part: str, wanted: Iterable[str]) -> bool:
    return part in wanted or (
        part == BOTH and not set(wanted).isdisjoint(BOTH.split("+"))
    )


def validation_count(cells: int) -> int:
    """Return how many images of a class the published split validates on.

    A fifth; one where a class has fewer than ten. A single image is in both parts.
    Source: domain reference, 1.3 "split".
    """
    return max(1, cells // 5)


def make_split(
    files: Sequence[CellFile],
    *,
    prints: Mapping[str, ImageHashes],
    seed: int = 0,
    protocol: Protocol = THREE_WAY,
) -> dict[str, str]:
    """Deal cells to parts: key -> part, whatever the order of the files.

    Parameters
    ----------
    files : sequence of CellFile
        Their groups stay whole.
    prints : mapping of str to Fingerprint
        By path, from `inspect_files`: images with equal bytes or looks stay together,
        and so do all cells of one image. The published protocol looks at neither.
    seed : int
        Another seed deals otherwise.
    protocol : Protocol
        `THREE_WAY` or `PUBLISHED`.

    Raises
    ------
    InputError
        When there are fewer groups than parts.
    """
    ordered = sorted(files, key=lambda f: f.key)
    if protocol is PUBLISHED:
        return _published(ordered, seed)
    units: dict[int, list[CellFile]] = defaultdict(list)
    for file, number in zip(ordered, _units(ordered, prints), strict=True):
        units[number].append(file)
    groups = list(units.values())
    levels = [_tally(groups, lambda f: f.code)]
    if len({f.source for f in ordered}) > 1:
        levels.append(_tally(groups, lambda f: (f.source, f.code)))
    names = [group[0].key for group in groups]
    dealt = stratified_group_split(levels, names, np.array(list(PARTS.values())), seed)
    part_names = list(PARTS)
    return {
        file.key: part_names[part]
        for group, part in zip(groups, dealt, strict=True)
        for file in group
    }


def _units(files: Sequence[CellFile], prints: Mapping[str, ImageHashes]) -> list[int]:
    """Give the cells that must not be parted the same number."""
    keys: list[list[Hashable]] = []
    for file in files:
        own: list[Hashable] = [("image", file.path)]
        if file.group:
            own.append(("group", file.group))
        if file.path in prints:
            found = prints[file.path]
            own += [("bytes", found.sha256), ("looks", found.looks)]
        keys.append(own)
    return joined(keys)


def _tally(
    groups: Sequence[Sequence[CellFile]], stratum: Callable[[CellFile], Hashable]
) -> NDArray[np.int64]:
    """Count the cells of each group in each stratum, (groups, strata)."""
    place: dict[Hashable, int] = {}
    found = [[place.setdefault(stratum(f), len(place)) for f in g] for g in groups]
    counts = np.zeros((len(groups), len(place)), np.int64)
    for row, own in enumerate(found):
        np.add.at(counts[row], own, 1)
    # in the order of names, so that no order of the files shows
    return counts[:, [place[key] for key in sorted(place, key=str)]]


def _published(files: Sequence[CellFile], seed: int) -> dict[str, str]:
    by_code: dict[str, list[str]] = defaultdict(list)
    for file in files:
        by_code[file.code].append(file.key)
    parts: dict[str, str] = {}
    for keys in by_code.values():
        mixed = sorted(
            keys, key=lambda k: hashlib.sha256(f"{seed}:{k}".encode()).digest()
        )
        count = validation_count(len(mixed))
        parts |= dict.fromkeys(mixed[count:], "train")
        parts |= dict.fromkeys(mixed[:count], "validation" if mixed[1:] else BOTH)
    return parts


def write_split(
    path: Path,
    parts: Mapping[str, str],
    files: Iterable[CellFile] = (),
    prints: Mapping[str, ImageHashes] | None = None,
) -> None:
    """Write path and part, sorted by path, whole or not at all.

    With `files` their classes are written too, as ``target``, and with `prints` the
    sha256 of their bytes.
    """
    known = {f.key: f for f in files}
    header = ["path", "target", "part", "sha256"]
    rows = []
    for key, part in sorted(parts.items()):
        file = known.get(key)
        found = (prints or {}).get(file.path) if file else None
        rows.append(
            (key, file.code if file else "", part, found.sha256 if found else "")
        )
    kept = [0, 2] if not known else [0, 1, 2, 3] if prints else [0, 1, 2]
    with (
        atomic_write(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as out,
    ):
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([header[i] for i in kept])
        writer.writerows([row[i] for i in kept] for row in rows)


def read_split(path: Path) -> dict[str, str]:
    """Read what :func:`write_split` wrote, and check the parts' names."""
    return {row["path"]: row["part"] for row in _split_rows(path)}


def _split_rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputError(f"No split at {path}: name one of the repository's splits.")
    rows = read_rows(path)
    if not rows or not {"path", "part"} <= set(rows[0]):
        raise InputError(f"{path} is no split: it needs the columns path and part.")
    doubled = [k for k, n in Counter(row["path"] for row in rows).items() if n > 1]
    if doubled:
        raise InputError(f"{path} names {doubled[0]} twice: take the saved file again.")
    parts = {row["part"] for row in rows}
    if not any(parts <= set(p.parts) for p in PROTOCOLS.values()):
        fits = max(PROTOCOLS.values(), key=lambda p: len(parts & set(p.parts)))
        raise InputError(
            f"{path} names the part {min(parts - set(fits.parts))!r}: use "
            f"{', '.join(fits.parts)}."
        )
    return rows


def split_sha256(path: Path) -> str:
    """Return the hash a checkpoint keeps of its split."""
    return sha256(path)


def load_or_make_split(
    path: Path,
    files: Sequence[CellFile],
    *,
    prints: Mapping[str, ImageHashes],
    seed: int = 0,
    protocol: Protocol = THREE_WAY,
    allow_changes: bool = False,
) -> Split:
    """Take the split saved at ``path``; make and save it where there is none.

    Parameters
    ----------
    path : Path
        The saved split, a CSV.
    files : sequence of CellFile
        The cells as they are found now.
    prints, seed, protocol
        As in `make_split`; a saved split keeps its own seed.
    allow_changes : bool
        Go on when cells are missing, new or of another class. The saved split stays as
        it is: new cells are in no part.

    Raises
    ------
    InputError
        When the saved split is of another protocol, or the cells changed.
    """
    if not path.exists():
        parts = make_split(files, prints=prints, seed=seed, protocol=protocol)
        write_split(path, parts, files, prints)
    rows = _split_rows(path)
    parts = {row["path"]: row["part"] for row in rows}
    if not set(parts.values()) <= set(protocol.parts):
        raise InputError(
            f"{path} holds no {protocol.name} split: choose its protocol, or another "
            "file for this one."
        )
    changes = _changes({r["path"]: r.get("target", "") for r in rows}, files)
    if changes and not allow_changes:
        raise InputError(
            f"The cells are not those of the split {path} ({'; '.join(changes)}): "
            "restore them, allow changes, or save a new split elsewhere."
        )
    notes = (*changes, *_thin(parts, files, protocol))
    return Split(parts, protocol, split_sha256(path), notes)


def _changes(stored: Mapping[str, str], files: Iterable[CellFile]) -> list[str]:
    """Say what differs between the cells of a saved split and those found."""
    found = {f.key: f.code for f in files}
    kinds = {
        "missing": sorted(set(stored) - set(found)),
        "new": sorted(set(found) - set(stored)),
        "of another class": sorted(
            k for k in set(stored) & set(found) if stored[k] not in ("", found[k])
        ),
    }
    return [
        f"{len(keys)} {'is' if len(keys) == 1 else 'are'} {kind}, such as {keys[0]}"
        for kind, keys in kinds.items()
        if keys
    ]


def _thin(
    parts: Mapping[str, str], files: Iterable[CellFile], protocol: Protocol
) -> list[str]:
    """Say which classes are not in every part, or in two with the same image."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for file in files:
        if file.key in parts:
            seen[file.code][parts[file.key]] += 1
    notes = []
    for code, own in sorted(seen.items()):
        lacking = [p for p in protocol.parts if p != BOTH and not own[p]]
        if own[BOTH]:
            notes.append(f"Class {code} has one image, which is in both parts.")
        elif lacking:
            total = sum(own.values())
            notes.append(
                f"Class {code} has {total} cells, none in {', '.join(lacking)}."
            )
    return notes
