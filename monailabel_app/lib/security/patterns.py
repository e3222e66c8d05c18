"""Names the route of an address without its ids, for logs: also where the gate lets nobody in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property

NONE = "(no route)"


class RoutePatterns:
    """The routes' patterns.

    Args:
        paths: Gives the patterns, such as ``/counterpart/jobs/{job_id}``; asked once, when needed.
    """

    def __init__(self, paths: Callable[[], Iterable[str]]) -> None:
        self._paths = paths

    def of(self, path: str) -> str:
        """The pattern that an address fits, or that it fits none."""
        return next((one for one, form in self._forms if form.fullmatch(path)), NONE)

    @cached_property
    def _forms(self) -> list[tuple[str, re.Pattern[str]]]:
        # Fixed words come before names: /model/info/{model} before /model/{model}.
        paths = sorted(self._paths(), key=lambda path: (path.count("{"), path))
        return [
            (path, re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(path)))) for path in paths
        ]
