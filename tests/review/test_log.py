"""The record of a case keeps what was said, across sessions, readers and kills."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from napari_cytodino.cells.cells import Cells
from napari_cytodino.common.errors import InputError
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.review.state import Verdict
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL


def cells_of(n, seed=0):
    """Return n cells 40 px apart."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n)))
    centre = np.stack(np.divmod(np.arange(n), side), 1) * 40.0 + rng.uniform(
        0, 5, (n, 2)
    )
    return Cells(
        np.arange(1, n + 1),
        centre,
        np.zeros((n, 4), np.int64),
        rng.uniform(300, 600, n),
        np.zeros(n, bool),
    )


def opened(path, cells=None, **options):
    log = ReviewLog.open(path, **{"image": "pixels", "case": "17"} | options)
    log.attach(cells or cells_of(9))
    return log


@pytest.fixture
def path(tmp_path):
    """Return where a case can lie."""
    return tmp_path / "new" / "a.cytodino.sqlite"


@pytest.fixture
def log(path):
    """Return an open case of 9 cells."""
    with opened(path) as log:
        yield log


def say(log, rows, code, reviewer="Ann", **more):
    return log.record(rows, code, reviewer=reviewer, model=["m"] * len(rows), **more)


def classes(said):
    return {row: verdict.cell_class for row, verdict in said.items()}


def test_a_verdict_is_kept_with_all_that_belongs_to_it(log, path):
    assert say(log, [4], "a", " Ann ", why="folded", checkpoint="hash") == (4,)
    verdict = log.verdicts("Ann")[4]
    assert verdict == Verdict("a", "Ann", verdict.at, "folded", "m")
    assert verdict.at.endswith("+00:00")
    assert len(verdict.at) == len("2026-01-01T00:00:00.000+00:00")
    (event,) = log.events()
    assert (event.label, event.was, event.now, event.checkpoint) == (5, "", "a", "hash")
    log.close()
    with opened(path, case="another name") as again:
        assert (again.case, again.image, again.revision) == ("17", "pixels", 1)
        assert again.verdicts("Ann")[4] == verdict
        assert again.events() == [event]


def test_a_case_without_a_name_may_get_one_and_then_keeps_it(path):
    for given, kept in (("", ""), ("", ""), (" 17 ", "17"), ("18", "17")):
        with opened(path, case=given) as log:
            assert log.case == kept
    with opened(path, case="19", read_only=True) as log:
        assert log.case == "17"


def test_views_are_live_and_answer_for_one_row(log):
    ann, case = log.verdicts("Ann"), log.settled()
    assert (len(ann), 3 in ann, case.get(3)) == (0, False, None)
    say(log, [3], NOT_A_CELL)
    assert (len(ann), 3 in ann, case[np.int64(3)].cell_class) == (1, True, NOT_A_CELL)
    with pytest.raises(KeyError):
        ann[5]


def test_each_row_may_have_a_class_of_its_own(log):
    assert say(log, np.array([5, 1, 2]), ["a", "b", "a"]) == (1, 2, 5)
    assert classes(log.verdicts("Ann")) == {1: "b", 2: "a", 5: "a"}
    assert len({event.action for event in log.events()}) == 1
    assert log.undo("Ann") == (1, 2, 5)
    assert not log.verdicts("Ann")


def test_saying_the_same_again_is_no_event(log):
    say(log, [1, 2], "a")
    assert say(log, [1, 2, 3, 3], "a") == (3,)
    assert log.withdraw([7], reviewer="Ann") == ()
    assert log.record([], "a", reviewer="Ann") == ()
    assert [(e.id, e.cell, e.label) for e in log.events()] == [
        (1, 1, 2),
        (2, 2, 3),
        (3, 3, 4),
    ]


