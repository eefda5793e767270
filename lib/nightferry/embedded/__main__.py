"""nightferry-postgres -- supervise the embedded PostgreSQL until SIGTERM or SIGINT.

Says READY, to systemd and on its output, when the server accepts connections. Ends with status 1
when the server would not start or ended by itself: the unit's Restart= starts both again; with 78
where the settings must change first.
While it starts or ends it asks systemd for more time, again and again.
Killed at any moment: the server shuts down with it.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import sdnotify

from nightferry.embedded.server import Embedded
from nightferry.errors import ConfigError, NightferryError
from nightferry.state import state_directory

MORE_TIME = "EXTEND_TIMEOUT_USEC=30000000"  # of systemd: its own patience is for what hangs


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="nightferry-postgres", description="Supervise the embedded PostgreSQL."
    )
    parser.add_argument("--state", type=Path, help="state directory (systemd's, else XDG's)")
    parser.add_argument("--user", help="whom the server runs as when root starts it (nobody)")
    given = parser.parse_args()
    # Until the server is up a signal may simply end us: the server ends with us.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    journal = sys.stderr.fileno() if "JOURNAL_STREAM" in os.environ else None
    notify = sdnotify.SystemdNotifier()
    server = Embedded(
        state_directory(given.state),
        user=given.user,
        log=journal,
        waiting=_asker(notify),
    )
    try:
        answer = server.start()
    except NightferryError as refused:
        print(refused, file=sys.stderr)
        return os.EX_CONFIG if isinstance(refused, ConfigError) else 1
    stopping = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    print(f"READY {answer}", flush=True)
    notify.notify(f"READY=1\nSTATUS=accepting connections, state in {server.state}")
    while server.ended() is None:
        if signal.sigtimedwait(stopping, 1.0) is not None:
            notify.notify("STOPPING=1")
            server.stop()
            return 0
    print(f"the server on {server.state} ended with status {server.ended()}", file=sys.stderr)
    server.stop()
    return 1


def _asker(notify: sdnotify.SystemdNotifier) -> Callable[[str], None]:
    """Asks for more time at most once a second for each thing, however often we look."""
    asked, told = -1.0, ""

    def ask(what: str) -> None:
        nonlocal asked, told
        if what != told or time.monotonic() - asked >= 1:
            asked, told = time.monotonic(), what
            notify.notify(f"STATUS={what}\n{MORE_TIME}")

    return ask


if __name__ == "__main__":
    sys.exit(main())
