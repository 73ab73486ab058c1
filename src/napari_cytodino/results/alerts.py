"""When a case asks for a second look: rules as data, neutral sentences."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field

from napari_cytodino.common import InputError, must_be, read_record, read_toml, record
from napari_cytodino.results.differential_count import Share

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_cytodino.results.differential_count import ClassCounts, Differential
    from napari_cytodino.taxonomy import Taxonomy


Level = Literal["urgent", "review", "quality"]

LEVELS: tuple[Level, ...] = get_args(Level)
"""What must be seen before anything else; what asks for a look; what limits it all."""

Measure = Literal[
    "cells", "confirmed", "percent", "percent_all", "counted", "flagged", "largest"
]
"""What a rule can be about; ``alerts.toml`` says what each of them is."""

_OF_THE_CASE = ("counted", "flagged", "largest")

_WORDS = {"value", "cells", "confirmed", "total", "name"}

Limit = Annotated[float, Field(allow_inf_nan=True)]


def _complete(sentence: str) -> bool:
    template = Template(sentence)
    return template.is_valid() and set(template.get_identifiers()) <= _WORDS


Sentence = Annotated[
    str, must_be(f"a sentence with no $word but {', '.join(sorted(_WORDS))}", _complete)
]


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


@record
class Rule:
    """One line of ``alerts.toml``, which says what the fields mean."""

    name: str
    level: Level
    measure: Measure
    sentence: Sentence
    codes: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    least: Limit = -math.inf
    above: Limit = -math.inf
    below: Limit = math.inf

    def __post_init__(self) -> None:
        if self.measure not in _OF_THE_CASE and not self.codes:
            raise ValueError(f"the measure '{self.measure}' needs codes")
        if (self.least, self.above, self.below) == (-math.inf, -math.inf, math.inf):
            raise ValueError("it has no limit: give it least, above or below")

    def holds(self, value: float) -> bool:
        """Tell whether a measured value, which may be NaN, is within the limits."""
        return value >= self.least and value > self.above and value < self.below


@record
class BlastEquivalent:
    """A kind of cell that classifications count as a blast, and the codes it has."""

    name: str
    codes: tuple[str, ...] = ()


@record
class _Alerts:
    rules: dict[str, Rule]
    equivalents: tuple[BlastEquivalent, ...]


@record
class _OwnAlerts:
    """What a user's file may have."""

    rules: tuple[dict[str, Any], ...] = ()
    equivalents: tuple[dict[str, Any], ...] | None = None
    off: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlertRules:
    """What to look for in a case."""

    rules: tuple[Rule, ...]
    equivalents: tuple[BlastEquivalent, ...] = ()

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
        rules = {rule["name"]: rule for rule in content["rules"]}
        equivalents = content["equivalents"]
        if path is not None:
            toml = read_toml(
                path, "give a TOML file shaped like the package's alerts.toml"
            )
            own = read_record(_OwnAlerts, toml, str(path))
            for rule in own.rules:
                name = str(rule.get("name", "?"))
                rules[name] = rules.get(name, {}) | rule
            for name in own.off:
                if name not in rules:
                    raise InputError(
                        f"{path} turns off '{name}', but the alerts are "
                        f"{', '.join(rules)}."
                    )
                del rules[name]
            equivalents = equivalents if own.equivalents is None else own.equivalents
        where = str(path or "alerts.toml")
        whole = read_record(
            _Alerts, {"rules": rules, "equivalents": equivalents}, where
        )
        return AlertRules(tuple(whole.rules.values()), whole.equivalents)

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
