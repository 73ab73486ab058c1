"""Alerts hold where their rules say, and say no more than they know."""

import tomllib
from dataclasses import replace
from importlib import resources

import pandas as pd
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.results.alerts import LEVELS, AlertRules, find_alerts
from napari_cytodino.results.counting import CountingRules
from napari_cytodino.results.differential_count import count_cells
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")
KNOWN = "BAS BLA EBO EOS LYT MMZ MON MYB NGB NGS NIF PMO"
STARTER = TAXONOMY.subset(KNOWN.split())
"""What the starter checkpoint knows."""

FILLER = {"NGS": 300, "LYT": 200}
"""500 cells that nothing is to be said about."""


def counted(counts, *, status="auto", confirmed=(), taxonomy=TAXONOMY, counting=None):
    codes = [code for code, n in counts.items() for _ in range(n)]
    frame = pd.DataFrame({"cell_class": codes, "final_class": codes, "status": status})
    frame["reviewed_class"] = [c if c in confirmed else "" for c in codes]
    return count_cells(frame, taxonomy, counting)


def names(counts, **options):
    taxonomy = options.get("taxonomy", TAXONOMY)
    return [a.rule for a in find_alerts(counted(counts, **options), taxonomy)]


def percent(code, k, of=1000):
    return {code: k, "NGS": (of - k) * 6 // 10, "LYT": (of - k) - (of - k) * 6 // 10}


def test_nothing_to_say():
    assert names(FILLER) == []


def test_a_single_faggot_cell_comes_before_anything_else():
    found = find_alerts(
        counted({"BLA": 100, "FGC": 1, "LYT": 50}, status="review"), TAXONOMY
    )
    first = found[0]
    assert (first.rule, first.level, first.codes) == ("faggot cell", "urgent", ("FGC",))
    assert first.sentence.startswith(
        "Cells called Auer-rod bundle cell (faggot cell): 1, confirmed by a reader: 0; "
        "review suggested at once"
    )
    assert "must be confirmed" in first.sentence
    assert "most single calls are false" in first.sentence
    order = [LEVELS.index(alert.level) for alert in found]
    assert order == sorted(order)
    assert len(set(order)) == 3


def test_what_a_reader_confirmed_is_told():
    found = find_alerts(counted({**FILLER, "FGC": 2}, confirmed={"FGC"}), TAXONOMY)
    assert "confirmed by a reader: 2" in found[0].sentence


@pytest.mark.parametrize(
    ("code", "below", "at", "rule"),
    [
        ("BLA", 49, 50, "blasts 5"),
        ("BLA", 99, 100, "blasts 10"),
        ("BLA", 199, 200, "blasts 20"),
        ("PMO", 199, 200, "promyelocytes"),
        ("PLM", 99, 100, "plasma cells 10"),
        ("PLM", 599, 600, "plasma cells 60"),
        ("LYI", 49, 50, "immature lymphocytes"),
        ("ABE", 0, 1, "abnormal eosinophils"),
        ("PEB", 299, 300, "proerythroblasts"),
        ("BAS", 20, 21, "basophils"),
        ("EOS", 100, 101, "eosinophils"),
    ],
)
def test_a_rule_holds_from_its_limit_on(code, below, at, rule):
    assert rule not in names(percent(code, below))
    assert rule in names(percent(code, at))


def test_only_one_of_the_blast_rules_holds():
    assert names(percent("BLA", 150)) == ["blasts 10"]
    assert names(percent("BLA", 250)) == ["blasts 20"]


def test_promyelocytes_are_silent_beside_a_faggot_cell():
    assert names({**percent("PMO", 300), "FGC": 1}) == ["faggot cell"]


def test_an_open_cell_is_of_its_likeliest_class_until_someone_reads_it():
    rows = [("NGS", "", "NGS")] * 300 + [("LYT", "", "LYT")] * 200 + [("FGC", "", "")]
    frame = pd.DataFrame(rows, columns=["cell_class", "reviewed_class", "final_class"])
    frame["status"] = ["auto"] * 500 + ["lineage_only"]
    (alert,) = find_alerts(count_cells(frame, TAXONOMY), TAXONOMY)
    assert "(faggot cell): 1, confirmed by a reader: 0" in alert.sentence
    for verdict, final in (("PMO", "PMO"), ("not_a_cell", "")):
        frame.loc[500, ["reviewed_class", "final_class"]] = verdict, final
        assert find_alerts(count_cells(frame, TAXONOMY), TAXONOMY) == ()
    many = pd.concat([frame, frame.assign(cell_class="PMO", final_class="PMO")])
    many.iloc[500] = ["FGC", "", "", "lineage_only"]
    # nor are promyelocytes called free of faggot cells while one is open
    names_ = [a.rule for a in find_alerts(count_cells(many, TAXONOMY), TAXONOMY)]
    assert names_ == ["faggot cell"]


def test_hairy_cells_count_when_a_reader_says_so():
    assert names({**FILLER, "HAC": 1}) == []
    assert names({**FILLER, "HAC": 1}, confirmed={"HAC"}) == ["hairy cells"]


def test_quality():
    assert names({"NGS": 120, "LYT": 79}) == ["fewer than 200"]
    assert names({"NGS": 120, "LYT": 80}) == ["fewer than 500"]
    debris = {**FILLER, "ART": 60, "NIF": 40, "KSC": 25}
    assert names(debris) == []
    assert names({**debris, "KSC": 26}) == ["debris"]
    assert names({"NGS": 950, "LYT": 50}) == []
    assert names({"NGS": 951, "LYT": 49}) == ["one class"]
    assert names(FILLER, status=["review"] * 165 + ["auto"] * 335) == []
    assert names(FILLER, status=["review"] * 166 + ["auto"] * 334) == ["many flagged"]


def test_no_cell_at_all():
    assert names({}) == ["fewer than 200"]


def test_a_class_that_does_not_count_has_no_share():
    own = CountingRules.of(TAXONOMY).with_class("BLA", False)
    assert "blasts 20" not in names({**FILLER, "BLA": 400}, counting=own)


def test_rules_of_unknown_classes_are_left_out():
    assert names({**FILLER, "NIF": 126}, taxonomy=STARTER) == ["debris"]
    table = {**FILLER, "BLA": 200}
    found = find_alerts(counted(table, taxonomy=STARTER), STARTER)
    assert [alert.rule for alert in found] == ["blasts 20"]
    blind = TAXONOMY.subset(["NGS", "LYT"])
    assert names(FILLER, taxonomy=blind) == []


def test_what_no_class_exists_for_is_said():
    assert AlertRules.load().missing_classes(TAXONOMY) == (
        "Not counted, as this model has no class for them: promonocytes. The share of "
        "blasts and blast equivalents cannot include them."
    )
    starter = AlertRules.load().missing_classes(STARTER)
    assert "promonocytes, faggot cells" in starter
    assert AlertRules(()).missing_classes(TAXONOMY) == ""


def test_wording_is_neutral():
    rules = AlertRules.load().rules
    for rule in rules:
        assert not any(
            word in rule.sentence.lower()
            for word in ("leukaemia", "myeloma", "diagnos", "apl", "mds", "aml")
        ), rule.name
        assert rule.level == "quality" or "review suggested" in rule.sentence
    assert rules[0].level == "urgent"


def test_what_is_unverified_is_marked_in_the_file():
    file = resources.files("napari_cytodino.results") / "alerts.toml"
    text = file.read_text(encoding="utf-8")
    blocks = {
        name: block.rsplit("[[rules]]", 1)[0]
        for block, name in zip(
            text.split('name = "')[:-1],
            (r["name"] for r in tomllib.loads(text)["rules"]),
            strict=False,
        )
    }
    for name in (
        "hairy cells", "immature lymphocytes", "abnormal eosinophils", "basophils",
        "eosinophils",
    ):  # fmt: skip
        assert "[M] unverified" in blocks[name], name


def own(tmp_path, text):
    path = tmp_path / "alerts.toml"
    path.write_text(text, encoding="utf-8")
    return AlertRules.load(path)


def test_a_users_file_changes_adds_and_switches_off(tmp_path):
    rules = own(
        tmp_path,
        """
        off = ["basophils"]
        [[rules]]
        name = "eosinophils"
        above = 4
        [[rules]]
        name = "monocytes"
        level = "review"
        measure = "percent"
        codes = ["MON"]
        least = 5
        sentence = "$cells of $total: $value % $name"
        """,
    )
    cells = {"NGS": 600, "LYT": 265, "BAS": 30, "EOS": 50, "MON": 55}
    found = find_alerts(counted(cells), TAXONOMY, rules)
    assert [alert.rule for alert in found] == ["eosinophils", "monocytes"]
    assert found[1].sentence == "55 of 1,000: 5.5 % Monocyte"
    assert rules.rules[0].name == "faggot cell"


RULE = """
[[rules]]
name = "mine"
level = "review"
measure = "percent"
codes = ["MON"]
least = 5
sentence = "so"
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (RULE.replace('"review"', '"alarm"'), "mine.level is 'alarm'"),
        (RULE.replace('"percent"', '"share"'), "mine.measure is 'share'"),
        (RULE.replace('"so"', '"$diagnosis"'), r"no \$word but cells"),
        (RULE.replace('"so"', '"100 $"'), r"no \$word but cells"),
        (RULE.replace("least = 5", ""), "no limit"),
        (
            RULE.replace("least = 5", 'least = "5"'),
            "least is '5', but must be a number",
        ),
        (RULE.replace('["MON"]', '"MON"'), "codes is 'MON', but must be a list"),
        (RULE.replace('codes = ["MON"]', ""), "needs codes"),
        (RULE.replace("least", "atleast"), "mine.atleast' is an unknown field"),
        (RULE.replace('level = "review"', ""), "'rules.mine.level' is missing"),
        ("alarms = []", "'alarms' is an unknown field; known are rules"),
        ('off = ["nothing"]', "nothing"),
        ("off = ", "cannot be read"),
        ("[[rules]]\nleast = 1", "name"),
        ("rules = 1", "rules is 1, but must be a list"),
    ],
)
def test_nonsense_is_refused_by_name(tmp_path, text, told):
    with pytest.raises(InputError, match=told):
        own(tmp_path, text)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml"):
        AlertRules.load(tmp_path / "none.toml")


def test_an_alert_of_another_level_can_be_made():
    rules = AlertRules.load()
    quiet = tuple(replace(r, level="quality") for r in rules.rules)
    found = find_alerts(counted({**FILLER, "FGC": 1}), TAXONOMY, AlertRules(quiet))
    assert found[0].level == "quality"
