"""Options: the same words wherever they are asked for, and no number without sense."""

from typing import get_args

import pytest
import typer

from napari_cytodino.cli import app, options

COMMANDS = typer.main.get_command(app).commands
GIVEN = {
    name: get_args(value)[1]
    for name, value in vars(options).items()
    if name[0].isupper() and get_args(value)
}


def test_there_are_options_to_look_at():
    assert {"Checkpoint", "Device", "Images", "Out"} <= set(GIVEN)


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_each_is_asked_for_by_some_command(name):
    helps = [getattr(p, "help", "") for c in COMMANDS.values() for p in c.params]
    assert GIVEN[name].help in helps


def test_every_option_of_every_command_says_what_it_is():
    silent = [
        f"{name} {param.name}"
        for name, command in COMMANDS.items()
        for param in command.params
        if not getattr(param, "help", "")
    ]
    assert silent == []


@pytest.mark.parametrize("option", ["checkpoint", "device"])
def test_what_several_commands_ask_for_they_ask_for_alike(option):
    found = [
        (p.help, p.default, tuple(p.opts))
        for name in ("classify", "teach")
        for p in COMMANDS[name].params
        if p.name == option
    ]
    assert len(found) == 2
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--batch-size", "0"),
        ("--batch-size", "many"),
        ("--threads", "-1"),
        ("--workers", "-2"),
        ("--risk", "small"),
        ("--pixel-size", "fine"),
    ],
)
def test_numbers_that_cannot_be_are_refused_before_any_work(
    invoke, tmp_path, picture, option, value
):
    out = tmp_path / "out"
    result = invoke("classify", picture, option, value, "--out", out)
    assert result.exit_code == 2
    assert option in result.output
    assert not out.exists()
