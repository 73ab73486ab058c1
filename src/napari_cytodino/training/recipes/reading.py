"""Recipes read from TOML, into frozen plans, with every fault named."""

from __future__ import annotations

import math
import tomllib
import types
from dataclasses import MISSING, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from napari_cytodino.common import InputError, read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence


T = TypeVar("T")

BITS = 64
"""Of whole numbers; Python reads longer ones, but cannot always show them."""


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
    try:
        content = read_toml(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from error
    for change in changes:
        _apply(content, change)
    return content, path.name


def _apply(content: dict[str, Any], change: str) -> None:
    """Set one ``key=value`` in a nested table."""
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {change} is not key=value, such as fit.steps=100.")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        # not TOML, or a number of more digits than Python reads
        parsed = value
    *tables, last = key.strip().split(".")
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise InputError(f"--set {change}: {table} is a value, not a table.")
    content[last] = parsed


def build(kind: type[T], content: dict[str, Any], where: str) -> T:
    """Build a dataclass from plain values, tables and lists included.

    Raises
    ------
    InputError
        Names the field that is unknown, missing or of another kind.
    """
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise InputError(
            f"{where} has the unknown field '{unknown[0]}'; known are "
            f"{', '.join(known)}."
        )
    for name, item in known.items():
        required = item.default is MISSING and item.default_factory is MISSING
        if required and name not in content:
            raise InputError(f"{where} lacks '{name}': add it.")
    values = {k: _convert(hints[k], v, f"{where}: {k}") for k, v in content.items()}
    return kind(**values)


_CALLED = {"float": "finite number"}


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Check one value against its type and convert tables, lists and whole floats."""
    _check_bits(value, where)
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        hint = next(h for h in get_args(hint) if h is not type(None))
    if is_dataclass(hint) and isinstance(value, dict):
        return build(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        items = get_args(hint)
        if items[-1] is Ellipsis:
            items = items[:1] * len(value)
        if len(items) == len(value):
            return tuple(
                _convert(h, v, where) for h, v in zip(items, value, strict=True)
            )
    if get_origin(hint) is dict and isinstance(value, dict):
        return {
            k: _convert(get_args(hint)[1], v, f"{where}.{k}") for k, v in value.items()
        }
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if isinstance(hint, type) and type(value) is hint and hint is not float:
        return value
    name = hint.__name__ if isinstance(hint, type) else hint
    kind = _CALLED.get(name, name)
    raise InputError(f"{where} is {value!r}, but must be of the kind {kind}.")


def _check_bits(value: Any, where: str) -> None:
    if type(value) is int and value.bit_length() > BITS:
        raise InputError(
            f"{where} is a whole number of {value.bit_length()} bits: use at most "
            f"{BITS}, as TOML has them."
        )
