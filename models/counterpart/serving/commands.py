"""What ``counterpart serve`` does: check, start, say, wait, stop."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.markup import escape

from counterpart.errors import CounterpartError
from counterpart.serving.options import ServeOptions
from counterpart.serving.plan import ServerPlan, plan_server
from counterpart.serving.server_process import ServerProcess, stops_are_interrupts

EXIT_OK, EXIT_UNSTARTED = 0, 2


def serve(options: ServeOptions) -> int:
    """Start the server and stay until it ends.

    Returns:
        0 after Ctrl-C or SIGTERM, 2 where it could not be started, else the server's own exit code.
    """
    with stops_are_interrupts():
        try:
            plan = plan_server(options, os.environ)
            _show_warnings(Console(stderr=True), plan)
            process = ServerProcess(plan)
        except CounterpartError as error:
            return unstarted(error)
        with process:
            try:
                return _stay(plan, process)
            except KeyboardInterrupt:
                return EXIT_OK


def unstarted(error: CounterpartError) -> int:
    """Say why there is no server, and return the exit code for it."""
    print(f"counterpart: {error}", file=sys.stderr)
    return EXIT_UNSTARTED


def _stay(plan: ServerPlan, process: ServerProcess) -> int:
    # It loads numpy and more; the server needs longer.
    from counterpart.serving.start_screen import show_start

    try:
        seconds = process.wait_until_ready()
        show_start(Console(), plan, process.client().info(), seconds)
    except CounterpartError as error:
        return unstarted(error)
    return process.wait()


def _show_warnings(console: Console, plan: ServerPlan) -> None:
    """Say what is dangerous about a server that other machines reach."""
    if plan.open_to_all:
        console.print(
            "[bold red]INSECURE[/bold red] [red]everybody who reaches "
            f"{escape(plan.host)} may send scans and see results, without a token.[/red]",
            soft_wrap=True,
            highlight=False,
        )
    if plan.unencrypted:
        console.print(
            "[yellow]note[/yellow] scans and tokens travel unencrypted: use --ssl-keyfile and "
            "--ssl-certfile, or a reverse proxy with TLS.",
            soft_wrap=True,
            highlight=False,
        )
