"""The taxonomy reads what the paper says and refuses what contradicts itself."""

import json
import tomllib
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.taxonomy import ME_SIDES, SEVERITIES, Taxonomy

PLAIN = st.sampled_from(["a", "größe", "赤血球", "می\u200cخواهم", 'x"y', "&lt;", "'1"])
COLOURS = st.sampled_from(["#000000", "#aBcDeF"])
CODES = st.sampled_from(["a", "A", "0", "-", "_x", "x" * 16])
JUNK = st.sampled_from(
    (None, True, -1, 2**70, 1e308, float("nan"), "", "a\0b", "x" * 9000)
) | st.sampled_from(
    ([], {}, [[]], [{}], [None], [1, "a"], ["a"] * 300, {"a": {"b": []}}, {"": None})
)


@st.composite
def contents(draw):
    """Draw the plain values of a taxonomy without a fault."""
    groups = draw(st.lists(PLAIN, min_size=1, max_size=3, unique=True))
    codes = draw(st.lists(CODES, min_size=2, max_size=4, unique=True))
    lineage = st.fixed_dictionaries(
        {"title": PLAIN, "colour": COLOURS, "sequential": st.booleans()}
    )
    cell = st.fixed_dictionaries(
        {
            "name": PLAIN,
            "lineage": st.sampled_from(groups),
            "stage": st.sampled_from([0, 7, 99]),
            "risk": st.sampled_from(SEVERITIES),
            "colour": COLOURS,
            "counted": st.booleans(),
            "me_ratio": st.sampled_from(ME_SIDES),
        }
    )
    return {
        "name": draw(PLAIN),
        "title": draw(PLAIN),
        "classes": [{"code": code} | draw(cell) for code in codes],
        "lineages": [{"name": name} | draw(lineage) for name in groups],
    }


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


@settings(max_examples=40, deadline=None)
@given(good=contents())
def test_any_taxonomy_comes_back_from_its_file(tmp_path_factory, good):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text("\n".join(f"{k} = {toml(v)}" for k, v in good.items()), "utf-8")
    read = Taxonomy.load(path)
    plain = json.loads(json.dumps(read.to_dict()))
    assert plain == good
    assert Taxonomy.from_dict(plain) == read


def kinds(plain):
    return {
        tuple((name, type(value)) for name, value in sorted(record.items()))
        for record in [*plain["classes"], *plain["lineages"]]
    }


@settings(max_examples=60, deadline=None)
@given(good=contents(), junk=JUNK, dice=st.data())
def test_junk_anywhere_in_a_taxonomy_is_told(good, junk, dice):
    before = kinds(good)
    at = dice.draw(st.sampled_from([good, *good["classes"], *good["lineages"]]))
    at[dice.draw(st.sampled_from([*at, "tree", "costs", "other"]))] = junk
    try:
        read = Taxonomy.from_dict(good)
    except InputError as error:
        assert len(str(error)) < 5000  # noqa: PT017 - most junk is refused, not all
        return
    # what is taken is of the kind it replaced
    assert kinds(read.to_dict()) <= before
    assert Taxonomy.from_dict(json.loads(json.dumps(read.to_dict()))) == read


@pytest.fixture
def content():
    folder = resources.files("napari_cytodino.taxonomy") / "taxonomies"
    return tomllib.loads((folder / "mll21.toml").read_text(encoding="utf-8"))


def test_mll21_is_the_papers():
    taxonomy = Taxonomy.load("mll21")
    assert len(taxonomy) == 21
    assert len(taxonomy.lineages) == 8
    assert taxonomy.codes == tuple(sorted(taxonomy.codes))
    critical = {
        c for c, m in zip(taxonomy.codes, taxonomy.critical_mask, strict=True) if m
    }
    safe = {c for c, m in zip(taxonomy.codes, taxonomy.safe_mask, strict=True) if m}
    assert critical == {"BLA", "MYB", "PMO", "FGC", "HAC", "KSC", "ABE", "LYI"}
    assert safe == {"NGS", "NGB", "LYT", "MON", "EOS", "BAS", "PLM", "EBO"}
    assert {c.code for c in taxonomy.classes if not c.counted} == {
        "ART",
        "NIF",
        "KSC",
        "OTH",
    }


