"""Hints where other machines write: watchdog's polling of today's directories."""

import os
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

from watchdog.events import DirModifiedEvent, FileMovedEvent, FileSystemEvent
from watchdog.observers.api import EventQueue, ObservedWatch
from watchdog.observers.polling import PollingEmitter

from nightferry.errors import Unreadable
from nightferry.names import to_text
from nightferry.watch.hints.base import Hint, Lost, Overflow
from nightferry.watch.sweep import Tree, split

POLL_EVERY = 5.0
POLL_SHARE = 20  # a round of polling that took t seconds is repeated after 20 t at the soonest


class _Name(NamedTuple):
    """All of a directory entry that watchdog's snapshot asks for."""

    name: str


class PollingHints:
    """watchdog's polling of today's directories: one emitter each, driven by :meth:`read`.

    It keeps a snapshot of each directory that it polls, so it is only ever given a few.
    """

    def __init__(self, tree: Tree) -> None:
        self.notices: list[str] = []
        self._tree = tree
        self._queue = EventQueue()
        self._emitters: dict[str, PollingEmitter] = {}
        self._due = time.monotonic() + POLL_EVERY

    def watch(self, directory: str, fd: int) -> None: ...

    def follow(self, today: Collection[str]) -> None:
        for directory in set(self._emitters) - set(today):
            del self._emitters[directory]
        for directory in set(today) - set(self._emitters):
            emitter = PollingEmitter(
                self._queue,
                ObservedWatch(directory, recursive=False),
                stat=self._stat,
                listdir=self._list,  # type: ignore[arg-type]  # it asks entries for their name only
            )
            try:
                emitter.on_thread_start()  # the first snapshot; no thread is started
            except OSError:
                continue  # gone or unreadable: the sweep says which
            self._emitters[directory] = emitter

    def until_due(self) -> float:
        """Seconds until the next round."""
        return max(0.0, self._due - time.monotonic())

    def read(self, timeout: float) -> list[Hint | Overflow | Lost]:
        time.sleep(min(timeout, self.until_due()))
        if self.until_due() > 0:
            return []
        began = time.monotonic()
        for directory, emitter in list(self._emitters.items()):
            emitter.queue_events(0)
            if not emitter.should_keep_running():  # the directory is gone
                del self._emitters[directory]
        took = time.monotonic() - began
        self._due = time.monotonic() + max(POLL_EVERY, POLL_SHARE * took)
        hints: list[Hint | Overflow | Lost] = []
        while not self._queue.empty():
            event, watch = self._queue.get_nowait()
            hints.extend(_polled(event, watch.path))
        return hints

    def close(self) -> None:
        self._emitters.clear()

    def _stat(self, path: str) -> os.stat_result:
        # watchdog knows what to do with an OSError, and with nothing else.
        try:
            if path:
                return self._tree.stat(path)
            fd = self._tree.open_directory("")
        except Unreadable as error:
            raise OSError(str(error)) from error
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def _list(self, directory: str | None) -> Iterator[_Name]:
        try:
            fd = self._tree.open_directory(directory or "")
        except Unreadable as error:
            raise OSError(str(error)) from error
        try:
            names = os.listdir(fd)
        finally:
            os.close(fd)
        return (_Name(to_text(os.fsencode(name))) for name in names)


def _polled(event: FileSystemEvent, watched: str) -> Iterator[Hint]:
    path = os.fsdecode(event.src_path)
    if event.is_directory:
        if not (isinstance(event, DirModifiedEvent) and path == watched):  # its files tell more
            yield Hint(path, None)
        return
    yield Hint(*split(path))
    if isinstance(event, FileMovedEvent):
        yield Hint(*split(os.fsdecode(event.dest_path)))
