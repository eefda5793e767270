"""``nf why``: where every copy of a file or package is, and why it is still there or gone.

Over 300 lines: the whole story of a file, from its first sight to its deletion.
"""

from datetime import date, datetime
from itertools import groupby
from uuid import UUID

import click

from nightferry.cli import capabilities, show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.db import Row
from nightferry.story import Story, as_typed, matches, story_of

MOST_LISTED = 20


@click.command(epilog=show.EXIT_CODES)
@click.argument("name", metavar="FILE|PACKAGE")
@click.option("--night", type=NIGHT, help="Of that night, where several have the name.")
@json_option
@pass_nf
def command(nf: Context, name: str, night: date | None, as_json: bool) -> int:
    """Where is every copy, and why is it still there or gone?

    FILE is a name, any end of a path, or a uuid; PACKAGE is its name. For each copy outside the
    archives: the deletion rule clause by clause, exactly as the reaper asks it; or when it was
    deleted, why, and what was proven before.

    Exits with 1 if nothing is known by that name, and with 2 if several are.

    JSON keys: file, package, copies, members, clauses, deletions, proofs, holds, blocked,
    quarantine, versions, linked, product (what it was made from), products (made from it), verdict;
    or matches, where several have the name.
    """
    typed = as_typed(name)
    files, packages = nf.db.run(lambda tx: matches(tx, name, typed, night))
    if packages and not files:
        story = nf.db.run(lambda tx: story_of(tx, None, packages[0].id))
    elif len({(f.location, f.path) for f in files}) == 1 and (
        len(files) == 1 or all(f.relation == "version" for f in files[:-1])
    ):
        story = nf.db.run(lambda tx: story_of(tx, files[0].id, None))
    elif files:
        return _ambiguous(files, name, as_json)
    else:
        return _unknown(nf, name, typed, as_json)
    if as_json:
        show.emit_json(_document(story))
    else:
        _print(story)
    return show.YES


def _ambiguous(files: list[Row], name: str, as_json: bool) -> int:
    if as_json:
        show.emit_json({"matches": [dict(f._mapping) for f in files]})
        return show.CANNOT_TELL
    show.say(f"{show.count(len(files), 'file')} have this name:")
    rows = [
        (str(f.night), f.location, _path(f), f.frame_type, show.size(f.size))
        for f in files[:MOST_LISTED]
    ]
    click.echo(show.table(rows, ("NIGHT", "PLACE", "PATH", "TYPE", "SIZE")))
    if len(files) > MOST_LISTED:
        show.say(f"and {len(files) - MOST_LISTED} more")
    first = files[0]
    if len({f.night for f in files}) > 1:
        show.verdict(
            "Which one? Say the night.", show.command("nf", "why", name, "--night", first.night)
        )
    elif len({f.path for f in files}) > 1:
        show.verdict("Which one? Type more of its path.", show.command("nf", "why", first.path))
    else:
        show.verdict("Which one? They share path and night; take the id.", f"nf why {first.id}")
    return show.CANNOT_TELL


def _unknown(nf: Context, name: str, typed: list[str], as_json: bool) -> int:
    found = nf.db.run(lambda tx: tx.run("why.quarantine", location=None, paths=typed))
    if as_json:
        show.emit_json({"matches": [], "quarantine": [dict(q._mapping) for q in found]})
    elif found:
        for q in found:
            show.say(_quarantined(q))
        show.verdict(f"{name} is not captured: it is in quarantine.", "nf quarantine list")
    else:
        show.verdict(f"No file or package is known as {name}.", "nf find --path '*PART*'")
    return show.NO


def _print(story: Story) -> None:
    if story.file is not None:
        _print_file(story, story.file)
    else:
        _print_package(story.about)
    _print_products(story)
    show.say()
    rows = [(m.location, f"its {show.count(m.files, 'file')}", m.state, show.when(m.last), "-")
            for m in story.members]  # fmt: skip
    rows += [
        (c.location, "package" if c.is_package else "file", c.state, show.when(c.changed), _read(c))
        for c in story.copies
    ]
    click.echo(show.table(rows, ("PLACE", "WHAT", "STATE", "SINCE", "LAST READ")))
    buckets = {c.location: c.capabilities for c in story.copies if c.storage == "s3"}
    for location, found in buckets.items():
        show.say(f"{location} is a bucket: {capabilities.trash(found)}")
    for copy, location, _, whose in story.places:
        if copy in story.clauses:
            example = " (each alike; here the first)" if whose.startswith("its ") else ""
            show.say()
            show.say(f"May {whose} go from {location}? Only if every clause holds{example}:")
            lines = [("yes" if c.holds else "NO", c.clause, c.detail) for c in story.clauses[copy]]
            click.echo(show.table(lines, ("HOLDS", "CLAUSE", "BECAUSE")))
    for deletion, parts in groupby(story.deletions, key=lambda d: d.id):
        _print_deletion(list(parts), [p for p in story.proofs if p.deletion == deletion])
    _print_troubles(story)
    show.verdict(_verdict(story), _next(story))