def test_undo_goes_on_in_the_next_session(log, path):
    say(log, [1], "a")
    say(log, [1, 2], "b")
    log.close()
    with opened(path) as again:
        assert again.undo("Ann") == (1, 2)
        assert classes(again.verdicts("Ann")) == {1: "a"}
        assert (again.can_undo("Ann"), again.can_redo("Ann")) == (True, True)
    with opened(path) as again:
        assert again.redo("Ann") == (1, 2)
        assert again.redo("Ann") == ()
        kinds = [event.kind for event in again.events()]
        assert kinds == ["verdict"] * 3 + ["undo"] * 2 + ["redo"] * 2


def test_a_locked_case_refuses_all_but_reopening(log, path):
    say(log, [1], "a")
    with pytest.raises(InputError, match="is not locked"):
        log.reopen("Ann", "why")
    log.lock("Ann", "signed")
    for attempt in (
        lambda: say(log, [1], "b"),
        lambda: log.withdraw([1], reviewer="Ann"),
        lambda: log.undo("Ann"),
        lambda: log.redo("Ann"),
        lambda: log.lock("Ann"),
    ):
        with pytest.raises(InputError, match=r"'17' is locked as revision 1; reopen"):
            attempt()
    with pytest.raises(InputError, match="for a reason"):
        log.reopen("Ann", " ")
    log.close()
    with opened(path) as again:
        assert again.locked
        again.reopen("Bob", "a late smear")
        assert (again.locked, again.revision) == (False, 2)
        assert say(again, [1], "b") == (1,)
        assert again.events()[-1].revision == 2


def test_two_readers_disagree_until_a_third_settles(log):
    say(log, [1, 2, 3], "a")
    say(log, [2, 3, 4], ["a", "b", "b"], "Bob")
    assert log.readers == ("Ann", "Bob")
    assert log.disagreements() == (3,)
    assert classes(log.settled()) == {1: "a", 2: "a", 4: "b"}
    assert say(log, [3], "c", "Cy", settling=True) == (3,)
    assert log.disagreements() == ()
    assert classes(log.settled()) == {1: "a", 2: "a", 3: "c", 4: "b"}
    assert classes(log.verdicts("Cy", settling=True)) == {3: "c"}
    assert not log.verdicts("Cy")
    assert log.readers == ("Ann", "Bob")
    log.undo("Cy", settling=True)
    assert log.disagreements() == (3,)


def test_reviewed_cells_that_are_gone_are_counted_and_come_back(log):
    cells = cells_of(9)
    say(log, [0, 4, 8], "a")
    log.withdraw([0], reviewer="Ann")
    few = log.attach(cells.take(np.array([8, 1])))
    assert (few.found.tolist(), few.lost) == ([0], 1)
    assert classes(log.verdicts("Ann")) == {0: "a"}
    assert log.reviewed == 2
    assert log.undo("Ann") == ()
    all_again = log.attach(cells)
    assert (all_again.found.tolist(), all_again.lost) == ([0, 4, 8], 0)


@pytest.mark.parametrize(
    ("rows", "codes", "model", "reviewer", "sentence"),
    [
        ([9], "a", ["m"], "Ann", "Row 9 is none of the 9 cells"),
        ([-1], "a", ["m"], "Ann", "Row -1 is none"),
        ([1], "a", ["m"], " ", "needs its reader"),
        ([1], "", ["m"], "Ann", "no class empty"),
        ([1, 2], ["a"], ["m", "m"], "Ann", "1 classes and 2 answers"),
        ([1, 2], "a", ["m"], "Ann", "1 answers of the model do not fit 2 cells"),
    ],
)
def test_what_makes_no_sense_is_refused(log, rows, codes, model, reviewer, sentence):
    with pytest.raises(InputError, match=sentence):
        log.record(rows, codes, reviewer=reviewer, model=model)
    assert log.events() == []


def test_half_a_character_does_not_stop_a_verdict(log):
    say(log, [1], "a", "Ann\udc80", why="x\ud800")
    assert [(e.reviewer, e.why) for e in log.events()] == [("Ann?", "x?")]


