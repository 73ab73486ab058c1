"""Classes that a checkpoint never saw, added to its taxonomy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_cytodino.common import InputError
from napari_cytodino.taxonomy import Branch, CellClass, Taxonomy

if TYPE_CHECKING:
    from collections.abc import Iterable

SHIPPED = ("mll21", "hematopoiesis21")
"""Taxonomies that further classes are looked for in, beside the checkpoint's own."""

COLOURS = ("#8C564B", "#BCBD22", "#17BECF", "#7F7F7F", "#9467BD", "#AEC7E8", "#FFBB78")
"""Of classes of the user's own, that name none."""

APART = 5.0
"""How far a class of the user's own is from one of another lineage (domain.md 5.2)."""


def new_class(
    taxonomy: Taxonomy, code: str, name: str = "", lineage: str = "", colour: str = ""
) -> CellClass:
    """Return a class of the user's own, fit to be added to a taxonomy.

    Parameters
    ----------
    taxonomy : Taxonomy
    code : str
        1 to 16 letters, digits, ``_`` or ``-``.
    name : str
        What people call it; the code where it is empty.
    lineage : str
        Name of one of the taxonomy's lineages; empty for one of its own.
    colour : str
        ``#RRGGBB``; empty takes one that no class has.
    """
    taken = {c.colour.upper() for c in taxonomy.classes}
    free = [c for c in COLOURS if c not in taken] or list(COLOURS)
    known = [g.name for g in taxonomy.lineages]
    if lineage and lineage not in known:
        raise InputError(
            f"'{lineage}' is no lineage of '{taxonomy.name}'; use one of "
            f"{', '.join(known)}, or none."
        )
    one = CellClass(
        code, name or code, lineage, 0, "none", colour or free[0], counted=True
    )
    if code in taxonomy:
        raise InputError(f"'{code}' is a class already; give verdicts of it.")
    if code in known and not lineage:
        raise InputError(f"'{code}' is the name of a lineage; choose another code.")
    try:
        with_classes(taxonomy, [one])
    except InputError as error:
        raise InputError(
            f"'{code}' cannot be a class: give a code of 1 to 16 letters, digits, - or "
            "_, a name of plain text, and a colour like #A0B1C2."
        ) from error
    return one


def _shipped(taxonomy: Taxonomy, code: str) -> tuple[CellClass, Taxonomy] | None:
    """Return a class, and the shipped taxonomy it is in; None if unknown."""
    names = [n for n in SHIPPED if n == taxonomy.name] or list(SHIPPED)
    for whole in map(Taxonomy.load, names):
        if code in whole:
            return whole.classes[whole.index(code)], whole
    return None


def shipped_classes(taxonomy: Taxonomy) -> tuple[CellClass, ...]:
    """Return the classes that can be added from the taxonomies that ship."""
    names = [n for n in SHIPPED if n == taxonomy.name] or list(SHIPPED)
    found = {c.code: c for n in reversed(names) for c in Taxonomy.load(n).classes}
    return tuple(found[code] for code in sorted(set(found) - set(taxonomy.codes)))


def with_classes(taxonomy: Taxonomy, added: Iterable[str | CellClass]) -> Taxonomy:
    """Return a taxonomy with further classes at its end.

    Parameters
    ----------
    taxonomy : Taxonomy
        Of the checkpoint.
    added : iterable of str or CellClass
        Codes of shipped taxonomies, or classes of the user's own; those that the
        taxonomy has already are passed over.

    Raises
    ------
    InputError
        When a code is in no taxonomy, or a class cannot be used.
    """
    for one in added:
        code = one if isinstance(one, str) else one.code
        if code in taxonomy:
            continue
        lineages = list(taxonomy.lineages)
        if isinstance(one, str):
            found = _shipped(taxonomy, one)
            if found is None:
                raise InputError(
                    f"'{one}' is no class of '{taxonomy.name}', nor of the taxonomies "
                    f"that ship ({', '.join(SHIPPED)}); correct its name, or add it as "
                    "a class of your own."
                )
            one, whole = found
            if one.lineage not in [g.name for g in lineages]:
                lineages.append(whole.lineage_of(code))
        taxonomy = replace(
            taxonomy,
            classes=(*taxonomy.classes, one),
            lineages=tuple(lineages),
            tree=_joined(taxonomy, one),
        )
    return taxonomy


def _joined(taxonomy: Taxonomy, one: CellClass) -> tuple[Branch, ...]:
    """Return the tree with a class beside one of its lineage; a tree joins them all."""
    named = {part for branch in taxonomy.tree for part in branch.parts}
    if not taxonomy.tree or one.code in named:
        return taxonomy.tree
    sisters = [c.code for c in taxonomy.classes if c.lineage == one.lineage]
    length = 2.0 if sisters else APART
    beside = sisters[0] if sisters else taxonomy.codes[0]
    return (*taxonomy.tree, Branch((beside, one.code), length))
