"""Killed at any point of its work, or given an error there, nothing is lost, doubled or half visible,
and all completes by itself.

Here a seeded handful for each scene; bin/test --faults runs every point. strace lists the points,
does the killing, and answers with errors.
"""

import os
import random
import shutil

import pytest

from tests.faults import campaign
from tests.faults.course import Course
from tests.faults.faults import KILL
from tests.faults.scenes import SCENES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may trace what it did not start"),
]
KILLS, ERRORS = 2, 1  # of each scene


@pytest.mark.parametrize("name", [name for name, (scene, _) in SCENES.items() if not scene.like])
def test_a_kill_or_an_error_at_any_point_leaves_nothing_lost_doubled_or_half_visible(
    course: Course, name: str
) -> None:
    scene, _ = SCENES[name]
    points = course.every_point(scene)
    assert len(points) > 30
    faults = campaign.faults(points, name, None)
    random.Random(name).shuffle(faults)
    kills = [f for f in faults if f.what == KILL][:KILLS]
    errors = [f for f in faults if f.what != KILL][:ERRORS]
    hits = 0
    for fault in (*kills, *errors):
        ran = course.run(fault.point, fault.what)
        assert not ran.wrong, f"{fault}: {ran.wrong}\n{ran.said}"
        hits += ran.hit
    assert hits, f"none of {[str(f) for f in (*kills, *errors)]} was hit"
