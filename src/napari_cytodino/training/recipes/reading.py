"""Recipes read from TOML, into frozen plans, with every fault named."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cytodino.common import InputError, parse_toml, read_record, read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence


def recipe_folder() -> Path:
    """Return the folder of the recipes that ship with the package."""
    return Path(str(resources.files("napari_cytodino.training.recipes")))


def read_recipe(source: str, changes: Sequence[str] = ()) -> tuple[dict[str, Any], str]:
    """Return the values of a recipe, whatever its kind, and the name of its file.

    Parameters
    ----------
    source
        A name such as ``starter``, or the path of a TOML file.
    changes
        Values that replace the file's, such as ``fit.steps=100``.

    Raises
    ------
    InputError
        When there is no such recipe, or it is no TOML.
    """
    known = {p.stem: p for p in sorted(recipe_folder().glob("*.toml"))}
    path = known.get(source, Path(source))
    if not path.is_file():
        raise InputError(
            f"There is no recipe '{source}': give one of {', '.join(known)} or the "
            "path of a TOML file."
        )
    content = read_toml(path)
    for change in changes:
        _apply(content, change)
    return content, path.name


def _apply(content: dict[str, Any], change: str) -> None:
    """Set one ``key=value`` in a nested table."""
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {change} is not key=value, such as fit.steps=100.")
    try:
        parsed = parse_toml(f"value = {value}")["value"]
    except ValueError:
        # a word without quotes, or what no recipe can hold
        parsed = value
    *tables, last = key.strip().split(".")
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise InputError(f"--set {change}: {table} is a value, not a table.")
    content[last] = parsed


build = read_record
"""Build a recipe, or a plan in one, of what `read_recipe` gives."""
