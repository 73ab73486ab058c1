"""The errors that core raises; each names the value and the remedy."""

from __future__ import annotations

LONGEST = 4000
"""Characters of a message; what a file of others holds may be far longer."""


class CytoDinoError(Exception):
    """A fault the user can act on: one sentence with the value and the remedy.

    Values come from files of others, and messages end in terminals and notices: what
    would steer these (control characters, marks that turn the direction of writing) is
    shown as its code, and the middle of a very long message is left out.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) > LONGEST:
            # the remedy stands at the end
            text = f"{text[: LONGEST - 500]} ... {text[-490:]}"
        return "".join(
            c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text
        )


class StoppedError(Exception):
    """Raised by a caller's `progress` to stop; nothing half done is written."""


class InputError(CytoDinoError):
    """An image, segmentation, table or option that cannot be used as it is."""


class CheckpointError(CytoDinoError):
    """A checkpoint that is missing, altered, unsafe or does not fit."""
