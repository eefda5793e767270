"""What a benchmark says: a ratio of ours to a peer's, measured in turns, and the bound it is held to.

Nothing here speaks of absolute time: a machine is slow or busy, and both sides feel it.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Line:
    """One line of the table. ``bound`` is what the ratio of ours to the peer's has to reach ("at
    least", of rates) or to keep ("at most", of times and bytes)."""

    name: str
    ours_is: str
    peer_is: str
    unit: str
    sense: Literal["at least", "at most"]
    bound: float


@dataclass(frozen=True)
class Result:
    """A line as measured: the medians of both sides, and of the ratios of each pair of runs."""

    line: Line
    ours: float
    peer: float
    ratio: float
    runs: int

    @property
    def reached(self) -> bool:
        if self.line.sense == "at least":
            return self.ratio >= self.line.bound
        return self.ratio <= self.line.bound

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self.line),
            "ours": self.ours,
            "peer": self.peer,
            "ratio": self.ratio,
            "runs": self.runs,
            "reached": self.reached,
        }


def result(line: Line, pairs: list[tuple[float, float]]) -> Result:
    """The result of pairs of runs, ours first."""
    return Result(
        line,
        median(ours for ours, _ in pairs),
        median(peer for _, peer in pairs),
        median(ours / peer for ours, peer in pairs),
        len(pairs),
    )


def in_turns(
    line: Line, runs: int, tell: Tell, ours: Callable[[], float], peer: Callable[[], float]
) -> Result:
    """Measure both sides ``runs`` times; who goes first changes, so that neither has the warm seat."""
    pairs = []
    for run in range(runs):
        tell(f"{line.name}: run {run + 1} of {runs}")
        if run % 2:
            theirs = peer()
            pairs.append((ours(), theirs))
        else:
            mine = ours()
            pairs.append((mine, peer()))
    return result(line, pairs)


def against_many(
    lines: dict[str, Line],
    runs: int,
    tell: Tell,
    ours: Callable[[], float],
    peers: dict[str, Callable[[], float]],
) -> list[Result]:
    """As :func:`in_turns`, one run of ours next to one of each peer."""
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in peers}
    for run in range(runs):
        tell(f"{', '.join(line.name for line in lines.values())}: run {run + 1} of {runs}")
        mine = ours()
        for name, peer in peers.items():
            pairs[name].append((mine, peer()))
    return [result(lines[name], pairs[name]) for name in peers]
