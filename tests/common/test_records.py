"""Records: what they take from files and from code, and how they refuse the rest."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict, field, replace
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from napari_cytodino.common.errors import InputError
from napari_cytodino.common.records import MOST_FAULTS, must_be, read_record, record


@record
class Part:
    size: Annotated[int, Field(ge=1, lt=9)] = 1
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    kind: Literal["round", "flat"] = "round"
    pair: Annotated[int, must_be("an even number", lambda n: n % 2 == 0)] = 2
    pairs: tuple[Annotated[float, Field(ge=0)], float] = (1.0, 2.0)

    def __post_init__(self) -> None:
        if self.size == 3 and self.kind == "flat":
            raise ValueError("what is flat cannot be 3 in size")


@record
class Whole:
    name: str
    part: Part = field(default_factory=Part)
    parts: Annotated[tuple[Part, ...], Field(min_length=1)] = (Part(),)
    other: Part | None = None
    told: bool = False
    weights: dict[str, Annotated[float, Field(ge=0)]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name == self.part.kind:
            raise InputError(f"{self.name} is the kind of a part: name it otherwise.")


def refusal(**content: Any) -> str:
    with pytest.raises(InputError) as told:
        read_record(Whole, content, "x.toml")
    return str(told.value)


def test_lists_and_tables_become_tuples_and_records() -> None:
    content = {"name": "a", "part": {"share": 1, "pairs": [3, 4]}, "parts": [{}, {}]}
    made = read_record(Whole, content, "x.toml")
    assert made == Whole("a", Part(share=1.0, pairs=(3.0, 4.0)), (Part(), Part()))
    assert type(made.part.share) is float
    assert read_record(Whole, asdict(made), "again") == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert hash(Part(size=2)) == hash(Part(size=2)) != hash(Part())


def test_records_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Part().size = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"part": {"size": 0}}, "part.size is 0, but must be 1 or more"),
        ({"part": {"size": 9}}, "part.size is 9, but must be less than 9"),
        ({"part": {"size": 1.0}}, "part.size is 1.0, but must be a whole number"),
        ({"part": {"size": True}}, "part.size is True, but must be a whole number"),
        ({"part": {"size": 2**70}}, f"part.size is {2**70}, but must be less than 9"),
        ({"part": {"share": 0}}, "part.share is 0, but must be more than 0"),
        ({"part": {"share": True}}, "part.share is True, but must be a number"),
        ({"part": {"share": float("nan")}}, "nan, but must be a finite number"),
        ({"weights": {"a": float("inf")}}, "weights.a is inf, but must be a finite"),
        ({"weights": {"a": 10**400}}, "but must be a finite number"),
        ({"weights": {"a": -1}}, "weights.a is -1, but must be 0 or more"),
        ({"weights": []}, "weights is [], but must be a table"),
        (
            {"part": {"kind": "big"}},
            "part.kind is 'big', but must be 'round' or 'flat'",
        ),
        ({"part": {"pair": 3}}, "part.pair is 3, but must be an even number"),
        ({"part": {"pairs": [1, 2, 3]}}, "[1, 2, 3], but must be a list of at most 2"),
        ({"part": {"pairs": [-1, 2]}}, "part.pairs[0] is -1, but must be 0 or more"),
        ({"part": {"pairs": [1]}}, "'part.pairs[1]' is missing, so add it"),
        ({"part": {"pairs": "ab"}}, "part.pairs is 'ab', but must be a list"),
        ({"parts": [{}, {"size": 3, "kind": "flat"}]}, "parts[1]: what is flat"),
        ({"parts": []}, "parts is [], but must be a list of at least 1"),
        ({"part": 3}, "part is 3, but must be a table"),
        ({"part": None}, "part is None, but must be a table"),
        ({"name": 3}, "name is 3, but must be a text"),
        ({"told": "yes"}, "told is 'yes', but must be true or false"),
        ({"told": 1}, "told is 1, but must be true or false"),
        ({"parts": [{}, {"x": 1}]}, "'parts[1].x' is an unknown field; known are size"),
        ({"other": {"x": 1}}, "'other.x' is an unknown field; known are size, share"),
        ({"y": 1}, "'y' is an unknown field; known are name, part, parts, other, told"),
        ({"name": "\ud800"}, "so correct it"),
        ({"name": "x" * 999 * 2, "told": "x" * 999}, " ..., but must be true or false"),
    ],
)
def test_value_place_and_remedy_are_named(content: dict[str, Any], told: str) -> None:
    sentence = refusal(**{"name": "a"} | content)
    assert sentence.startswith("x.toml: ")
    assert sentence.endswith(".")
    assert told in sentence


def test_all_faults_are_told_at_once_up_to_a_number() -> None:
    assert refusal(part={"size": 0}, told=3) == (
        "x.toml: 'name' is missing, so add it; part.size is 0, but must be 1 or more; "
        "told is 3, but must be true or false."
    )
    many = refusal(name="a", **{f"f{i}": 1 for i in range(MOST_FAULTS + 7)})
    assert many.endswith("; and 7 more.")


def test_what_is_no_table_at_all_is_refused() -> None:
    for content in (3, [], "a", None):
        with pytest.raises(InputError, match=r"^x: it is .*, but must be a table"):
            read_record(Whole, content, "x")
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    for content in (deep, {"name": {1, 2}}, 10**5000):
        with pytest.raises(InputError, match=r"^x cannot be read"):
            read_record(Whole, content, "x")


def test_in_code_it_is_the_same_refusal() -> None:
    with pytest.raises(InputError, match=r"^Part: size is 0, but must be 1 or more\.$"):
        Part(size=0)
    with pytest.raises(InputError, match=r"^Part: what is flat cannot be 3 in size\.$"):
        Part(size=3, kind="flat")
    with pytest.raises(InputError, match="share is 2, but must be 1 or less"):
        replace(Part(), share=2)
    with pytest.raises(InputError, match="name it otherwise"):
        Whole("round")
    assert "name it otherwise" in refusal(name="flat", part={"kind": "flat"})


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(["name", "part", "parts", "other", "weights", "told", "x"]),
)
def test_junk_is_refused_or_comes_back(junk: Any, name: str) -> None:
    try:
        made = read_record(Whole, {"name": "a"} | {name: junk}, "x")
    except InputError as error:
        assert str(error).startswith("x")  # noqa: PT017 - most junk is refused
        return
    assert read_record(Whole, json.loads(json.dumps(asdict(made))), "x") == made


def test_the_package_alone_does_not_load_pydantic() -> None:
    code = "import sys, napari_cytodino; assert 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
