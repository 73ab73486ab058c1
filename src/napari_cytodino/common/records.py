"""Records: frozen dataclasses that pydantic checks, and one wording of their faults."""

from __future__ import annotations

import json
from dataclasses import field, fields, is_dataclass
from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    TypeVar,
    dataclass_transform,
    get_args,
    get_type_hints,
)

from pydantic import AfterValidator, ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from napari_cytodino.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MOST_FAULTS = 50
"""Of a file, in one message."""

_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

_MUST_BE = {
    "bool_type": "true or false",
    "dataclass_type": "a table",
    "dict_type": "a table",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "more than {gt:.12g}",
    "greater_than_equal": "{ge:.12g} or more",
    "int_type": "a whole number",
    "less_than": "less than {lt:.12g}",
    "less_than_equal": "{le:.12g} or less",
    "literal_error": "{expected}",
    "string_type": "a text",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
    "tuple_type": "a list",
    "string_pattern_mismatch": "like {pattern}",
    "value_error": "{error}",
}
"""What pydantic calls a fault -> what a value must be instead."""


_VALUES = (str, int, float, list, tuple)
"""What is no table."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(kind: type[T]) -> type[T]:
    """Make a class a frozen dataclass whose values are always as its fields say.

    A whole number is taken for a number, but true is no number, and neither NaN nor
    infinity is one. What concerns several fields is for ``__post_init__`` to check; it
    raises a `ValueError` with a sentence of its own.

    Raises
    ------
    InputError
        When it is made of other values; the message lists every fault.
    """
    made: Any = dataclass(frozen=True, config=_CONFIG)(kind)
    plain = made.__init__

    @wraps(plain)
    def checked(self: T, *args: Any, **values: Any) -> None:
        try:
            plain(self, *args, **values)
        except ValidationError as error:
            raise _refused(error, kind, kind.__name__) from error

    made.__init__ = checked
    return kind


def must_be(what: str, good: Callable[[Any], object]) -> AfterValidator:
    """Give an annotation for values that a function is to judge.

    Parameters
    ----------
    what : str
        What the value must be, in words.
    good : callable
        Whether it is.
    """

    def checked(value: T) -> T:
        if not good(value):
            raise ValueError(what)
        return value

    return AfterValidator(checked)


def read_record(kind: type[T], content: Any, where: str) -> T:
    """Return a record of plain values, as TOML and JSON have them.

    Parameters
    ----------
    kind : type
        A `record`; tables become the records in it, and lists tuples.
    content
        What a file holds.
    where : str
        The file, or the part of it.

    Raises
    ------
    InputError
        With every value that is wrong, unknown or missing, and what it must be.
    """
    reader: Any = kind
    try:
        made: T = reader.__pydantic_validator__.validate_json(json.dumps(content))
    except ValidationError as error:
        raise _refused(error, kind, where) from error
    except (RecursionError, TypeError, ValueError) as error:
        raise InputError(f"{where} cannot be read ({error}): correct it.") from error
    return made


def _refused(error: ValidationError, kind: type, where: str) -> InputError:
    found = error.errors(include_url=False)
    faults = [_fault(dict(fault), kind) for fault in found[:MOST_FAULTS]]
    if len(found) > MOST_FAULTS:
        faults.append(f"and {len(found) - MOST_FAULTS} more")
    return InputError(f"{where}: {'; '.join(faults)}.")


def _fault(fault: dict[str, Any], kind: type) -> str:
    """Say where a value lies, what it is and what it must be."""
    steps, name, context = fault["loc"], fault["type"], fault.get("ctx", {})
    if steps and isinstance(steps[0], int):
        # an argument without its name
        steps = (fields(kind)[steps[0]].name, *steps[1:])
    place = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps)
    place = place.removeprefix(".") or "it"
    match name:
        case "missing":
            return f"'{place}' is missing, so add it"
        case "unexpected_keyword_argument":
            known = ", ".join(f.name for f in fields(_table(kind, steps[:-1])))
            return f"'{place}' is an unknown field; known are {known}"
        case "json_invalid":
            return f"{context['error']}, so correct it"
        case "value_error" if not isinstance(fault["input"], _VALUES):
            return f"{place}: {context['error']}" if steps else str(context["error"])
    must = _MUST_BE[name].format_map(context) if name in _MUST_BE else fault["msg"]
    value = repr(fault["input"])
    shown = value if len(value) <= 200 else f"{value[:190]} ..."
    return f"{place} is {shown}, but must be {must}"


def _table(kind: Any, steps: tuple[int | str, ...]) -> Any:
    """Return the record that lies at a place within another."""
    for step in steps:
        # a place in a list and a key of a mapping are no fields
        hint = get_type_hints(kind).get(str(step))
        kind = next((h for h in (hint, *get_args(hint)) if is_dataclass(h)), kind)
    return kind
