"""Where to look first. Hints make the sweep faster and are never believed: all may be lost."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from nightferry.watch.settle import Writing


@dataclass(frozen=True, slots=True)
class Hint:
    """Look at ``name`` in ``directory``; at the whole directory where ``name`` is None."""

    directory: str
    name: str | None
    writing: Writing = Writing.UNKNOWN


@dataclass(frozen=True, slots=True)
class Overflow:
    """Hints were dropped, nobody knows which: sweep everything."""


@dataclass(frozen=True, slots=True)
class Lost:
    """No more hints come from this source. ``reason`` is a sentence for a person."""

    reason: str


class HintSource(Protocol):
    """Promises nothing but to try. ``notices`` are sentences about what it can't do."""

    notices: list[str]

    def watch(self, directory: str, fd: int) -> None:
        """Called before each scan of ``directory``, with its descriptor (not kept)."""

    def follow(self, today: Collection[str]) -> None:
        """The directories in which files are expected now."""

    def read(self, timeout: float) -> list[Hint | Overflow | Lost]:
        """Wait up to ``timeout`` seconds for hints."""

    def close(self) -> None: ...
