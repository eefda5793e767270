"""Results handed in: a data product of its own, that says for ever what it was made from."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from nightferry.cli import nf as commands
from nightferry.errors import NightferryError
from nightferry.stores import PosixStore

from tests.daemons.ground import NIGHT, Ground, frame, ground

AFTERWARDS = (
    ("center", "verify"), ("center", "package"), ("center", "verify"), ("center", "archive"),
    ("center", "verify"),
)  # fmt: skip
OWNER = "ferry-observers"


@pytest.fixture
def archived(database: str, tmp_path: Path) -> Iterator[Ground]:
    """A night that is safe, its owner's for a while; and a place to work."""
    made = ground(tmp_path, database, work={})
    made.frames(3)
    made.travel()
    made.ask("UPDATE raw_data_package SET owner = %s, public_after = '2030-01-01'", OWNER)
    made.ask("UPDATE raw_data_file SET owner = %s, public_after = '2030-01-01'", OWNER)
    yield made
    made.db.close()


@pytest.fixture
def results(archived: Ground, tmp_path: Path) -> Path:
    """What somebody made, anywhere."""
    folder = tmp_path / "results"
    (folder / "plots").mkdir(parents=True)
    (folder / "m13-reduced.fits").write_bytes(frame(7, OBJECT="M13"))
    (folder / "plots" / "curve.png").write_bytes(os.urandom(5000))
    (folder / "plots" / "notes and more.txt").write_text("all is well\n")
    return folder


def nf(site: Ground, *words: str | Path) -> Result:
    config = str(site.sites.config("center"))
    return CliRunner().invoke(commands, ["--config", config, *map(str, words)])


