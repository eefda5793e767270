"""A canary goes through the whole chain and back, counts nowhere, and is taken out by the rule."""

import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from nightferry import config
from nightferry.canary import Trip, send, source_of
from nightferry.cli import nf
from nightferry.errors import NightferryError
from nightferry.night_answer import look
from nightferry.testing.sites import Running

from tests.daemons.ground import ARCHIVES, Ground, ground

PLACES = ("dome-source", "dome-buffer", "center-buffer", *ARCHIVES)
ALL_BUT_REAP = {
    "dome": ("ingest", "package", "transfer", "verify"),
    "center": ("archive", "verify"),
}


@pytest.fixture
def site(database: str, tmp_path: Path) -> Ground:
    """Two sites that delete nothing, and the configuration of a host that has everything."""
    made = ground(tmp_path, database, keep=None)
    text = made.sites.config("dome").read_text()
    more = "".join(f"  {name}: {made.sites.path(name)}\n" for name in ARCHIVES)
    made.sites.config("person").write_text(text.replace("locations:\n", "locations:\n" + more))
    return made


def sent(site: Ground, host: str = "person") -> Trip:
    mounted = config.load(site.sites.config(host)).locations
    place = site.db.run(lambda tx: source_of(tx, mounted, None))
    return Trip(site.db, send(site.db, place, mounted[place.name], daily=False), mounted)


def done(trip: Trip) -> list[str]:
    return [f"{s.stage} {s.place}" for s in trip.look() if s.at]


def take_out(site: Ground) -> None:
    """Twice: the tick of the second says that nothing is left."""
    for _ in range(2):
        site.once("dome", "reap")
        site.once("center", "reap")


def nothing_is_left(site: Ground) -> bool:
    names = [p for place in PLACES for p in site.sites.path(place).rglob("*nightferry-canary-*")]
    return not [p for p in names if p.is_file()]


def test_each_stage_is_told_as_it_is_done_and_each_archive_gives_it_back(site: Ground) -> None:
    trip = sent(site)
    assert done(trip) == ["written dome-source"]
    site.ingest()
    assert done(trip)[1:] == ["registered dome-source"]
    site.once("dome", "package")
    assert done(trip)[2:] == ["packed dome"]
    site.travel()
    assert done(trip)[3:] == [
        "crossed center", "archived archive-a", "archived archive-b", "verified archive-a",
        "verified archive-b", "returned archive-a", "returned archive-b",
    ]  # fmt: skip
    times = [s.at for s in trip.look() if s.at and s.stage not in ("archived", "verified")]
    assert times == sorted(times)


def test_where_nothing_may_be_deleted_a_canary_is_taken_out_of_every_place(site: Ground) -> None:
    site.frames(2)
    trip = sent(site)
    site.travel()
    trip.look()
    take_out(site)
    assert "taken out all places" in done(trip)
    assert nothing_is_left(site)
    # By the one rule, which kept the frames where they are.
    rows = site.ask("SELECT reason, outcome FROM deletion")
    assert [tuple(r) for r in rows] == [("canary", "5 deleted, 0 kept")]
    assert [site.copies(a) for a in ARCHIVES] == [["deleted", "present"]] * 2
    assert len(list(site.source.glob("s*.fits"))) == 2


def test_what_was_taken_out_is_not_made_again(site: Ground) -> None:
    trip = sent(site)
    site.travel()
    trip.look()
    take_out(site)
    site.travel()
    take_out(site)
    assert nothing_is_left(site)
    assert site.one("SELECT count(*) FROM physical_copy WHERE state <> 'deleted'") == 0
    assert site.one("SELECT count(*) FROM lost_file") == 0


def test_while_it_is_under_way_nothing_of_it_goes(site: Ground) -> None:
    sent(site)
    site.travel()  # it is at both archives, and nobody has fetched it back
    take_out(site)
    assert site.one("SELECT count(*) FROM deletion") == 0
    assert all(site.copies(a) == ["present"] for a in ARCHIVES)


def test_one_whose_sender_died_is_taken_out_after_a_day(site: Ground) -> None:
    sent(site)
    site.travel()
    site.ask("UPDATE canary SET sent = sent - interval '25 hours'")
    take_out(site)
    assert nothing_is_left(site)


def test_one_that_was_given_up_is_not_carried_further_and_goes(site: Ground) -> None:
    trip = sent(site)
    site.ingest()
    trip.end("stuck", "packed: nobody packs")
    site.once("dome", "package")
    assert site.one("SELECT count(*) FROM raw_data_package") == 0
    take_out(site)
    assert nothing_is_left(site)


def test_the_switch_and_a_hold_keep_a_canary_as_they_keep_all(site: Ground) -> None:
    trip = sent(site)
    site.travel()
    trip.look()
    site.ask("INSERT INTO deletion_stop (reason) VALUES ('the disks move')")
    take_out(site)
    assert "the disks move" in trip.why_kept()
    assert not nothing_is_left(site)
    site.ask("UPDATE deletion_stop SET resumed = now()")
    night = site.one("SELECT night FROM raw_data_file")
    site.ask("INSERT INTO hold (night, reason) VALUES (%s, 'the referee asks')", night)
    take_out(site)
    assert "the referee asks" in trip.why_kept()
    site.ask("UPDATE hold SET lifted = now()")
    assert trip.why_kept() == ""


