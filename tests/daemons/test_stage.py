"""Staging: archived packages back on a disk, unpacked, shared and gone again when their time is over."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from nightferry import staging
from nightferry.errors import ConfigError, NightferryError
from nightferry.staging import Request

from tests.daemons.ground import NIGHT, Ground
from tests.daemons.staged import NOTHING, ask, nf, safe_night, unpacked, work_at


@pytest.fixture
def archived(database: str, tmp_path: Path) -> Iterator[Ground]:
    yield from safe_night(database, tmp_path)


def test_a_night_comes_back_as_it_was_with_a_manifest_and_a_mark(archived: Ground) -> None:
    done = ask(archived)
    archived.once("center", "stage")
    content = {Path(name).name: data for name, data in archived.content.items()}  # type: ignore[attr-defined]
    assert unpacked(archived) == content
    folder = work_at(archived) / "requests" / str(done.id)
    assert (folder / ".done").exists()
    (package,) = json.loads((folder / "manifest.json").read_text())["packages"]
    for file in package["files"]:
        data = (work_at(archived) / package["path"] / file["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
    assert archived.one("SELECT state::text FROM staging") == "ready"


@pytest.mark.parametrize("word", ["instrument", "target", "package", "observation"])
def test_it_is_asked_for_by_what_a_person_knows(archived: Ground, word: str) -> None:
    (known,) = archived.ask(
        "SELECT DISTINCT p.instrument, p.name AS package, f.object AS target, f.executed_obs_unit::text AS observation "
        "FROM raw_data_package p JOIN package_member m ON m.package = p.id JOIN raw_data_file f ON f.id = m.file "
        "WHERE f.frame_type = 'science' ORDER BY 1, 2, 3, 4 LIMIT 1"
    )
    value = getattr(known, word)
    if not value:
        pytest.skip(f"the simulated night has no {word}")
    assert ask(archived, **{word: value}).packages >= 1
    with pytest.raises(NightferryError, match="no package is known"):
        ask(archived, **{word: "nothing-like-it"})


def test_two_requests_share_what_is_unpacked(archived: Ground) -> None:
    first = ask(archived)
    archived.once("center", "stage")
    second = ask(archived)
    assert (second.fresh, second.size) == (0, first.size)
    archived.once("center", "stage")
    assert archived.one("SELECT count(*) FROM staged_package") == 1
    archived.ask("UPDATE staging SET expires = now() - interval '1 s' WHERE id = %s", first.id)
    archived.once("center", "stage")
    assert unpacked(archived) != {}
    assert not (work_at(archived) / "requests" / str(first.id)).exists()
    assert (work_at(archived) / "requests" / str(second.id) / ".done").exists()


def test_what_nobody_asks_for_any_more_is_removed(archived: Ground) -> None:
    ask(archived)
    archived.once("center", "stage")
    archived.ask("UPDATE staging SET expires = now() - interval '1 s'")
    archived.once("center", "stage")
    assert unpacked(archived) == {}
    assert archived.one("SELECT state::text FROM staged_package") == "gone"
    assert archived.one("SELECT state::text FROM staging") == "gone"
    assert archived.answer() == "YES"
    again = ask(archived)
    assert again.fresh == again.size
    archived.once("center", "stage")
    assert unpacked(archived) != {}


def test_a_file_that_is_open_keeps_its_package_until_it_is_closed(archived: Ground) -> None:
    ask(archived)
    archived.once("center", "stage")
    archived.ask("UPDATE staging SET expires = now() - interval '1 s'")
    one = next(p for p in (work_at(archived) / "staged").rglob("*.fits*") if p.is_file())
    with one.open("rb"):
        archived.once("center", "stage")
        assert archived.one("SELECT state::text FROM staged_package") == "leaving"
        assert "open by a process" in archived.one("SELECT detail FROM staged_package")
        assert one.exists()
    archived.ask("UPDATE staged_package SET changed = now() - interval '1 h'")
    archived.once("center", "stage")
    assert unpacked(archived) == {}


def test_a_request_whose_own_folder_is_open_is_over_and_goes_later(archived: Ground) -> None:
    """A pipeline still writes its log there: no attempt is spent, and it is said why it stays."""
    placed = ask(archived)
    archived.once("center", "stage")
    archived.ask("UPDATE staging SET expires = now() - interval '1 s'")
    folder = work_at(archived) / "requests" / str(placed.id)
    with (folder / "pipeline.log").open("w"):
        archived.once("center", "stage")
        (over,) = archived.ask("SELECT state::text, outcome FROM staging")
        assert over.state == "ended"
        assert "pipeline.log is still open by a process; it stays" in over.outcome
        archived.once("center", "stage")  # not asked again at once
    assert archived.ask("SELECT FROM blocked") == []
    assert archived.ask("SELECT FROM job WHERE kind = 'stage'") == []
    archived.ask("UPDATE staging SET changed = now() - interval '1 h'")
    archived.once("center", "stage")
    assert archived.one("SELECT state::text FROM staging") == "gone"
    assert not folder.exists()


@pytest.mark.parametrize("state", ["deleted", "missing", "corrupt"])
def test_a_night_whose_every_copy_is_gone_is_refused_with_its_name(
    archived: Ground, state: str
) -> None:
    name = archived.one("SELECT name FROM raw_data_package")
    if state == "deleted":
        archived.ask("UPDATE physical_copy SET state = 'deleting' WHERE package IS NOT NULL")
    archived.ask(f"UPDATE physical_copy SET state = '{state}' WHERE package IS NOT NULL")
    with pytest.raises(NightferryError, match=f"{name} can't be staged: no copy is present"):
        ask(archived)
    assert archived.ask("SELECT FROM staging") == []


def test_a_bad_copy_is_doubted_and_another_is_read(archived: Ground) -> None:
    name = archived.one("SELECT path FROM raw_data_package")
    for place in ("center-buffer", "archive-a"):
        path = archived.sites.path(place) / name
        path.chmod(0o644)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            file.write(b"rot")
    ask(archived)
    archived.once("center", "stage")
    assert archived.one("SELECT state::text FROM staging") == "ready"
    assert len(unpacked(archived)) == 3
    assert archived.one("SELECT count(*) FROM physical_copy WHERE state = 'suspect'") == 2


def test_what_was_half_unpacked_is_begun_again(archived: Ground) -> None:
    name = archived.one("SELECT name FROM raw_data_package")
    left = work_at(archived) / "staged" / name / "half"
    left.mkdir(parents=True)
    (left / "a").write_bytes(b"cut short")
    ask(archived)
    archived.once("center", "stage")
    assert "a" not in unpacked(archived)
    assert archived.one("SELECT state::text FROM staging") == "ready"


def test_a_pipeline_is_started_with_the_manifest(archived: Ground, tmp_path: Path) -> None:
    out = tmp_path / "ran"
    host = yaml.safe_load(archived.sites.config("center").read_text())
    host["stage"] = {"commands": {"reduce": ["sh", "-c", f'cp "$1" {out}; exit 3', "start"]}}
    archived.sites.config("center").write_text(yaml.safe_dump(host))
    done = ask(archived, command="reduce")
    archived.once("center", "stage")
    assert json.loads(out.read_text())["request"] == str(done.id)
    assert archived.one("SELECT outcome FROM staging") == "its command ended with 3"
    assert (work_at(archived) / "requests" / str(done.id) / ".done").exists()


def test_a_command_that_the_host_does_not_know_is_blocked(archived: Ground) -> None:
    ask(archived, command="rm")
    archived.once("center", "stage")
    assert archived.one("SELECT reason FROM blocked") == "unknown command"


def test_what_is_being_staged_is_not_deleted(archived: Ground) -> None:
    ask(archived)
    rule = (
        "SELECT r.holds, r.detail FROM physical_copy c, deletion_clauses(c.id) r "
        "WHERE c.location = 'center-buffer' AND r.clause = 'unneeded'"
    )
    (clause,) = archived.ask(rule)
    assert (clause.holds, clause.detail) == (False, "center-work still waits for it")
    archived.once("center", "stage")
    (clause,) = archived.ask(rule)
    assert clause.holds


def test_jobs_that_are_forgotten_lose_nothing(archived: Ground) -> None:
    ask(archived)
    archived.ask("DELETE FROM job")
    archived.once("center", "stage")
    assert archived.one("SELECT state::text FROM staging") == "ready"


def test_only_a_processing_location_takes_what_is_staged(archived: Ground) -> None:
    request = Request({**NOTHING, "night": NIGHT}, "archive-a")
    with pytest.raises(ConfigError, match="no PROCESSING location"):
        archived.db.run(lambda tx: staging.place(tx, request))
    archived.ask("UPDATE data_location SET active = false WHERE name = 'center-work'")
    request = Request({**NOTHING, "night": NIGHT}, "center-work")
    with pytest.raises(NightferryError, match="is drained"):
        archived.db.run(lambda tx: staging.place(tx, request))


def test_a_disk_that_is_away_is_waited_for(archived: Ground) -> None:
    ask(archived)
    shutil.move(work_at(archived), work_at(archived).with_name("unmounted"))
    archived.once("center", "stage")
    assert archived.one("SELECT state::text FROM staging") == "open"
    assert archived.ask("SELECT FROM blocked") == []


def test_a_request_is_made_listed_extended_and_given_back(archived: Ground) -> None:
    assert "Asked for 1 package" in nf(archived, "stage", "add", "--night", str(NIGHT))
    archived.once("center", "stage")
    assert "1 of 1" in nf(archived, "stage")
    (request,) = json.loads(nf(archived, "stage", "list", "--json"))
    assert request["state"] == "ready"
    before = request["expires"]
    assert "It stays until" in nf(archived, "stage", "extend", request["id"], "--days", "30")
    assert json.loads(nf(archived, "stage", "list", "--json"))[0]["expires"] > before
    assert "Given back" in nf(archived, "stage", "give-back", request["id"][-8:])
    archived.once("center", "stage")
    assert "Nothing is staged" in nf(archived, "stage")
    assert unpacked(archived) == {}
