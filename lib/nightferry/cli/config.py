"""nf config -- observatory.yaml: is it safe, what would it change, make it so."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from nightferry import config as host_config
from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.observatory import Change, Finding, Observatory, Weight, check, load
from nightferry.observatory import apply as apply_rows
from nightferry.observatory import diff as compare_rows
from nightferry.observatory.document import plain

file_argument = click.argument(
    "file", required=False, type=click.Path(dir_okay=False, path_type=Path)
)


@click.group(epilog=show.EXIT_CODES)
def command() -> None:
    """Checks observatory.yaml, says what it would change, and applies it.

    FILE is observatory.yaml beside this host's nightferry.yaml unless it is named.
    """


@command.command("check", epilog=show.EXIT_CODES)
@file_argument
@json_option
@pass_nf
def check_file(nf: Context, file: Path | None, as_json: bool) -> int:
    """Can FILE be applied? Refuses what can't be safe. Needs no database.

    JSON: {"file", "ok", "findings": [{"weight": "refused"|"said", "where", "message"}]}
    """
    where = _find(nf, file)
    findings = check(load(where))
    refused = _refused(findings)
    if as_json:
        show.emit_json({"file": str(where), "ok": not refused, "findings": _plain(findings)})
    else:
        _show_findings(findings)
        if refused:
            show.verdict(
                f"NO: {where} can't be applied: {show.count(len(refused), 'reason')} above.",
                f"nf config check {file or ''}",
            )
        else:
            show.verdict(f"YES: {where} can be applied.", f"nf config diff {file or ''}")
    return show.NO if refused else show.YES


@command.command("diff", epilog=show.EXIT_CODES)
@file_argument
@json_option
@pass_nf
def diff_file(nf: Context, file: Path | None, as_json: bool) -> int:
    """What would 'nf config apply' change in the database? Exit code 1 if anything.

    JSON: {"file", "changes": [{"kind", "name", "action", "fields": {column: {"was", "is"}}}]}
    """
    where = _find(nf, file)
    observatory = _safe_or_refused(where)
    changes = nf.db.run(lambda tx: compare_rows(tx, observatory))
    if as_json:
        show.emit_json({"file": str(where), "changes": _plain_changes(changes)})
    else:
        _show_changes(changes)
        if changes:
            how_many = show.count(len(changes), "row differs", "rows differ")
            show.verdict(f"{how_many} from {where}.", f"nf config apply {file or ''}")
        else:
            show.verdict(f"The database is what {where} says.")
    return show.NO if changes else show.YES


@command.command("apply", epilog=show.EXIT_CODES)
@file_argument
@json_option
@pass_nf
def apply_file(nf: Context, file: Path | None, as_json: bool) -> None:
    """Makes the database what FILE says, in one transaction, each change told in the history.

    A location that left FILE and holds copies is drained, never removed.
    JSON: as 'nf config diff'.
    """
    where = _find(nf, file)
    observatory = _safe_or_refused(where)
    changes = nf.db.run(lambda tx: apply_rows(tx, observatory))
    if as_json:
        show.emit_json({"file": str(where), "changes": _plain_changes(changes)})
        return
    _show_changes(changes)
    if changes:
        new = any(c.kind == "location" and c.action.value == "add" for c in changes)
        how_many = show.count(len(changes), "row was", "rows were")
        show.verdict(f"Applied: {how_many} changed.", "nf locations list" if new else "nf status")
    else:
        show.verdict(f"Nothing to do: the database is what {where} says.", "nf status")


def _find(nf: Context, file: Path | None) -> Path:
    return file or host_config.find(nf.config_path).with_name("observatory.yaml")


def _refused(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.weight is Weight.REFUSED]


def _safe_or_refused(where: Path) -> Observatory:
    observatory = load(where)
    if refused := _refused(check(observatory)):
        first = f"{refused[0].where}: {refused[0].message}"
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        show.fail(f"{where}: {first}{more}; see: nf config check {where}", show.USAGE)
    return observatory


def _show_findings(findings: Sequence[Finding]) -> None:
    if findings:
        rows = [(finding.weight.value, finding.where, finding.message) for finding in findings]
        click.echo(show.table(rows, ("", "where", "what")))


def _show_changes(changes: Sequence[Change]) -> None:
    rows = [
        (_ACTION[c.action.value], c.kind.replace("_", " "), c.name or _NAMELESS[c.kind], _said(c))
        for c in changes
    ]
    if rows:
        click.echo(show.table(rows, ("", "what", "name", "columns")))


_ACTION = {"add": "new", "change": "changes", "drain": "drained", "remove": "removed"}
_NAMELESS = {"archive_rule": "(all others)", "policy": "(all)"}


def _said(change: Change) -> str:
    if change.action.value == "drain":
        return "not in the file any more; the ledger knows copies there, so its row stays"
    if change.action.value == "add":
        return ", ".join(f"{key} {_value(now)}" for key, (_, now) in change.fields.items())
    fields = change.fields.items()
    return ", ".join(f"{key} {_value(was)} → {_value(now)}" for key, (was, now) in fields)


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, timedelta):
        return show.age(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return str(value)


def _plain(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [{"weight": f.weight.value, "where": f.where, "message": f.message} for f in findings]


def _plain_changes(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [
        {
            "kind": c.kind,
            "name": c.name,
            "action": c.action.value,
            "fields": {key: {"was": plain(a), "is": plain(b)} for key, (a, b) in c.fields.items()},
        }
        for c in changes
    ]