def test_a_canary_is_of_no_night_and_in_no_list(site: Ground) -> None:
    site.frames(3)
    trip = sent(site)
    site.travel()
    trip.look()
    assert site.answer() == "YES"
    tonight = site.one("SELECT night FROM raw_data_file WHERE handling = 'canary'")
    assert tonight != date(2026, 3, 14)
    assert site.verdict(tonight).answer == "CANNOT TELL"
    assert site.db.run(lambda tx: look(tx, tonight)).groups == []
    config_of = ["--config", str(site.sites.config("person"))]
    found = CliRunner().invoke(nf, [*config_of, "find", "--night", str(tonight)])
    assert "nightferry-canary" not in found.output
    listed = CliRunner().invoke(nf, [*config_of, "find", "--state", "canary"])
    assert trip.canary.path in listed.output
    status = CliRunner().invoke(nf, [*config_of, "status"])
    assert str(tonight) not in status.output


def test_two_canaries_are_two_packages_and_no_frame_is_with_them(site: Ground) -> None:
    site.frames(2)
    sent(site)
    sent(site)
    site.ingest()
    site.once("dome", "package")
    rows = site.ask("SELECT instrument, members, path FROM raw_data_package ORDER BY instrument")
    assert [(r.instrument, r.members) for r in rows] == [
        ("nightferry-canary", 1), ("nightferry-canary", 1), ("simulated", 2),
    ]  # fmt: skip
    assert rows[0].path.startswith("nightferry-canary/")


def test_only_what_was_announced_is_a_canary(site: Ground) -> None:
    trip = sent(site)
    site.put("nightferry-canary-20260314T000000Z-0123abcd.txt", b"a file of that name")
    site.source.joinpath(trip.canary.path).write_bytes(b"not the bytes that were announced")
    site.ingest()
    rows = site.ask("SELECT handling::text FROM raw_data_file")
    assert [r.handling for r in rows] == ["archive", "archive"]


def test_no_file_becomes_a_canary_later(site: Ground) -> None:
    site.frames(1)
    site.ingest()
    with pytest.raises(Exception, match="is no canary that was announced"):
        site.ask("UPDATE raw_data_file SET handling = 'canary'")


def test_an_archive_that_gives_other_bytes_is_told(site: Ground) -> None:
    trip = sent(site)
    site.travel()
    (tar,) = site.sites.path("archive-b").rglob("nightferry-canary-*.tar")
    content = tar.read_bytes()
    tar.write_bytes(content.replace(b"This is no observation", b"This is an observation"[:22]))
    trip.look()
    assert "archive-b" in trip.wrong


def refused(site: Ground, host: str, source: str | None = None) -> str:
    mounted = config.load(site.sites.config(host)).locations
    with pytest.raises(NightferryError) as error:
        site.db.run(lambda tx: source_of(tx, mounted, source))
    return str(error.value)


def test_a_host_without_a_source_says_where_to_send_one_from(site: Ground) -> None:
    assert "send a canary from the host of the camera" in refused(site, "center")
    assert "archive-a is no SOURCE that this host has" in refused(site, "person", "archive-a")


@pytest.mark.parametrize(
    ("spoil", "why", "todo"),
    [
        (lambda s: s.ask("DELETE FROM heartbeat"), "no nightferry-ingest runs where dome-source is",
         "systemctl status nightferry-ingest"),
        (lambda s: s.ask("UPDATE location_state SET state = 'unavailable', reason = 'no marker'"
                         " WHERE location = 'dome-source'"),
         "dome-source is away: no marker", "nf locations list"),
    ],
)  # fmt: skip
def test_what_it_is_stuck_in_is_told_with_what_to_type(
    site: Ground, spoil: Callable[[Ground], Any], why: str, todo: str
) -> None:
    site.ingest()
    site.ask("UPDATE heartbeat SET stopped = NULL")
    trip = sent(site)
    spoil(site)
    waits = next(s for s in trip.look() if s.at is None)
    stuck = trip.stuck(waits)
    assert (stuck.step.stage, stuck.why, stuck.todo) == ("registered", why, todo)


def canary(site: Ground, host: str, *options: str) -> Result:
    arguments = ["--config", str(site.sites.config(host)), "canary", *options]
    return CliRunner().invoke(nf, arguments, standalone_mode=False)


def test_a_deadline_ends_with_a_verdict_and_the_trip(site: Ground) -> None:
    ended = canary(site, "person", "--within", "0 s")
    assert ended.return_value == 1
    assert "NO: the canary is not registered at dome-source." in ended.output
    assert "Next: " in ended.output
    row = site.ask("SELECT outcome::text, why FROM canary")[0]
    assert row.outcome == "stuck"
    assert row.why.startswith("registered: ")


@pytest.mark.slow
def test_a_person_sends_one_and_reads_each_stage(site: Ground) -> None:
    with Running(site.sites, log=os.open(os.devnull, os.O_WRONLY)).start():
        said = canary(site, "person", "--within", "300 s")
    assert said.return_value == 0, said.output
    assert " s  crossed     center\n" in said.output
    assert "came back whole from archive-a, archive-b. Nothing of it is left." in " ".join(
        said.output.split()
    )
    assert nothing_is_left(site)
    told = canary(site, "dome", "--within", "0 s", "--json")
    document = json.loads(told.output)
    assert document["answer"] == "NO"
    assert document["stuck"]["stage"] == "registered"
