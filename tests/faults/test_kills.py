"""Killed at a point of its work, whatever the point: nothing is lost, doubled, or half visible.

A seeded handful of the points of two kinds of work. strace lists the points and does the killing.
"""

import os
import random
import shutil

import pytest

from tests.faults.course import Course
from tests.faults.faults import KILL
from tests.faults.scenes import SCENES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may trace what it did not start"),
]
SAMPLE = 4


@pytest.mark.parametrize("name", ["archive", "verify what arrives"])
def test_a_kill_at_any_point_leaves_nothing_lost_doubled_or_half_visible(
    course: Course, name: str
) -> None:
    scene, _ = SCENES[name]
    points = course.points(scene)
    assert len(points) > 30
    for point in random.Random(name).sample(points, SAMPLE):
        ran = course.run(point, KILL)
        assert not ran.wrong, f"{point}: {ran.wrong}\n{ran.said}"
