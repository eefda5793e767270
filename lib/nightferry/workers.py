"""A worker process as its daemon sees it: started on demand, killable, never waited for."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import Any

from nightferry.child import Task


class Worker:
    """One worker process and what it is doing."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # A copy of our own search path: it works from a checkout and a wheel alike.
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
            self.process = subprocess.Popen(
                # Not -m: as the main program its classes would not be the ones that we send.
                [
                    sys.executable,
                    "-c",
                    "from nightferry.child import main; main()",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        self.connection = Connection(ours.detach())
        self.assignment: Any = None  # what it does, in its daemon's terms; None = idle
        self.inbox: deque[tuple[Any, ...]] = deque()
        self.last_progress = self.idle_since = self.began = time.monotonic()
        self.done = self.of = 0

    def fileno(self) -> int:
        return self.connection.fileno()

    def give(self, assignment: Any, task: Task) -> None:
        """Starts a task. A worker that died meanwhile shows at the next :meth:`listen`."""
        self.assignment = assignment
        self.last_progress = self.began = time.monotonic()
        self.done = self.of = 0
        self._send(task)

    def answer(self, value: object) -> None:
        self.last_progress = time.monotonic()  # until now it waited for us
        self._send(("answer", value))

    def interrupt(self, error: Exception) -> None:
        """Raises ``error`` in the work, at its next word with us."""
        self._send(("raise", error))

    def _send(self, message: object) -> None:
        try:
            self.connection.send(message)
        except OSError:
            self.inbox.append(("died", "its worker closed the channel"))

    def listen(self) -> None:
        """Takes what it has said into the inbox; progress is noted at once."""
        try:
            while self.connection.poll(0):
                message = self.connection.recv()
                self.last_progress = time.monotonic()
                if message[0] == "progress":
                    self.done, self.of = message[1], message[2]
                elif message[0] != "ready":
                    self.inbox.append(message)
        except (EOFError, OSError):
            if not self.inbox or self.inbox[-1][0] != "died":
                self.inbox.append(("died", self._how_it_ended()))

    def _how_it_ended(self) -> str:
        try:
            code = self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "its worker closed the channel"
        return (
            f"its worker was ended by {signal.Signals(-code).name}"
            if code < 0
            else f"its worker exited with {code}"
        )

    def free(self) -> None:
        self.assignment = None
        self.idle_since = time.monotonic()

    def end(self) -> None:
        """Closes the channel: an idle worker exits by itself."""
        self.connection.close()

    def kill(self) -> None:
        """By its own pid. One that hangs in the kernel goes when the kernel lets it."""
        self.process.kill()
        self.connection.close()

    def gone(self) -> bool:
        return self.process.poll() is not None
