"""Files from strangers do nothing: no code of theirs runs, and one sentence says why.

Every checkpoint here is one that ships with the package, changed as somebody could who
knows the format: its manifest is always written anew, so that hashes fit.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_cytodino.batch.inputs import read_labels
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.folder import MANIFEST, WEIGHTS, write_manifest
from napari_cytodino.checkpoints.hub import HUB_PATTERNS
from napari_cytodino.common.errors import CheckpointError, CytoDinoError, InputError
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.commands.convert import read_dinobloom
from napari_cytodino.training.recipes.distillation import load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

DEMO = load_checkpoint("demo").folder


class Payload:
    """A pickle of this makes a file named by the environment, when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("import os; open(os.environ['RAN'], 'w').close()",))


@pytest.fixture(autouse=True)
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Hold a place that exists as soon as anything of a stranger's was run."""
    place = tmp_path / "ran"
    monkeypatch.setenv("RAN", str(place))
    monkeypatch.syspath_prepend(str(tmp_path / "folder"))
    yield place
    assert not place.exists(), "code of a stranger was run"
    assert "evil" not in sys.modules


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a checkpoint of one's own, with a module of code beside its files."""
    return Path(shutil.copytree(DEMO, tmp_path / "folder"))


def listed(folder: Path) -> tuple[str, ...]:
    return tuple(json.loads((folder / MANIFEST).read_text("utf-8"))["sha256"])


def change(folder: Path, name: str, how: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / name).read_text("utf-8"))
    how(content)
    (folder / name).write_text(json.dumps(content), "utf-8")
    write_manifest(folder, listed(folder))


def everything(folder: Path) -> object:
    """Load all that a checkpoint holds."""
    loaded = load_checkpoint(folder)
    return loaded.familiarity(), loaded.model()


def test_the_payload_does_run_where_pickles_are_read(ran: Path) -> None:
    pickle.loads(pickle.dumps(Payload()))  # shows that the other tests can fail
    assert ran.exists()
    ran.unlink()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "a.pt", "x/y.PKL", "o.joblib"])
def test_a_pickle_in_a_checkpoint_is_not_read(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(Payload()))
    with pytest.raises(CheckpointError, match="could run code"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", listed(DEMO))
def test_a_pickle_under_a_good_name_is_not_read(folder: Path, name: str) -> None:
    (folder / name).write_bytes(pickle.dumps(Payload()) + bytes(3_000_000))
    write_manifest(folder, listed(folder))
    with pytest.raises(CheckpointError):
        everything(folder)


def test_a_pickle_as_labels_or_old_weights_is_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "l.npy", np.array([Payload()], object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read as labels"):
        read_labels(tmp_path / "l.npy", (1, 1))
    for name in ("old.pt", "old.pth", "old.bin"):
        (tmp_path / name).write_bytes(pickle.dumps({"a": Payload()}))
        with pytest.raises(CytoDinoError):
            read_dinobloom(tmp_path / name)


CODE = "import os; open(os.environ['RAN'], 'w').close()\n"
NAMED = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}


@pytest.mark.parametrize("name", ["evil.py", "modeling_cytodino.py", "setup.py"])
def test_a_module_in_a_checkpoint_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text(CODE, "utf-8")
    change(folder, "config.json", lambda c: c.update(auto_map=NAMED))
    with pytest.raises(CheckpointError, match=f"{name}, which its manifest does not"):
        load_checkpoint(folder)
    change(folder, MANIFEST, lambda c: c["sha256"].update({name: "0" * 64}))


@pytest.mark.parametrize(
    "fields",
    [
        {"auto_map": NAMED},
        {"trust_remote_code": True},
        {"attn_implementation": "evil/kernels"},
        {"_attn_implementation": "evil/kernels"},
        {"hidden_act": "evil.run"},
        {"dtype": "evil"},
        {"quantization_config": {"quant_method": "evil"}},
        {"model_type": "evil"},
    ],
)
def test_a_backbone_that_names_code_is_refused(
    folder: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:
    (tmp_path / "evil.py").write_text(CODE, "utf-8")
    change(folder, "config.json", lambda c: c["backbone_config"].update(fields))
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)


def test_what_a_configuration_names_beside_the_model_is_not_looked_at(
    folder: Path,
) -> None:
    named = {"auto_map": NAMED, "trust_remote_code": True, "architectures": ["os"]}
    change(folder, "config.json", lambda c: c.update(named))
    assert type(load_checkpoint(folder).model()).__module__.startswith("napari_cyto")


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "sub/../config.json"])
def test_a_manifest_leads_nowhere(folder: Path, name: str) -> None:
    content = json.loads((folder / MANIFEST).read_text("utf-8"))
    for hashes in (
        content["sha256"] | {name: "0" * 64},
        {k.replace("config.json", name): v for k, v in content["sha256"].items()},
        [name],
        name,
    ):
        (folder / MANIFEST).write_text(json.dumps({"sha256": hashes}), "utf-8")
        with pytest.raises(CheckpointError, match="does not list exactly"):
            load_checkpoint(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="links and pipes are POSIX's")
