"""The package as others see it: metadata, manifest, licence, citation, README."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from npe2 import PluginManifest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "src" / "napari_cytodino" / "napari.yaml"
SETUP = 'pip install -c constraints.txt ".[all]" && napari-cytodino demo'
TESTS = 'pip install -c constraints.txt -e ".[all,test]" && pytest'
BINDINGS = {"napari", "pyqt5", "pyqt6", "pyside2", "pyside6", "pyside6-essentials"}
DISCLAIMER = (
    "Not a medical device; not CE-IVD marked or FDA cleared.",
    "Must not be used for diagnosis or treatment decisions.",
    "Every classification requires confirmation by a qualified morphologist.",
)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))["project"]


@cache
def constraints() -> dict[str, str]:
    lines = [line for line in read("constraints.txt").splitlines() if line]
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def names(requirements: list[str]) -> set[str]:
    return {Requirement(line).name.lower() for line in requirements}


def version() -> str:
    return metadata.version("napari-cytodino")


def test_the_version_is_said_once() -> None:
    import napari_cytodino

    assert "version" in pyproject()["dynamic"]
    assert napari_cytodino.__version__ == version()
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == version()


def test_napari_finds_the_plugin() -> None:
    entry = pyproject()["entry-points"]["napari.manifest"]
    assert entry == {"napari-cytodino": "napari_cytodino:napari.yaml"}
    assert "Framework :: napari" in pyproject()["classifiers"]
    manifest = PluginManifest.from_distribution("napari-cytodino")
    assert manifest.name == "napari-cytodino"


def test_the_core_dependencies_bring_no_gui() -> None:
    assert not names(pyproject()["dependencies"]) & BINDINGS


def test_no_dependency_has_an_upper_cap() -> None:
    extras = pyproject()["optional-dependencies"].values()
    lines = [
        *pyproject()["dependencies"],
        *(line for extra in extras for line in extra),
    ]
    capped = [
        line
        for line in lines
        if {s.operator for s in Requirement(line).specifier} & {"<", "<=", "==", "~="}
    ]
    assert capped == []


def imported(path: Path) -> set[str]:
    """Name the top-level modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=aliases):
                found |= {alias.name.partition(".")[0] for alias in aliases}
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module.partition(".")[0])
    return found


def test_every_import_is_a_declared_requirement() -> None:
    extras = pyproject()["optional-dependencies"].values()
    lines = [
        *pyproject()["dependencies"],
        *(line for extra in extras for line in extra),
    ]
    declared = {name.replace("-", "_") for name in names(lines)}
    homes = metadata.packages_distributions()
    undeclared = {
        f"{path.relative_to(ROOT).as_posix()}: {module}"
        for path in MANIFEST.parent.rglob("*.py")
        for module in imported(path) - sys.stdlib_module_names - {"napari_cytodino"}
        if declared.isdisjoint(
            home.lower().replace("-", "_") for home in homes.get(module, [module])
        )
    }
    assert not undeclared, "\n  ".join(
        ["imports nobody installs:", *sorted(undeclared)]
    )


def test_the_versions_tested_together_meet_the_requirements() -> None:
    extras = pyproject()["optional-dependencies"]
    lines = [*pyproject()["dependencies"], *extras["all"], *extras["train"]]
    pins = constraints()
    for requirement in map(Requirement, lines):
        assert requirement.specifier.contains(pins[requirement.name.lower()]), (
            f"constraints.txt does not meet {requirement}"
        )
    assert pins["torch"] == "2.13.0"
    assert not any("+" in pin for pin in pins.values()), "a pin of one build only"


