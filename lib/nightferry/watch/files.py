"""The files in hand: seen and not settled, settled and not compared, handed over and not yet in
the ledger. One entry each, and none for a file that the ledger knows.
"""

import stat
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from nightferry.errors import Unreadable
from nightferry.watch.events import Changed, Event, Found
from nightferry.watch.itinerary import Itinerary
from nightferry.watch.settle import Settled, Settler, SettleRule, Writing
from nightferry.watch.sweep import (
    NO_SIGNATURE,
    Ledger,
    Odd,
    Signature,
    Tree,
    is_absence,
    is_ours,
    join,
    signature_of,
    split,
    unreadable,
)


@dataclass(frozen=True)
class Source:
    """The place that is watched, and what can be asked about it."""

    location: str
    tree: Tree
    ledger: Ledger
    complete: Callable[[str], bool | None]
    stable_inodes: bool


class FilesInHand:
    """Follows single files until they settle; ``tell`` gets what is to be handed over.

    ``given`` holds, by directory and name, what was handed over and may not have reached the
    ledger: the state of a file, None where it was told to be gone.
    """

    def __init__(
        self,
        source: Source,
        rule: SettleRule,
        plan: Itinerary,
        clock: Callable[[], float],
        tell: Callable[[Event], None],
    ) -> None:
        self.settler = Settler(rule, source.complete, self._is_there, clock)
        self.given: dict[str, dict[str, Signature | None]] = {}
        self._source, self._rule, self._plan, self._clock = source, rule, plan, clock
        self._tell = tell
        self._hinted: OrderedDict[str, Writing] = OrderedDict()
        self._settled: dict[str, dict[str, Settled]] = {}
        self._missed: dict[str, set[str]] = {}

    @property
    def hinted(self) -> int:
        """How many files there are to look at now."""
        return len(self._hinted)

    def hint(self, path: str, writing: Writing) -> None:
        """Look at ``path`` soon. The latest that is known about its writer counts."""
        if not is_ours(path) and (writing is not Writing.UNKNOWN or path not in self._hinted):
            self._hinted[path] = writing

    def hints_lost(self) -> None:
        """A close event may have been missed, also of a file whose hint is still to be followed:
        by no hint of before is a file taken for open any longer."""
        for path, writing in self._hinted.items():
            if writing is Writing.OPEN:
                self._hinted[path] = Writing.UNKNOWN
        self.settler.hints_lost()

    def again(self, path: str) -> None:
        """``path`` was handed over, but changed or vanished while it was read."""
        directory, name = split(path)
        self.given.get(directory, {}).pop(name, None)
        self.hint(path, Writing.UNKNOWN)

    def give(self, event: Found | Changed | Odd) -> None:
        """Hand ``event`` over, and ask the ledger about it later."""
        directory, name = split(event.path)
        self.given.setdefault(directory, {})[name] = event.signature
        self._tell(event)
        self._plan.look_soon(directory, self._rule.looks_apart)

    def unanswered(self, directory: str, names: Collection[str]) -> dict[str, Signature | None]:
        """Of ``names`` that were handed over and are not seen as such now: those which the ledger
        does not have yet. Until it has, or ``again`` is called, nothing is at rest there."""
        given = self.given.get(directory, {})
        asked = [name for name in names if given[name] is not None]
        known = self._source.ledger.known(directory, asked) if asked else {}
        return {name: given[name] for name in asked if name not in known}

    def follow(self, seconds: float) -> None:
        """Look at the files that hints named, and at those whose look is due, for so long."""
        until = self._clock() + seconds
        while self._hinted and self._clock() <= until:
            self.look_at(*self._hinted.popitem(last=False))
        while self._clock() <= until and (due := self.settler.take_due(100)):
            for path in due:
                self.look_at(path)
        self.compare()  # now, or the next look at a directory would meet them as new

    def look_at(self, path: str, writing: Writing = Writing.UNKNOWN) -> None:
        """Look at the file once, now."""
        directory, name = split(path)
        signature = NO_SIGNATURE
        try:
            seen = self._source.tree.stat(path)
            if not stat.S_ISREG(seen.st_mode):
                self.settler.forget(path)
                self._plan.look_soon(path if stat.S_ISDIR(seen.st_mode) else directory)
                return
            signature = signature_of(seen, self._source.stable_inodes)
            followed = path in self.settler
            if not followed and self.given.get(directory, {}).get(name) == signature:
                return
            self._said_ready(directory, name)
            verdict = self.settler.look(path, seen.st_dev, signature, writing)
        except (OSError, Unreadable) as error:
            followed = self.settler.forget(path)
            if not is_absence(error):
                self.give(Odd(path, signature, unreadable(error), may_pass=True))
            elif not followed:
                self._missed.setdefault(directory, set()).add(name)
            return
        if isinstance(verdict, Odd):
            self.give(verdict)
        elif verdict is not None:
            self._settled.setdefault(directory, {})[name] = verdict

    def compare(self) -> None:
        """Ask the ledger about what settled, and about what hints named and is not there."""
        for directory, files in self._settled.items():
            known = self._source.ledger.known(directory, files.keys())
            for name, file in files.items():
                before = known.get(name)
                if before is None:
                    self.give(Found(file.path, file.signature, file.complete))
                elif before != file.signature:
                    self.give(Changed(file.path, file.signature, file.complete, before))
        for directory, names in self._missed.items():
            if self._source.ledger.known(directory, names):
                self._plan.look_soon(directory)
        self._settled, self._missed = {}, {}

    def _said_ready(self, directory: str, marker: str) -> None:
        """If ``marker`` is a ready marker: its file waits for it."""
        name = self._rule.marked_by(marker)
        if name is not None and join(directory, name) in self.settler:
            self.hint(join(directory, name), Writing.UNKNOWN)

    def _is_there(self, path: str) -> bool:
        try:
            self._source.tree.stat(path)
        except (OSError, Unreadable) as error:
            if is_absence(error):
                return False
            raise
        return True
