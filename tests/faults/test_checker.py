"""The checker, which imports nothing of what it checks, sees each thing that may not happen."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import checker
from tests.faults.course import Course
from tests.faults.scenes import SCENES, Place

pytestmark = pytest.mark.slow


@pytest.fixture
def archived(course: Course) -> Iterator[Place]:
    """A night in both archives, and still at its source."""
    scene, _ = SCENES["verify by scrubbing"]
    with course.scenery.copy(scene) as place:
        assert course.at_any_moment(place) == []
        assert checker.at_the_end(place.folder, place.dsn) == []
        yield place


def _a_package(place: Place) -> Path:
    return next(place.sites.path("archive-a").rglob("*.tar"))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _lose_a_frame(place: Place) -> None:
    _flip(_a_package(place))
    for frame in place.sites.path("dome-source").rglob("*.fits*"):
        frame.unlink()


def _show_half_of_a_package(place: Place) -> None:
    (_a_package(place).parent / "another.tar").write_bytes(_a_package(place).read_bytes()[:5000])


def _show_a_sidecar_of_nothing(place: Place) -> None:
    stray = _a_package(place).with_name("another.tar.sha256")
    stray.write_text(f"{'0' * 64}  another.tar\n")


def _archive_it_twice(place: Place) -> None:
    place.ask("ALTER TABLE job DROP CONSTRAINT job_kind_subject_key")
    for _ in range(2):
        place.ask("INSERT INTO job (kind, subject) VALUES ('archive', 'x@archive-a')")


def _delete_unproven(place: Place) -> None:
    place.ask("SET session_replication_role = replica;"
              " INSERT INTO deletion (id, file, reason, state) SELECT gen_random_uuid(), f.id, 'age', 'decided'"
              " FROM raw_data_file f LIMIT 1;"
              " INSERT INTO deletion_copy (deletion, copy, stage) SELECT d.id, c.id, 'deleted'"
              " FROM deletion d JOIN physical_copy c ON c.file = d.file")  # fmt: skip


def _leave_a_temporary_file(place: Place) -> None:
    name = ".x.tar.01234567-89ab-cdef-0123-000000000000.part"
    (_a_package(place).parent / name).write_bytes(b"half")


@pytest.mark.parametrize(
    ("kind", "happens"),
    [
        ("lost", _lose_a_frame),
        ("partial", _show_half_of_a_package),
        ("partial", _show_a_sidecar_of_nothing),
        ("doubled", _archive_it_twice),
        ("unproven", _delete_unproven),
        ("left", _leave_a_temporary_file),
    ],
)
def test_the_checker_sees(
    course: Course, archived: Place, kind: str, happens: Callable[[Place], None]
) -> None:
    happens(archived)
    wrong = course.at_any_moment(archived) + checker.at_the_end(archived.folder, archived.dsn)
    assert kind in {w.split(":")[0] for w in wrong}


def test_the_checker_sees_what_was_not_completed(course: Course) -> None:
    scene, _ = SCENES["archive"]
    with course.scenery.copy(scene) as place:
        assert checker.difference(course.end(scene), checker.ledger(place.dsn))
