"""All errors that a user can act on are of one kind."""

import pytest

from napari_cytodino.core.errors import CheckpointError, CytoDinoError, InputError


@pytest.mark.parametrize("kind", [InputError, CheckpointError])
def test_one_kind_to_catch(kind):
    assert issubclass(kind, CytoDinoError)
    with pytest.raises(CytoDinoError, match="do this"):
        raise kind("x is 3; do this.")
