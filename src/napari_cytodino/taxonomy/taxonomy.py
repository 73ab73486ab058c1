"""Cell classes and lineages as data, read from TOML and checked, all faults at once."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from napari_cytodino.common import InputError, read_record, read_toml, record
from napari_cytodino.taxonomy._tree import Branch, Number, tree_faults, undefined_parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


NOT_A_CELL = "not_a_cell"
"""The reviewed class of debris, doublets and the like: counted nowhere."""

ANY = "*"
"""Stands for every other class; it is no valid class code."""


@record
class CostRule:
    """What an error costs, as a multiple of an ordinary error.

    Attributes
    ----------
    of, called : tuple of str
        Codes of true classes, and of what they were called; ``"*"`` for any.
    factor : float
        1 is an ordinary error. A later rule overrules an earlier one.
    """

    of: tuple[str, ...]
    called: tuple[str, ...]
    factor: Number


def cost_faults(costs: Sequence[CostRule], codes: Sequence[str]) -> list[str]:
    """Say which rules name no class of the taxonomy, or give no usable factor."""
    known = {*codes, ANY}
    named = {code for rule in costs for code in (*rule.of, *rule.called)}
    faults = [f"its costs name '{code}', no class" for code in sorted(named - known)]
    for rule in costs:
        if rule.factor <= 0:
            faults.append(f"cost {rule.factor} of {', '.join(rule.of)} is not above 0")
    return faults


def costs_among(
    costs: Sequence[CostRule], codes: Sequence[str]
) -> tuple[CostRule, ...]:
    """Return the rules as far as they concern these classes."""

    def kept(named: Sequence[str]) -> tuple[str, ...]:
        return tuple(code for code in named if code == ANY or code in codes)

    # rules left without a class stay: no rule at all would mean the default ones
    return tuple(CostRule(kept(r.of), kept(r.called), r.factor) for r in costs)


SEVERITIES = ("critical", "safe", "none")
"""What a missed class may cost: the paper's critical and safe sets, or neither."""

ME_SIDES = ("myeloid", "erythroid", "none")
"""On which side of the M:E ratio a class is counted (ICSH)."""

MOST_CLASSES = 200
"""Classes and lineages of a taxonomy; matrices grow with their square."""

_CODE = re.compile(r"[A-Za-z0-9_-]{1,16}")

_NAME = re.compile(r"(?=.*\S)[^/\\<>]{1,80}")

_JOINERS = "\u00a0\u200c\u200d"

_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")


@record
class Lineage:
    """A group of classes that share a line of development."""

    name: str
    title: str
    colour: str
    sequential: bool
    """True when its classes are successive maturation stages."""


@record
class CellClass:
    """One class of cell; its place in the taxonomy is its logit."""

    code: str
    name: str
    lineage: str
    stage: int
    risk: str
    colour: str
    counted: bool
    me_ratio: str = "none"


