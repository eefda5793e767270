"""nf audit -- does the ledger agree with the disks? After a restore, above all."""

import click

from nightferry.audit import Applied, Audit, apply, audit, not_passed
from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.errors import ConfigError

MOST_LISTED = 20


@click.command(epilog=show.EXIT_CODES)
@click.argument("locations", metavar="[LOCATION]...", nargs=-1)
@click.option(
    "--apply",
    "applied",
    is_flag=True,
    help="Strange files go to quarantine, missing copies to repair: rows, never a file.",
)
@click.option(
    "--even-if-much",
    is_flag=True,
    help="With --apply: also where more than a tenth differs, and it is the right disk.",
)
@click.option(
    "--trust",
    is_flag=True,
    help="If every location has passed, here or elsewhere: the reaper obeys this database.",
)
@json_option
@pass_nf
def command(
    nf: Context,
    locations: tuple[str, ...],
    applied: bool,
    even_if_much: bool,
    trust: bool,
    as_json: bool,
) -> int:
    """Compares names and sizes on disk with the ledger, both ways.

    Without LOCATION: all of this host. Bytes are verify's: nothing is read here, and no file is
    moved. On a SOURCE, what is not registered yet is no difference, and what is gone is ingest's to
    conclude.

    \b
    JSON: {"agree": bool, "trusted": bool, "not_passed": [location], "locations": [{"location",
      "files", "copies", "unknown": [path], "absent": [path], "other_size": [path],
      "applied": {"quarantined", "missing", "doubted"} or null}]}
    """
    mounted = nf.config.locations
    for name in locations:
        if name not in mounted:
            raise ConfigError(
                f"{name} is not mounted on this host: run nf audit {name} where it is, or name it "
                f"under locations: in {nf.config.path}"
            )
    found = [audit(nf.db, name, mounted[name]) for name in locations or mounted]
    agree = all(one.clean for one in found)
    too_much = [one for one in found if applied and one.much and not even_if_much]
    done: dict[str, Applied] = {}
    if applied and not too_much:
        done = {one.location: nf.db.run(lambda tx, o=one: apply(tx, o)) for one in found}  # type: ignore[misc]
    left = nf.db.run(not_passed)
    trusted = trust and agree and not left
    if trusted:
        reason = "nf audit: every location has passed"
        nf.db.run(lambda tx: tx.run("reap.trust", reason=reason))
    if as_json:
        told = [_plain(one, done.get(one.location)) for one in found]
        show.emit_json({"agree": agree, "trusted": trusted, "not_passed": left, "locations": told})
        return show.YES if agree else show.NO
    rows = [
        (
            one.location,
            f"{one.files:,}",
            f"{one.copies:,}",
            f"{len(one.unknown):,}",
            f"{len(one.absent):,}",
            f"{len(one.other_size):,}",
        )
        for one in found
    ]
    header = ("LOCATION", "FILES", "COPIES", "IN NO ROW", "NOT ON DISK", "OTHER SIZE")
    click.echo(show.table(rows, header))
    for one in found:
        _show_paths(one)
    if too_much:
        _stop(too_much[0])
    elif done and not agree:
        _tell_applied(done)
    else:
        _conclude(agree, trust, trusted, left)
    return show.YES if agree else show.NO


def _stop(one: Audit) -> None:
    again = show.command("nf", "audit", one.location, "--apply", "--even-if-much")
    show.verdict(
        f"NO: nothing was applied. {one.differences:,} of {max(one.files, one.copies):,} at "
        f"{one.location} differ, more than a tenth: a wrong or half-mounted disk looks the same. "
        "Look there first.",
        again,
    )


def _tell_applied(done: dict[str, Applied]) -> None:
    quarantined = sum(one.quarantined for one in done.values())
    missing = sum(one.missing for one in done.values())
    doubted = sum(one.doubted for one in done.values())
    show.verdict(
        f"NO: they differed. {show.count(quarantined, 'file')} went to quarantine, "
        f"{show.count(missing, 'copy is', 'copies are')} missing and will be repaired, "
        f"{show.count(doubted, 'copy', 'copies')} will be read again. No file was touched.",
        "nf quarantine list" if quarantined else "nf audit",
    )


def _show_paths(one: Audit) -> None:
    parts = (
        ("not registered yet" if one.awaited else "in no row", one.unknown),
        ("not on disk", one.absent),
        ("of another size", one.other_size),
    )
    for what, paths in parts:
        for path in paths[:MOST_LISTED]:
            show.say(f"{what}: {one.location} {path}")
        if len(paths) > MOST_LISTED:
            show.say(f"{what}: and {len(paths) - MOST_LISTED:,} more at {one.location} (--json)")


def _conclude(agree: bool, trust: bool, trusted: bool, left: list[str]) -> None:
    if not agree:
        show.verdict(
            "NO: disk and ledger differ. What is not on disk can be repaired; what is in no row "
            "may be newer than the database.",
            "nf audit --apply",
        )
    elif trusted:
        show.verdict("YES: they agree, and this database is trusted from now on.", "nf reap plan")
    elif trust and left:
        show.verdict(
            f"They agree here. Not passed yet, by this database: {', '.join(left)}.",
            show.command("nf", "audit", *left, "--trust"),
        )
    else:
        show.verdict("YES: disk and ledger agree.", "nf status")


def _plain(one: Audit, done: Applied | None) -> dict[str, object]:
    return {
        "location": one.location,
        "files": one.files,
        "copies": one.copies,
        "unknown": list(one.unknown),
        "absent": list(one.absent),
        "other_size": list(one.other_size),
        "applied": vars(done) if done is not None else None,
    }
