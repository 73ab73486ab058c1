"""Where the record of a case lies, and whether file locks can be trusted there."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_cytodino.review._store import image_of

SUFFIX = ".cytodino.sqlite"
"""How the name of every record ends."""


@dataclass(frozen=True)
class CasePlace:
    """Where a case is kept.

    Attributes
    ----------
    path
        Of its file, which need not exist yet.
    why
        A sentence for the user where that is not what was to be expected; else empty.
    """

    path: Path
    why: str = ""

    @property
    def exists(self) -> bool:
        """True where there is a record to go on with."""
        return self.path.is_file()


def case_place(
    image: Path | str | None, fingerprint: str, *, folder: Path | None = None
) -> CasePlace:
    """Find the record of an image, or the place for a new one; makes nothing.

    It is ``<stem>.cytodino.sqlite`` beside the image. Where that cannot be written,
    lies on a network or there is no file, it is in a folder of the user's own.

    Parameters
    ----------
    image
        File or folder of the image; None where it has none.
    fingerprint
        Of its pixels (`core.fingerprint`).
    folder
        For cases that are not beside their image; None takes `own_folder`.
    """
    own = (folder or own_folder()) / f"{fingerprint[:32]}{SUFFIX}"
    if image is None:
        return CasePlace(own, f"The image has no file; its review is kept in {own}.")
    image = Path(image).absolute()
    beside, taken = _beside(image, fingerprint)
    if on_network(beside.parent):
        return CasePlace(
            own,
            f"{beside.parent} is a network folder, where two could write at once; the "
            f"review is kept in {own}.",
        )
    if beside.is_file():
        other = f"Another review of this image lies in {own}." if own.is_file() else ""
        return CasePlace(beside, taken or other)
    if own.is_file():
        return CasePlace(own, f"The review of this image was begun in {own}.")
    refusal = _refusal(beside.parent)
    if refusal:
        return CasePlace(
            own,
            f"{beside.parent} cannot be written ({refusal}); the review is kept in "
            f"{own}.",
        )
    return CasePlace(beside, taken)


def own_folder() -> Path:
    """Return the folder of the user for cases that cannot lie beside their image."""
    return platformdirs.user_data_path("napari-cytodino", appauthor=False) / "cases"


def _beside(image: Path, fingerprint: str) -> tuple[Path, str]:
    """Return the place beside the image, and what to say if it is not the usual one."""
    usual = image.with_name(image.stem + SUFFIX)
    if image_of(usual) in ("", fingerprint):
        return usual, ""
    other = image.with_name(f"{image.stem}-{fingerprint[:8]}{SUFFIX}")
    return other, (
        f"{usual.name} is the review of another image; this one has its own, "
        f"{other.name}."
    )


def _refusal(folder: Path) -> str:
    """Return why nothing can be written there; trying is the only honest test."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    except OSError as error:
        return error.strerror or str(error)
    return ""


NETWORK = frozenset(
    {"9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.glusterfs"}
    | {"fuse.rclone", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre"}
    | {"ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs", "webdav"}
)
"""Kinds of file systems that lie on another machine."""

_LINUX = re.compile(r"^\S+ (?P<at>\S+) (?P<kind>\S+) ", re.MULTILINE)

_MACOS = re.compile(r"^.+? on (?P<at>/.*) \((?P<kind>[^,)]+)", re.MULTILINE)

_ESCAPE = re.compile(r"\\([0-7]{3})")

_REMOTE_DRIVE = 4


def on_network(folder: Path) -> bool:
    """Say whether a folder lies on another machine, as far as the system tells."""
    folder = folder.absolute()
    if str(folder).startswith(("\\\\", "//")):
        return True
    if sys.platform == "win32":
        import ctypes

        kind = ctypes.windll.kernel32.GetDriveTypeW(folder.anchor)
        return bool(kind == _REMOTE_DRIVE)
    try:
        return filesystem_of(folder.resolve(), _mounts()) in NETWORK
    except (OSError, subprocess.SubprocessError):
        return False


def filesystem_of(folder: Path, mounts: str) -> str:
    """Return the file system of a folder, by what Linux or macOS say of their mounts.

    Parameters
    ----------
    mounts
        What ``/proc/self/mounts`` holds, or what ``mount`` prints.
    """
    found, depth = "", 0
    for match in (*_LINUX.finditer(mounts), *_MACOS.finditer(mounts)):
        place = _ESCAPE.sub(lambda code: chr(int(code[1], 8)), match["at"])
        at = Path(place)
        # the later of two mounts on one folder hides the earlier
        if folder.is_relative_to(at) and len(at.parts) >= depth:
            found, depth = match["kind"], len(at.parts)
    return found


def _mounts() -> str:
    if sys.platform == "darwin":
        command = ["/sbin/mount"]
        output = subprocess.run(command, capture_output=True, timeout=5, check=True)  # noqa: S603
        return output.stdout.decode("utf-8", "replace")
    return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
