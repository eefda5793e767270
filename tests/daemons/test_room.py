"""The last room of a disk is the instrument's: our own copies stop first, and go on by themselves."""

from pathlib import Path

import pytest
from nightferry.errors import NoRoom
from nightferry.stores import PosixStore
from nightferry.temporary import STEP, parse_temporary

from tests.daemons.ground import Ground, frame, ground

TOKEN = "01234567-89ab-cdef-0123-456789abcdef"


def reserve(site: Ground, share: float) -> None:
    site.ask(
        "UPDATE data_location SET settings = settings || jsonb_build_object('reserve', %s::float)"
        " WHERE name = 'dome-buffer'",
        share,
    )


def temporaries(site: Ground) -> list[Path]:
    files = site.sites.path("dome-buffer").rglob("*")
    return [path for path in files if parse_temporary(path.name)]


def test_no_copy_begins_below_the_reserve_and_none_of_its_attempts_is_spent(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = ground(tmp_path, database, keep=None)
    site.put("f1.fits", frame(1))
    site.put("f2.fits", frame(2, OBJECT="M 13"))
    reserve(site, 0.9999)
    site.ingest()
    site.once("dome", "package")
    jobs = site.ask("SELECT state::text, attempts FROM job WHERE kind = 'package'")
    assert jobs
    assert set(jobs) == {("waiting", 0)}
    assert not temporaries(site)
    assert not site.ask("SELECT FROM breaker WHERE state = 'open'")  # reap goes on there
    said = [r.getMessage() for r in caplog.records if "are kept free" in r.getMessage()]
    assert len(said) == 1  # however many wait
    reserve(site, 0)
    site.ask("UPDATE job SET due = now()")
    site.once("dome", "package")
    assert site.ask("SELECT state::text FROM raw_data_package") == [("packed",)] * len(jobs)
    site.db.close()


def test_a_copy_stops_in_its_middle_where_others_fill_the_disk(tmp_path: Path) -> None:
    from nightferry.durable import init_location

    init_location(tmp_path, "buffer")
    store = PosixStore("buffer", tmp_path)
    with store.write("big", TOKEN, resume=True) as out:
        out.write(bytes(1000))
        out.keep_free = 1 << 62
        with pytest.raises(NoRoom, match="kept free"):
            out.write(bytes(STEP))
    assert (tmp_path / out.path).stat().st_size >= STEP  # it is gone on with
    store.close()


def test_the_configuration_gives_every_buffer_a_reserve(database: str, tmp_path: Path) -> None:
    site = ground(tmp_path, database)
    rows = site.ask("SELECT name, settings ->> 'reserve' FROM data_location ORDER BY name")
    assert {r[0]: r[1] for r in rows if r[1]} == {"center-buffer": "0.02", "dome-buffer": "0.02"}
    site.db.close()
