"""How far apart two classes are on the tree of blood formation."""

from __future__ import annotations

import math
from collections import Counter
from itertools import chain, product
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import WrapValidator

from napari_cytodino.common import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray


LARGEST = 200
"""Classes and branches that a tree may name."""

FURTHEST = 1000.0
"""The longest edge."""


def _as_written(value: Any, check: Callable[[Any], float]) -> Any:
    check(value)
    return value


Number = Annotated[float, WrapValidator(_as_written)]
"""1 stays 1 in the files of checkpoints, as it was in those of old."""


@record
class Branch:
    """Classes, or branches written above this one, and how far apart they are.

    Attributes
    ----------
    parts : tuple of str
        Class codes and names of branches.
    length : float
        Every class of one part is joined by an edge of this length to every class of
        another part; the distance of two classes is their shortest path.
    ordered : bool
        True where only neighbours in `parts` are joined, as the stages of a series.
    name : str
        What branches below call it; a mere link between two classes needs none.
    """

    parts: tuple[str, ...]
    length: Number
    ordered: bool = False
    name: str = ""


def tree_faults(tree: Sequence[Branch], codes: Sequence[str]) -> list[str]:
    """Say what keeps a tree from giving every two classes a distance."""
    faults = []
    for branch, parts in zip(tree, _resolved(tree), strict=True):
        what = f"branch '{branch.name}' of {', '.join(map(str, branch.parts))}"
        if not 0 < branch.length <= FURTHEST:
            faults.append(f"{what} is {branch.length} long, not up to {FURTHEST:g}")
        if max(Counter(chain(*parts)).values(), default=2) > 1:
            faults.append(f"{what} is empty or holds a class twice")
    names = [b.name for b in tree if b.name]
    doubled = sorted(n for n, times in Counter(names).items() if times > 1)
    faults += [f"branch '{n}' stands twice" for n in doubled]
    taken = sorted({*names} & {*codes})
    faults += [f"branch '{n}' has the code of a class" for n in taken]
    if len(tree) + len({p for b in tree for p in b.parts}) > LARGEST:
        faults.append(f"its tree names more than {LARGEST} classes and branches")
    if faults or not tree:
        return faults
    apart = np.isinf(_distances(tree, codes)).sum(axis=1)
    lost = [c for c, n in zip(codes, apart, strict=True) if 2 * n >= len(codes)]
    return [f"its tree does not join {', '.join(lost)} to the rest"] if lost else []


def undefined_parts(tree: Sequence[Branch], codes: Sequence[str]) -> list[str]:
    """Return parts that are neither a class nor a branch written above them."""
    known, found = set(codes), []
    for branch in tree:
        found += [part for part in branch.parts if part not in known]
        known.add(branch.name)
    return found


def _resolved(tree: Sequence[Branch]) -> list[list[tuple[str, ...]]]:
    """Return the classes under each part of each branch."""
    known: dict[str, tuple[str, ...]] = {}
    resolved = []
    for branch in tree:
        parts = [known.get(part, (part,)) for part in branch.parts]
        resolved.append(parts)
        if branch.name:
            known[branch.name] = tuple(dict.fromkeys(chain(*parts)))
    return resolved


def _edges(tree: Sequence[Branch]) -> Iterator[tuple[str, str, float]]:
    for branch, parts in zip(tree, _resolved(tree), strict=True):
        for place, part in enumerate(parts):
            last = place + 2 if branch.ordered else len(parts)
            for a, b in product(part, chain(*parts[place + 1 : last])):
                yield a, b, branch.length


def _distances(tree: Sequence[Branch], codes: Sequence[str]) -> NDArray[np.float64]:
    edges = list(_edges(tree))
    # classes first; then those the tree names though this subset has them not
    nodes = {code: place for place, code in enumerate(codes)}
    for edge in edges:
        for name in edge[:2]:
            nodes.setdefault(name, len(nodes))
    table = np.full((len(nodes), len(nodes)), math.inf)
    for a, b, length in edges:
        i, j = nodes[a], nodes[b]
        table[i, j] = table[j, i] = min(table[i, j], length)
    np.fill_diagonal(table, 0.0)
    for via in range(len(nodes)):
        # Floyd and Warshall: is the way by this node shorter?
        table = np.minimum(table, table[:, via, None] + table[None, via])
    return table[: len(codes), : len(codes)]
