"""Training states that are whole or ignored, and the run they belong to."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from napari_cytodino.common import (
    CytoDinoError,
    InputError,
    first_changed,
    sha256,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


logger = logging.getLogger(__name__)

COMPLETE = "COMPLETE.json"
"""Written last: the sha256 of every other file of a state."""

PREFIX = "checkpoint-"
"""What transformers calls a state's folder, before the number of its step."""

FINGERPRINT = "fingerprint.json"
"""What a run was started with."""

EXACT = ("processes", "device", "precision", "threads", "versions")
"""Facts that change only the last bits of a result; the others change its meaning."""

PACKAGES = ("accelerate", "napari-cytodino", "numpy", "peft", "torch", "transformers")
"""Whose versions a run is bound to."""


class TrainingError(CytoDinoError):
    """A run that had to stop; what it had sealed before is kept."""


def _sync(path: Path) -> None:
    """Force a file to the disk; Windows does so only where it could be written."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk; Windows cannot open a folder."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _files(folder: Path) -> list[Path]:
    # a hidden one is what a kill left of a file on its way to its name
    found = (p for p in folder.rglob("*") if p.is_file() and p.name != COMPLETE)
    return sorted(p for p in found if not p.name.startswith("."))


def mark_complete(folder: Path) -> None:
    """Put every file of a state on the disk, then write their hashes as its seal.

    transformers writes a state file by file and checks nothing when it reads one
    (transformers#35782), so that a kill in between leaves a folder that looks whole.
    """
    hashes = {}
    for path in _files(folder):
        _sync(path)
        hashes[path.relative_to(folder).as_posix()] = sha256(path)
    write_json(folder / COMPLETE, hashes)
    _sync_folder(folder)
    _sync_folder(folder.parent)


def why_incomplete(folder: Path) -> str:
    """Say why a state cannot be trusted; empty where it can."""
    try:
        hashes = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "it was never sealed"
    except (OSError, ValueError) as error:
        return f"its seal cannot be read ({error})"
    if not isinstance(hashes, dict) or not hashes:
        return "its seal lists no file"
    name, fault = first_changed(folder, hashes)
    return name and f"{name} is {fault}"


def _step(folder: Path) -> int:
    number = folder.name.removeprefix(PREFIX)
    return int(number) if number.isdigit() else -1


def newest_complete(folder: Path) -> Path | None:
    """Return the newest state that verifies; each newer one is named in the log."""
    states = sorted(folder.glob(f"{PREFIX}*"), key=_step, reverse=True)
    for state in states:
        fault = why_incomplete(state)
        if not fault:
            return state
        logger.warning("%s is left out: %s.", state, fault)
    return None


def drop_incomplete(folder: Path) -> None:
    """Remove the states that do not verify, so that no file of theirs is taken up."""
    for state in folder.glob(f"{PREFIX}*"):
        if why_incomplete(state):
            shutil.rmtree(state, ignore_errors=True)


def digest(facts: Mapping[str, Any]) -> str:
    """Return the hash of plain values, whatever their order."""
    text = json.dumps(facts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of the packages that decide a result's last bits."""
    return {name: version(name) for name in PACKAGES}


def bind_run(
    folder: Path, facts: Mapping[str, Any], *, allow_inexact: bool = False
) -> bool:
    """Compare a run with what its folder was started with; store it in a new folder.

    Parameters
    ----------
    folder : Path
        The run's folder.
    facts : mapping
        Plain values; those of `EXACT` decide last bits, the others the meaning.
    allow_inexact : bool
        Go on although a fact of `EXACT` changed.

    Returns
    -------
    bool
        True where the folder was started before.

    Raises
    ------
    InputError
        Names the first fact that differs, and what to do.
    """
    path = folder / FINGERPRINT
    plain = json.loads(json.dumps(facts))
    if not path.is_file():
        write_json(path, plain)
        return False
    try:
        stored = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): choose an empty folder."
        ) from error
    for name in sorted(set(plain) | set(stored), key=lambda n: (n in EXACT, n)):
        # JSON has no Ellipsis, so it stands for what is not there
        before, now = stored.get(name, ...), plain.get(name, ...)
        if before == now:
            continue
        where, before, now = _difference(name, before, now)
        if name not in EXACT:
            raise InputError(
                f"{folder} holds a run with {where} = {before!r}, not {now!r}: give "
                "the same as then, or choose an empty folder."
            )
        if not allow_inexact:
            raise InputError(
                f"{folder} holds a run with {where} = {before!r}, not {now!r}, so the "
                "rest would differ in its last bits: go back to it, or add "
                "--allow-inexact-resume."
            )
        logger.warning("Resumed inexactly: %s was %r, is %r.", where, before, now)
    return True


def _difference(name: str, before: Any, now: Any) -> tuple[str, Any, Any]:
    """Walk to the first value that differs, for a sentence that names it."""
    while isinstance(before, dict) and isinstance(now, dict):
        both = sorted(set(before) | set(now))
        key = next(k for k in both if before.get(k, ...) != now.get(k, ...))
        name = f"{name}.{key}"
        before, now = before.get(key, ...), now.get(key, ...)
    return name, _shown(before), _shown(now)


def _shown(value: Any) -> Any:
    return "nothing" if value is ... else value
