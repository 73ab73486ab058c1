"""Write the rooms and their imports into the documents: ``python docs/rooms.py``.

The table of ``src/napari_cytodino/README.md`` is the first line of each room's door,
the diagrams of ``docs/architecture.md`` are the imports of the code as it is. With
``--check`` nothing is written; the exit code is 1 where a document is not current.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import grimp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "napari_cytodino"
BUILDINGS = ("training", "widgets")
"""Packages whose own packages are rooms."""

Arrows = dict[str, set[str]]


def rooms() -> list[str]:
    """Return the name of every room, such as ``cells`` or ``training.data``."""
    found = []
    for door in sorted(PACKAGE.rglob("__init__.py")):
        name = ".".join(door.parent.relative_to(PACKAGE).parts)
        if name and name not in BUILDINGS:
            found.append(name)
    return found


def purpose(room: str) -> str:
    """Return what a room is for: the docstring of its door."""
    door = PACKAGE.joinpath(*room.split("."), "__init__.py")
    return ast.get_docstring(ast.parse(door.read_text("utf-8"))) or ""


def imports(within: str = "") -> Arrows:
    """Return which parts of a building use which others, all kinds of import.

    Parameters
    ----------
    within
        ``training`` or ``widgets``; empty for the whole house.
    """
    graph = grimp.build_graph("napari_cytodino")
    prefix = f"napari_cytodino.{within}." if within else "napari_cytodino."
    arrows: Arrows = {}
    for module in sorted(graph.modules):
        if not module.startswith(prefix):
            continue
        part = module.removeprefix(prefix).partition(".")[0]
        used = {
            name.removeprefix(prefix).partition(".")[0]
            for name in graph.find_modules_directly_imported_by(module)
            if name.startswith(prefix)
        }
        arrows.setdefault(part, set()).update(used - {part})
    return arrows


def reduced(arrows: Mapping[str, Iterable[str]]) -> Arrows:
    """Leave out each arrow that a longer way says already; there are no circles."""

    def below(part: str) -> set[str]:
        return set(arrows[part]).union(*map(below, arrows[part]))

    return {
        part: {
            one
            for one in used
            if not any(one in below(other) for other in used if other != one)
        }
        for part, used in arrows.items()
    }


def diagram(within: str = "") -> str:
    """Return the arrows of a building as a Mermaid diagram."""
    lines = ["```mermaid", "flowchart TD"]
    for part, used in sorted(reduced(imports(within)).items()):
        lines += [f"  {part} --> {one}" for one in sorted(used)]
    return "\n".join([*lines, "```"])


def table() -> str:
    """Return one line a room."""
    lines = ["| room | what it is for |", "|---|---|"]
    lines += [
        f"| `{room.replace('.', '/')}` | {purpose(room).rstrip('.')} |"
        for room in rooms()
    ]
    return "\n".join(lines)


def filled(text: str, blocks: Mapping[str, str]) -> str:
    """Return a document with its marked blocks made anew."""
    for name, block in blocks.items():
        start, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, _, rest = text.partition(start)
        after = rest.partition(end)[2]
        text = f"{before}{start}{block}{end}{after}"
    return text


def documents() -> dict[Path, str]:
    """Return each document as it should be."""
    architecture = {"rooms of the house": diagram()}
    architecture |= {f"rooms of {name}": diagram(name) for name in BUILDINGS}
    blocks = {
        PACKAGE / "README.md": {"rooms": table()},
        ROOT / "docs" / "architecture.md": architecture,
    }
    return {path: filled(path.read_text("utf-8"), own) for path, own in blocks.items()}


def main() -> None:
    """Write what is not current, or only say so."""
    stale = {
        path: text
        for path, text in documents().items()
        if path.read_text("utf-8") != text
    }
    for path, text in stale.items():
        if "--check" in sys.argv:
            sys.stdout.write(f"{path.name} is not current: python docs/rooms.py\n")
        else:
            path.write_text(text, encoding="utf-8")
    raise SystemExit(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    main()
