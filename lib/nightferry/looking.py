"""Which places are there, asked of all at once and answered within a moment.

A dead mount may never answer, and what asks it can't be ended: so each place is asked by a process
of its own, which is left behind if need be. A fork, since a new worker would take longer to start.
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

MOMENT = 2.0  # seconds


@dataclass(frozen=True)
class Look:
    """``trouble`` is empty where the place is there; ``answered`` is False where nobody knows."""

    trouble: str = ""
    answered: bool = True
    space: Mapping[str, int] = field(default_factory=dict)


_hanging: dict[str, int] = {}  # the process that still waits for a place


def look(places: Collection[Place], seconds: float = MOMENT) -> dict[str, Look]:
    """What each place answers within ``seconds``. Who is still waiting for one is not joined by
    another: that would wait as well."""
    asked = {place.name: _ask(place) for place in places if _has_ended(_hanging.get(place.name))}
    by = time.monotonic() + seconds
    found = {
        place.name: _answer(place.name, asked[place.name][1], by, seconds)
        if place.name in asked
        else _silent(place.name, seconds)
        for place in places
    }
    for name, (process, reader) in asked.items():
        os.close(reader)
        os.kill(process, signal.SIGKILL)  # nothing to one that has ended
        _hanging[name] = process
        if found[name].answered:  # it ends; one that hangs in the kernel is not waited for
            os.waitpid(_hanging.pop(name), 0)
    return found


def _has_ended(process: int | None) -> bool:
    return process is None or os.waitpid(process, os.WNOHANG)[0] == process


def _silent(name: str, seconds: float) -> Look:
    return Look(f"{name} did not answer within {seconds:.0f} s", answered=False)


def _ask(place: Place) -> tuple[int, int]:
    reader, writer = os.pipe()
    process = os.fork()
    if process:
        os.close(writer)
        return process, reader
    try:  # in the child: nothing of the daemon's is touched, and nothing of it is tidied up
        with open(writer, "wb") as out:
            pickle.dump(_look_at(place), out)
    finally:
        os._exit(0)


def _look_at(place: Place) -> Look:
    try:
        store = place.open_store()
        try:
            store.probe()
            space = store.space()
        finally:
            store.close()
    except NightferryError as error:
        return Look(str(error))
    except OSError as error:
        return Look(f"{place.name}: {error.strerror}")
    return Look() if space is None else Look(space={"total": space.total, "free": space.free})


def _answer(name: str, reader: int, by: float, seconds: float) -> Look:
    said = b""
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, by - time.monotonic()))
        if not ready:
            return _silent(name, seconds)
        part = os.read(reader, 65536)
        if not part:
            break
        said += part
    if not said:
        return Look(f"{name} could not be asked", answered=False)
    answer = pickle.loads(said)
    assert isinstance(answer, Look)
    return answer