def _print_file(story: Story, f: Row) -> None:
    show.say(f"File {_path(f)} of {f.location}, night {f.night}")
    what = [f.instrument, f.frame_type, f.object, f.filter, show.size(f.size)]
    taken = f"taken {show.when(f.exposure_start)}" if f.exposure_start else "placed by arrival"
    show.say(f"{', '.join(w for w in what if w)}; {taken}; registered {show.when(f.registered)}", 2)
    show.say(f"SHA-256 {f.sha256}", 2)
    for defect in f.defects:
        show.say(f"header {f.header}: {defect}", 2)
    if f.package_name:
        packed = f"packed {show.when(f.packed)}" if f.packed else f.package_state
        show.say(f"in package {f.package_name} ({show.count(f.members, 'file')}), {packed}", 2)
    if len(story.versions) > 1:
        show.say("at this path:", 2)
        for v in story.versions:
            this = ", this one" if v.id == f.id else ""
            safe = "safe" if v.safe else f"not safe: {v.reason}"
            words = {"version": "another version", "exposure": "another exposure"}
            said = words.get(v.relation, "the first")
            show.say(f"{v.ordinal}. {said}, night {v.night}, {show.size(v.size)}, {safe}{this}", 4)
    for other in story.linked:
        show.say(f"the same exposure: {other.path} of {other.location}", 2)


def _print_products(story: Story) -> None:
    """Where it came from, and what came of it."""
    if (d := story.product) is not None:
        nights = ", ".join(map(str, d.nights))
        more = f" and {d.sources - len(d.some)} more" if d.sources > len(d.some) else ""
        note = f": {d.note}" if d.note else ""
        show.say(f"data product {d.name}, returned {show.when(d.returned)} by {d.by}{note}", 2)
        files = show.count(d.sources, "file")
        show.say(f"made from {files} of night {nights}: {', '.join(d.some)}{more}", 4)
    for made in story.products:
        show.say(f"made from it: {made.name}, returned {show.when(made.returned)} by {made.by}", 2)


def _print_package(p: Row) -> None:
    show.say(f"Package {p.name}, night {p.night}, {show.count(p.members, 'file')}")
    packed = f"packed {show.when(p.packed)}, {show.size(p.size)}" if p.packed else p.state
    show.say(f"{p.instrument}, from {p.origin}; planned {show.when(p.planned)}; {packed}", 2)
    if p.sha256:
        show.say(f"SHA-256 {p.sha256}", 2)
    if p.supplement_of:
        show.say(f"supplement of {p.supplement_of}", 2)
    if p.dissolved_because:
        show.say(f"dissolved: {p.dissolved_because}", 2)


def _read(c: Row) -> str:
    if c.read is None:
        return "-"
    words = {"good": "well", "differs": "OTHER BYTES", "unreadable": "UNREADABLE"}
    return f"{words[c.outcome]} {show.when(c.read)}, {c.how}, {c.host}"


def _print_deletion(rows: list[Row], proofs: list[Row]) -> None:
    """One decision: what was proven first, and what became of each copy."""
    d = rows[0]
    show.say()
    show.say(f"Deletion, because of {d.reason}:")
    lines = [(d.nominated, "nominated")]
    for p in proofs:
        outcome = {"good": "read well", "differs": "gave OTHER BYTES"}.get(p.outcome, "unreadable")
        lines.append((p.ended, f"{p.location} {outcome}, from the {p.how}, by {p.host}"))
    if d.decided and d.state != "withdrawn":
        lines.append((d.decided, "decided: every clause held for what was to go"))
    for row in rows:
        copies = f"{show.count(row.copies, 'copy', 'copies')}: " if row.copies > 1 else ""
        became = _STAGES.get(row.stage, row.stage).format(grace=show.age(row.trash_grace))
        detail = f": {row.detail}" if row.detail else ""
        lines.append((row.changed, f"{row.location}: {copies}{became}{detail}"))
    for moment, text in lines:
        show.say(f"{show.when(moment)}  {text}", 2)


_STAGES = {
    "nominated": "nominated: its archive copies are being read",
    "deleting": "to be moved to the trash",
    "trashed": "in the trash; {grace} later it is hashed and the rule asked again",
    "hashed": "hashed in the trash, the right bytes",
    "condemned": "the rule held again, to be deleted",
    "recalled": "the rule did not hold again, to be put back",
    "deleted": "hashed in the trash, the rule held again, deleted",
    "kept": "kept",
}


