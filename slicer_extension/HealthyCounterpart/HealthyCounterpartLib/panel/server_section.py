"""The server's section: address, token, and one line that says how things are."""

from __future__ import annotations

from typing import Any, Optional

from HealthyCounterpartLib.panel.setters import Setters
from HealthyCounterpartLib.view_state import ViewState


class ServerSection:
    """Address, token, *Connect*.

    Args:
        ui: Has the widgets by their names.
        controller: Is told what the reader does.
        setters: Set the widgets.
    """

    def __init__(self, ui: Any, controller: Any, setters: Setters) -> None:
        self._controller = controller
        self._set = setters
        self._address: Optional[str] = None  # typed and not told yet
        self._token: Optional[str] = None
        ui.addressEdit.textEdited.connect(self._type_address)
        ui.tokenEdit.textEdited.connect(self._type_token)
        for field in (ui.addressEdit, ui.tokenEdit):
            field.returnPressed.connect(self.connect)
            field.editingFinished.connect(self.tell)
        ui.connectButton.clicked.connect(lambda *_signal: self.connect())

    def show(self, state: ViewState) -> None:
        """Show what is known of the server."""
        if self._address is None:
            self._set.text("addressEdit", state.address)
        self._set.line("serverLine", state.server)

    def tell(self) -> None:
        """Tell the controller what was typed."""
        address, self._address = self._address, None
        token, self._token = self._token, None
        if address is not None:
            self._set.forget("addressEdit")  # the controller may write it otherwise
            self._controller.set_address(address)
        if token is not None:
            self._controller.set_token(token)

    def connect(self) -> None:
        """Tell what was typed, and ask the server."""
        self.tell()
        self._controller.connect()

    def _type_address(self, text: str) -> None:
        self._address = text

    def _type_token(self, text: str) -> None:
        self._token = text
