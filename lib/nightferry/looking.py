"""Which places are there, asked of all at once and answered within a moment.

A dead mount may never answer, and what asks it can't be ended: so each place is asked by a process
of its own, which is left behind if need be. A fork, since a new worker would take longer to start,
and would have to be kept.
"""

import os
import pickle
import select
import signal
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from nightferry.child import Place
from nightferry.errors import NightferryError
from nightferry.probe import space_of

MOMENT = 2.0  # seconds


@dataclass(frozen=True)
class Look:
    """``trouble`` is empty where the place is there; ``answered`` is False where nobody knows."""

    trouble: str = ""
    answered: bool = True
    space: Mapping[str, int] = field(default_factory=dict)


class Question:
    """One place, asked by a process of its own; select() tells when it may have answered."""

    def __init__(self, place: Place, seconds: float) -> None:
        self.name, self.seconds = place.name, seconds
        self._by = time.monotonic() + seconds
        self._said = b""
        self._reader, writer = os.pipe()
        self._process = os.fork()
        if self._process:
            os.close(writer)
            return
        try:  # in the child: nothing of the daemon's is touched, and nothing of it is tidied up
            _let_go_of_all_but(writer)
            with open(writer, "wb") as out:
                pickle.dump(_look_at(place), out)
        finally:
            os._exit(0)

    def fileno(self) -> int:
        return self._reader

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._by - time.monotonic())

    def answer(self) -> Look | None:
        """What the place answered; None while there is time. Nothing is left of the question then
        but a process that hangs in the kernel."""
        while select.select([self._reader], [], [], 0)[0]:
            part = os.read(self._reader, 65536)
            if not part:
                return self._end(pickle.loads(self._said) if self._said else None)
            self._said += part
        return self._end(_silent(self.name, self.seconds)) if not self.seconds_left else None

    def _end(self, found: object) -> Look:
        os.close(self._reader)
        os.kill(self._process, signal.SIGKILL)  # nothing to one that has ended
        look = found if isinstance(found, Look) else Look(f"{self.name} could not be asked", False)
        _hanging[self.name] = self._process
        if look.answered:  # it ends; one that hangs in the kernel is not waited for
            os.waitpid(_hanging.pop(self.name), 0)
        return look


def _let_go_of_all_but(kept: int) -> None:
    """One that hangs must hold no end of the daemon's channels. Their numbers stay taken: what of
    the daemon's still means to close one would close another's else."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number not in (kept, nothing):
            os.dup2(nothing, number, inheritable=False)


_hanging: dict[str, int] = {}  # the process that still waits for a place


def may_be_asked(name: str) -> bool:
    """Who is still waiting for a place is not joined by another: that would wait as well."""
    process = _hanging.get(name)
    if process is not None and os.waitpid(process, os.WNOHANG)[0] == process:
        del _hanging[name]
    return name not in _hanging


def look(places: Collection[Place], seconds: float = MOMENT) -> dict[str, Look]:
    """What each place answers within ``seconds``."""
    asked = {p.name: Question(p, seconds) for p in places if may_be_asked(p.name)}
    found = {p.name: _silent(p.name, seconds) for p in places if p.name not in asked}
    while asked:
        left = min(question.seconds_left for question in asked.values())
        select.select(list(asked.values()), [], [], left)
        for name, question in list(asked.items()):
            if (answer := question.answer()) is not None:
                found[name] = answer
                del asked[name]
    return found


def _silent(name: str, seconds: float) -> Look:
    return Look(f"{name} did not answer within {seconds:.0f} s", answered=False)


def _look_at(place: Place) -> Look:
    try:
        store = place.open_store()
        try:
            return Look(space=space_of(store, place))
        finally:
            store.close()
    except NightferryError as error:
        return Look(str(error))
    except OSError as error:
        return Look(f"{place.name}: {error.strerror}")
