"""States are whole or ignored, and a run knows what it was started with."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.common.files import sha256
from napari_cytodino.training.runs import states
from napari_cytodino.training.runs.states import (
    COMPLETE,
    EXACT,
    FINGERPRINT,
    bind_run,
    drop_incomplete,
    mark_complete,
    newest_complete,
    versions,
    why_incomplete,
)

FACTS = {
    "recipe": {"optim": {"lr": 0.1, "clip": 1.0}, "name": "x"},
    "base_sha256": "abc",
    "processes": 1,
    "versions": {"torch": "2.6"},
}


def state(folder: Path, step: int, *, sealed: bool = True) -> Path:
    made = folder / f"checkpoint-{step}"
    (made / "inner").mkdir(parents=True)
    (made / "weights").write_bytes(bytes([step % 256]) * 100)
    (made / "inner" / "rng").write_text(str(step))
    if sealed:
        mark_complete(made)
    return made


def test_the_newest_sealed_state_is_found_by_number(tmp_path: Path) -> None:
    assert newest_complete(tmp_path) is None
    for step in (9, 100, 20):
        state(tmp_path, step)
    newest = newest_complete(tmp_path)
    assert newest is not None
    assert newest.name == "checkpoint-100"


def test_the_seal_lists_every_file_with_its_hash(tmp_path: Path) -> None:
    made = state(tmp_path, 3)
    hashes = json.loads((made / COMPLETE).read_text("utf-8"))
    assert hashes == {name: sha256(made / name) for name in ("weights", "inner/rng")}
    assert why_incomplete(made) == ""


@pytest.mark.parametrize("name", ["weights", "inner/rng", COMPLETE])
@pytest.mark.parametrize("harm", ["cut", "flip", "delete", "empty"])
def test_each_harm_to_each_file_is_noticed(
    tmp_path: Path, name: str, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    older, made = state(tmp_path, 1), state(tmp_path, 2)
    path = made / name
    raw = path.read_bytes()
    flipped = bytes([raw[0] ^ 1]) + raw[1:]
    if harm == "delete":
        path.unlink()
    else:
        path.write_bytes({"cut": raw[:-3] or b"x", "flip": flipped, "empty": b""}[harm])
    assert why_incomplete(made)
    assert newest_complete(tmp_path) == older
    assert "checkpoint-2 is left out" in caplog.text


def test_a_seal_of_nothing_is_none(tmp_path: Path) -> None:
    made = tmp_path / "checkpoint-1"
    made.mkdir()
    (made / COMPLETE).write_text("{}", "utf-8")
    assert "lists no file" in why_incomplete(made)
    (made / COMPLETE).write_text("[1]", "utf-8")
    assert "lists no file" in why_incomplete(made)


def test_what_is_not_sealed_is_dropped_and_nothing_else(tmp_path: Path) -> None:
    kept = state(tmp_path, 1)
    state(tmp_path, 2, sealed=False)
    other = tmp_path / "notes"
    other.mkdir()
    drop_incomplete(tmp_path)
    assert sorted(tmp_path.iterdir()) == [kept, other]


def test_files_reach_the_disk_before_the_seal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = state(tmp_path, 4, sealed=False)
    order: list[str] = []
    stock = os.fsync

    def fsync(handle: int) -> None:
        order.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        stock(handle)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", fsync)
    mark_complete(made)
    names = [name.removeprefix(str(made)) for name in order]
    assert names[:2] == ["/inner/rng", "/weights"]
    assert "COMPLETE" in names[2]
    assert order[3:] == [str(made), str(tmp_path)]


class Windows:
    """The `os` of a Windows, as far as it refuses what others allow."""

    name = "nt"
    O_RDONLY = os.O_RDONLY

    @staticmethod
    def open(path: Path, *flags: int) -> int:
        if path.is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        return os.open(path, *flags)

    @staticmethod
    def fsync(handle: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        os.fsync(handle)

    @staticmethod
    def close(handle: int) -> None:
        os.close(handle)


def test_a_state_is_sealed_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = state(tmp_path, 4, sealed=False)
    monkeypatch.setattr(states, "os", Windows)
    mark_complete(made)
    assert newest_complete(tmp_path) == made


def test_a_new_folder_takes_the_facts_and_the_same_facts_agree(tmp_path: Path) -> None:
    assert not bind_run(tmp_path, FACTS)
    assert json.loads((tmp_path / FINGERPRINT).read_text("utf-8")) == FACTS
    assert bind_run(tmp_path, dict(reversed(FACTS.items())))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        (
            {"recipe": {"optim": {"lr": 0.2, "clip": 1.0}, "name": "x"}},
            "recipe.optim.lr",
        ),
        ({"recipe": {"optim": {"lr": 0.1}, "name": "x"}}, "recipe.optim.clip"),
        ({"base_sha256": "abd"}, "base_sha256 = 'abc', not 'abd'"),
        ({"base_sha256": "abd", "processes": 2}, "base_sha256"),
        ({"new": 1}, "new = 'nothing', not 1"),
    ],
)
def test_another_meaning_is_refused_even_if_inexact_is_allowed(
    tmp_path: Path, changes: dict[str, Any], word: str
) -> None:
    bind_run(tmp_path, FACTS)
    for allowed in (False, True):
        with pytest.raises(InputError, match=word):
            bind_run(tmp_path, FACTS | changes, allow_inexact=allowed)


def test_other_last_bits_have_to_be_allowed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bind_run(tmp_path, FACTS)
    other = FACTS | {"versions": {"torch": "2.7"}}
    with pytest.raises(InputError, match=r"torch = '2\.6', not '2\.7'.*--allow"):
        bind_run(tmp_path, other)
    assert bind_run(tmp_path, other, allow_inexact=True)
    assert "versions.torch was '2.6', is '2.7'" in caplog.text


@pytest.mark.parametrize("content", ["{", "", "[1]", "7"])
def test_a_damaged_fingerprint_is_no_new_run(tmp_path: Path, content: str) -> None:
    (tmp_path / FINGERPRINT).write_text(content, "utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        bind_run(tmp_path, FACTS)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def test_nothing_is_not_the_same_as_none(tmp_path: Path) -> None:
    bind_run(tmp_path, {"recipe": {}})
    with pytest.raises(InputError, match=r"recipe\.seed = 'nothing', not None"):
        bind_run(tmp_path, {"recipe": {"seed": None}})


@settings(max_examples=40)
@given(
    before=st.dictionaries(st.text(max_size=3), values, max_size=4),
    after=st.dictionaries(st.text(max_size=3), values, max_size=4),
)
def test_facts_agree_exactly_when_they_are_equal(
    tmp_path_factory: pytest.TempPathFactory, before: Any, after: Any
) -> None:
    folder = tmp_path_factory.mktemp("run")
    bind_run(folder, before)
    if before == after:
        assert bind_run(folder, after)
    else:
        with pytest.raises(InputError):
            bind_run(folder, after)


def test_versions_are_those_that_decide_bits() -> None:
    found = versions()
    assert {"torch", "transformers", "peft", "accelerate"} <= set(found)
    assert all(value[0].isdigit() for value in found.values())
    assert "versions" in EXACT
    assert states.PREFIX == "checkpoint-"
