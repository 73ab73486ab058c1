"""Tells folders on a network, where file locks cannot be trusted, from local ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

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
        return kind_of(folder.resolve(), _mounts()) in NETWORK
    except (OSError, subprocess.SubprocessError):
        return False


def kind_of(folder: Path, mounts: str) -> str:
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
        told = subprocess.run(command, capture_output=True, timeout=5, check=True)  # noqa: S603
        return told.stdout.decode("utf-8", "replace")
    return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