def test_a_disk_that_refuses_changes_nothing(log):
    say(log, [1], "a")
    say(log, [1, 2], "b")
    log.undo("Ann")
    log._file._connection.execute("PRAGMA max_page_count=1")
    for attempt in (
        lambda: say(log, range(9), "c", why="w" * 5000),
        lambda: log.lock("Ann", "w" * 50_000),
        lambda: log.withdraw([1], reviewer="Ann", why="w" * 50_000),
    ):
        with pytest.raises(InputError, match="disk is full, nothing"):
            attempt()
        assert classes(log.verdicts("Ann")) == {1: "a"}
        assert (log.can_redo("Ann"), log.locked, len(log.events())) == (True, False, 5)
    log._file._connection.execute("PRAGMA max_page_count=1000000")
    assert log.redo("Ann") == (1, 2)
    assert say(log, [3], "c") == (3,)


def test_the_review_of_another_image_is_refused(log, path):
    log.close()
    with pytest.raises(InputError, match="review of another image"):
        opened(path, image="other")
    with opened(path) as again:
        assert not again.read_only


def test_a_second_viewer_looks_on_and_sees_what_is_said(log, path):
    say(log, [1], "a")
    with opened(path) as second:
        assert second.read_only
        assert f"process {os.getpid()}" in second.why_read_only
        with pytest.raises(InputError, match="can only be looked at: it is open for"):
            say(second, [2], "b")
        say(log, [2, 3], "b", "Bob")
        assert 2 not in second.verdicts("Bob")
        assert second.refresh() == (2, 3)
        assert classes(second.verdicts("Bob")) == {2: "b", 3: "b"}
        assert second.refresh() == ()
        log.lock("Ann")
        second.refresh()
        assert second.locked
    log.close()
    with opened(path) as third:
        assert not third.read_only


@pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be deleted")
def test_two_writers_that_slip_past_the_lock_lose_nothing(log, path):
    (path.parent / f"{path.name}-lock").unlink()
    with opened(path) as second:
        assert not second.read_only
        say(log, [1, 2], "a")
        say(second, [2, 3], "b", "Bob")
        assert log.undo("Ann") == (1, 2)
        say(second, [1], "c", "Bob")
        log.refresh()
        for one in (log, second):
            assert classes(one.verdicts("Bob")) == {1: "c", 2: "b", 3: "b"}
            assert not one.verdicts("Ann")
    assert [e.id for e in log.events()] == list(range(1, 8))


def test_looking_only_makes_no_file(path):
    with pytest.raises(InputError, match="There is no review"):
        opened(path, read_only=True)
    assert not path.parent.exists()


def test_closing_twice_is_nothing_and_nothing_is_left_beside(log, path):
    say(log, [1], "a")
    log.close()
    log.close()
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with pytest.raises(InputError, match="it was closed"):
        say(log, [2], "a")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc refuses even root")
def test_a_case_in_a_folder_that_cannot_be_written_is_not_begun():
    with pytest.raises(InputError, match=r"/proc/a.sqlite cannot be made: .* choose"):
        opened(Path("/proc/a.sqlite"))
    with pytest.raises(InputError, match="/proc/none cannot be made"):
        opened(Path("/proc/none/a.sqlite"))


def unprivileged(work):
    """Call in a child that is not root; returns what it returns, a short text."""
    if os.geteuid():
        return work()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # the child calls nothing that other threads may have locked
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            os.setuid(65534)
            os.write(writing, work().encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        return answer.read()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="rights are those of POSIX")
@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o777), (0o644, 0o555)])
def test_a_case_that_may_not_be_written_can_be_looked_at(file, folder):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.sqlite"
        with opened(path) as log:
            say(log, [1], "a")

        def look():
            with opened(path) as log:
                return f"{log.read_only} {log.why_read_only} {classes(log.settled())}"

        # loads all modules, which the child may not be allowed to read
        assert look().endswith("{1: 'a'}")
        path.chmod(file)
        Path(name).chmod(folder)
        told = unprivileged(look)
        Path(name).chmod(0o777)
    assert told.startswith(
        "True the file is write-protected" if file == 0o444 else "True"
    )
    assert told.endswith("{1: 'a'}")


