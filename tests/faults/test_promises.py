"""The page of promises is made of what a run has kept, and hides nothing of it."""

from pathlib import Path

from tests.faults import campaign, promises, results
from tests.faults.beside import BESIDE, LONGEST, turn
from tests.faults.faults import KILL, errors
from tests.faults.tracing import Point

FAULT = {"scene": "archive", "kind": "archive", "hit": True, "wrong": [], "seconds": 1.0}
TEST = {"file": "tests/faults/test_x.py", "promise": "Nothing is\nlost.", "when": "call", "why": "",
        "seconds": 1.0}  # fmt: skip


def test_a_page_counts_points_failures_and_what_was_never_hit(tmp_path: Path) -> None:
    results.keep(
        tmp_path, "fault", **FAULT | {"point": "archive, worker: fsync of a", "fault": KILL}
    )
    results.keep(tmp_path, "fault", **FAULT | {"point": "archive, worker: read of b", "fault": "error=EIO",
                                     "wrong": ["lost: one | frame"]})  # fmt: skip
    results.keep(tmp_path, "fault", **FAULT | {"point": "archive, worker: fsync of c", "fault": KILL,
                                     "hit": False})  # fmt: skip
    page = promises.page(tmp_path)
    assert "| archive | 2 | 1 | 1 | 0 |" in page
    assert "| frames or copies lost | 1 |" in page
    assert "- archive, worker: read of b: error=EIO: lost: one \\| frame" in page
    assert "- archive, worker: fsync of c: kill" in page


def test_a_page_names_every_commit_that_it_was_made_of(tmp_path: Path) -> None:
    for commit in ("abc, with changes", "def", "def"):
        results.keep(tmp_path, "begun", commit=commit, postgres="18.4")
    page = promises.page(tmp_path)
    assert "- Commit: abc, with changes, then def\n" in page
    assert "- PostgreSQL 18.4, Python 3." in page


def test_what_is_tried_again_counts_as_it_came_out_last(tmp_path: Path) -> None:
    of = FAULT | {"point": "archive, worker: fsync of a", "fault": KILL}
    results.keep(tmp_path, "fault", **of | {"wrong": ["left: a temporary file"]})
    results.keep(tmp_path, "fault", **of)
    assert [f["wrong"] for f in campaign.kept(tmp_path)] == [[]]
    assert "| **all** | 1 | 0 | 0 | 0 |" in promises.page(tmp_path)


def test_a_page_says_each_tests_sentence_its_outcomes_and_its_figures(tmp_path: Path) -> None:
    for case, outcome in (("a", "passed"), ("b", "failed")):
        results.keep(
            tmp_path, "test", test="test_a_frame_is_kept", case=case, outcome=outcome, **TEST
        )
    results.keep(tmp_path, "test", test="test_a_mount", case="test_a_mount", outcome="skipped",
                 **TEST | {"why": "Skipped: no FUSE here", "when": "setup"})  # fmt: skip
    results.keep(
        tmp_path, "figure", file="tests/faults/test_x.py", name="found after", value="41 s"
    )
    page = promises.page(tmp_path)
    assert "| Nothing is lost. | `tests/faults/test_x.py` | 1 passed, 1 failed, 1 skipped" in page
    assert "- a frame is kept: 1 passed, 1 failed\n" in page
    assert "- a mount: 1 skipped (no FUSE here)\n" in page
    assert "- *found after 41 s*\n" in page


def test_a_page_lists_the_points_that_are_given_no_error_with_the_reason(tmp_path: Path) -> None:
    points = [
        Point("archive", "worker", call, about, 1)
        for call, about in (
            ("fsync", "a temporary file of archive"),
            ("sendto", "the database: jobs.claim"),
            ("recvfrom", "the database: jobs.claim"),
            ("write", "the worker's channel: done"),
        )
    ]
    campaign.keep_those_without_errors(points, tmp_path)
    page = promises.page(tmp_path)
    assert (
        "what is sent into it succeeds.\n\n- archive: worker: sendto of the database: jobs.claim\n"
        in page
    )
    assert "those are killed.\n\n- archive: worker: write of the worker's channel: done\n" in page
    assert "fsync" not in page
    assert {p.call for p in points if not errors(p)} == {"sendto", "write"}


def test_what_a_whole_run_begins_first_and_has_beside_the_faults_is_there() -> None:
    files = [
        *(promises.ROOT / "tests" / "faults").glob("*.py"),
        *(promises.ROOT / f for f in BESIDE),
    ]
    texts = "".join(file.read_text() for file in files)
    assert [start for start in LONGEST if f"\ndef {start}" not in texts] == []
    ordered = sorted(["test_b", LONGEST[1], LONGEST[0]], key=lambda name: turn(name, True))
    assert ordered == [LONGEST[0], LONGEST[1], "test_b"]