def told(site: Ground, *words: str | Path) -> str:
    done = nf(site, *words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return " ".join(done.output.split())


def refused(site: Ground, *words: str | Path) -> str:
    """Why nothing was handed in; and nothing of it is left, in rows or on the disk."""
    before = list(site.sites.path("center-buffer").rglob("*products*/**/*.*"))
    done = nf(site, "return", *words)
    assert isinstance(done.exception, (NightferryError, SystemExit)), done.output
    assert site.one("SELECT count(*) FROM data_product WHERE returned IS NULL") == 0
    assert list(site.sites.path("center-buffer").rglob("*products*/**/*.*")) == before
    return " ".join(f"{done.output} {done.exception}".split())


def staged(site: Ground) -> Path:
    """The directory of a request for the night, ready."""
    request = json.loads(
        told(site, "stage", "add", "--night", str(NIGHT), "--override", "a test", "--json")
    )
    site.once("center", "stage")
    return site.sites.path("center-work") / "requests" / str(request["request"])


def travel(site: Ground) -> None:
    for where, daemon in AFTERWARDS:
        site.once(where, daemon)


def test_results_in_a_requests_directory_become_a_product_of_what_it_staged(
    archived: Ground, results: Path
) -> None:
    request = staged(archived)
    made = shutil.copytree(results, request / "reduced")
    done = json.loads(told(archived, "return", made, "--note", "bias and flat", "--json"))
    assert (done["files"], done["sources"], done["night"]) == (3, 3, str(NIGHT))
    assert (done["name"], done["owner"]) == ("reduced", OWNER)
    travel(archived)
    assert archived.answer() == "YES"
    (package,) = archived.ask(
        "SELECT p.*, o.type::text FROM raw_data_package p JOIN data_location o ON o.name = p.origin WHERE o.type = 'BUFFER'"
    )
    assert (package.members, package.owner, package.public_after.year) == (3, OWNER, 2030)
    assert archived.one("SELECT count(*) FROM archive_copy WHERE subject = %s", package.id) == 2
    sources = package.document["ledger"]["product"]["sources"]
    raw = archived.ask("SELECT id, sha256 FROM raw_data_file WHERE product IS NULL")
    assert {(s["id"], s["sha256"]) for s in sources} == {(str(r.id), r.sha256) for r in raw}


def test_it_comes_back_byte_for_byte(archived: Ground, results: Path, tmp_path: Path) -> None:
    told(archived, "return", results, "--from", "s0001.fits")
    travel(archived)
    for name in ("m13-reduced.fits", "curve.png", "notes and more.txt"):
        out = tmp_path / f"back-{name}"
        assert nf(archived, "get", name, "-o", out, "--override", "a test").exit_code == 0
        (was,) = results.rglob(name)
        assert out.read_bytes() == was.read_bytes()


def test_why_and_find_tell_where_it_came_from(archived: Ground, results: Path) -> None:
    (raw, *_) = archived.ask("SELECT path, id FROM raw_data_file ORDER BY path")
    told(archived, "return", results, "--from", raw.path, "--name", "m13", "--note", "by hand")
    travel(archived)
    story = told(archived, "why", "curve.png")
    assert "data product m13" in story
    assert f"made from 1 file of night {NIGHT}: {raw.path}" in story
    assert "made from it: m13" in told(archived, "why", raw.path)
    for words in (["--product", "m13"], ["--type", "product"], ["--made-from", raw.path]):
        found = json.loads(told(archived, "find", *words, "--json"))
        assert (found["matching"], {f["made_from"] for f in found["files"]}) == (3, {1})
    assert "m13 was made from 1 file" in told(archived, "find", "--product", "m13")
    assert told(archived, "find", "--product", "m14").startswith("No file")


def test_the_headers_that_it_took_over_make_no_frame_of_it(archived: Ground, results: Path) -> None:
    told(archived, "return", results, "--from", "s0001.fits")
    archived.once("center", "verify")
    told(archived, "headers", "rederive", "--night", str(NIGHT))
    rows = archived.ask(
        "SELECT object, frame_type::text, counter, instrument FROM raw_data_file WHERE path LIKE '%%reduced.fits'"
    )
    assert [(*row,) for row in rows] == [("M13", "product", None, "simulated")]


def test_the_buffer_lets_it_go_once_it_is_proven(archived: Ground, results: Path) -> None:
    told(archived, "return", results, "--from", "s0001.fits")
    travel(archived)
    try:
        archived.reap()
    except AssertionError:
        for r in archived.ask(
            "SELECT * FROM deletion_copy dc JOIN deletion d ON d.id=dc.deletion JOIN physical_copy c ON c.id=dc.copy"
        ):
            print(r)
        for r in archived.ask("SELECT * FROM job"):
            print(r)
        raise
    below = archived.sites.path("center-buffer") / "products"
    assert [path for path in below.rglob("*") if path.is_file()] == []
    assert archived.answer() == "YES"


def test_a_night_is_staged_again_without_what_was_made_of_it(
    archived: Ground, results: Path
) -> None:
    told(archived, "return", results, "--from", "s0001.fits")
    travel(archived)
    again = staged(archived)
    (package,) = json.loads((again / "manifest.json").read_text())["packages"]
    assert all("products" not in file["path"] for file in package["files"])
    name = archived.one("SELECT name FROM raw_data_package WHERE origin = 'center-buffer'")
    assert "1 package" in told(archived, "stage", "add", "--package", name, "--override", "a test")


def test_a_lost_ledger_knows_it_again_from_the_archives(
    archived: Ground, results: Path, database: str
) -> None:
    told(archived, "return", results, "--from", "s0001.fits", "--note", "by hand")
    travel(archived)
    products = (
        "SELECT d.id, d.name, d.note, d.by, d.returned, s.file FROM data_product d "
        "JOIN data_product_source s ON s.product = d.id"
    )
    files = (
        "SELECT id, product, owner, frame_type FROM raw_data_file "
        "WHERE product IS NOT NULL ORDER BY id"
    )
    was = archived.ask(products), archived.ask(files)
    archived.ask(
        "TRUNCATE physical_copy, raw_data_package, package_member, raw_data_file, data_product, "
        "executed_obs_unit, job CASCADE"
    )
    assert nf(archived, "rebuild", "archive-a").exit_code == 0
    assert (archived.ask(products), archived.ask(files)) == was


def test_a_sweep_of_temporaries_leaves_what_is_being_handed_in(
    archived: Ground, results: Path
) -> None:
    told(archived, "return", results, "--from", "s0001.fits")
    archived.ask("UPDATE temporary_sweep SET swept = now() - interval '1 day'")
    archived.once("center", "reap")
    travel(archived)
    assert archived.answer() == "YES"


def test_what_can_not_be_kept_as_it_stands_is_refused(
    archived: Ground, results: Path, tmp_path: Path
) -> None:
    said = refused(archived, results)
    assert "nothing says which raw files it was made from" in said
    assert "no file, package or observation" in refused(archived, results, "--from", "none.fits")
    ours = (results, "--from", "s0001.fits")
    assert "is no name for a data product" in refused(archived, *ours, "--name", "a/b")
    with (results / "still.dat").open("wb") as writing:
        writing.write(b"...")
        writing.flush()
        assert "has it open for writing" in refused(archived, *ours)
    (results / "still.dat").unlink()
    (results / "out").symlink_to("/etc/passwd")
    assert "is a symbolic link" in refused(archived, *ours)
    (results / "out").unlink()
    os.mkfifo(results / "pipe")
    assert "is no regular file" in refused(archived, *ours)
    (results / "pipe").unlink()
    work = archived.sites.path("center-work")
    assert "is a location itself" in refused(archived, work, "--from", "s0001.fits")
    (tmp_path / "empty").mkdir()
    assert "has no files" in refused(archived, tmp_path / "empty", "--from", "s0001.fits")
    told(archived, "return", *ours)
    assert "the name results is taken" in refused(archived, *ours)
    assert "no active BUFFER" in refused(archived, *ours, "--name", "b", "--to", "dome-buffer")


def test_a_file_that_grows_while_it_is_read_is_refused(
    archived: Ground, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = PosixStore.write

    def and_it_grows(store: PosixStore, final: str, token: str, *more: object) -> object:
        with (results / "m13-reduced.fits").open("ab") as growing:
            growing.write(b"more")
        return write(store, final, token)

    monkeypatch.setattr(PosixStore, "write", and_it_grows)
    said = refused(archived, results, "--from", "s0001.fits")
    assert "it changed while it was read" in said
    assert "Return it when it is finished" in said


def test_a_request_that_the_ledger_does_not_know_is_no_provenance(
    archived: Ground, results: Path, tmp_path: Path
) -> None:
    other = tmp_path / "requests" / str(UUID(int=7))
    shutil.copytree(results, other / "results")
    (other / "manifest.json").write_text(json.dumps({"request": str(UUID(int=7))}))
    assert "nothing says which raw files" in refused(archived, other / "results")
    (other / "manifest.json").write_text("{}")
    assert "is no manifest of a request" in refused(archived, other / "results")