WORKER = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import scipy.spatial  # else each child would load it anew
from test_log import opened, cells_of, say
cells = cells_of(60)
for step in range(50):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    log = opened(Path(sys.argv[1]), cells)
    say(log, [step], f"c{step}")
    os.write(1, f"{os.getpid()}\\n".encode())
    while True:  # the kill comes in the middle of something
        say(log, [50, 51, 52], str(len(log.events())), "Bob")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked, warm")
def test_killed_after_each_of_fifty_verdicts_none_is_lost(path):
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with worker:
        for _ in range(50):
            os.kill(int(worker.stdout.readline()), signal.SIGKILL)
    assert worker.returncode == 0
    with opened(path, cells_of(60)) as log:
        assert not log.read_only
        said = log.verdicts("Ann")
        assert classes(said) == {step: f"c{step}" for step in range(50)}
        bulks = [e.action for e in log.events() if e.reviewer == "Bob"]
        assert all(bulks.count(action) == 3 for action in set(bulks))
        assert log.undo("Ann") == (49,)


def test_a_case_of_50_000_events_opens_and_a_bulk_is_undone(path):
    cells = cells_of(50_000)
    with opened(path, cells) as log:
        for start in range(0, 50_000, 5000):
            say(log, range(start, start + 5000), "a", checkpoint="f" * 64)
    with opened(path, cells) as log:
        assert len(log.verdicts("Ann")) == 50_000
        assert log.undo("Ann") == tuple(range(45_000, 50_000))
        assert len(log.verdicts("Ann")) == 45_000


CODES = st.sampled_from(["a", "b", NOT_A_CELL])
PASSES = st.sampled_from([("Ann", False), ("Bob", False), ("Cy", True), ("Ann", True)])
COUNT = 6
ROWS = st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=4, unique=True)


