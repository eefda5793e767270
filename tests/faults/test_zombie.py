"""A worker that is frozen past its lease at a step of a publish or a delete, and wakes when another
has done its work, changes nothing, neither file nor row, and says so.
"""

import os
import shutil

import pytest

from tests.faults import zombie
from tests.faults.course import Course
from tests.faults.scenes import EVERY
from tests.faults.tracing import Point

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may trace what it did not start"),
]
# When nothing is left to be asked: the next call gives a file its name, moves it, or ends it.
BEFORE = {
    "verify what arrives": "renameat2 of a temporary file of archive to a package of archive",
    "reap files to the trash": "renameat2 of a file of source to trash: an entry of source",
    "reap: unlink files": "unlinkat of trash: an entry of source",
}
SCENES = (
    "verify what arrives", "verify what replaces a corrupt copy", "verify a bad arrival", "stage",
    "reap files to the trash", "reap packages to the trash",
    "reap: unlink files", "reap: unlink packages", "reap: put files back",
    "reap: put packages back", "reap temporary files",
)  # fmt: skip


@pytest.mark.parametrize("scene", BEFORE)
def test_a_worker_that_wakes_after_another_has_finished_changes_nothing_and_says_so(
    course: Course, scene: str
) -> None:
    point = next(p for p in zombie.points(course, scene) if p.about == f"before {BEFORE[scene]}")
    wakes(course, point)


def test_a_name_that_was_used_again_meanwhile_is_left_alone(course: Course) -> None:
    """The other daemon went on to the unlink, and the instrument wrote the next exposure there."""
    points = zombie.points(course, "reap files to the trash")
    point = next(p for p in points if p.about == f"after read of {zombie.ANSWER}")
    wakes(course, point, zombie.goes_on_to_the_end)


@pytest.mark.parametrize(
    ("what", "statement"),
    [
        ("verification", "INSERT INTO verification (copy, began, outcome, sha256, size, how, host)"
         " SELECT copy, began, outcome, sha256, size, how, host FROM verification LIMIT 1"),
        ("event", "INSERT INTO event (what) VALUES ('packed')"),
        ("finished job", "INSERT INTO job_done (id, claim, kind, subject, attempts, created)"
         " SELECT id, gen_random_uuid(), kind, subject, attempts, created FROM job_done LIMIT 1"),
        ("copy", "UPDATE physical_copy SET changed = now() WHERE state = 'arriving'"),
    ],
)  # fmt: skip
def test_one_row_more_or_touched_is_a_change(course: Course, what: str, statement: str) -> None:
    """Else it would be worth nothing that nothing was changed."""
    scene, _ = EVERY["verify what arrives"]
    with course.scenery.copy(scene) as place:
        before = zombie.everything(place)
        assert zombie.changes(before, zombie.everything(place)) == []
        place.ask(statement)
        changed = zombie.changes(before, zombie.everything(place))
        assert any(c.startswith(f"it changed {what} ") for c in changed), changed


@pytest.mark.whole
@pytest.mark.parametrize("scene", SCENES)
def test_a_worker_that_freezes_at_any_step_changes_nothing_when_it_wakes(
    course: Course, scene: str
) -> None:
    points = list(zombie.points(course, scene))
    assert points
    for point in points:
        wakes(course, point)


def wakes(course: Course, point: Point, meanwhile: zombie.Meanwhile | None = None) -> None:
    woke = zombie.run(course, point, meanwhile)
    assert woke.hit, f"{point}: it did not freeze\n{woke.said}"
    assert not woke.wrong, f"{point}: {woke.wrong}\n{woke.said}"
