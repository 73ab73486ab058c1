"""The Hub: only safe files, the asked revision, and every fault in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from huggingface_hub import errors

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.hub import HUB_ID, HUB_PATTERNS, fetch
from napari_cytodino.common.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


def hub_error(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    Exception.__init__(error, "from the Hub")
    return error


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (errors.GatedRepoError, "licence"),
        (errors.RepositoryNotFoundError, "spelling"),
        (errors.RevisionNotFoundError, "revision 'v9'"),
        (errors.LocalEntryNotFoundError, "without a network"),
        (errors.OfflineModeIsEnabled, "without a network"),
        (errors.HfHubHTTPError, "could not be fetched"),
        (errors.HFValidationError, "could not be fetched"),
    ],
)
def test_hub_faults_in_words(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception], word: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise hub_error(kind)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(CheckpointError, match=f"owner/name.*{word}"):
        fetch("owner/name", "v9")


def test_only_safe_files_of_the_asked_revision_are_fetched(
    monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path
) -> None:
    asked = []

    def download(repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repo, revision, allow_patterns))
        return str(tiny_checkpoint)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert load_checkpoint("owner/name").name == "owner/name"
    assert fetch("owner/other", "abc") == tiny_checkpoint
    assert asked == [
        ("owner/name", None, HUB_PATTERNS),
        ("owner/other", "abc", HUB_PATTERNS),
    ]
    assert not any("bin" in pattern or "py" in pattern for pattern in HUB_PATTERNS)


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("facebook/dinov3-vits16-pretrain-lvd1689m", True),
        ("owner/name.v2", True),
        ("starter", False),
        ("../owner/name", False),
        ("owner/name/more", False),
        ("owner/", False),
    ],
)
def test_what_an_id_looks_like(text: str, is_id: bool) -> None:
    assert bool(HUB_ID.fullmatch(text)) == is_id
