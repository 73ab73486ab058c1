"""One helper that turns errors into notifications."""

from __future__ import annotations

from napari_cytodino.common import CytoDinoError
from napari_cytodino.widgets.controls.ui import literal


class _Fault(RuntimeError):
    """A fault of ours whose text would be taken for markup."""


def error(error: BaseException) -> None:
    """Show an error once; a fault the user can act on stays one sentence."""
    from napari.utils.notifications import notification_manager, show_error

    if isinstance(error, CytoDinoError):
        show_error(literal(str(error)))
        return
    text = str(error)
    shown = error if literal(text) == text else _Fault(literal(text))
    notification_manager.receive_error(type(shown), shown, error.__traceback__)


def info(message: str) -> None:
    """Show a sentence that is no error."""
    from napari.utils.notifications import show_info

    show_info(literal(message))


def warning(message: str) -> None:
    """Show a sentence that asks for attention."""
    from napari.utils.notifications import show_warning

    show_warning(literal(message))
