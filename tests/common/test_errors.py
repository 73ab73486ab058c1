"""All errors that a user can act on are of one kind."""

import pytest

from napari_cytodino.common.errors import CheckpointError, CytoDinoError, InputError


@pytest.mark.parametrize("kind", [InputError, CheckpointError])
def test_one_kind_to_catch(kind):
    assert issubclass(kind, CytoDinoError)
    with pytest.raises(CytoDinoError, match="do this"):
        raise kind("x is 3; do this.")


def test_what_steers_a_terminal_is_shown_and_nothing_is_endless():
    said = str(InputError("a\x1b[31m\u202eb\x00 größe 赤血球 'c'\nd"))
    assert said == r"a\x1b[31m\u202eb\x00 größe 赤血球 'c'" + "\nd"
    long = str(InputError(f"begin {'x' * 10**6} do this."))
    assert long.startswith("begin x")
    assert long.endswith("x do this.")
    assert len(long) <= 4000
