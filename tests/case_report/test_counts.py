"""The counts in the report are those of the differential, side by side."""

import re

import numpy as np
import pandas as pd
import pytest

from napari_cytodino.case_report.page import case_report
from napari_cytodino.case_report.report import CaseReport
from napari_cytodino.common.provenance import Provenance
from napari_cytodino.results.cell_table import final_class
from napari_cytodino.results.counting import CountingRules
from napari_cytodino.results.differential_count import SAMPLING_ONLY
from napari_cytodino.results.grey_zone import grey_zone_sentence
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")


def case(*lines, **options):
    """Return the report of (cells, model's class, reader's class, status)."""
    rows = [line[1:] for line in lines for _ in range(line[0])]
    columns = ["cell_class", "reviewed_class", "status"]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    frame["final_class"] = final_class(frame)
    frame["label"], frame["confidence"], frame["reason"] = (
        np.arange(len(frame)),
        0.5,
        "",
    )
    frame["reviewer"] = np.where(frame["reviewed_class"] == "", "", "R")
    notes = Provenance("smear.tif", "starter", "ab" * 32, False, {})
    return CaseReport("Case 1", frame, TAXONOMY, notes, **options)


def plain(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def rows_of(html):
    """Return the texts of each row of the table, by its first text."""
    found = {}
    for row in re.findall(r"<tr[^>]*>(.*?)</tr>", html, re.S):
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)
        texts = [re.sub(r"<[^>]+>", "", cell).strip() for cell in cells]
        found[texts[0]] = texts[1:]
    return found


MIXED = (
    (90, "BLA", "", "auto"),
    (10, "LYT", "BLA", "review"),
    (390, "NGS", "", "auto"),
    (10, "BAS", "", "auto"),
    (5, "ART", "", "auto"),
    (3, "NGB", "", "lineage_only"),
    (2, "NGS", "not_a_cell", "review"),
)


def test_final_beside_the_model_alone():
    rows = rows_of(case_report(case(*MIXED)))
    assert rows["BLA Blast"] == [
        "100", "20.0", "16.7 to 23.7", "90", "17.8", "14.7 to 21.4",
    ]  # fmt: skip
    assert rows["NGB Band neutrophil"][:2] == ["0", "0.0"]
    assert rows["NGB Band neutrophil"][3] == "3"
    granulocytes = rows["Granulocytic (neutrophil series)"]
    assert (granulocytes[0], granulocytes[3]) == ("490", "485")
    assert rows["Cells that count"][::3] == ["500", "505"]
    assert rows["ART Artefact"] == ["5", "–", "", "5", "–", ""]
    (name,) = [name for name in rows if name.startswith("Without a class")]
    assert rows[name][::3] == ["5", "0"]


def test_a_lineage_of_one_class_is_one_line():
    rows = rows_of(case_report(case(*MIXED)))
    assert "BAS Basophil" in rows
    assert "Basophil" not in rows
    listed = [name.split()[0] for name in rows if name]
    assert set(TAXONOMY.codes) <= set(listed)
    assert listed.index("PMO") < listed.index("MYB") < listed.index("NGS")
    # what stands apart comes after the sum
    assert listed.index("Cells") < listed.index("KSC") < listed.index("Without")


def test_nothing_apart_when_all_counts():
    everything = CountingRules(TAXONOMY.codes)
    rows = rows_of(case_report(case(*MIXED, counting=everything)))
    assert "Stand apart, not part of the 100 %" not in rows
    assert rows["ART Artefact"][:2] == ["5", "1.0"]


def test_case_report():
    told = plain(case_report(case(*MIXED)))
    assert "500 cells counted 100 % of the 500 aimed at" in told
    assert "20.0 % blasts 95 % 16.7 to 23.7 %; 100 cells; model alone 17.8 %" in told
    assert "2 % of the cells reviewed 12 of 510; of those flagged 12 of 15" in told
    assert "M:E not computable (500 myeloid, 0 erythroid cells)" in told
    assert SAMPLING_ONLY in told


def test_the_ratio():
    told = case_report(case((60, "NGS", "", "auto"), (20, "EBO", "", "auto")))
    assert "3.0 M:E ratio 95 % 1.8 to 5.0; model alone 3.0" in plain(told)


def test_the_grey_zone_stands_under_the_figures():
    report = case(*MIXED)
    assert grey_zone_sentence(report.differential) in case_report(report)
    clear = case_report(case((500, "NGS", "", "auto")))
    assert 'class="grey"' not in clear


def test_no_cell_at_all():
    report = case()
    told = case_report(report)
    assert "no cell counts yet" in told
    assert "nan" not in plain(told)
    assert "<svg" not in told


@pytest.mark.parametrize("blasts", [(), ("PMO",)])
def test_other_blasts_or_none(blasts):
    own = CountingRules(("NGS", "PMO", "BLA"), blasts=blasts)
    told = case_report(
        case((50, "NGS", "", "auto"), (50, "PMO", "", "auto"), counting=own)
    )
    assert ("no class of blasts counts" in told) == (not blasts)
    assert ("<b>50.0 %</b>" in told) == bool(blasts)
