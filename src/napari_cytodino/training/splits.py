"""Train, calibration and test parts: whole groups on one side, saved and hashed."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_cytodino.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.training.data import CellFile

PARTS = {"train": 0.62, "calibration-a": 0.08, "calibration-b": 0.12, "test": 0.18}
"""The parts of a split and the share of the cells each should get."""

TRIES = 4000
"""How many seeded assignments of whole groups are compared."""


def difference_hash(image: Image.Image) -> str:
    """Return a 64-bit hash that near-identical images share."""
    grey = image.convert("L").resize((9, 8), Image.Resampling.BILINEAR)
    pixels = np.asarray(grey, dtype=np.int16)
    bits = (pixels[:, 1:] > pixels[:, :-1]).ravel()
    return np.packbits(bits).tobytes().hex()


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def near_duplicates(data: Path, files: Sequence[CellFile]) -> list[int]:
    """Give files with equal bytes or equal hashes the same number."""
    parent = list(range(len(files)))
    first: dict[str, int] = {}
    for i, file in enumerate(files):
        path = data / file.path
        with Image.open(path) as image:
            keys = (
                hashlib.sha256(path.read_bytes()).hexdigest(),
                f"{file.source}:{difference_hash(image)}",
            )
        for key in keys:
            other = first.setdefault(key, i)
            parent[_root(parent, i)] = _root(parent, other)
    return [_root(parent, i) for i in range(len(files))]


def _assign_groups(
    counts: NDArray[np.int64], seed: int, shares: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Choose a part for each group; ``counts`` is (groups, classes)."""
    rng = np.random.default_rng(seed)
    total = counts.sum(axis=0)
    best, best_cost = None, np.inf
    for _ in range(TRIES):
        parts = rng.choice(len(shares), size=len(counts), p=shares)
        got = np.stack([counts[parts == p].sum(axis=0) for p in range(len(shares))])
        if (got == 0).any():
            continue
        wanted = shares[:, None] * total
        cost = float((((got - wanted) ** 2) / wanted).sum())
        if cost < best_cost:
            best, best_cost = parts, cost
    if best is None:
        raise InputError(
            f"{len(counts)} groups cannot be dealt to {len(shares)} parts with every "
            "class in each: give more groups or fewer parts."
        )
    return best


def make_split(
    data: Path, files: Sequence[CellFile], *, seed: int = 0
) -> dict[str, str]:
    """Deal files to parts: path -> part.

    Where a source has groups, whole groups are dealt and every class of the source is
    in each part; where it has none, each class is dealt in equal shares and
    near-duplicates stay together.
    """
    shares = np.array(list(PARTS.values()))
    names = list(PARTS)
    parts: dict[str, str] = {}
    for source in sorted({f.source for f in files}):
        own = sorted((f for f in files if f.source == source), key=lambda f: f.path)
        if all(f.group for f in own):
            groups = sorted({f.group for f in own})
            codes = sorted({f.code for f in own})
            counts = np.zeros((len(groups), len(codes)), np.int64)
            for f in own:
                counts[groups.index(f.group), codes.index(f.code)] += 1
            chosen = _assign_groups(counts, seed, shares)
            parts |= {f.path: names[chosen[groups.index(f.group)]] for f in own}
        else:
            parts |= _deal_clusters(own, near_duplicates(data, own), seed)
    return parts


def _deal_clusters(
    files: Sequence[CellFile], clusters: Sequence[int], seed: int
) -> dict[str, str]:
    """Deal clusters of near-duplicates class by class."""
    rng = np.random.default_rng(seed)
    members: dict[int, list[CellFile]] = defaultdict(list)
    for file, cluster in zip(files, clusters, strict=True):
        members[cluster].append(file)
    by_code: dict[str, list[list[CellFile]]] = defaultdict(list)
    for cluster in sorted(members):
        by_code[members[cluster][0].code].append(members[cluster])
    parts: dict[str, str] = {}
    edges = np.cumsum(list(PARTS.values()))
    for code in sorted(by_code):
        order = rng.permutation(len(by_code[code]))
        for place, which in enumerate(order):
            part = int(np.searchsorted(edges, (place + 0.5) / len(order)))
            for file in by_code[code][which]:
                parts[file.path] = list(PARTS)[min(part, len(PARTS) - 1)]
    return parts


def write_split(path: Path, parts: Mapping[str, str]) -> None:
    """Write path and part, sorted by path."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "part"))
        writer.writerows(sorted(parts.items()))


def read_split(path: Path) -> dict[str, str]:
    """Read what :func:`write_split` wrote, and check the parts' names."""
    if not path.is_file():
        raise InputError(f"No split at {path}: name one of the repository's splits.")
    with path.open(newline="", encoding="utf-8") as file:
        parts = {row["path"]: row["part"] for row in csv.DictReader(file)}
    unknown = sorted(set(parts.values()) - set(PARTS))
    if unknown:
        raise InputError(
            f"{path} names the part {unknown[0]!r}: use {', '.join(PARTS)}."
        )
    return parts


def split_sha256(path: Path) -> str:
    """Return the hash a checkpoint keeps of its split."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
