"""``nf night``: is this night safe? Prints what nightferry.night_answer judges."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import click

from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.db import Row, Tx
from nightferry.errors import NightferryError
from nightferry.night import night_of, night_span
from nightferry.night_answer import Found, Verdict, judge, look

DAYLIGHT = timedelta(hours=6)  # after the turnover: nobody means a night that has not begun
MOST_REASONS = 8
MOST_GAPS = 4
CODES = {"YES": show.YES, "NO": show.NO, "CANNOT TELL": show.CANNOT_TELL}


@click.command(epilog=show.EXIT_CODES)
@click.argument("night", metavar="[DATE]", required=False)
@click.option("--unsafe", metavar="N", type=int, default=0, help="List up to N unsafe files.")
@json_option
@pass_nf
def command(nf: Context, night: str | None, unsafe: int, as_json: bool) -> int:
    """Is this night safe? YES, NO or CANNOT TELL, with every reason.

    DATE is the local date of its evening (2024-05-12), or 'last' for the newest night that has
    files. Without one: tonight; by day, before tonight has a file, the last.

    JSON keys: night, began, ended, running, answer, no, unknown, files, safe, bytes, by_type,
    archives, headers, by_arrival, clock_doubtful, ephemeral, lost, lost_accepted, unfiled,
    unsettled, seen, first, last, newest, gaps, source, quarantine, blocked, holds, copies, unsafe.
    """
    found, rows = nf.db.run(lambda tx: _look(tx, night, unsafe))
    verdict = judge(found)
    if as_json:
        show.emit_json(_document(found, verdict, rows))
    else:
        _print(found, verdict, rows)
    return CODES[verdict.answer]


def _look(tx: Tx, wanted: str | None, unsafe: int) -> tuple[Found, list[Row]]:
    night = _chosen(tx, wanted)
    rows = tx.run("night.unsafe", night=night, limit=unsafe) if unsafe else []
    return look(tx, night), rows


def _chosen(tx: Tx, wanted: str | None) -> date:
    """The night that is meant.

    Raises:
        NightferryError: 'last', and there is none.
        click.BadParameter: no date.
    """
    newest: date | None = tx.run("night.newest")[0].night
    if wanted is None:
        now = tx.run("night.policy")[0].now
        telescopes = tx.run("night.telescopes", night=newest)
        first = telescopes[0] if telescopes else None
        day = (first.zone, first.turnover, first.label) if first is not None else ("UTC",)
        tonight = night_of(now, *day)
        by_day = now < night_span(tonight, *day)[0] + DAYLIGHT
        return newest if by_day and newest is not None and newest < tonight else tonight
    if wanted == "last":
        if newest is None:
            raise NightferryError("no file of any night is known yet: nf status says what runs")
        return newest
    try:
        return date.fromisoformat(wanted)
    except ValueError:
        raise click.BadParameter(f"{wanted!r} is no date such as 2024-05-12") from None


def _print(found: Found, verdict: Verdict, unsafe: list[Row]) -> None:
    span = found.span
    at = f" at {', '.join(span.telescopes)}" if span.telescopes else ""
    show.say(f"Night {span.night}{at}: {show.when(span.began)} to {show.when(span.ended)}")
    if found.groups:
        show.say(_headline(found))
        show.say()
        types = [
            (i, t, f"{n:,}", f"{safe:,}", show.size(b)) for i, t, n, safe, b in _by_type(found)
        ]
        click.echo(show.table(types, ("INSTRUMENT", "TYPE", "FILES", "SAFE", "SIZE")))
        show.say()
    if found.archives:
        header = ("ARCHIVE", "FILES", "FAILS WITH", "OLDEST PROOF")
        click.echo(show.table([_archive(a) for a in found.archives], header))
        show.say()
    for note in _notes(found):
        show.say(note, 2)
    for title, reasons in (("Why not", verdict.no), ("What can't be told", verdict.unknown)):
        if reasons:
            show.say()
            show.say(f"{title}:")
            for reason in reasons[:MOST_REASONS]:
                show.say(f"- {reason}", 2)
            if len(reasons) > MOST_REASONS:
                show.say(f"- and {len(reasons) - MOST_REASONS} more reasons (--json has all)", 2)
    if unsafe:
        rows = [(_name(r), show.size(r.size), r.reason) for r in unsafe]
        show.say()
        click.echo(show.table(rows, ("UNSAFE FILE", "SIZE", "WHY")))
        rest = found.files - found.safe - len(unsafe)
        if rest:
            show.say(f"and {rest:,} more: --unsafe {found.files}")
    show.verdict(_sentence(found, verdict), _next(found, verdict, unsafe))


def _headline(found: Found) -> str:
    taken = [g for g in found.groups if g.first is not None]
    total = sum(g.bytes for g in found.counted)
    text = f"{found.safe:,} of {found.files:,} safe, {show.size(total)}"
    if taken:
        first, last = min(g.first for g in taken), max(g.last for g in taken)
        text += f", taken {first.astimezone(UTC):%H:%M}-{last.astimezone(UTC):%H:%M} UTC"
    return text


def _by_type(found: Found) -> list[tuple[str, str, int, int, int]]:
    """(instrument, frame type, files, of them safe, bytes)."""
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for g in found.counted:
        cell = sums[g.instrument, g.frame_type]
        cell[0] += g.files
        cell[1] += g.files if g.safe else 0
        cell[2] += int(g.bytes)
    return [(i, t, n, safe, size) for (i, t), (n, safe, size) in sorted(sums.items())]


def _archive(a: Row) -> tuple[str, ...]:
    proof = ["not read yet"]
    if a.oldest_proof is not None:
        proof = [f"{show.when(a.oldest_proof)}, {show.age(a.oldest_proof)} ago"]
        if a.unread:
            proof.append(f"{show.count(int(a.unread), 'file')} not read yet")
    if not a.active:
        proof.append("drained")
    return a.location, f"{int(a.files):,}", a.failure_domain, "; ".join(proof)


def _notes(found: Found) -> list[str]:
    notes = []
    if found.newest is not None:
        verb = "taken" if found.newest.exposure_start else "arrived"
        at = found.newest.at
        gone = datetime.now(UTC) - at
        past = f"{show.age(gone)} ago" if gone >= timedelta() else f"{show.age(-gone)} from now"
        notes.append(f"newest: {found.newest.path}, {verb} {show.when(at)}, {past}")
    for n, text in (
        (found.count(header="none"), "without a readable header, archived as they are"),
        (found.count(header="broken"), "with a broken header, archived as they are"),
        (found.count(night_from="arrival"), "placed in this night by arrival: no header time"),
        (found.count(clock="doubtful"), "whose header clock is doubtful"),
        (found.count(handling="ephemeral"), "ephemeral, never archived by this site's rule"),
        (found.count(lost=True, accepted=True), "lost, which a person accepted"),
        (found.count(filed=False), "that nobody filed, grouped by their headers"),
    ):
        if n:
            notes.append(f"{show.count(n, 'file')} {text}")
    notes += _gap_notes(found.gaps)
    at = found.at_source
    if at.freed_files or at.kept_files:
        notes.append(
            f"SOURCE: {show.size(at.freed_bytes)} freed ({show.count(at.freed_files, 'file')}), "
            f"{show.size(at.kept_bytes)} still there ({show.count(at.kept_files, 'file')})"
        )
    for s in found.sources:
        if s.unsettled:
            notes.append(f"{s.name}: {show.count(s.unsettled, 'file')} not settled yet")
    if elsewhere := sum(not q.of_this_night for q in found.quarantine):
        notes.append(f"{show.count(elsewhere, 'file')} of other nights in quarantine")
    notes += [f"held by {h.placed_by}: {h.reason}" for h in found.holds]
    if _need(found) == 1:
        notes.append("copies: 1. This site calls one archive copy safe; if it fails, all is lost")
    return notes


def _gap_notes(gaps: list[Row]) -> list[str]:
    notes = []
    cameras: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for gap in gaps:
        cameras[gap.instrument, gap.module].append(gap)
    for (instrument, module), found in cameras.items():
        missing = sum(g.last - g.first + 1 for g in found)
        shown = [str(g.first) if g.first == g.last else f"{g.first}-{g.last}" for g in found]
        more = " ..." if len(shown) > MOST_GAPS else ""
        name = f"{instrument} {module}".strip()
        notes.append(
            f"{show.count(missing, 'gap')} in the counter of {name}: "
            f"{', '.join(shown[:MOST_GAPS])}{more}"
        )
    return notes


def _need(found: Found) -> int:
    return min((g.need for g in found.counted), default=found.copies)


def _sentence(found: Found, verdict: Verdict) -> str:
    night = found.span.night
    files = f"{found.safe:,} of {found.files:,} files"
    if verdict.answer == "YES":
        archives = "one archive (copies: 1)" if _need(found) == 1 else f"{_need(found)} archives"
        return (
            f"YES: {files} of night {night} are safe, each read well at {archives} "
            f"within {found.scrub_days:g} days."
        )
    if found.span.running:
        seen = f"seen until {show.when(found.seen)}" if found.seen else "never seen to the end"
        so_far = f"so far {found.safe:,} of {found.files:,} safe, {seen}"
        if verdict.answer == "NO":
            return f"NO: {verdict.no[0]}. Night {night} runs: {so_far}."
        return f"CANNOT TELL yet, night {night} runs: {so_far}."
    if verdict.answer == "NO":
        return f"NO: {files} of night {night} are safe. {verdict.no[0]}."
    return f"CANNOT TELL: {verdict.unknown[0]}. {files} known of night {night} are safe."


def _next(found: Found, verdict: Verdict, unsafe: list[Row]) -> str:
    if found.count(lost=True, accepted=False, safe=False):
        return "nf lost list"
    if any(q.of_this_night for q in found.quarantine):
        return "nf quarantine list"
    if found.blocked:
        return "nf jobs list"
    if unsafe:
        return show.command("nf", "why", unsafe[0].path, "--night", found.span.night)
    if verdict.answer == "NO":
        return f"nf night {found.span.night} --unsafe 30"
    if verdict.answer == "YES" and found.newest is not None:
        return f"nf why {found.newest.path} --night {found.span.night}"
    if not found.groups and found.newest_night is not None:
        return "nf night last"
    return "nf status"


def _name(row: Row) -> str:
    return row.path if row.ordinal == 1 else f"{row.path} ({row.ordinal})"


def _document(found: Found, verdict: Verdict, unsafe: list[Row]) -> dict[str, object]:
    taken = [g for g in found.groups if g.first is not None]
    span = found.span
    return {
        "night": span.night, "began": span.began, "ended": span.ended, "running": span.running,
        "answer": verdict.answer, "no": verdict.no, "unknown": verdict.unknown,
        "files": found.files, "safe": found.safe, "bytes": sum(g.bytes for g in found.counted),
        "by_type": [
            {"instrument": i, "type": t, "files": n, "safe": safe, "bytes": b}
            for i, t, n, safe, b in _by_type(found)
        ],
        "archives": [dict(a._mapping) for a in found.archives],
        "headers": {h: found.count(header=h) for h in ("whole", "none", "broken")},
        "by_arrival": found.count(night_from="arrival"),
        "clock_doubtful": found.count(clock="doubtful"),
        "ephemeral": found.count(handling="ephemeral"),
        "lost": found.count(lost=True, accepted=False, safe=False),
        "lost_accepted": found.count(lost=True, accepted=True),
        "unfiled": found.count(filed=False),
        "unsettled": sum(s.unsettled for s in found.sources),
        "seen": found.seen,
        "first": min((g.first for g in taken), default=None),
        "last": max((g.last for g in taken), default=None),
        "newest": dict(found.newest._mapping) if found.newest is not None else None,
        "gaps": [dict(g._mapping) for g in found.gaps],
        "source": dict(found.at_source._mapping),
        "quarantine": [dict(q._mapping) for q in found.quarantine],
        "blocked": [dict(b._mapping) for b in found.blocked],
        "holds": [dict(h._mapping) for h in found.holds],
        "copies": _need(found),
        "unsafe": [dict(r._mapping) for r in unsafe],
    }  # fmt: skip
