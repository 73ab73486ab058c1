"""Which folders lie on a network, by what systems print of their mounts."""

import subprocess
from pathlib import Path

import pytest

from napari_cytodino.review import location
from napari_cytodino.review.location import NETWORK, filesystem_of, on_network

LINUX = r"""sysfs /sys sysfs rw,nosuid 0 0
/dev/sda2 / ext4 rw,relatime 0 0
server:/export /mnt/lab\040share nfs4 rw,vers=4.2 0 0
//pc/slides /mnt/slides cifs rw 0 0
/dev/sdb1 /mnt/slides/local xfs rw 0 0
tmpfs /mnt/twice tmpfs rw 0 0
user@host:/ /mnt/twice fuse.sshfs rw 0 0
"""

MACOS = """/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled)
//anna@server/slides on /Volumes/My Slides (smbfs, nodev, nosuid, mounted by anna)
"""


@pytest.mark.parametrize(
    ("folder", "mounts", "kind"),
    [
        ("/home/anna", LINUX, "ext4"),
        ("/mnt/lab share/2026", LINUX, "nfs4"),
        ("/mnt/slides", LINUX, "cifs"),
        ("/mnt/slides2", LINUX, "ext4"),
        ("/mnt/slides/local/x", LINUX, "xfs"),
        ("/mnt/twice", LINUX, "fuse.sshfs"),
        ("/Users/anna", MACOS, "apfs"),
        ("/Volumes/My Slides/2026", MACOS, "smbfs"),
        ("/home", "", ""),
    ],
)
def test_the_nearest_mount_names_the_file_system(folder, mounts, kind):
    assert filesystem_of(Path(folder), mounts) == kind


def test_which_kinds_are_networks():
    assert {"nfs4", "cifs", "smbfs", "fuse.sshfs"} <= NETWORK
    assert not {"ext4", "apfs", "xfs", "tmpfs", "overlay"} & NETWORK


def test_a_folder_of_this_machine_is_local(tmp_path):
    assert not on_network(tmp_path)


def test_a_mounted_share_and_a_path_of_a_server_are_not(tmp_path, monkeypatch):
    share = f"server:/x {tmp_path.resolve()} nfs4 rw 0 0\n"
    monkeypatch.setattr(location, "_mounts", lambda: share)
    assert on_network(tmp_path / "slides")
    assert on_network(Path("//server/slides"))


@pytest.mark.parametrize(
    "error", [OSError("none"), subprocess.TimeoutExpired("mount", 5)]
)
def test_a_system_that_does_not_tell_counts_as_local(tmp_path, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(location, "_mounts", fail)
    assert not on_network(tmp_path)
