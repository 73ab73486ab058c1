"""Files that appear whole or not at all, their hashes, and TOML read with care."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import tomllib
from contextlib import contextmanager, suppress
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cytodino.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


LARGEST_TOML = 100_000
"""Bytes; no list of classes or settings needs more, and longer ones take minutes."""

_WHOLE = range(-(2**63), 2**63)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it there when the block succeeds.

    Raises
    ------
    InputError
        When the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
    except (OSError, ValueError) as error:
        # a name with NUL in it is a ValueError
        why = getattr(error, "strerror", error)
        raise InputError(
            f"{path} cannot be written ({why}); choose another folder or name."
        ) from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        # mkstemp makes the file private; a result is meant to be shared like any other.
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        why = _system_reason(error)
        if not why:
            raise
        raise InputError(
            f"{path} cannot be written ({why}); {_remedy(error)}."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _remedy(error: Exception) -> str:
    match error:
        case PermissionError():
            # as Windows refuses while a spreadsheet shows the old file
            return "close the program that has it open, or choose another name"
        case IsADirectoryError():
            return "that is a folder, so choose another name"
    return "free space on the disk or choose another folder"


def _system_reason(error: Exception) -> str:
    """Return the system's few words for a refusal; empty where it did not refuse.

    HDF5 puts a page of its own in their place, with the number of the error in it, and
    once a write has failed it may raise a `RuntimeError`.
    """
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else str(error)
    number = re.search(r"\berrno = (\d+)", str(error))
    return os.strerror(int(number[1])) if number else ""


def json_text(content: Mapping[str, Any]) -> str:
    """Return indented JSON that ends in a newline; NaN is refused."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    return text + "\n"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON, whole or not at all.

    Raises
    ------
    InputError
        When the disk refuses.
    ValueError
        When a number is not finite.
    """
    text = json_text(content)
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_changed(folder: Path, hashes: Mapping[str, str]) -> tuple[str, str]:
    """Compare the files of a folder with the sha256 of each, by its name.

    Returns
    -------
    tuple of str
        The first file that differs and "missing" or "altered"; empty where none does.
    """
    for name, wanted in hashes.items():
        path = folder / name
        if not path.is_file():
            return name, "missing"
        if sha256(path) != wanted:
            return name, "altered"
    return "", ""


def read_toml(path: Path, remedy: str = "correct it") -> dict[str, Any]:
    """Read a TOML file that may come from anyone.

    Parameters
    ----------
    path
        The file.
    remedy
        What a user can do when it cannot be used.

    Raises
    ------
    InputError
        When it cannot be read, is overlong, or `parse_toml` refuses it.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_TOML + 1)
        if len(raw) > LARGEST_TOML:
            raise ValueError(f"it is larger than {LARGEST_TOML} bytes")
        return parse_toml(raw.decode("utf-8"))
    except OSError as error:
        why = error.strerror or str(error)
    except ValueError as error:
        why = f"not valid TOML: {error}"
    raise InputError(f"{path} cannot be read ({why}): {remedy}.")


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML of anyone, as far as JSON can hold it too.

    Raises
    ------
    ValueError
        When it is no TOML, is nested beyond all reason, or holds a date or a whole
        number of more than 64 bits.
    """
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    open_ended: list[Any] = [content]
    while open_ended:
        match open_ended.pop():
            case dict() as table:
                open_ended += table.values()
            case list() as items:
                open_ended += items
            case int() as number if number not in _WHOLE:
                raise ValueError("it holds a whole number of more than 64 bits")
            case date() | time() as when:
                raise ValueError(f"it holds {when}, but no setting is a date or time")
    return content