@pytest.mark.parametrize("where", ["/dev/zero", "/etc/passwd", "config.json", "pipe"])
@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_a_link_or_pipe_is_no_way_out(folder: Path, name: str, where: str) -> None:
    (folder / name).unlink()
    if where == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(where)
    with pytest.raises(CheckpointError, match=r"no plain file|was altered"):
        load_checkpoint(folder)


def test_an_archive_is_not_opened(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("../escaped", "x")
    for name in ("model.zip", "model.tar"):
        shutil.copy(tmp_path / "model.zip", folder / name)
        with pytest.raises(CheckpointError, match="manifest does not list"):
            load_checkpoint(folder)
        (folder / name).unlink()
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "model.zip")
    assert not (tmp_path / "escaped").exists()
    assert not any("zip" in p or "tar" in p or p == "*" for p in HUB_PATTERNS)


def header(content: object, length: int | None = None, data: bytes = b"") -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
HEADERS = {
    "2^60 bytes": header({}, 2**60),
    "2^64 - 1 bytes": header({}, 2**64 - 1),
    "200 MB": header({}, 2 * 10**8),
    "overlapping": header({"a": F32, "b": F32}, data=bytes(4)),
    "beyond the end": header({"a": F32 | {"data_offsets": [0, 2**62]}}, data=bytes(4)),
    "backwards": header({"a": F32 | {"data_offsets": [4, 0]}}, data=bytes(4)),
    "huge shape": header({"a": F32 | {"shape": [2**40, 2**40]}}, data=bytes(4)),
    "negative shape": header({"a": F32 | {"shape": [-1]}}, data=bytes(4)),
    "doubled": header(
        b'{"a":%b,"a":%b}' % ((json.dumps(F32).encode(),) * 2), data=bytes(4)
    ),
    "unknown type": header({"a": F32 | {"dtype": "PICKLE"}}, data=bytes(4)),
    "deep": header(b'{"a":' * 100_000),
    "no JSON": header(b"\x80\x04."),
    "a gap": header({"a": F32 | {"data_offsets": [4, 8]}}, data=bytes(8)),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("file", [WEIGHTS, "familiarity.safetensors"])
def test_a_lying_header_takes_no_memory(folder: Path, file: str, name: str) -> None:
    # as long as before, or the size of the model alone would give it away
    size = (folder / file).stat().st_size
    (folder / file).write_bytes(HEADERS[name].ljust(size, b"\0"))
    write_manifest(folder, listed(folder))
    loaded = load_checkpoint(folder)
    with pytest.raises(CheckpointError):
        loaded.model() if file == WEIGHTS else loaded.familiarity()


@pytest.mark.parametrize("file", ["config.json", "calibration.json", MANIFEST])
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[" * 100_000, "recursion"),
        ('{"a":' * 100_000, "recursion"),
        ('{"a": ' + "9" * 5000 + "}", "digits"),
        ('{"a": 9223372036854775808}', "64 bits"),
        ('{"a": NaN}', "no finite number"),
        ('{"a": 1e999}', "no finite number"),
        ('{"sha256": {}, "sha256": {}}', "a key twice"),
        ("\ufeff{}", "BOM"),
    ],
)
def test_json_that_readers_differ_on_is_refused(
    folder: Path, file: str, text: str, word: str
) -> None:
    (folder / file).write_text(text, "utf-8")
    if file != MANIFEST:
        write_manifest(folder, listed(folder))
    with pytest.raises(CheckpointError, match=word):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "fields",
    [
        {"hidden_size": 10**9},
        {"hidden_size": 8192, "num_attention_heads": 1},
        {"num_hidden_layers": 10**7},
        {"num_hidden_layers": 128},
        {"intermediate_size": 10**10},
        {"num_register_tokens": 10**10},
    ],
)
def test_a_configuration_is_no_bomb(folder: Path, fields: dict[str, int]) -> None:
    change(folder, "config.json", lambda c: c["backbone_config"].update(fields))
    with pytest.raises(CheckpointError, match=r"no backbone that|holds at most"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "read", [Taxonomy.load, load_recipe], ids=["taxonomy", "recipe"]
)
@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\0", b"a = " + b"[" * 10**5, b"a = " + b"9" * 5000, b"a." * 10**4],
    ids=["no text", "deep", "digits", "keys"],
)
def test_toml_of_strangers_is_told(
    tmp_path: Path, read: Callable[[str], object], content: bytes
) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(InputError, match="not valid TOML"):
        read(str(tmp_path / "a.toml"))
