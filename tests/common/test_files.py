"""A file appears whole or not at all."""

import hashlib
import json
import resource
import stat

import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.common.files import (
    LARGEST_TOML,
    atomic_write,
    first_changed,
    read_toml,
    sha256,
    write_json,
)


def test_the_file_appears_when_all_is_written(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_write(path) as temporary:
            temporary.write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_the_result_can_be_read_by_others(tmp_path):
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")
    mode = stat.S_IMODE((tmp_path / "a.txt").stat().st_mode)
    assert mode & stat.S_IRGRP


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "a.txt"
    with pytest.raises(InputError, match="cannot be written"), atomic_write(path):
        pass


def test_a_full_disk_is_told(tmp_path):
    path = tmp_path / "a.txt"
    with (
        pytest.raises(InputError, match=r"No space left.*free space"),
        atomic_write(path),
    ):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_hdf5_tells_a_full_disk_in_its_own_way(tmp_path):
    page = "file write failed: time = Sun\n, errno = 28, error message = 'No space'"
    for error in (OSError(28, page), RuntimeError(page)):
        with (
            pytest.raises(
                InputError, match=r"written \(No space left on device\); free"
            ),
            atomic_write(tmp_path / "a.h5"),
        ):
            raise error
    with (
        pytest.raises(RuntimeError, match="no matter of disks"),
        atomic_write(tmp_path),
    ):
        raise RuntimeError("no matter of disks")


def test_toml_of_a_user_is_read(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("name = 'größe'\n[part]\nlist = [1, [2.5]]\n", encoding="utf-8")
    assert read_toml(path) == {"name": "größe", "part": {"list": [1, [2.5]]}}


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"a = ",
        b"a = " + b"[" * 10**5,
        b"a = [{b = [9223372036854775808]}]",
        b"a = " + b"9" * 5000,
        b" " * (LARGEST_TOML + 1),
        b"a = [2020-01-01]",
        b"a = 07:32:00",
    ],
    ids=["no text", "no TOML", "deep", "65 bits", "digits", "long", "date", "time"],
)
def test_toml_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(
        InputError, match=r"a\.toml cannot be read \(not .*\): mend it\."
    ):
        read_toml(tmp_path / "a.toml", "mend it")


def test_toml_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"b\.toml cannot be read \(No such file"):
        read_toml(tmp_path / "b.toml")


def test_json_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"größe": 1})
    assert json.loads(path.read_text("utf-8")) == {"größe": 1}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(InputError, match=r"a\.json cannot be written"):
            write_json(path, {"much": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text("utf-8")) == {"größe": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_compared_with_their_hashes(tmp_path):
    names = ("a.txt", "b.txt")
    for name in names:
        (tmp_path / name).write_text(name)
    hashes = {name: sha256(tmp_path / name) for name in names}
    assert hashes["a.txt"] == hashlib.sha256(b"a.txt").hexdigest()
    assert first_changed(tmp_path, hashes) == ("", "")
    (tmp_path / "b.txt").write_text("other")
    assert first_changed(tmp_path, hashes) == ("b.txt", "altered")
    (tmp_path / "a.txt").unlink()
    assert first_changed(tmp_path, hashes) == ("a.txt", "missing")
