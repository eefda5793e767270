"""When is a file gone? Not when it is not seen once: an unmounted disk looks empty.

A name counts as vanished after two full passes of its directory, some seconds apart, each with the
location's marker read before and after. Whether so many at once can be believed is a question of
its own.
"""

from collections.abc import Callable, Collection

PASSES = 2
MANY_FILES = 100
MANY_SHARE = 0.10


class Vanishing:
    """Names that were missed in a directory, and in how many full passes (in memory only).

    Passes less than ``apart`` seconds after the one before do not count.
    """

    def __init__(self, apart: float, clock: Callable[[], float]) -> None:
        self._apart, self._clock = apart, clock
        self._missed: dict[str, dict[str, tuple[int, float]]] = {}  # passes, the last of them

    def __contains__(self, directory: str) -> bool:
        return directory in self._missed

    def __bool__(self) -> bool:
        return bool(self._missed)

    def suspect(self, directory: str, missing: Collection[str]) -> None:
        """These are known and were not seen; no pass is counted yet."""
        if missing:
            self._missed[directory] = dict.fromkeys(missing, (0, float("-inf")))

    def passed(self, directory: str, missing: Collection[str]) -> frozenset[str]:
        """A full pass, marker read before and after, missed these. Returns what is now gone."""
        now = self._clock()
        before = self._missed.pop(directory, {})
        left: dict[str, tuple[int, float]] = {}
        for name in missing:
            passes, last = before.get(name, (0, float("-inf")))
            left[name] = (passes + 1, now) if now - last >= self._apart else (passes, last)
        gone = frozenset(name for name, (passes, _) in left.items() if passes >= PASSES)
        for name in gone:
            del left[name]
        if left:
            self._missed[directory] = left
        return gone

    def forget(self, directory: str) -> None:
        """The directory can't be read now: nothing is concluded about it."""
        self._missed.pop(directory, None)


def too_many(vanished: int, known: int, ours: int) -> bool:
    """Have so many of the ``known`` files vanished that a person must say it is true?

    ``ours`` of the ``vanished`` we deleted ourselves; they do not count.
    """
    unexplained = vanished - ours
    return unexplained >= MANY_FILES and unexplained > MANY_SHARE * known
