"""nf scrub -- is every archived copy read again in time?"""

import click

from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.db import Row


@click.command(epilog=show.EXIT_CODES)
@json_option
@pass_nf
def command(nf: Context, as_json: bool) -> int:
    """How much of each archive was read in full, and well, within scrub_days.

    Copies are due after 0.8 of scrub_days; NEED is the pace that reads all that is due before 0.9
    of them, SEEN the pace of the last day's readings while they ran.

    JSON: {"answer": "YES", "NO" or "CANNOT TELL", "scrub_days", "locations": [{"location",
    "copies", "bytes", "read", "read_bytes", "never", "oldest", "due", "due_bytes", "pace_needed",
    "pace_seen": bytes/s or null, "suspect", "missing", "corrupt"}]}
    """
    rows = nf.db.run(lambda tx: tx.run("scrub.coverage"))
    answer, told, following = _answer(rows)
    if as_json:
        show.emit_json(
            {
                "answer": answer,
                "scrub_days": rows[0].scrub_days if rows else None,
                "locations": [_plain(r) for r in rows],
            }
        )
        return _CODES[answer]
    if rows:
        lines = [
            (
                r.location, f"{r.copies:,}", show.size(r.bytes), _share(r), show.age(r.oldest),
                f"{r.due:,}", _pace(r.pace_needed), _pace(_seen(r)), _doubt(r),
            )
            for r in rows
        ]  # fmt: skip
        header = ("ARCHIVE", "COPIES", "", "READ", "OLDEST", "DUE", "NEED", "SEEN", "IN DOUBT")
        click.echo(show.table(lines, header))
    show.verdict(f"{answer}: {told}", following)
    return _CODES[answer]


_CODES = {"YES": show.YES, "NO": show.NO, "CANNOT TELL": show.CANNOT_TELL}


def _answer(rows: list[Row]) -> tuple[str, str, str]:
    """The answer, why, and what to type next."""
    copies, read = sum(r.copies for r in rows), sum(r.read for r in rows)
    doubtful = sum(r.suspect + r.missing + r.corrupt for r in rows)
    if not copies:
        return "CANNOT TELL", "no archive holds a copy yet.", "nf status"
    days = f"{rows[0].scrub_days:g} days"
    if doubtful:
        bad = show.count(doubtful, "copy is", "copies are")
        return "NO", f"{bad} corrupt, missing or unreadable.", "nf find --state unsafe"
    if read < copies:
        unread = show.count(copies - read, "copy was", "copies were")
        never = sum(r.never for r in rows)
        why = f", {never:,} of them never" if never else ""
        late = f"{unread} not read within {days}{why}."
        return "NO", late, "nf jobs list --kind verify"
    oldest = show.age(min(r.oldest for r in rows))
    whole = f"all {show.count(copies, 'copy', 'copies')} were read well within {days}"
    slow = [r.location for r in rows if r.due and _is_slow(r)]
    if slow:
        return (
            "YES", f"{whole}, but {', '.join(slow)} is read more slowly than it has to be.",
            "nf jobs list --kind verify",
        )  # fmt: skip
    return "YES", f"{whole}; the oldest reading is {oldest} old.", "nf status"


def _seen(row: Row) -> float | None:
    return float(row.day_bytes) / row.seconds if row.seconds else None


def _is_slow(row: Row) -> bool:
    seen = _seen(row)
    return seen is not None and seen < 0.9 * row.pace_needed


def _share(row: Row) -> str:
    if not row.bytes:
        return "-"
    return f"{100 * float(row.read_bytes) / float(row.bytes):.1f} %"


def _pace(bytes_per_second: float | None) -> str:
    return f"{show.size(round(bytes_per_second))}/s" if bytes_per_second else "-"


def _doubt(row: Row) -> str:
    told = [
        f"{n} {name}"
        for name, n in (
            ("corrupt", row.corrupt),
            ("missing", row.missing),
            ("suspect", row.suspect),
        )
        if n
    ]
    return ", ".join(told) or "-"


def _plain(row: Row) -> dict[str, object]:
    columns = dict(row._mapping)
    for name in ("scrub_days", "day_bytes", "seconds"):
        del columns[name]
    return columns | {"pace_seen": _seen(row)}
