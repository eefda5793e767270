"""Two sources of hints, chosen by the file system: inotify, where this kernel sees every write;
polling, where other machines write. What inotify can't watch is polled as well.
"""

import time
from collections.abc import Collection
from typing import Literal

import pyinotify

from nightferry.watch.hints.base import Hint, HintSource, Lost, Overflow
from nightferry.watch.hints.inotify import InotifyHints
from nightferry.watch.hints.polling import PollingHints
from nightferry.watch.sweep import Tree

Choice = Literal["inotify", "polling", "none"]


class NoHints:
    """All hints lost: only slower."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def watch(self, directory: str, fd: int) -> None: ...

    def follow(self, today: Collection[str]) -> None: ...

    def read(self, timeout: float) -> list[Hint | Overflow | Lost]:
        time.sleep(timeout)
        return []

    def close(self) -> None: ...


def choose(network: bool, override: str | None = None) -> Choice:
    """Which source of hints suits a file system; on a ``network`` one (FUSE too) other machines
    write, and the kernel here does not see it.

    Raises:
        ValueError: ``override`` is none of "inotify", "polling", "none".
    """
    match override:
        case None:
            return "polling" if network else "inotify"
        case "inotify" | "polling" | "none":
            return override
    raise ValueError(f"hints: {override!r} is none of inotify, polling, none")


def open_hints(choice: Choice, tree: Tree) -> HintSource:
    """The source of hints. Where inotify can't be had at all: polling, and a notice."""
    if choice == "none":
        return NoHints()
    polling = PollingHints(tree)
    if choice == "polling":
        return polling
    try:
        return InotifyHints(polling)
    except (OSError, pyinotify.InotifyBindingNotFoundError) as error:
        polling.notices.append(
            f"inotify can't be used ({error}): today's directories are polled instead; "
            "raising fs.inotify.max_user_instances may help"
        )
        return polling


__all__ = [
    "Choice",
    "Hint",
    "HintSource",
    "InotifyHints",
    "Lost",
    "NoHints",
    "Overflow",
    "PollingHints",
    "choose",
    "open_hints",
]
