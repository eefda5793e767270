"""What a check of observatory.yaml found, and how much it weighs."""

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nightferry.observatory.document import LocationType, Observatory


class Weight(enum.Enum):
    REFUSED = "refused"  # nothing of the file is applied
    SAID = "said"  # allowed; a person should know


@dataclass(frozen=True)
class Finding:
    weight: Weight
    where: str  # such as "routes: dome-to-center"
    message: str


def no(where: str, message: str) -> Finding:
    return Finding(Weight.REFUSED, where, message)


def say(where: str, message: str) -> Finding:
    return Finding(Weight.SAID, where, message)


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def rules(it: Observatory) -> Iterator[str | None]:
    """The programmes that have a rule of their own, after None: the rule for all others."""
    yield None
    for name, program in it.programs.items():
        if program.archives is not None or program.copies is not None:
            yield name


def domains_of(it: Observatory, names: Iterable[str]) -> set[str]:
    places = [it.locations[name] for name in names if name in it.locations]
    return {
        p.failure_domain for p in places if p.type is LocationType.LONG_TERM_ARCHIVE and p.takes_new
    }