def test_granulocytic_stages_are_in_order_of_maturation():
    taxonomy = Taxonomy.load("mll21")
    ordered = [c.code for c in taxonomy.classes_of("granulocytic")]
    assert ordered == ["BLA", "PMO", "MYB", "MMZ", "NGB", "NGS"]


def test_index_and_lineage_agree():
    taxonomy = Taxonomy.load("mll21")
    for place, code in enumerate(taxonomy.codes):
        assert taxonomy.index(code) == place
        lineage = taxonomy.lineages[taxonomy.lineage_index[place]]
        assert taxonomy.lineage_of(code) == lineage


def test_dict_round_trip():
    taxonomy = Taxonomy.load("mll21")
    assert Taxonomy.from_dict(taxonomy.to_dict()) == taxonomy


@pytest.mark.parametrize("name", ["mll21", "hematopoiesis21"])
def test_json_round_trip(name):
    taxonomy = Taxonomy.load(name)
    read = Taxonomy.from_dict(json.loads(json.dumps(taxonomy.to_dict())))
    assert read == taxonomy
    part = taxonomy.subset(["NGS", "BLA", "FGC"])
    assert Taxonomy.from_dict(json.loads(json.dumps(part.to_dict()))) == part


def test_without_a_tree_plain_values_are_those_of_old_checkpoints():
    taxonomy = Taxonomy.load("mll21")
    assert set(taxonomy.to_dict()) == {"name", "title", "classes", "lineages"}
    starter = resources.files("napari_cytodino.checkpoints") / "bundled" / "starter"
    stored = json.loads((starter / "config.json").read_text(encoding="utf-8"))
    read = Taxonomy.from_dict(stored["taxonomy"])
    assert read == taxonomy.subset(read.codes)
    assert json.loads(json.dumps(read.to_dict())) == stored["taxonomy"]


def test_a_slip_in_a_users_tree_is_told(tmp_path):
    folder = resources.files("napari_cytodino.taxonomy") / "taxonomies"
    text = (folder / "hematopoiesis21.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('["LYT", "KSC"]', '["LYT", "KCS"]'))
    with pytest.raises(InputError, match="names KCS, neither a class"):
        Taxonomy.load(path)
    path.write_text(text.replace("length = 6", 'length = "six"'))
    with pytest.raises(InputError, match=r"length is 'six', but must be a number"):
        Taxonomy.load(path)
    path.write_text(text.replace("factor = 2\n", "factor = -2\n"))
    with pytest.raises(InputError, match=r"cost -2 of FGC is not above 0"):
        Taxonomy.load(path)
    path.write_text(text.replace("ordered", "in_order"))
    with pytest.raises(
        InputError, match=r"in_order' is an unknown field; known are parts"
    ):
        Taxonomy.load(path)


def test_subset_keeps_order_and_drops_empty_lineages():
    taxonomy = Taxonomy.load("mll21").subset(["NGS", "BLA", "LYT"])
    assert taxonomy.codes == ("BLA", "LYT", "NGS")
    assert {g.name for g in taxonomy.lineages} == {"granulocytic", "lymphoid"}
    np.testing.assert_array_equal(taxonomy.critical_mask, [True, False, False])


def test_unknown_code_names_the_known_ones():
    with pytest.raises(InputError, match=r"'XYZ' is not a class .* ABE"):
        Taxonomy.load("mll21").index("XYZ")


def test_unknown_name_lists_what_ships():
    with pytest.raises(InputError, match="mll21"):
        Taxonomy.load("nonsense")


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="check the path"):
        Taxonomy.load(tmp_path / "mine.toml")


def test_users_own_file(tmp_path, content):
    folder = resources.files("napari_cytodino.taxonomy") / "taxonomies"
    path = tmp_path / "mine.toml"
    path.write_text((folder / "mll21.toml").read_text(encoding="utf-8"))
    assert Taxonomy.load(path) == Taxonomy.load("mll21")
    path.write_text("name = [")
    with pytest.raises(InputError, match="not valid TOML"):
        Taxonomy.load(path)


