"""The benches of the tests of the widgets, for faults that are made in a viewer."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "benches_of_widgets", Path(__file__).parent.parent / "widgets" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_widgets = importlib.util.module_from_spec(_spec)
# dataclasses look their module up by its name
sys.modules[_spec.name] = _widgets
_spec.loader.exec_module(_widgets)

bench, chosen, judged, read_bench = (
    _widgets.bench,
    _widgets.chosen,
    _widgets.judged,
    _widgets.read_bench,
)
classifier = _widgets.classifier
told, six_answers = _widgets.told, _widgets.six_answers
no_case_of_the_users = _widgets.no_case_of_the_users
some_calibration = _widgets.some_calibration
NAPARIS_OWN: str = _widgets.NAPARIS_OWN
