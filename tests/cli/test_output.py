"""What is printed: one sentence for an error, a bar, and what was left out."""

import os
import sys
import time
from pathlib import Path

import pytest
import typer

from napari_cytodino.cli.output import bar, one_sentence, print_left_out
from napari_cytodino.common.errors import CheckpointError, InputError


@pytest.mark.parametrize("kind", [InputError, CheckpointError])
def test_an_error_in_words_is_one_sentence_and_exit_code_2(kind, capsys):
    with pytest.raises(typer.Exit) as caught, one_sentence():
        raise kind("There is no such thing; make one.")
    assert caught.value.exit_code == 2
    assert isinstance(caught.value.__cause__, kind)
    told = capsys.readouterr()
    assert told.err == "Error: There is no such thing; make one.\n"
    assert told.out == ""


def test_an_error_that_nobody_put_into_words_goes_on_its_way(capsys):
    with pytest.raises(KeyError), one_sentence():
        raise KeyError("x")
    assert capsys.readouterr().err == ""


def test_where_nothing_goes_wrong_nothing_is_printed(capsys):
    with one_sentence():
        pass
    assert capsys.readouterr() == ("", "")


def test_a_bar_counts_to_the_end_and_is_not_drawn_into_files(capsys):
    with bar("cells") as update:
        for done in (0, 3, 10):
            update(done, 10)
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal_shows_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    with bar("teaching", "crop") as update:
        update(4, 10)
        time.sleep(0.2)  # a bar is drawn anew ten times a second at most
        update(7, 10)
    told = capsys.readouterr().err
    assert "teaching" in told
    assert "7/10" in told
    # on a terminal nothing of it is left standing
    assert told.endswith("\r")


def test_what_was_left_out_is_named_with_its_reason(capsys):
    print_left_out({"a.png": "it is no image", "b.png": "it is empty"})
    told = capsys.readouterr()
    assert told.err == "Left out: a.png: it is no image\nLeft out: b.png: it is empty\n"
    assert told.out == ""
    print_left_out({})
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are texts elsewhere")
def test_a_name_that_is_no_text_is_printed_all_the_same(capsys):
    print_left_out({os.fsdecode(b"caf\xe9.png"): "no image"})
    assert capsys.readouterr().err == "Left out: caf\\xe9.png: no image\n"


@pytest.mark.skipif(sys.platform != "linux", reason="file names are texts elsewhere")
def test_a_file_name_that_is_no_text_is_told(invoke, tmp_path, tiny_checkpoint):
    for name in (b"caf\xe9.png", b"line\nbreak.png"):
        Path(tmp_path, os.fsdecode(name)).write_bytes(b"nothing")
    done = invoke(
        "classify", tmp_path, "--checkpoint", tiny_checkpoint, "--threads", "1",
        "--batch-size", "4", "--device", "cpu", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.exit_code == 2
    assert r"caf\xe9.png" in done.output
    assert done.output.count("Left out") == 2
