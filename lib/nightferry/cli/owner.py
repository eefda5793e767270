"""nf owner -- who may see a frame, and from when on everyone may."""

from datetime import UTC, date, datetime, time
from typing import Any

import click

from nightferry.cli import named, show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.db import Tx, json


@click.group(epilog=show.EXIT_CODES)
def command() -> None:
    """Whose a frame is. An unknown owner means: closed to all but the staff."""


@command.command("set", epilog=show.EXIT_CODES)
@click.argument("subject", metavar="FILE|NIGHT|OBS")
@click.argument("owner")
@click.option(
    "--public-after", type=NIGHT, metavar="DATE", help="Everyone may see it from then on."
)
@click.option("--night", type=NIGHT, help="Which night's file, where a name comes again.")
@json_option
@pass_nf
def set_owner(
    nf: Context,
    subject: str,
    owner: str,
    public_after: date | None,
    night: date | None,
    as_json: bool,
) -> None:
    """Gives a file, a whole night, or an observation and its files to OWNER.

    JSON: {"subject", "owner", "public_after", "files"}
    """
    public = datetime.combine(public_after, time(), UTC) if public_after else None
    rights: dict[str, Any] = {"owner": owner, "public_after": public}

    def work(tx: Tx) -> tuple[str, int]:
        called, changed = _change(nf, tx, subject, night, rights)
        detail = {"owner": owner, "public_after": public.isoformat() if public else None}
        tx.run("owner.tell", files=[r.id for r in changed], detail=json(detail))
        return called, len(changed)

    called, files = nf.db.run(work)
    if as_json:
        show.emit_json({"subject": called, **rights, "files": files})
        return
    when = f", public after {public_after}" if public_after else ""
    show.verdict(f"{called} belongs to {owner}{when}: {show.count(files, 'file')}.", "nf find")


def _change(
    nf: Context, tx: Tx, subject: str, night: date | None, rights: dict[str, Any]
) -> tuple[str, list[Any]]:
    whole_night = named.night_or_none(subject)
    if whole_night is not None:
        return f"The night {whole_night}", tx.run("owner.of_night", night=whole_night, **rights)
    observation = named.one_observation(tx, subject)
    if observation is not None:
        called = f"Observation {named.short(observation.id)} of {observation.night}"
        return called, tx.run("owner.of_observation", id=observation.id, **rights)
    file = named.one_file(nf, tx, subject, night)
    if file is None:
        named.unknown("file, night or observation", subject)
    return f"{file.path} of {file.night}", tx.run("owner.of_file", id=file.id, **rights)
