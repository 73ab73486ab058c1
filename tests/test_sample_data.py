"""The samples of napari's menu: exact labels, a pinned download, clear failures."""

from __future__ import annotations

import hashlib
import io
import socket
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_cytodino import sample_data
from napari_cytodino.common.errors import CytoDinoError
from napari_cytodino.sample_data import RemoteImage, bccd_field, fetch_image
from napari_cytodino.synthetic._morphology import morphologies

if TYPE_CHECKING:
    from collections.abc import Iterator

REAL_FIELD = (
    Path(__file__).parents[2] / "shared/data/bccd-fields/images/BloodImage_00000.jpg"
)


class Handler(BaseHTTPRequestHandler):
    def __init__(self, content: bytes, requests: list[str], *args: object) -> None:
        self.content, self.requests = content, requests
        super().__init__(*args)

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if self.path == "/gone.png":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


class Server:
    """A loopback server of one file, and the paths it was asked for."""

    def __init__(self, content: bytes) -> None:
        self.requests: list[str] = []
        handler = partial(Handler, content, self.requests)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def picture() -> tuple[np.ndarray, bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return pixels, file.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "napari-cytodino"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(picture()[1]) as running:
        yield running


def remote(url: str, content: bytes | None = None) -> RemoteImage:
    digest = hashlib.sha256(picture()[1] if content is None else content).hexdigest()
    return RemoteImage("field.png", url, digest)


def test_the_synthetic_sample_is_an_image_and_its_labels() -> None:
    (image, image_meta, image_kind), (labels, labels_meta, labels_kind) = (
        sample_data.synthetic_smear_sample()
    )
    assert (image_kind, labels_kind) == ("image", "labels")
    assert image.shape[:2] == labels.shape
    assert image_meta["rgb"] is True
    for meta in (image_meta, labels_meta):
        assert "SYNTHETIC" in meta["name"]
    features = labels_meta["features"]
    np.testing.assert_array_equal(features["index"], np.unique(labels)[1:])
    assert set(features["drawn_class"]) == {kind.code for kind in morphologies()}


def test_the_synthetic_sample_is_the_same_for_everybody() -> None:
    first, second = (sample_data.synthetic_smear_sample() for _ in range(2))
    np.testing.assert_array_equal(first[0][0], second[0][0])
    np.testing.assert_array_equal(first[1][0], second[1][0])


def test_a_pinned_picture_is_downloaded_once(server: Server, cache: Path) -> None:
    pinned = remote(f"{server.url}/field.png")
    np.testing.assert_array_equal(fetch_image(pinned), picture()[0])
    np.testing.assert_array_equal(fetch_image(pinned), picture()[0])
    assert server.requests == ["/field.png"]
    assert [path.name for path in cache.iterdir()] == ["field.png"]


def test_a_file_put_there_by_hand_is_used_offline(cache: Path) -> None:
    cache.mkdir()
    (cache / "field.png").write_bytes(picture()[1])
    pixels = fetch_image(remote("http://127.0.0.1:1/field.png"))
    np.testing.assert_array_equal(pixels, picture()[0])


def test_another_file_than_pinned_is_refused(server: Server, cache: Path) -> None:
    pinned = remote(f"{server.url}/field.png", content=b"what was pinned")
    with pytest.raises(CytoDinoError, match="not the picture that was pinned") as error:
        fetch_image(pinned)
    assert "synthetic smear" in str(error.value)
    assert list(cache.iterdir()) == []


def test_offline_says_what_failed_and_what_to_do(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/field.png"
        monkeypatch.setattr(sample_data, "BCCD", remote(url))
        with pytest.raises(CytoDinoError) as error:
            bccd_field()
    message = str(error.value)
    assert url in message
    assert str(cache / "field.png") in message
    assert "use the synthetic smear" in message
    assert "\n" not in message


def test_a_file_that_is_gone_is_one_sentence(server: Server) -> None:
    with pytest.raises(CytoDinoError, match=r"could not be downloaded \(HTTPError\)"):
        fetch_image(remote(f"{server.url}/gone.png"))


def test_the_bccd_pin_is_a_commit_and_a_sha256() -> None:
    commit = sample_data.BCCD.url.split("/BCCD_Dataset/")[1].split("/")[0]
    assert len(bytes.fromhex(commit)) == 20
    assert len(bytes.fromhex(sample_data.BCCD.sha256)) == 32


def test_the_bccd_field_matches_its_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    if not REAL_FIELD.is_file():
        pytest.skip(f"{REAL_FIELD} is not here: it belongs to no release")
    content = REAL_FIELD.read_bytes()
    with Server(content) as running:
        pinned = RemoteImage(
            sample_data.BCCD.name, f"{running.url}/f.jpg", sample_data.BCCD.sha256
        )
        monkeypatch.setattr(sample_data, "BCCD", pinned)
        [(pixels, meta, kind)] = bccd_field()
    assert (pixels.shape, pixels.dtype) == ((480, 640, 3), np.uint8)
    assert kind == "image"
    assert meta == {"name": "BCCD blood smear", "rgb": True}


def test_the_menu_imports_neither_napari_nor_torch() -> None:
    code = (
        "import sys, napari_cytodino.sample_data\n"
        "heavy = {'napari', 'qtpy', 'torch', 'requests'} & set(sys.modules)\n"
        "raise SystemExit(', '.join(sorted(heavy)) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