class CaseMachine(RuleBasedStateMachine):
    """A case beside a plain model: for each reader all states there were, and a place.

    The model names cells by their number when the case began; `self.order` says which
    row each has now.
    """

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "0.sqlite"
        self.cells = cells_of(COUNT)
        self.order = np.arange(COUNT)
        self.states, self.place, self.said = {}, {}, {}
        self.locked, self.revision, self.steps = False, 1, 0
        self.log = opened(self.path, self.cells)
        self.viewer = opened(self.path, self.cells, read_only=True)

    def teardown(self):
        for log in (self.log, self.viewer):
            log.close()
        shutil.rmtree(self.folder)

    def now(self, who):
        return self.states.get(who, [{}])[self.place.get(who, 0)]

    def step(self, who, state):
        past = self.states.get(who, [{}])[: self.place.get(who, 0) + 1]
        self.states[who] = [*past, state]
        self.place[who] = len(past)
        self.steps += 1
        if not who[1]:
            self.said.setdefault(who[0])

    def rows(self, changed):
        return tuple(sorted(int(self.order[cell]) for cell in changed))

    def act(self, who, state, method, *args, **options):
        """Do it, or see it refused; the model follows what was done."""
        reviewer, settling = who
        if self.locked:
            with pytest.raises(InputError, match="is locked"):
                method(*args, reviewer=reviewer, settling=settling, **options)
            return
        old = self.now(who)
        changed = [c for c in range(COUNT) if old.get(c) != state.get(c)]
        done = method(*args, reviewer=reviewer, settling=settling, **options)
        assert done == self.rows(changed)
        if changed:
            self.step(who, state)

    @rule(who=PASSES, cells=ROWS, code=CODES)
    def record(self, who, cells, code):
        model = [f"m{cell}" for cell in cells]
        state = self.now(who) | dict.fromkeys(cells, code)
        self.act(who, state, self.log.record, self.order[cells], code, model=model)

    @rule(who=PASSES, cells=ROWS)
    def withdraw(self, who, cells):
        state = {c: code for c, code in self.now(who).items() if c not in cells}
        self.act(who, state, self.log.withdraw, self.order[cells])

    @rule(who=PASSES, back=st.booleans())
    def turn(self, who, back):
        method = self.log.undo if back else self.log.redo
        place = self.place.get(who, 0) + (-1 if back else 1)
        if self.locked or not 0 <= place < len(self.states.get(who, [{}])):
            if not self.locked:
                assert method(who[0], settling=who[1]) == ()
            return
        old, new = self.now(who), self.states[who][place]
        changed = [c for c in range(COUNT) if old.get(c) != new.get(c)]
        assert method(who[0], settling=who[1]) == self.rows(changed)
        self.place[who] = place
        self.steps += 1

    @rule(seed=st.integers(0, 99))
    def renumber(self, seed):
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(COUNT)
        self.order = np.argsort(shuffled)
        cells = cells_of(COUNT).take(shuffled)
        self.cells = Cells(
            rng.permutation(1000)[:COUNT] + 1,
            cells.centre + rng.uniform(-1, 1, (COUNT, 2)),
            cells.bbox,
            cells.area * rng.uniform(0.8, 1.2, COUNT),
            cells.at_border,
        )
        for log in (self.log, self.viewer):
            log.refresh()
            matching = log.attach(self.cells)
            assert matching.lost == 0

    @rule()
    def close_and_open(self):
        self.log.close()
        self.log = opened(self.path, self.cells)

    @rule()
    def kill(self):
        """Go on from what the disk holds, as after a kill; nothing was closed."""
        self.path = self.folder / f"{self.path.stem}0.sqlite"
        for suffix in ("", "-wal"):
            old = self.log.path.with_name(self.log.path.name + suffix)
            if old.exists():
                shutil.copy(old, self.path.with_name(self.path.name + suffix))
        self.teardown_logs()
        self.log = opened(self.path, self.cells)
        self.viewer = opened(self.path, self.cells, read_only=True)

    def teardown_logs(self):
        for log in (self.log, self.viewer):
            log.close()

    @precondition(lambda self: not self.locked)
    @rule()
    def lock(self):
        self.log.lock("Ann", "signed")
        self.locked = True

    @precondition(lambda self: self.locked)
    @rule()
    def reopen(self):
        self.log.reopen("Bob", "a late smear")
        self.locked, self.revision = False, self.revision + 1

    @invariant()
    def the_log_says_what_the_model_says(self):
        self.viewer.refresh()
        for log in (self.log, self.viewer):
            assert (log.locked, log.revision) == (self.locked, self.revision)
            assert log.readers == tuple(self.said)
            for who in (("Ann", False), ("Bob", False), ("Cy", True), ("Ann", True)):
                self.one_reader(log, who)
            self.the_case(log)
        assert [e.id for e in self.log.events()] == list(
            range(1, len(self.log.events()) + 1)
        )

    def one_reader(self, log, who):
        said = log.verdicts(who[0], settling=who[1])
        assert classes(said) == {
            self.order[c]: code for c, code in self.now(who).items()
        }
        assert all(v.reviewer == who[0] for v in said.values())
        assert len(said) == len(self.now(who))
        place, states = self.place.get(who, 0), self.states.get(who, [{}])
        assert log.can_undo(who[0], settling=who[1]) == (place > 0)
        assert log.can_redo(who[0], settling=who[1]) == (place + 1 < len(states))

    def the_case(self, log):
        readings = [self.now(w) for w in (("Ann", False), ("Bob", False))]
        thirds = [self.now(w) for w in (("Cy", True), ("Ann", True))]
        settled, disputed = {}, []
        for cell in range(COUNT):
            said = {state[cell] for state in readings if cell in state}
            third = {state[cell] for state in thirds if cell in state}
            row = int(self.order[cell])
            if third:
                assert log.settled()[row].cell_class in third
                settled[row] = log.settled()[row].cell_class
            elif len(said) == 1:
                settled[row] = said.pop()
            elif said:
                disputed.append(row)
        assert classes(log.settled()) == settled
        assert log.disagreements() == tuple(sorted(disputed))


CaseMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None
)
TestCase = CaseMachine.TestCase