def test_all_faults_are_told_at_once(content):
    content["classes"][0]["colour"] = "red"
    content["classes"][1]["lineage"] = "nowhere"
    content["classes"][2]["code"] = content["classes"][3]["code"]
    content["classes"][4]["risk"] = "high"
    content["classes"][5]["name"] = "=HYPERLINK(\n)"
    with pytest.raises(InputError) as caught:
        Taxonomy.from_dict(content)
    for word in ("'red'", "'nowhere'", "stands twice", "'high'", "plain text"):
        assert word in str(caught.value)


@pytest.mark.parametrize("code", ["", "a/b", "x" * 17, "<b>", "A B"])
def test_hostile_codes_are_refused(content, code):
    content["classes"][0]["code"] = code
    with pytest.raises(InputError, match="letters or digits"):
        Taxonomy.from_dict(content)


def test_fields_missing_or_unknown(content):
    del content["classes"][0]["risk"]
    with pytest.raises(InputError, match="risk"):
        Taxonomy.from_dict(content)
    content["classes"][0]["risk"] = "none"
    content["classes"][0]["colours"] = "#000000"
    with pytest.raises(InputError, match="colours' is an unknown field"):
        Taxonomy.from_dict(content)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("classes", "name", "a\u202eb"),
        ("classes", "name", "a\x85b"),
        ("classes", "name", "a\u2028b"),
        ("classes", "name", "\ud800"),
        ("classes", "name", " "),
        ("classes", "name", "../a"),
        ("classes", "name", "<b>a"),
        ("classes", "name", "x" * 10_000),
        ("classes", "name", 3),
        ("classes", "code", 3),
        ("classes", "counted", "yes"),
        ("classes", "stage", 1.0),
        ("classes", "stage", True),
        ("lineages", "name", "<b>"),
        ("lineages", "title", "a\x1b[31m"),
        ("lineages", "sequential", "no"),
    ],
)
def test_values_that_steer_or_are_of_another_kind_are_refused(
    content, part, field, value
):
    content[part][0][field] = value
    with pytest.raises(
        InputError,
        match=r"plain text|must be (a text|a whole number|true or)|hex escape",
    ):
        Taxonomy.from_dict(content)


@pytest.mark.parametrize("value", [None, 3, "abc", [3], [[]], {"a": 1}])
@pytest.mark.parametrize("part", ["classes", "lineages", "tree", "costs"])
def test_parts_of_another_kind_are_refused(content, part, value):
    with pytest.raises(
        InputError,
        match=rf"{part} is .*but must be a list|but must be a table|cannot be used",
    ):
        Taxonomy.from_dict(content | {part: value})


def test_a_taxonomy_without_end_is_refused_at_once(content):
    first = content["classes"][0]
    content["classes"] = [{**first, "code": f"c{i}"} for i in range(20_000)]
    with pytest.raises(InputError, match="a list of at most 200"):
        Taxonomy.from_dict(content)
    with pytest.raises(InputError, match="plain text"):
        Taxonomy.from_dict(content | {"title": "<img src=x>", "classes": [first] * 2})


def test_names_of_any_language_are_plain(content):
    for number, name in enumerate(["größe", "赤血球", "می\u200cخواهم", "a\u00a0b"]):
        content["classes"][number]["name"] = name
    assert Taxonomy.from_dict(content).classes[2].name == "می\u200cخواهم"


def test_a_class_without_a_lineage_has_one_of_its_own(content):
    content["classes"][0]["lineage"] = content["classes"][3]["lineage"] = ""
    made = Taxonomy.from_dict(content)
    for place in (0, 3):
        code = made.codes[place]
        own = made.lineage_of(code)
        assert (own.name, own.sequential) == (code, False)
        assert [c.code for c in made.classes_of(code)] == [code]
    assert Taxonomy.from_dict(made.to_dict()) == made
