"""Hints where this kernel sees every write: inotify on every directory."""

import array
import ctypes
import errno
import fcntl
import logging
import os
import struct
import termios
from collections.abc import Collection
from typing import Any

import pyinotify

from nightferry.names import to_text
from nightferry.watch.hints.base import Hint, Lost, Overflow
from nightferry.watch.hints.polling import PollingHints
from nightferry.watch.settle import Writing
from nightferry.watch.sweep import join

# pyinotify prints to stderr on its own; what matters reaches the caller as Overflow or Lost.
pyinotify.log.handlers.clear()
pyinotify.log.setLevel(logging.ERROR)


class _AnyName(pyinotify.Notifier):  # type: ignore[misc]  # pyinotify has no types
    """pyinotify's notifier, for names that are not UTF-8 too: it raises on those, and what it had
    read is lost."""

    def read_events(self) -> None:
        waiting = array.array("i", [0])
        fcntl.ioctl(self._fd, termios.FIONREAD, waiting, True)
        data = os.read(self._fd, waiting[0]) if waiting[0] else b""
        start = 0
        while start < len(data):
            wd, mask, cookie, length = struct.unpack_from("iIII", data, start)
            start += 16
            name = data[start : start + length].split(b"\0", 1)[0]
            start += length
            self.append_event(pyinotify._RawEvent(wd, mask, cookie, to_text(name)))


class InotifyHints:
    """inotify on every directory that was ever looked at.

    Directories are watched by their open descriptor, never by a path: what is watched is what is
    scanned, whatever was renamed or linked meanwhile. Watching again is cheap, and done at each
    look, so that a directory made anew under an old name is never taken for a watched one.
    """

    _MASK = (
        pyinotify.IN_CREATE
        | pyinotify.IN_CLOSE_WRITE
        | pyinotify.IN_MOVED_TO
        | pyinotify.IN_MOVED_FROM
        | pyinotify.IN_DELETE
        | pyinotify.IN_DELETE_SELF
        | pyinotify.IN_ONLYDIR
    )

    def __init__(self, beyond_limit: PollingHints) -> None:
        """``beyond_limit`` polls those of today's directories that can't be watched.

        Raises:
            OSError: no inotify instance is left for this user.
        """
        self.notices: list[str] = []
        self._polling = beyond_limit
        self._unwatched: set[str] = set()
        self._directories: dict[int, str] = {}
        self._hints: list[Hint | Overflow | Lost] = []
        self._manager = pyinotify.WatchManager()
        os.set_inheritable(self._manager.get_fd(), False)
        self._notifier = _AnyName(self._manager, self._take)

    def watch(self, directory: str, fd: int) -> None:
        try:
            watched = self._manager.add_watch(f"/proc/self/fd/{fd}", self._MASK, quiet=False)
        except pyinotify.WatchManagerError:
            self._unwatchable(directory, ctypes.get_errno())
            return
        self._unwatched.discard(directory)
        for wd in watched.values():
            self._directories[wd] = directory

    def follow(self, today: Collection[str]) -> None:
        self._polling.follow(self._unwatched.intersection(today))

    def read(self, timeout: float) -> list[Hint | Overflow | Lost]:
        if self._unwatched:
            timeout = min(timeout, self._polling.until_due())
        if self._notifier.check_events(max(0, round(timeout * 1000))):
            self._notifier.read_events()
            self._notifier.process_events()
        hints, self._hints = self._hints, []
        if self._unwatched:
            hints.extend(self._polling.read(0))
        return hints

    def close(self) -> None:
        self._polling.close()
        self._notifier.stop()

    def _unwatchable(self, directory: str, error: int) -> None:
        if not self._unwatched and error == errno.ENOSPC:
            self.notices.append(
                f"inotify's limit of watches is reached at {directory!r}: directories beyond it "
                "are polled while they are today's, and swept; raise fs.inotify.max_user_watches"
            )
        elif not self._unwatched:
            self.notices.append(
                f"inotify can't watch {directory!r} ({os.strerror(error)}): it is polled while "
                "it is today's, and swept"
            )
        self._unwatched.add(directory)

    def _take(self, event: Any) -> None:
        mask: int = event.mask
        if mask & pyinotify.IN_Q_OVERFLOW:
            self._hints.append(Overflow())
            return
        directory = self._directories.get(event.wd)
        if directory is None:
            return  # a watch that was taken back when its directory was moved away
        if mask & pyinotify.IN_UNMOUNT:
            self._hints.append(Lost(f"the file system of {directory or 'the root'!r} is unmounted"))
        elif mask & pyinotify.IN_IGNORED:
            del self._directories[event.wd]
            if not directory:
                self._hints.append(Lost("the location's directory is no longer watched"))
        elif mask & pyinotify.IN_DELETE_SELF:
            self._hints.append(Hint(directory, None))
        elif mask & pyinotify.IN_ISDIR:
            path = join(directory, event.name)
            if mask & pyinotify.IN_MOVED_FROM:
                self._moved_away(path)
            self._hints.append(Hint(path, None))
        else:
            self._hints.append(Hint(directory, event.name, _writing(mask)))

    def _moved_away(self, directory: str) -> None:
        """Its watches still tell, under a name that is wrong now. A look at the new name, if that
        is ours as well, watches it again."""
        for wd, path in list(self._directories.items()):
            if path == directory or path.startswith(directory + "/"):
                del self._directories[wd]
                self._manager.rm_watch(wd)


def _writing(mask: int) -> Writing:
    if mask & (pyinotify.IN_CLOSE_WRITE | pyinotify.IN_MOVED_TO):
        return Writing.CLOSED
    return Writing.OPEN if mask & pyinotify.IN_CREATE else Writing.UNKNOWN
