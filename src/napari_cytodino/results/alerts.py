"""When a case asks for a second look: rules as data, neutral sentences."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from napari_cytodino.common import InputError, read_toml
from napari_cytodino.results.differential_count import Share

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_cytodino.results.differential_count import ClassCounts, Differential
    from napari_cytodino.taxonomy import Taxonomy


LEVELS = ("urgent", "review", "quality")
"""What must be seen before anything else; what asks for a look; what limits it all."""

MEASURES = (
    "cells",
    "confirmed",
    "percent",
    "percent_all",
    "counted",
    "flagged",
    "largest",
)
"""What a rule can be about; ``alerts.toml`` says what each of them is."""

_OF_THE_CASE = MEASURES[4:]

_WORDS = {"value", "cells", "confirmed", "total", "name"}


@dataclass(frozen=True)
class Alert:
    """One thing to look at.

    Attributes
    ----------
    rule : str
        Name of the rule that holds.
    level : str
        One of `LEVELS`.
    sentence : str
        For a person; plain text.
    codes : tuple of str
        Classes whose cells to look at; empty where it is about the whole case.
    """

    rule: str
    level: str
    sentence: str
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """One line of ``alerts.toml``, which says what the fields mean."""

    name: str
    level: str
    measure: str
    sentence: str
    codes: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf

    def holds(self, value: float) -> bool:
        """Tell whether a measured value, which may be NaN, is within the limits."""
        return value >= self.least and value > self.above and value < self.below


@dataclass(frozen=True)
class BlastEquivalent:
    """A kind of cell that classifications count as a blast, and the codes it has."""

    name: str
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlertRules:
    """What to look for in a case.

    Raises
    ------
    InputError
        When a rule cannot be used; the message lists every fault.
    """

    rules: tuple[Rule, ...]
    equivalents: tuple[BlastEquivalent, ...] = ()

    def __post_init__(self) -> None:
        faults = [fault for rule in self.rules for fault in _faults(rule)]
        if faults:
            raise InputError(
                f"These alerts cannot be used: {'; '.join(faults)}. Correct the file; "
                "alerts.toml in the package shows the shape."
            )

    @staticmethod
    def load(path: Path | None = None) -> AlertRules:
        """Read the rules of the package, and a user's TOML on top of them.

        Raises
        ------
        InputError
            When the file cannot be read, or a rule cannot be used.
        """
        file = resources.files("napari_cytodino.results") / "alerts.toml"
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        if path is not None:
            try:
                own = read_toml(path)
                content = _laid_over(content, own)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    f"The alerts in {path} cannot be read ({error}); give a TOML file "
                    "shaped like alerts.toml in the package."
                ) from error
        return AlertRules(
            tuple(_record(Rule, r) for r in content["rules"]),
            tuple(_record(BlastEquivalent, e) for e in content["equivalents"]),
        )

    def missing_classes(self, taxonomy: Taxonomy) -> str:
        """Say which equivalents of blasts have no class; empty where all have one."""
        names = [
            e.name for e in self.equivalents if not any(c in taxonomy for c in e.codes)
        ]
        if not names:
            return ""
        return (
            f"Not counted, as this model has no class for them: {', '.join(names)}. "
            "The share of blasts and blast equivalents cannot include them."
        )


def find_alerts(
    differential: Differential, taxonomy: Taxonomy, rules: AlertRules | None = None
) -> tuple[Alert, ...]:
    """Return what a differential asks to look at, the most urgent first.

    Parameters
    ----------
    differential
        Of `count_cells`; alerts are about the classes as they stand, reviewed or not.
    taxonomy
        Rules about classes that it lacks are left out.
    rules
        None takes those of the package.
    """
    rules = rules or AlertRules.load()
    found = []
    for rule in rules.rules:
        codes = tuple(c for c in rule.codes if c in taxonomy)
        if rule.measure not in _OF_THE_CASE and not codes:
            continue
        if _present(rule.unless, differential.tally):
            continue
        words = _measured(rule, codes, differential, taxonomy)
        if rule.holds(words["value"]):
            sentence = Template(rule.sentence).substitute(_written(words))
            found.append(Alert(rule.name, rule.level, sentence, codes))
    return tuple(sorted(found, key=lambda alert: LEVELS.index(alert.level)))


def _present(codes: tuple[str, ...], tally: ClassCounts) -> bool:
    return any(tally.reviewed.get(c, 0) + tally.open.get(c, 0) for c in codes)


def _measured(
    rule: Rule, codes: tuple[str, ...], differential: Differential, taxonomy: Taxonomy
) -> dict[str, Any]:
    """Return what the sentence of a rule may say."""
    tally = differential.tally
    names = {c.code: c.name for c in taxonomy.classes}
    called = {c: tally.reviewed.get(c, 0) for c in taxonomy.codes}
    # a rare call must not get lost because the model settled on a lineage alone
    cells = sum(called[c] + tally.open.get(c, 0) for c in codes)
    confirmed = sum(tally.confirmed.get(c, 0) for c in codes)
    settled = sum(called[c] for c in codes)
    counted = set(codes) & set(differential.counting.counted)
    within = sum(called[c] for c in counted)
    commonest = max(called, key=called.__getitem__)
    values = {
        "cells": cells,
        "confirmed": confirmed,
        "percent": Share(within, differential.total, bool(counted)).percent,
        "percent_all": Share(settled, tally.cells).percent,
        "counted": differential.total,
        "flagged": Share(tally.flagged, tally.cells).percent,
        "largest": Share(called[commonest], sum(called.values())).percent,
    }
    about = (commonest,) if rule.measure == "largest" else codes
    return {
        "value": values[rule.measure],
        "cells": cells,
        "confirmed": confirmed,
        "total": differential.total,
        "name": " or ".join(names[c] for c in about),
    }


def _written(words: Mapping[str, Any]) -> dict[str, str]:
    def text(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.1f}"
        return f"{value:,}" if isinstance(value, int) else str(value)

    return {name: text(value) for name, value in words.items()}


def _laid_over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the package's content with the fields of a user's laid over it."""
    unknown = sorted(set(own) - {"rules", "equivalents", "off"})
    if unknown:
        raise KeyError(f"it has no part '{unknown[0]}'")
    rules = {rule["name"]: rule for rule in base["rules"]}
    for rule in own.get("rules", []):
        rules[rule["name"]] = {**rules.get(rule["name"], {}), **rule}
    for name in own.get("off", []):
        del rules[name]
    kept = own.get("equivalents", base["equivalents"])
    return {"rules": list(rules.values()), "equivalents": kept}


