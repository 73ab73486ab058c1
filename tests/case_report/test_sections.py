"""Alerts, readers, agreement, pictures and provenance are told as they are."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_cytodino.case_report._sections import (
    LEVEL_SIGNS,
    cell_pictures,
    moment,
)
from napari_cytodino.case_report.page import PAIRS, case_report
from napari_cytodino.case_report.report import CaseReport
from napari_cytodino.common.provenance import RESEARCH_USE, Provenance
from napari_cytodino.results.alerts import LEVELS, AlertRules
from napari_cytodino.results.cell_table import final_class
from napari_cytodino.review.reader_agreement import agreement
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")
PIXELS = np.zeros((4, 4, 3), np.uint8)
NOTES = {"temperature": 1.5, "guarantee": "At most 5 % wrong.", "rare": ()}


def case(lines, *, policy=NOTES, synthetic=False, **options):
    """Return the report of (model's class, reader's class, reader, status)."""
    columns = ["cell_class", "reviewed_class", "reviewer", "status"]
    frame = pd.DataFrame(lines, columns=columns, dtype=object)
    frame["final_class"] = final_class(frame)
    frame["label"] = np.arange(100, 100 + len(frame))
    frame["confidence"] = np.linspace(0.9, 0.1, len(frame))
    frame["reason"] = np.where(frame["status"] == "auto", "", "band is close, 0.44")
    notes = Provenance("smear.tif", "starter", "ab" * 32, synthetic, policy)
    return CaseReport("Case 1", frame, TAXONOMY, notes, **options)


def plain(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def section(report, title):
    """Return the HTML of a section of the report; empty where there is none."""
    page = case_report(report)
    return next((p for p in page.split("<section>") if f"<h2>{title}</h2>" in p), "")


def head(report):
    return plain(case_report(report).partition("</header>")[0])


AUTO = ("NGS", "", "", "auto")


def test_every_level_has_a_shape_and_a_word():
    assert tuple(LEVEL_SIGNS) == LEVELS
    assert len({sign.split()[0] for sign in LEVEL_SIGNS.values()}) == len(LEVELS)


def test_alerts_in_order_with_what_is_open():
    report = case([("FGC", "", "", "review"), AUTO], unsettled=3)
    told = section(report, "Alerts")
    levels = re.findall(r'<li class="(\w+)">', told)
    assert levels == ["urgent", "review", "quality", "quality"]
    assert "▲ Urgent Cells called Auer-rod bundle cell (faggot cell): 1" in plain(told)
    assert "two readers called differently, open: 3" in told
    assert "promonocytes" in told


def test_no_alert_is_no_all_clear():
    report = case([AUTO], rules=AlertRules(()), remark="Stain <pale>")
    told = section(report, "Alerts")
    assert "no all-clear" in told
    assert "<li" not in told
    assert "Stain &lt;pale&gt;" in told
    assert "no class for them" not in told


def test_who_read_it():
    told = head(case([AUTO]))
    assert "Read by nobody" in told
    lines = [("NGS", "NGB", "Ann", "auto")] * 2 + [("NGS", "NGS", "Bob", "auto"), AUTO]
    told = head(
        case(lines, revision=2, locked=True, created="2026-11-22T09:30:00+01:00")
    )
    assert "Read by Ann (cells: 2), Bob (cells: 1)" in told
    all_ = head(case(lines, readers={"Bob": 5, "Ann": 1200}))
    assert "Read by Ann (cells: 1,200), Bob (cells: 5)" in all_
    assert "revision 2, locked" in told
    assert "written 2026-11-22 08:30 UTC" in told
    assert "no patient data" in told
    assert "written yesterday" in head(case([AUTO], created="yesterday"))


def test_agreement_level_by_level():
    line = ["PMO", "MYB", "MMZ", "NGB", "NGS"]
    first = {i: line[i % 5] for i in range(40)}
    second = {i: line[min(4, i % 5 + (i % 7 == 0))] for i in range(40)}
    second[1] = "not_a_cell"
    found = agreement(first, second, TAXONOMY, names=("the model", "Ann"))
    told = section(case([AUTO], agreements=(found,)), "Agreement")
    assert "<h3>The model and Ann</h3>" in told
    value = f"<td>{found.classes.agreed} of 40"
    assert value in told
    assert f"<td>{found.classes.value:.2f}</td>" in told
    assert f"{found.classes.low:.2f} to {found.classes.high:.2f}" in told
    assert "stage beside alike, linear weights" in told
    assert "MYB / not a cell 1" in told
    assert "(stage beside)" in told
    # no erythroid cell was called by both
    assert "no cell was called by both" in told
    assert "Fleiss, Cohen and Everitt" in told


def test_weights_are_left_out_where_they_change_nothing():
    calls = {0: "PEB", 1: "EBO", 2: "EBO"}
    found = agreement(calls, {**calls, 2: "PEB"}, TAXONOMY)
    told = section(case([AUTO], agreements=(found,)), "Agreement")
    assert "Erythroid: stage" in told
    assert "Erythroid: stage beside" not in told


def test_many_kinds_of_disagreement_are_summed_up():
    codes = TAXONOMY.codes
    found = agreement(
        dict(enumerate(codes)), dict(enumerate(codes[1:] + codes[:1])), TAXONOMY
    )
    told = section(case([AUTO], agreements=(found,)), "Agreement")
    assert f"and {len(codes) - PAIRS} other kinds" in told
    assert section(case([AUTO]), "Agreement") == ""
    same = agreement({0: "NGS"}, {0: "NGS"}, TAXONOMY)
    assert "called differently" not in section(
        case([AUTO], agreements=(same,)), "Agreement"
    )


def test_pictures_by_what_they_are_shown_for():
    lines = [
        ("FGC", "", "", "review"),
        ("NGS", "NGB", "Ann", "review"),
        ("NGS", "NGS", "Ann", "auto"),
        ("MMZ", "", "", "lineage_only"),
        ("BLA", "not_a_cell", "Ann", "auto"),
        ("LYT", "", "", "review"),
    ]
    rows = np.arange(6) * 10
    pictures = dict.fromkeys([40, 30, 20, 10, 0, 999], PIXELS)
    report = case(lines, rows=rows, pictures=pictures, picture_note="Each 25 µm wide.")
    told = section(report, "Cells")
    sections = re.split(r"<h3>", told)[1:]
    assert [s.split("</h3>")[0] for s in sections] == [
        "Of an urgent alert: to be confirmed by eye",
        "Corrected by a reader",
        "Flagged by the model, 1 of 2 shown",
        "Other cells",
    ]
    assert told.count("<img") == 5
    first, corrected, flagged, other = map(plain, sections)
    assert "FGC · 100 model: FGC 0.90 not reviewed band is close" in first
    assert "NGB · 101 model: NGS 0.74 Ann" in corrected
    assert "not a cell · 104 model: BLA" in corrected
    assert "open · 103 model: MMZ" in flagged
    assert "NGS · 102" in other
    assert "Each 25 µm wide." in told
    assert section(case(lines), "Cells") == ""


def test_a_long_reason_is_cut():
    report = case([("NGS", "", "", "review")], pictures={0: PIXELS})
    report.table["reason"] = "x" * 500
    told = plain(section(report, "Cells"))
    assert "x" * 89 + "…" in told
    assert "x" * 90 not in told


def test_what_a_second_laboratory_must_know():
    told = section(case([AUTO], image_hash="feed", synthetic=True), "How it was made")
    for words in (
        "At most 5 % wrong.", "smear.tif", "feed", "ab" * 32, "temperature 1.5",
        "starter (knows synthetic cells only)", "numpy", "21 classes", "BLA",
    ):  # fmt: skip
        assert words in told, words
    assert "rare" not in told
    # both sides of the M:E ratio
    assert "PMO : EBO PEB" in told


@pytest.mark.parametrize(
    ("given", "policy", "told"),
    [
        ("", NOTES, "At most 5 % wrong."),
        ("No guarantee: foreign cells", NOTES, "No guarantee: foreign cells"),
        ("", {}, "none: the thresholds promise nothing"),
    ],
)
def test_the_guarantee_in_force(given, policy, told):
    found = section(case([AUTO], guarantee=given, policy=policy), "How it was made")
    assert f"<dt>Guarantee in force</dt><dd>{told}</dd>" in found


def test_what_it_is_not():
    foot = case_report(case([AUTO])).partition("<footer>")[2]
    assert RESEARCH_USE in foot


def test_a_picture_keeps_its_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    report = case([AUTO], pictures={0: pixels})
    ((cell,),) = [group.cells for group in cell_pictures(report)]
    back = np.asarray(Image.open(io.BytesIO(cell.png)))
    assert (back == pixels).all()
    assert f'alt="Cell {cell.label}: NGS; model: NGS 0.90"' in section(report, "Cells")


def test_moments_are_written_for_people():
    assert moment("2026-11-22T09:30:00+01:00") == "2026-11-22 08:30 UTC"
    assert moment("yesterday") == "yesterday"
