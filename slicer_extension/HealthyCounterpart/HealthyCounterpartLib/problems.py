"""What can go wrong between the server and the scene, each as a sentence and its cure."""

from __future__ import annotations


class CounterpartProblem(Exception):
    """Something that a person is told: a sentence and what to do about it.

    ::

        CounterpartProblem
        ├── ServerProblem     the server cannot be reached, refuses, or answers nonsense
        ├── ArrivalProblem    what arrived does not belong to the scan
        └── ScanProblem       the chosen scan cannot be sent

    Args:
        sentence: What is wrong.
        cure: What to do about it.
    """

    def __init__(self, sentence: str, cure: str = "") -> None:
        super().__init__(f"{sentence} {cure}".strip())
        self.sentence = sentence
        self.cure = cure


class ServerProblem(CounterpartProblem):
    """The server cannot be reached, refuses, or answers nonsense.

    Args:
        kind: Which of the failures it is, for the program: see `KINDS`.
        sentence: What is wrong.
        cure: What to do about it.
        status: HTTP status, where there was an answer.
    """

    def __init__(self, kind: str, sentence: str, cure: str = "", status: int | None = None) -> None:
        if kind not in KINDS:
            raise ValueError(f"expected one of {', '.join(KINDS)}, got {kind!r}")
        super().__init__(sentence, cure)
        self.kind = kind
        self.status = status

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.kind in ("refused", "no_route", "timeout", "lost", "busy")


KINDS = (
    "address",  # no address at all, or 0.0.0.0
    "unknown_host",  # the name means nothing
    "no_route",  # no way there: network down, VPN
    "refused",  # the machine is there, nobody listens on the port
    "timeout",  # nobody answers in time
    "lost",  # an answer or upload broke off
    "tls",  # certificate, or TLS spoken with a plain server, or the other way round
    "token",  # 401: no token, or an unknown one
    "role",  # 403: the token does not allow it
    "not_counterpart",  # a web server, or MONAI Label without our app
    "old_server",  # our app, but of a version that this module does not know
    "gone",  # 404 or 410: the job or result has expired
    "busy",  # 429 or 503
    "refusal",  # another 4xx: the server says why
    "server",  # another 5xx
    "nonsense",  # an answer that is not what was agreed
)


class ArrivalProblem(CounterpartProblem):
    """What arrived does not belong to the scan: its grid, its values or its model are wrong."""


class ScanProblem(CounterpartProblem):
    """The chosen scan cannot be sent."""