def _record(kind: Any, content: Mapping[str, Any]) -> Any:
    known = {f.name for f in fields(kind)}
    extra = sorted(set(content) - known)
    lists = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    try:
        if extra:
            raise TypeError(f"there is no field '{extra[0]}'")
        return kind(**lists)
    except TypeError as error:
        raise InputError(
            f"An alert {dict(content)} cannot be used ({error}); alerts.toml in the "
            "package shows the shape."
        ) from error


def _faults(rule: Rule) -> list[str]:
    who = f"alert {rule.name!r}"
    # what stands in a file may be of any type
    limits: tuple[Any, ...] = (rule.least, rule.above, rule.below)
    listed: tuple[Any, ...] = (rule.codes, rule.unless)
    numbers = all(
        isinstance(x, (int, float)) and not isinstance(x, bool) for x in limits
    )
    lists = all(
        isinstance(x, tuple) and all(isinstance(c, str) for c in x) for x in listed
    )
    checks = [
        (rule.level in LEVELS, f"level {rule.level!r} is none of {', '.join(LEVELS)}"),
        (rule.measure in MEASURES, f"measure {rule.measure!r} is unknown"),
        (numbers, "least, above and below must be numbers"),
        (lists, "codes and unless must be lists of codes"),
        (_sayable(rule.sentence), f"sentence {rule.sentence!r} has an unknown $word"),
    ]
    if rule.measure in MEASURES and rule.measure not in _OF_THE_CASE:
        checks.append((bool(rule.codes), f"measure {rule.measure!r} needs codes"))
    if all(good for good, _ in checks) and limits == (-math.inf, -math.inf, math.inf):
        checks.append((False, "it has no limit"))
    return [f"{who}: {text}" for good, text in checks if not good]


def _sayable(sentence: object) -> bool:
    if not isinstance(sentence, str):
        return False
    template = Template(sentence)
    return template.is_valid() and set(template.get_identifiers()) <= _WORDS
