"""The commands: results where they say; else one sentence and exit code 2."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from napari_cytodino import __version__


def test_find(invoke, tmp_path, picture):
    result = invoke("find", picture, "--out", tmp_path / "found")
    assert result.exit_code == 0, result.output
    import tifffile

    labels = tifffile.imread(tmp_path / "found" / "smear.labels.tif")
    assert labels.shape == (700, 900)
    words = r"smear.png: (\d+) cells, about \d+ px wide; about 0.\d+ µm a pixel, from "
    told = re.match(words, result.output)
    assert told
    assert labels.max() == int(told[1])


def test_find_takes_sizes_and_a_sensitivity(invoke, tmp_path, picture):
    for words, scale in (
        (("--pixel-size", "0.1"), "0.1 µm a pixel, given"),
        (("--cell-size", "120", "--sensitivity", "0.3"), "µm a pixel"),
    ):
        result = invoke("find", picture, *words, "--out", tmp_path / "found")
        assert result.exit_code == 0, result.output
        assert scale in result.output
    result = invoke("find", picture, "--pixel-size", "12", "--out", tmp_path)
    assert result.exit_code == 2
    assert "pixel size is 12.0" in result.output


def test_find_goes_on_after_a_damaged_file_and_takes_no_result_for_an_image(
    invoke, tmp_path, picture
):
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"no picture")
    (folder / "b.png").write_bytes(picture.read_bytes())
    for _ in range(2):
        result = invoke("find", folder, "--out", folder)
        assert result.exit_code == 2
        assert "in 1 images" in result.output
        assert "Left out:" in result.output
        assert "a.png" in result.output
        names = sorted(p.name for p in folder.iterdir())
        assert names == ["a.png", "b.labels.tif", "b.png"]


@pytest.mark.parametrize("command", ["find", "open"])
def test_an_image_that_is_not_there_is_one_sentence_and_exit_code_2(
    invoke, tmp_path, command, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    out = ["--out", tmp_path / "out"] if command == "find" else []
    result = invoke(command, "gone.png", *out)
    assert result.exit_code == 2
    assert "gone.png" in result.output
    assert result.output.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_version_and_checkpoints(invoke):
    assert invoke("--version").output.strip() == f"napari-cytodino {__version__}"
    listed = invoke("checkpoints").output
    assert "demo" in listed
    assert "SYNTHETIC" in listed
    assert "starter" in listed


def test_demo_without_a_display(invoke, tmp_path):
    result = invoke("demo", "--headless", "--out", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    told = re.findall(r": +(\S+\.(?:csv|png))", result.output)
    assert len(told) == 3
    assert all(Path(path).exists() for path in told)


def test_every_command_is_listed_and_has_its_help(invoke):
    listed = invoke("--help").output
    for name in ("classify", "teach", "demo", "find", "checkpoints", "open"):
        assert f" {name} " in listed
        told = invoke(name, "--help")
        assert told.exit_code == 0
        assert f"{name} [OPTIONS]" in told.output


def test_no_command_and_a_wrong_one_are_told(invoke):
    assert "Usage" in invoke().output
    wrong = invoke("clasify")
    assert wrong.exit_code == 2
    assert "clasify" in wrong.output


def test_help_needs_no_torch():
    code = (
        "import sys; from typer.testing import CliRunner;"
        "from napari_cytodino.cli import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        "assert not {'torch', 'transformers', 'napari'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_usual_sensitivity_is_that_of_the_finder():
    import inspect

    from napari_cytodino.cli.commands import find
    from napari_cytodino.finding import SENSITIVITY

    assert inspect.signature(find).parameters["sensitivity"].default == SENSITIVITY