def test_the_manifest_is_valid() -> None:
    command = [sys.executable, "-m", "npe2", "validate", str(MANIFEST)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_manifest_at_the_top_is_a_link() -> None:
    link, target = ROOT / "napari.yaml", "src/napari_cytodino/napari.yaml"
    if link.is_symlink():
        assert link.readlink().as_posix() == target
    else:
        # git writes the target's path where the system has no links
        assert sys.platform == "win32"
        assert link.read_text(encoding="utf-8") == target


def test_commands_in_the_manifest_exist() -> None:
    manifest = PluginManifest.from_file(MANIFEST)
    for command in manifest.contributions.commands or []:
        module, _, name = (command.python_name or "").partition(":")
        path = ROOT / "src" / (module.replace(".", "/") + ".py")
        if not path.is_file():
            path = path.with_suffix("") / "__init__.py"
        words = path.read_text(encoding="utf-8")
        assert re.search(rf"\b{re.escape(name)}\b", words), command.id


def test_the_licence_is_whole() -> None:
    text = read("LICENSE")
    assert pyproject()["license"] == "BSD-3-Clause"
    assert text.startswith("BSD 3-Clause License")
    assert "The napari-cytodino developers" in text
    assert "Neither the name of the copyright holder" in text


def test_the_citation_names_its_sources() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    for key in ("cff-version", "message", "title", "authors", "references"):
        assert citation[key], key
    assert citation["license"] == "BSD-3-Clause"
    known = {
        identifier["value"]
        for reference in citation["references"]
        for identifier in reference.get("identifiers", [])
    } | {reference.get("doi") for reference in citation["references"]}
    assert known >= {
        "arXiv:2512.17930",
        "arXiv:2508.10104",
        "10.1182/blood.2020010568",
        "10.17632/snkd93bnjr.1",
    }
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= reference.keys()


@pytest.mark.parametrize("command", [SETUP, TESTS])
def test_the_readme_has_the_command(command: str) -> None:
    assert command in read("README.md").splitlines()


def blocks(language: str, word: str) -> list[str]:
    """Return the README's code blocks that hold a word."""
    found = re.findall(rf"^```{language}\n(.*?)^```", read("README.md"), re.M | re.S)
    return [block for block in found if word in block]


@pytest.fixture
def smear_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make what the README's examples name, and go there."""
    import tifffile
    from PIL import Image

    from napari_cytodino.synthetic.smear import synthetic_crops, synthetic_smear

    smear = synthetic_smear((500, 600), 3, seed=1)
    Image.fromarray(smear.image).save(tmp_path / "smear.png")
    tifffile.imwrite(tmp_path / "cells.tif", smear.labels)
    (tmp_path / "crops").mkdir()
    for number, crop in enumerate(synthetic_crops(None, 1)[0][:2]):
        Image.fromarray(crop).save(tmp_path / "crops" / f"{number}.png")
    for code in ("LYT", "NGS"):
        (tmp_path / "my-cells" / code).mkdir(parents=True)
        for number, crop in enumerate(synthetic_crops([code], 3)[0]):
            place = tmp_path / "my-cells" / code / f"{number}.png"
            Image.fromarray(crop).save(place)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_readme_run(smear_folder: Path) -> None:
    from typer.testing import CliRunner

    from napari_cytodino.cli import app

    [block] = blocks("bash", "napari-cytodino classify")
    for line in block.splitlines():
        command = shlex.split(line, comments=True)
        assert command[0] == "napari-cytodino"
        done = CliRunner().invoke(app, command[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}"
    written = {path.name for path in (smear_folder / "results").iterdir()}
    assert written >= {
        "smear.cells.csv",
        "smear.cells.geojson",
        "smear.differential.csv",
        "smear.overlay.png",
        "cells.csv",
    }


def test_the_python_of_the_readme_runs(
    smear_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [block] = blocks("python", "classify")
    (smear_folder / "readme.py").write_text(block, encoding="utf-8")
    runpy.run_path("readme.py")
    assert "percent" in capsys.readouterr().out
    assert (smear_folder / "smear.geojson").is_file()


def test_ci_installs_and_tests_as_the_readme_says() -> None:
    script = read(".ci/run")
    install, run = TESTS.split(" && ")
    assert install in script
    assert f"check {run}" in script.splitlines()


def test_the_readme_says_research_use_only() -> None:
    text = " ".join(read("README.md").replace(">", " ").split())
    assert "RESEARCH USE ONLY" in text
    for sentence in DISCLAIMER:
        assert sentence in text
    assert text.index("RESEARCH USE ONLY") < text.index(SETUP)


def test_pictures_of_the_readme_are_absolute_and_in_the_repository() -> None:
    home = "https://raw.githubusercontent.com/napari-cytodino/napari-cytodino/main/"
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", read("README.md"))
    assert pictures
    for address in pictures:
        # napari hub shows the README without the files beside it
        assert address.startswith(home)
        assert (ROOT / address.removeprefix(home)).is_file(), address


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    assert "## [Unreleased]" in read("CHANGELOG.md")


def test_the_rooms_in_the_documents_are_those_of_the_code() -> None:
    command = [sys.executable, "docs/rooms.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
