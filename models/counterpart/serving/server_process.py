"""The running server: started, waited for, and stopped in an orderly way."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from types import FrameType
from typing import IO

import psutil

from counterpart.errors import ServingError
from counterpart.serving.client import CounterpartClient, unverified
from counterpart.serving.plan import ServerPlan
from counterpart.serving.state_folder import (
    LOG,
    hold_state,
    is_address,
    make_app_folder,
    open_log,
    say_holder,
    shorten_log,
)

READY_WITHIN_S = 120.0
_PAUSE_S = 0.1
_ASK_TIMEOUT_S = 5.0
_LOG_CHECK_S = 60.0
_LAST_LINES = 12
_LOG_TAIL_BYTES = 1 << 16
_OWN_ERROR = re.compile(r"^counterpart(?:\.errors\.\w+)?: (.+)$", re.MULTILINE)
# First as one asks, then as one insists; a server that waits for a client yields to the second.
_HARDER = ((signal.SIGTERM, 10.0), (signal.SIGINT, 5.0), (signal.SIGKILL, 5.0))


class ServerProcess:
    """MONAI Label with our app, in a process of its own.

    As a context it is stopped at the end, however that comes.

    Args:
        plan: What is started.

    Raises:
        ServingError: The state folder cannot be used, or another server has it.
    """

    def __init__(self, plan: ServerPlan) -> None:
        self.plan = plan
        self.began = time.monotonic()
        self._lock = hold_state(plan.state)
        try:
            make_app_folder(plan.state, dicomweb=is_address(plan.studies))
            self._log_start = 0
            self._server = self._start_server()
        except BaseException:
            self._lock.close()
            raise
        say_holder(self._lock, f"process {self._server.pid}")
        self._check = self._start_check()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the server."""
        return self._server.pid

    def client(self, timeout_s: float = 60.0) -> CounterpartClient:
        """Someone who may ask this very server, whatever name its certificate has."""
        return CounterpartClient(
            self.plan.address.url,
            token=self.plan.token,
            timeout_s=timeout_s,
            context=unverified() if self.plan.encryption.wanted else None,
        )

    def wait_until_ready(self, within_s: float = READY_WITHIN_S) -> float:
        """Wait until the server answers and the device is known to be there.

        Returns:
            Seconds since the start.

        Raises:
            ServingError: It ends by itself, does not answer in time, or there is no such device.
        """
        client = self.client(_ASK_TIMEOUT_S)
        answered = False
        while not (answered and self._check is None):
            if self._check is not None and self._check.poll() is not None:
                self._take_check(self._check)
            if self._server.poll() is not None:
                raise ServingError(self._why_it_ended())
            if time.monotonic() - self.began > within_s:
                raise ServingError(
                    f"the server did not answer within {within_s:g} s; its last words:\n"
                    f"{self._last_words()}"
                )
            # A port is ours only once our process listens there: no token goes to another.
            answered = answered or (self._listens() and _answers(client))
            time.sleep(_PAUSE_S)
        return time.monotonic() - self.began

    def wait(self) -> int:
        """Wait until the server ends by itself.

        Returns:
            Its exit code, 128 and more for a signal.
        """
        code = None
        while code is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._server.wait(_LOG_CHECK_S)
            shorten_log(self.plan.state)
        if code != 0:
            print(f"counterpart: {self._why_it_ended()}", file=sys.stderr)
        return code if code >= 0 else 128 - code

    def stop(self) -> None:
        """End the server; who asks again meanwhile insists."""
        if self._check is not None:
            self._check.kill()
        for sent, patience_s in _HARDER:
            if self._server.poll() is not None:
                break
            self._server.send_signal(sent)
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                self._server.wait(patience_s)
        if self._check is not None:
            self._check.communicate()
            self._check = None
        self._lock.close()

    def _start_server(self) -> subprocess.Popen[bytes]:
        log: IO[bytes] | None = None
        if not self.plan.verbose:
            shorten_log(self.plan.state)
            log = open_log(self.plan.state)
            self._log_start = log.tell()
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            warning = " INSECURE: everybody may ask without a token" * self.plan.open_to_all
            log.write(f"=== {now} start on {self.plan.address.url}{warning}\n".encode())
            log.flush()
        try:
            # A session of its own: Ctrl-C reaches the launcher alone, which passes it on.
            # The lock stays held while the server lives, even if the launcher is killed.
            return subprocess.Popen(
                self.plan.command(),
                env=dict(self.plan.environment),
                cwd=self.plan.state,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(self._lock.fileno(),),
            )
        finally:
            if log is not None:
                log.close()

    def _start_check(self) -> subprocess.Popen[str] | None:
        command = self.plan.check_command()
        if command is None:
            return None
        return subprocess.Popen(
            command,
            env=dict(self.plan.environment),
            cwd=self.plan.state,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _take_check(self, check: subprocess.Popen[str]) -> None:
        _, said = check.communicate()
        self._check = None
        if check.returncode != 0:
            lines = said.strip().splitlines()
            raise ServingError(lines[-1] if lines else f"--device {self.plan.device}: not usable.")

    def _listens(self) -> bool:
        try:
            open_ones = psutil.Process(self.pid).net_connections("inet")
        except psutil.Error:
            return False
        ports = [one.laddr.port for one in open_ones if one.status == psutil.CONN_LISTEN]
        return self.plan.port in ports

    def _why_it_ended(self) -> str:
        own = _OWN_ERROR.findall(self._log_tail())
        if own:
            return str(own[-1])
        code = self._server.returncode
        return f"the server ended with code {code}; its last words:\n{self._last_words()}"

    def _last_words(self) -> str:
        lines = self._log_tail().rstrip().splitlines()[-_LAST_LINES:]
        shown = "\n".join(f"  {line}" for line in lines) or "  (none)"
        return f"{shown}\n  (all of it: {self.plan.state / LOG})"

    def _log_tail(self) -> str:
        """What the server has said since this start, at most the end of it."""
        if self.plan.verbose:
            return ""
        with (self.plan.state / LOG).open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")


@contextlib.contextmanager
def stops_are_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does, so that one place ends the server."""
    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {sent: signal.signal(sent, interrupt) for sent in asked}
    try:
        yield
    finally:
        for sent, handler in before.items():
            signal.signal(sent, handler)


def _answers(client: CounterpartClient) -> bool:
    try:
        client.health()
    except ServingError:
        return False
    return True
