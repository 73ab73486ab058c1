"""The house rules, measured over ``src``; a failure names the offenders."""

from __future__ import annotations

import ast
import importlib
import io
import re
import tokenize
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "napari_cytodino"
TAXONOMY = PACKAGE / "taxonomy" / "taxonomies" / "mll21.toml"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
DOORS = sorted(path.parent for path in PACKAGE.rglob("__init__.pyi"))
NAMELESS = {"__init__.py", "__main__.py"}

MAX_FUNCTION = 50
MAX_FILE = 300
MAX_MEDIAN = 150
MAX_MODULES = 14
MIN_TEST_RATIO = 0.8

LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef | ast.Module


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def docstring(node: Documented) -> ast.Constant | None:
    """Return the docstring's node, or None."""
    match node.body:
        case [ast.Expr(value=ast.Constant(value=str()) as constant), *_]:
            return constant
    return None


def line_count(node: ast.AST | None) -> int:
    return 0 if node is None else node.end_lineno - node.lineno + 1


def code_lines(path: Path) -> int:
    """Count the lines that hold code: no blanks, comments or docstrings."""
    source = path.read_text(encoding="utf-8")
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree(path)):
        if isinstance(node, Documented) and (text := docstring(node)):
            lines.difference_update(range(text.lineno, text.end_lineno + 1))
    return len(lines)


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def at(path: Path, node: ast.AST, text: str = "") -> str:
    return f"{short(path)}:{node.lineno} {text}".rstrip()


def none(offenders: list[str], rule: str) -> None:
    """Fail with the rule and one offender a line."""
    if offenders:
        pytest.fail("\n  ".join([rule, *offenders]), pytrace=False)


def test_there_is_something_to_measure() -> None:
    assert len(MODULES) > len(NAMELESS)
    assert class_codes()


def test_code_lines_leave_out_blanks_comments_and_docstrings(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    head = '"""Doc.\n\nMore.\n"""\n\n# why\nX = """a\n\nb"""\n'
    path.write_text(head + '\n\ndef f():\n    """Doc."""\n')
    assert code_lines(path) == 4


def test_functions_fit_on_a_screen() -> None:
    offenders = []
    for path in MODULES:
        for node in functions(path):
            length = line_count(node) - line_count(docstring(node))
            if length > MAX_FUNCTION:
                offenders.append(at(path, node, f"{node.name}: {length} lines"))
    none(offenders, f"functions longer than {MAX_FUNCTION} lines, docstring apart:")


def test_files_are_paragraphs() -> None:
    sizes = {short(path): code_lines(path) for path in MODULES}
    offenders = [f"{name}: {n}" for name, n in sizes.items() if n > MAX_FILE]
    none(offenders, f"files of more than {MAX_FILE} code lines:")


def test_the_median_file_is_short() -> None:
    sizes = [code_lines(path) for path in MODULES if path.name not in NAMELESS]
    assert median(sizes) <= MAX_MEDIAN, f"median of {median(sizes)} code lines a file"


def test_modules_say_what_they_are_in_one_line() -> None:
    offenders = [
        short(path) for path in MODULES if line_count(docstring(tree(path))) != 1
    ]
    none(offenders, "modules without a docstring of one line:")


def test_modules_have_a_test_of_the_same_name() -> None:
    offenders = []
    for path in MODULES:
        if path.name in NAMELESS:
            continue
        folder = ROOT / "tests" / path.parent.relative_to(PACKAGE)
        # tests/training/recipes/test_distillation.py for training/config.py
        wanted = folder / f"test_{path.name.lstrip('_')}"
        if not wanted.is_file():
            offenders.append(f"{short(path)}: no {short(wanted)}")
    none(offenders, "modules without a test file of the same name:")


def test_rooms_are_no_heaps() -> None:
    rooms = Counter(path.parent for path in MODULES if path.name not in NAMELESS)
    offenders = [f"{short(room)}: {n}" for room, n in rooms.items() if n > MAX_MODULES]
    none(offenders, f"rooms of more than {MAX_MODULES} modules:")


def taken(path: Path) -> Iterator[tuple[ast.ImportFrom, str, Path]]:
    """Give each name that a file takes from the package, and the file it is in."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            place = ROOT.joinpath("src", *str(node.module).split("."))
            for name in (alias.name for alias in node.names):
                module = place / name
                files = (module.with_suffix(".py"), module, place.with_suffix(".py"))
                found = [file for file in (*files, place) if file.exists()]
                if PACKAGE in (place, *place.parents) and found:
                    yield node, name, found[0]


def test_what_is_private_stays_in_its_room() -> None:
    offenders = [
        at(path, node, f"{short(file)}: {name}")
        for path in MODULES
        for node, name, file in taken(path)
        if re.match("_[a-z]", f"{name}") or re.match("_[a-z]", file.name)
        if file.parent != path.parent
    ]
    none(offenders, "private modules or names taken from another room:")


def test_other_rooms_come_through_the_door() -> None:
    offenders = [
        at(path, node, f"{short(file)}: {name}")
        for path in MODULES
        for node, name, file in taken(path)
        if file.parent in DOORS and file.parent != path.parent
        if file.is_file() and file.stem != name
    ]
    none(offenders, "names of another room that its door does not hand out:")


@pytest.mark.parametrize("room", DOORS, ids=lambda room: room.name)
def test_a_door_hands_out_what_is_there(room: Path) -> None:
    module = importlib.import_module(".".join(room.relative_to(ROOT / "src").parts))
    stub = ast.parse((room / "__init__.pyi").read_text("utf-8"))
    names = {
        alias.name
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert names
    for name in names:
        assert getattr(module, name) is not None
    # the module would take the place of the name once it is imported
    assert not names & {path.stem.lstrip("_") for path in room.iterdir()}


def test_tests_weigh_enough() -> None:
    code = sum(map(code_lines, MODULES))
    tests = sum(map(code_lines, TESTS))
    message = f"{tests} code lines of tests for {code} of code: {tests / code:.2f}"
    assert tests >= MIN_TEST_RATIO * code, message


def test_no_prints() -> None:
    offenders = [
        at(path, node)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"print", "pprint"}
    ]
    none(offenders, "calls of print:")


def test_no_bare_excepts() -> None:
    offenders = [
        at(path, node)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    none(offenders, "bare excepts:")


def test_no_todos() -> None:
    word = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    offenders = [
        f"{short(path)}:{number} {line.strip()}"
        for path in MODULES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if word.search(line)
    ]
    none(offenders, "work left undone:")


def unannotated(node: Function) -> list[str]:
    """Name the parameters, and the return, that carry no type."""
    spec = node.args
    optional = [spec.vararg, spec.kwarg]
    args = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *filter(None, optional)]
    bare = [
        a.arg for a in args if a.annotation is None and a.arg not in ("self", "cls")
    ]
    return bare if node.returns is not None else [*bare, "return"]


def test_every_function_is_typed() -> None:
    offenders = [
        at(path, node, f"{node.name}: {', '.join(bare)}")
        for path in MODULES
        for node in functions(path)
        if (bare := unannotated(node))
    ]
    none(offenders, "functions with something unannotated:")


def class_codes() -> set[str]:
    data = tomllib.loads(TAXONOMY.read_text(encoding="utf-8"))
    return {entry["code"] for entry in data["classes"]}


def test_no_class_code_is_written_in_code() -> None:
    codes = class_codes()
    offenders = [
        at(path, node, repr(node.value))
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if (words := re.findall(r"\w+", node.value)) and codes.issuperset(words)
    ]
    none(offenders, "class codes in Python code; they belong in a taxonomy's TOML:")
