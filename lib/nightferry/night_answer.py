"""Is this night safe? The judgement that ``nf night`` prints: YES, NO or CANNOT TELL.

What each word rests on stands in docs/is-it-safe.md.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime

from nightferry.db import Row, Tx
from nightferry.night import night_span
from nightferry.wording import count, when

MOST_NAMED = 8


@dataclass(frozen=True)
class Span:
    """A night's name and its edges in UTC: of all telescopes, where there are several."""

    night: date
    began: datetime
    ended: datetime
    telescopes: tuple[str, ...]  # that have files of it
    running: bool


@dataclass(frozen=True)
class Found:
    """What the ledger says of one night: the rows of sql/night.sql."""

    span: Span
    now: datetime  # the database's clock
    groups: list[Row]
    newest: Row | None
    archives: list[Row]
    at_source: Row
    gaps: list[Row]
    sources: list[Row]
    quarantine: list[Row]
    blocked: list[Row]
    holds: list[Row]
    copies: int
    scrub_days: float
    newest_night: date | None  # of which a file is known

    def count(self, **wanted: object) -> int:
        """How many files have these values."""
        return sum(
            g.files for g in self.groups if all(getattr(g, k) == v for k, v in wanted.items())
        )

    @property
    def counted(self) -> list[Row]:
        """The groups that have to be safe: neither ephemeral nor lost and accepted."""
        return [g for g in self.groups if g.handling != "ephemeral" and not g.accepted]

    @property
    def files(self) -> int:
        return sum(g.files for g in self.counted)

    @property
    def safe(self) -> int:
        return sum(g.files for g in self.counted if g.safe)

    @property
    def seen(self) -> datetime | None:
        """Until when every SOURCE was looked at."""
        ends = [s.seen for s in self.sources]
        return None if not ends or None in ends else min(ends)


@dataclass(frozen=True)
class Verdict:
    answer: str  # YES, NO, CANNOT TELL
    no: list[str] = field(default_factory=list)  # why it is not safe
    unknown: list[str] = field(default_factory=list)  # why it can't be told


def look(tx: Tx, night: date) -> Found:
    """What the ledger says of ``night``."""
    policy = tx.run("night.policy")[0]
    span = _span(night, tx.run("night.telescopes", night=night), policy.now)
    return Found(
        span=span,
        now=policy.now,
        groups=tx.run("night.files", night=night),
        newest=tx.one("night.newest_file", night=night),
        archives=tx.run("night.archives", night=night),
        at_source=tx.run("night.at_source", night=night)[0],
        gaps=tx.run("night.gaps", night=night),
        sources=tx.run("night.sources", night=night),
        quarantine=tx.run("night.quarantine", night=night, began=span.began, ended=span.ended),
        blocked=tx.run("night.blocked", night=night),
        holds=tx.run("night.holds", night=night),
        copies=policy.copies,
        scrub_days=policy.scrub_days,
        newest_night=tx.run("night.newest")[0].night,
    )


def _span(night: date, telescopes: list[Row], now: datetime) -> Span:
    spans = [night_span(night, t.zone, t.turnover, t.label) for t in telescopes] or [
        night_span(night, "UTC")
    ]
    began, ended = min(s[0] for s in spans), max(s[1] for s in spans)
    used = tuple(t.name for t in telescopes if t.used)
    return Span(night, began, ended, used, began <= now < ended)


def judge(found: Found) -> Verdict:
    """NO for what is known to be wrong; CANNOT TELL for what may have been missed; else YES.

    While a night runs, files on their way are no fault: then only what will not mend itself is.
    """
    no, unknown = _wrong(found), _unknown(found)
    if not found.span.running:
        no += _not_safe(found)
    if no:
        return Verdict("NO", no, unknown)
    return Verdict("CANNOT TELL" if unknown else "YES", no, unknown)


def _wrong(found: Found) -> list[str]:
    """What does not mend itself: a person has to act."""
    reasons = []
    if lost := found.count(lost=True, accepted=False, safe=False):
        how = {g.reason for g in found.groups if g.lost and not g.accepted and not g.safe}
        reasons.append(f"{count(lost, 'file')} {_is(lost)} {'; '.join(sorted(how))}")
    held_back = [q for q in found.quarantine if q.of_this_night]
    for q in held_back[:MOST_NAMED]:
        reasons.append(f"quarantined at {q.location}: {q.path}: {q.reason}. {q.advice}")
    if len(held_back) > MOST_NAMED:
        reasons.append(f"and {len(held_back) - MOST_NAMED} more in quarantine")
    for b in found.blocked if found.safe < found.files else []:
        told = f": {b.message}" if b.message else ""
        more = f" and {b.things - 1} more" if b.things > 1 else ""
        reasons.append(f"{b.kind} of {b.name}{more} is blocked at {b.location} ({b.reason}){told}")
    return reasons


def _not_safe(found: Found) -> list[str]:
    files: Counter[str] = Counter()
    for g in found.counted:
        if not g.safe and not g.lost:
            files[g.reason] += g.files
    return [f"{count(n, 'file')}: {reason}" for reason, n in files.most_common()]


def _unknown(found: Found) -> list[str]:
    span, reasons = found.span, []
    if span.running:
        reasons.append(f"the night runs until {when(span.ended)}")
    elif found.now < span.began:
        reasons.append(f"the night begins at {when(span.began)}")
    if not found.sources:
        reasons.append("no SOURCE is configured: nobody looks for files")
    for s in found.sources:
        if not s.hosts:
            reasons.append(f"{s.name} was never looked at: no ingest daemon has it")
        elif not s.available and s.active:
            why = f": {s.reason}" if s.reason else ""
            reasons.append(f"{s.name} is unavailable since {when(s.since)}{why}")
        elif not span.running and (s.swept is None or s.swept < span.ended):
            last = f"the last began {when(s.swept)}" if s.swept else "there was none yet"
            reasons.append(f"no full sweep of {s.name} began after the night ended ({last})")
        if s.guarded:
            reasons.append(
                f"many files of {s.name} are gone at once: nf locations accept-missing {s.name}, "
                "or mount what is missing"
            )
        if s.unsettled and found.newest_night == span.night and not span.running:
            reasons.append(f"{count(s.unsettled, 'file')} at {s.name} still being written")
    if not found.groups and not reasons:
        reasons.append("no file of this night is known")
    return reasons


def _is(n: int) -> str:
    return "is" if n == 1 else "are"