@record
class Taxonomy:
    """An ordered list of classes in lineages; class order is logit order.

    Attributes
    ----------
    name, title : str
        What programs and people call it.
    classes, lineages : tuple
        In logit order, and in the order of legends. A class with an empty lineage gets
        one of its own, named by its code.
    tree : tuple of Branch
        How far apart classes are (`lineage_tree.class_distances`); may be empty.
    costs : tuple of CostRule
        What errors cost (`error_costs.error_costs`); may be empty.

    Raises
    ------
    InputError
        When the definition contradicts itself; the message lists every fault.
    """

    name: str
    title: str
    classes: Annotated[tuple[CellClass, ...], Field(max_length=MOST_CLASSES)]
    lineages: Annotated[tuple[Lineage, ...], Field(max_length=MOST_CLASSES)]
    tree: tuple[Branch, ...] = ()
    costs: tuple[CostRule, ...] = ()

    def __post_init__(self) -> None:
        lonely = [c for c in self.classes if c.lineage == ""]
        if lonely:
            # one each, so that whatever looks at lineages needs no exception
            own = tuple(Lineage(c.code, c.name, c.colour, False) for c in lonely)
            classes = tuple(
                replace(c, lineage=c.lineage or c.code) for c in self.classes
            )
            object.__setattr__(self, "classes", classes)
            object.__setattr__(self, "lineages", (*self.lineages, *own))
        faults = list(_faults(self))
        if faults:
            raise InputError(
                f"Taxonomy '{self.name}' cannot be used: {'; '.join(faults)}."
                " Correct its TOML file."
            )

    @staticmethod
    def load(source: str | Path) -> Taxonomy:
        """Read a taxonomy that ships with the package, or a TOML file like it.

        Parameters
        ----------
        source
            A name such as ``"mll21"``, or the path of a TOML file.

        Raises
        ------
        InputError
            When there is no such taxonomy, or it is not valid.
        """
        path = Path(source)
        if path.suffix == ".toml":
            if not path.is_file():
                raise InputError(f"There is no taxonomy file {path}; check the path.")
        else:
            folder = resources.files("napari_cytodino.taxonomy") / "taxonomies"
            known = {Path(f.name).stem: f for f in folder.iterdir()}
            if str(source) not in known:
                raise InputError(
                    f"There is no taxonomy named '{source}'; use one of "
                    f"{', '.join(sorted(known))} or the path of a TOML file."
                )
            path = Path(str(known[str(source)]))
        taxonomy = Taxonomy.from_dict(read_toml(path), f"Taxonomy {source}")
        # only here: the tree of a subset still names the classes that were left out
        unknown = undefined_parts(taxonomy.tree, taxonomy.codes)
        if unknown:
            raise InputError(
                f"The tree of taxonomy '{taxonomy.name}' names {', '.join(unknown)}, "
                "neither a class nor a branch written above; correct its TOML file."
            )
        return taxonomy

    @staticmethod
    def from_dict(content: Mapping[str, Any], where: str = "The taxonomy") -> Taxonomy:
        """Build a taxonomy from plain values, as found in TOML and ``config.json``."""
        if isinstance(content, dict):
            content = {key: value for key, value in content.items() if key != "schema"}
        return read_record(Taxonomy, content, where)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values from which `from_dict` builds an equal taxonomy.

        Without a tree or costs these have no entry, as in checkpoints of old.
        """
        content = asdict(self)
        return {k: v for k, v in content.items() if v or k not in ("tree", "costs")}

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """Class codes in logit order."""
        return tuple(c.code for c in self.classes)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {code: i for i, code in enumerate(self.codes)}

    def __contains__(self, code: object) -> bool:
        return code in self._places

    def __len__(self) -> int:
        return len(self.classes)

    def index(self, code: str) -> int:
        """Return the logit of a class.

        Raises
        ------
        InputError
            When the code is not in this taxonomy.
        """
        if code not in self._places:
            raise InputError(
                f"'{code}' is not a class of taxonomy '{self.name}'; "
                f"its classes are {', '.join(self.codes)}."
            )
        return self._places[code]

    def lineage_of(self, code: str) -> Lineage:
        """Return the lineage of a class."""
        name = self.classes[self.index(code)].lineage
        return next(g for g in self.lineages if g.name == name)

    def classes_of(self, lineage: str) -> tuple[CellClass, ...]:
        """Return the classes of a lineage in the order of maturation."""
        members = [c for c in self.classes if c.lineage == lineage]
        return tuple(sorted(members, key=lambda c: c.stage))

    @cached_property
    def lineage_index(self) -> npt.NDArray[np.int64]:
        """The lineage of each class as an index into `lineages`, shape (C,)."""
        place = {g.name: i for i, g in enumerate(self.lineages)}
        return np.array([place[c.lineage] for c in self.classes], dtype=np.int64)

    @cached_property
    def critical_mask(self) -> npt.NDArray[np.bool_]:
        """True for classes that must not be missed, shape (C,)."""
        return np.array([c.risk == "critical" for c in self.classes])

    @cached_property
    def safe_mask(self) -> npt.NDArray[np.bool_]:
        """True for classes that are harmless when they are called, shape (C,)."""
        return np.array([c.risk == "safe" for c in self.classes])

    def subset(self, codes: Sequence[str]) -> Taxonomy:
        """Return the taxonomy of these classes only, in this taxonomy's order.

        Its tree stays whole, so that distances stay what they are.
        """
        wanted = {self.codes[self.index(code)] for code in codes}
        classes = tuple(c for c in self.classes if c.code in wanted)
        used = {c.lineage for c in classes}
        lineages = tuple(g for g in self.lineages if g.name in used)
        costs = costs_among(self.costs, [c.code for c in classes])
        return replace(self, classes=classes, lineages=lineages, costs=costs)


def _plain(text: str) -> bool:
    """Tell whether a name steers neither terminals nor markup nor paths."""
    bare = "".join(c for c in text if c not in _JOINERS)
    return bare.isprintable() and _NAME.fullmatch(text) is not None


def _faults(taxonomy: Taxonomy) -> list[str]:
    faults = []
    if len(taxonomy.classes) < 2:
        faults.append(f"it has {len(taxonomy.classes)} classes, at least 2 are needed")
    called = [taxonomy.name, taxonomy.title]
    called += [
        text for group in taxonomy.lineages for text in (group.name, group.title)
    ]
    faults += [
        f"name {text!r} is not plain text" for text in called if not _plain(text)
    ]
    names = [g.name for g in taxonomy.lineages]
    codes = [c.code for c in taxonomy.classes]
    for kind, values in (("class code", codes), ("lineage", names)):
        doubled = sorted(v for v, n in Counter(values).items() if n > 1)
        faults += [f"{kind} '{v}' stands twice" for v in doubled]
    for group in taxonomy.lineages:
        if not _COLOUR.fullmatch(group.colour):
            faults.append(f"colour '{group.colour}' of {group.name} is not #RRGGBB")
    for cell in taxonomy.classes:
        faults += _class_faults(cell, names)
    return [
        *faults,
        *tree_faults(taxonomy.tree, codes),
        *cost_faults(taxonomy.costs, codes),
    ]


def _class_faults(cell: CellClass, lineages: list[str]) -> list[str]:
    code = cell.code
    checks = [
        (_CODE.fullmatch(code), f"code {code!r} is not 1 to 16 letters or digits"),
        (_plain(cell.name), f"name {cell.name!r} is not plain text"),
        (_COLOUR.fullmatch(cell.colour), f"colour '{cell.colour}' is not #RRGGBB"),
        (cell.lineage in lineages, f"lineage '{cell.lineage}' is not defined"),
        (
            cell.risk in SEVERITIES,
            f"risk '{cell.risk}' is none of {', '.join(SEVERITIES)}",
        ),
        (cell.me_ratio in ME_SIDES, f"me_ratio '{cell.me_ratio}' is not in {ME_SIDES}"),
        (cell.stage in range(100), f"stage {cell.stage!r} is not from 0 to 99"),
    ]
    return [f"class {code!r}: {text}" for good, text in checks if not good]