def _print_troubles(story: Story) -> None:
    lines = [f"{c.location}, {show.when(c.read)}: {c.detail}" for c in story.copies if c.detail]
    lines += [f"{h.what} is held by {h.placed_by}: {h.reason}" for h in story.holds]
    for b in story.blocked:
        told = f": {b.message}" if b.message else ""
        lines.append(f"{b.kind} at {b.location} is blocked ({b.reason}) by {b.by}{told}")
    lines += [_quarantined(q) for q in story.quarantine]
    f = story.file
    if f is not None and f.lost_at:
        lines.append(f"lost {show.when(f.lost_at)}: {f.lost_how}")
        if f.lost_accepted:
            lines.append(f"accepted as lost by {f.lost_accepted_by}: {f.lost_reason}")
    if lines:
        show.say()
        for line in lines:
            show.say(f"! {line}")


def _quarantined(q: Row) -> str:
    if q.released:
        return f"{q.path} was in quarantine: {q.reason}; released by {q.released_by}: {q.release}"
    return f"{q.path} of {q.location} is in quarantine: {q.reason}. {q.advice}"


def _verdict(story: Story) -> str:
    """Safe or not, and why the first copy that a reaper could take is there or gone."""
    about = story.about
    safe = f"Safe at {about.proven} archives" if about.safe else f"NOT SAFE: {about.reason}"
    if story.file is not None and story.file.handling == "ephemeral":
        safe = "Ephemeral, never archived"
    own = {c.id for c in story.copies if not c.is_package}  # of a file: not its package's
    places = [p[:3] for p in story.places if story.file is None or p[0] in own]
    fates: dict[str, list[str]] = {}
    for copy, location, state in places:
        fates.setdefault(_fate(story, copy, location, state), []).append(location)
    told = [fate.format(places=", ".join(dict.fromkeys(at))) for fate, at in fates.items()]
    return "; ".join([safe, *told]) + "."


def _fate(story: Story, copy: UUID, location: str, state: str) -> str:
    """What became of a copy, with ``{places}`` where its place is to stand."""
    if state == "missing":
        return "missing at {places}, and not deleted by us"
    if state == "deleting":
        return "on its way out of {places}"
    if state == "deleted":
        done = [d for d in story.deletions if d.location == location and copy in d.ids]
        if not done:
            return "deleted from {places}"
        d = done[-1]
        proofs = [p for p in story.proofs if p.deletion == d.id and p.outcome == "good"]
        wells = sorted({p.location for p in proofs})
        proven = ""
        if wells:
            had = show.count(len(wells), "archive")
            proven = f": {had} had been read well after nomination ({', '.join(wells)})"
        return f"deleted from {{places}} on {_day(d.changed)} because of {d.reason}{proven}"
    failing = [c.detail for c in story.clauses.get(copy, []) if not c.holds]
    if not failing:
        return "may go from {places}: the reaper takes it next"
    why = failing[0].replace("{", "(").replace("}", ")")
    more = f" (and {len(failing) - 1} more clauses do not hold)" if len(failing) > 1 else ""
    return f"kept at {{places}}: {why}{more}"


def _next(story: Story) -> str:
    about = story.about
    f = story.file
    if f is not None and f.lost_at and not f.lost_accepted:
        return "nf lost list"
    if any(not q.released for q in story.quarantine):
        return "nf quarantine list"
    if story.blocked:
        return "nf jobs list"
    if f is not None and f.package_name and not f.safe:
        return f"nf why {f.package_name}"
    return f"nf night {about.night}"


def _path(f: Row) -> str:
    path: str = f.path
    return path if f.ordinal == 1 else f"{path} (number {f.ordinal} at this path)"


def _day(moment: datetime) -> str:
    return show.when(moment)[:10]


def _document(story: Story) -> dict[str, object]:
    def plain(rows: list[Row]) -> list[dict[str, object]]:
        return [dict(r._mapping) for r in rows]

    return {
        "file": dict(story.file._mapping) if story.file is not None else None,
        "package": dict(story.package._mapping) if story.package is not None else None,
        "copies": plain(story.copies),
        "members": plain(story.members),
        "clauses": {str(copy): plain(rows) for copy, rows in story.clauses.items()},
        "deletions": plain(story.deletions),
        "proofs": plain(story.proofs),
        "holds": plain(story.holds),
        "blocked": plain(story.blocked),
        "quarantine": plain(story.quarantine),
        "versions": plain(story.versions),
        "linked": plain(story.linked),
        "product": dict(story.product._mapping) if story.product else None,
        "products": plain(story.products),
        "verdict": _verdict(story),
    }
