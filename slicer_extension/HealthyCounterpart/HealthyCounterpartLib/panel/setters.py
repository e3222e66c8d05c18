"""Sets widgets to what they shall show: only what differs, and without their signals."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any, Optional

from HealthyCounterpartLib.view_state import BAD, GOOD, PLAIN, WAITING, Line

SIGNS = {GOOD: "✓", WAITING: "…", BAD: "⚠", PLAIN: ""}
# Of the sign alone: the text has the theme's own colour, so that it can always be read.
COLOURS = {GOOD: "#00866B", WAITING: "#2A7FBF", BAD: "#D55E00", PLAIN: ""}
_FULL = 100  # of a progress bar


class Setters:
    """What each widget was last set to.

    A state is shown up to ten times a second: what has not changed is not touched, so that texts
    that are being typed, scrolling and the focus stay as they are.

    Args:
        ui: Has the widgets by their names.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._last: dict[tuple[str, str], Any] = {}

    def forget(self, *names: str) -> None:
        """These widgets may have been changed by somebody else: set them the next time.

        Args:
            names: Of widgets; none for all.
        """
        self._last = {at: one for at, one in self._last.items() if names and at[0] not in names}

    def know(self, name: str, what: str, value: Any) -> None:
        """A widget shows this already, because the reader has set it."""
        self._last[name, what] = value

    def text(self, name: str, text: str) -> None:
        """Text of a label, a button or a line edit."""
        self.put(name, "text", text, lambda widget: widget.setText(text))

    def words(self, name: str, text: str) -> None:
        """Text of a label that is hidden while it is empty."""
        self.text(name, text)
        self.visible(name, bool(text))

    def line(self, name: str, line: Line) -> None:
        """A sentence with its mood, as a sign and as a colour; hidden while it is empty."""
        self.words(name, rich_text(line))

    def visible(self, name: str, visible: bool) -> None:
        """Whether a widget is there."""
        self.put(name, "visible", visible, lambda widget: widget.setVisible(visible))

    def enabled(self, name: str, enabled: bool) -> None:
        """Whether a widget can be used."""
        self.put(name, "enabled", enabled, lambda widget: widget.setEnabled(enabled))

    def checked(self, name: str, checked: bool) -> None:
        """Whether a button is pressed in."""
        self.put(name, "checked", checked, lambda widget: widget.setChecked(checked))

    def choices(self, name: str, texts: Sequence[str], index: int) -> None:
        """The choices of a combo box, and the chosen one.

        Args:
            name: Of the combo box.
            texts: Its choices.
            index: Of the chosen one; -1 for none.
        """

        def fill(widget: Any) -> None:
            widget.clear()
            for text in texts:
                widget.addItem(text)
            self._last.pop((name, "index"), None)

        self.put(name, "choices", tuple(texts), fill)
        self.chosen(name, index)

    def chosen(self, name: str, index: int) -> None:
        """The chosen one of a combo box; -1 for none."""
        self.put(name, "index", index, lambda widget: widget.setCurrentIndex(index))

    def share(self, name: str, fraction: Optional[float]) -> None:
        """How far a progress bar is.

        Args:
            name: Of the progress bar.
            fraction: 0 to 1; None where nobody knows, then the bar only moves.
        """
        percent = None if fraction is None else round(_FULL * min(max(fraction, 0.0), 1.0))

        def fill(widget: Any) -> None:
            widget.setRange(0, 0 if percent is None else _FULL)
            widget.setValue(0 if percent is None else percent)

        self.put(name, "share", percent, fill)

    def put(self, name: str, what: str, value: Any, apply: Callable[[Any], None]) -> bool:
        """Set something of a widget, if it is not so already.

        Args:
            name: Of the widget.
            what: Of it.
            value: As it shall be.
            apply: Sets it.

        Returns:
            Whether it was set.
        """
        known = (name, what) in self._last
        if known and self._last[name, what] == value:
            return False
        self._last[name, what] = value
        widget = getattr(self._ui, name)
        blocked = widget.blockSignals(True)
        try:
            apply(widget)
        finally:
            widget.blockSignals(blocked)
        return True


def rich_text(line: Line) -> str:
    """A sentence as Qt's rich text: its sign in the mood's colour, the rest as it stands.

    Args:
        line: Also with words of a server, which are never taken for markup.
    """
    if not line.text:
        return ""
    text = html.escape(line.text).replace("\n", "<br>")
    if not SIGNS[line.mood]:
        return text
    return f'<b style="color: {COLOURS[line.mood]}">{SIGNS[line.mood]}</b> {text}'


def index_of(chosen: Any, texts: Sequence[str]) -> int:
    """Which choice a combo box's signal means.

    Qt 5 has the signal with the index and with the text, and does not say which one Python gets.

    Args:
        chosen: Index or text.
        texts: The choices.

    Returns:
        The index; -1 for none.
    """
    if isinstance(chosen, str):
        return list(texts).index(chosen) if chosen in texts else -1
    return int(chosen)


def always(method: Callable[..., None], *values: Any) -> Callable[..., None]:
    """Calls a method with these values, whatever a signal brings."""
    return lambda *_signal: method(*values)
