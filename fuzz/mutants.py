"""Change one thing in a module, run its tests, and list the changes no test noticed.

    python fuzz/mutants.py            the modules that decide, a line a survivor
    python fuzz/mutants.py --count    only how many changes there would be

Each change is tried in a forked child, so that nothing is written to the sources.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import signal
import subprocess
import sys
import time
from importlib.abc import Loader
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "src/napari_cytodino"
TESTS = {
    "uncertainty.probabilities": (
        "uncertainty/test_probabilities.py",
        "uncertainty/test_decisions.py",
    ),
    "stats.binomial": ("stats/test_binomial.py", "stats/test_fixed_sequence.py"),
    "uncertainty.decisions": (
        "uncertainty/test_decisions.py",
        "uncertainty/test_reasons.py",
    ),
    "uncertainty.calibration": (
        "uncertainty/test_calibration.py",
        "uncertainty/test_calibration_fit.py",
    ),
}
"""Module -> its own tests, then those that are asked when its own notice nothing."""

LONGEST = 300
"""Seconds; a change that makes the tests take longer counts as noticed."""

OPERATORS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.Div, ast.Div: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult,
    ast.USub: ast.UAdd, ast.FloorDiv: ast.Div, ast.Mod: ast.Add,
}  # fmt: skip


def changes(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """Give what may be changed at a node: the field's name and its new value."""
    match node:
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                other = [*ops[:place], OPERATORS[type(op)](), *ops[place + 1 :]]
                yield "ops", other
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op):
            if type(op) in OPERATORS:
                yield "op", OPERATORS[type(op)]()
        case ast.UnaryOp(op=ast.USub()):
            yield "op", ast.UAdd()
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            yield "op", ast.Not()
            yield "operand", ast.UnaryOp(ast.Not(), operand)
        case ast.Constant(value=int() | float() as value):
            yield "value", not value if isinstance(value, bool) else value + 1
        case ast.If(test=test) | ast.IfExp(test=test):
            if ast.unparse(test) != "TYPE_CHECKING":
                yield "test", ast.UnaryOp(ast.Not(), test)


def mutants(source: str) -> Iterator[tuple[str, ast.Module]]:
    """Give every change of a module: where and what, and the changed tree."""
    whole = ast.parse(source)
    for number, node in enumerate(ast.walk(whole)):
        for field, value in changes(node):
            other = copy.deepcopy(whole)
            place = next(n for i, n in enumerate(ast.walk(other)) if i == number)
            before = ast.unparse(place)
            setattr(place, field, copy.deepcopy(value))
            after = ast.unparse(place)
            if after != before:
                line = getattr(node, "lineno", 0)
                said = f"{line}: {before.splitlines()[0]} -> {after.splitlines()[0]}"
                yield said, ast.fix_missing_locations(other)


class Changed(Loader):
    """Stands first among the finders and gives the changed module for the real one."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name, self.tree = name, tree

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """Return the real place of the module, with this loader."""
        spec = PathFinder.find_spec(name, path) if name == self.name else None
        if spec is not None:
            spec.loader = self
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed code in place of what the file holds."""
        file = str(module.__spec__.origin) if module.__spec__ else self.name
        exec(compile(self.tree, file, "exec"), module.__dict__)  # noqa: S102


def noticed(module: str, tree: ast.Module, tests: str) -> bool:
    """Tell whether a file of tests fails with the changed module."""
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        signal.alarm(LONGEST)
        sys.meta_path.insert(0, Changed(f"napari_cytodino.{module}", tree))
        # the suite asks a process of its own whether a window can open: none is needed
        subprocess.run = lambda *_, **__: SimpleNamespace(returncode=0)  # type: ignore[assignment]
        import pytest

        no = ["-pno:cacheprovider", "-pno:pytest-qt", "--no-xvfb", "-n0"]
        quiet = ["-x", "-q", "--assert=plain", "-W", "ignore::pytest.PytestWarning"]
        os._exit(min(pytest.main([*quiet, *no, str(ROOT / "tests" / tests)]), 1))
    return os.waitpid(child, 0)[1] != 0


def main() -> None:
    """Try every change of every module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", action="store_true")
    parser.add_argument("modules", nargs="*", default=list(TESTS))
    asked = parser.parse_args()
    os.chdir(ROOT)
    # loaded once, for all children; nothing of the package itself
    for name in ("hypothesis.extra.numpy", "pandas", "pytest", "scipy.stats"):
        __import__(name)
    for module in asked.modules:
        file = ROOT.joinpath(PACKAGE, *module.split(".")).with_suffix(".py")
        found = list(mutants(file.read_text("utf-8")))
        start, survivors = time.monotonic(), []
        same = ast.parse(file.read_text("utf-8"))
        if any(noticed(module, same, tests) for tests in TESTS[module]):
            raise SystemExit(f"{module}: its tests fail as it is; mend them first")
        for said, tree in [] if asked.count else found:
            if not any(noticed(module, tree, tests) for tests in TESTS[module]):
                survivors.append(said)
                sys.stdout.write(f"{file.name}:{said}\n")
                sys.stdout.flush()
        said = f"{len(found)} changes, {len(survivors)} unnoticed"
        sys.stdout.write(f"{module}: {said}, {time.monotonic() - start:.0f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
