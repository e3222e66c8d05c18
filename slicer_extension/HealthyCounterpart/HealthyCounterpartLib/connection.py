"""The connection: which server, whether it answers, what it is, which studies it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from HealthyCounterpartLib.address import ServerAddress
from HealthyCounterpartLib.collaborators import Collaborators
from HealthyCounterpartLib.problems import CounterpartProblem, ServerProblem
from HealthyCounterpartLib.server_facts import ServerInfo
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import WAITING, Line
from HealthyCounterpartLib.words import problem_line, server_line

if TYPE_CHECKING:
    from HealthyCounterpartLib.client import ServerClient
    from HealthyCounterpartLib.worker import Work

KIND = "connect"
DEFAULT_ADDRESS = "http://127.0.0.1:8000"
_KEY = "HealthyCounterpart/Server"
_AGAIN_S = 10.0


class Connection:
    """The server that is talked to.

    Args:
        collaborators: Settings keep the last address, the worker asks.
    """

    def __init__(self, collaborators: Collaborators) -> None:
        self._with = collaborators
        self.typed = str(collaborators.settings.value(_KEY, DEFAULT_ADDRESS))
        self.token = ""
        self.line = Line()
        self.info: Optional[ServerInfo] = None
        self.studies: tuple[str, ...] = ()
        self.address: Optional[ServerAddress] = None
        self._asking: Optional[Work] = None
        self._again_at: Optional[float] = None

    @property
    def ready(self) -> bool:
        """Whether the server has answered as it should."""
        return self.info is not None

    @property
    def url(self) -> str:
        """Of the server; empty where no address is known."""
        return "" if self.address is None else self.address.url

    def client(self) -> ServerClient:
        """A client of the server.

        Raises:
            ServerProblem: No address is known.
        """
        if self.address is None:
            self.address = ServerAddress.of(self.typed)
        return self._with.client_of(self.address, self.token)

    def set_address(self, typed: str) -> None:
        """Another server; nothing is asked before `connect`."""
        if typed.strip() != self.typed:
            self._forget()
            self.typed = typed.strip()

    def set_token(self, token: str) -> None:
        """The token, which is kept in memory alone."""
        if token.strip() != self.token:
            self._forget()
            self.token = token.strip()

    def connect(self, *, quietly: bool = False) -> None:
        """Ask the server what it is.

        Args:
            quietly: Without saying so: what is known stays until the answer is there.
        """
        self._stop_asking()
        self._again_at = None
        try:
            self.address = ServerAddress.of(self.typed)
            client = self.client()
        except ServerProblem as problem:
            self._forget()
            self.line = problem_line(problem)
            return
        if not quietly:
            self.line = Line(_("Asking {url} …").format(url=self.address.url), WAITING)
        self._asking = self._with.worker.start(KIND, lambda work: (client.info(), client.studies()))

    def is_mine(self, work: Work) -> bool:
        """Whether this is the last question that was asked."""
        return self._asking is not None and work.id == self._asking.id

    def answered(self, answer: tuple[ServerInfo, tuple[str, ...]]) -> None:
        """The server has answered."""
        self._asking = None
        self.info, self.studies = answer
        if self.address is not None:
            self.line = server_line(self.address.url, self.info)
            if self.address.warns:
                self.line = Line(f"{self.line.text} {self.address.warns}", self.line.mood)
            self._with.settings.setValue(_KEY, self.address.url)

    def failed(self, problem: CounterpartProblem) -> None:
        """The server has not answered; it is asked again where that may help."""
        self._asking, self.info, self.studies = None, None, ()
        self.line = problem_line(problem)
        if isinstance(problem, ServerProblem) and problem.passes:
            self._again_at = self._with.seconds() + _AGAIN_S

    def tick(self) -> None:
        """Ask again when it is time."""
        if self._again_at is not None and self._with.seconds() >= self._again_at:
            self.connect(quietly=True)

    def _forget(self) -> None:
        self._stop_asking()
        self.address, self.info, self.studies = None, None, ()
        self.line = Line(_("Not connected: press Connect."))
        self._again_at = None

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        self._asking = None
