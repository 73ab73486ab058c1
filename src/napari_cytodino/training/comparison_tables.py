"""The tables of a comparison, for people and for programs."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from napari_cytodino.core.files import whole_file
from napari_cytodino.training.comparison import SCORES
from napari_cytodino.training.published import (
    NOT_RUN,
    UNKNOWN,
    as_markdown,
    mean_and_spread,
    published,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_cytodino.training.published import Work


def _row(method: Mapping[str, Any], protocol: str) -> dict[str, str]:
    """Return a method's line of the table a person reads, in per cent."""
    ran = bool(method["seeds"])
    cells = {
        title: mean_and_spread(method["scores"][key]["values"])
        for key, title in SCORES.items()
    }
    return {
        "method": method["title"],
        **cells,
        "run": "here" if ran else NOT_RUN,
        "starts from": method["starts_from"] or UNKNOWN,
        "protocol": protocol if ran else UNKNOWN,
        "source": _seeds(method) if ran else UNKNOWN,
    }


def _seeds(method: Mapping[str, Any]) -> str:
    if not method["by_chance"]:
        return "once, nothing in it is by chance"
    return f"seeds {', '.join(map(str, method['seeds']))}"


def _published_row(work: Work) -> dict[str, str]:
    return {
        "method": f"{work.name} ({work.reference})",
        **{
            title: work.shown(key) if hasattr(work, key) else UNKNOWN
            for key, title in SCORES.items()
        },
        "run": NOT_RUN,
        "starts from": UNKNOWN,
        "protocol": work.protocol,
        "source": work.source,
    }


def as_page(found: Mapping[str, Any]) -> str:
    """Return the comparison as Markdown: table, what is shared, what differs.

    Parameters
    ----------
    found : mapping
        From `comparison.gather`.
    """
    rows = [_row(method, found["protocol"]) for method in found["methods"]]
    rows += [_published_row(work) for work in published()]
    notes = [f"- {note}" for note in found["shared"]]
    differ = [f"- {m['title']}: {m['differs']}" for m in found["methods"]]
    return "\n".join(
        [
            f"# Comparison, recipe {found['recipe']['name']}",
            "",
            "Scores in per cent. Figures under different protocols are not comparable.",
            "",
            as_markdown(rows),
            "",
            "The same for all methods run here:",
            "",
            *notes,
            "",
            "What differs:",
            "",
            *differ,
            "",
            found["notice"],
        ]
    )


def as_lines(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the comparison as rows of numbers from 0 to 1, one a method or work."""
    lines = []
    for method in found["methods"]:
        line: dict[str, Any] = {"method": method["title"], "name": method["name"]}
        for key in SCORES:
            score = method["scores"][key]
            line |= {key: score["mean"], f"{key}_sd": score["sd"]}
        ran = bool(method["seeds"])
        line |= {"seeds": len(method["seeds"]), "run": "here" if ran else NOT_RUN}
        line |= {"protocol": found["protocol"] if ran else ""}
        lines.append(line | {"source": "", "starts_from": method["starts_from"]})
    for work in published():
        line = {"method": f"{work.name} ({work.reference})", "name": ""}
        for key in SCORES:
            value = getattr(work, key, None)
            line |= {key: None if value is None else value / 100, f"{key}_sd": None}
        line |= {"seeds": None, "run": NOT_RUN, "protocol": work.protocol}
        lines.append(line | {"source": work.source, "starts_from": None})
    return lines


def write_tables(out: Path, found: Mapping[str, Any]) -> str:
    """Write ``comparison.json``, ``.csv`` and ``.md``; return the last.

    Parameters
    ----------
    out : Path
        Folder; files of these names are replaced, each whole.
    found : mapping
        From `comparison.gather`.
    """
    page, lines = as_page(found), as_lines(found)
    text = json.dumps(found, indent=2, allow_nan=False, ensure_ascii=False)
    for name, content in (("json", text), ("md", page)):
        with whole_file(out / f"comparison.{name}") as part:
            part.write_text(content + "\n", encoding="utf-8")
    with (
        whole_file(out / "comparison.csv") as part,
        part.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return page
