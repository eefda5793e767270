"""The tests outside this folder that keep a promise of the fault suite: a whole run has them too."""

BESIDE = (
    "tests/daemons/test_audit.py", "tests/daemons/test_backup.py", "tests/daemons/test_get.py",
    "tests/daemons/test_pressure.py", "tests/daemons/test_rebuild.py", "tests/daemons/test_scrub.py",
    "tests/unit/test_rule.py", "tests/unit/test_rule_races.py",
)  # fmt: skip
# Those that last for minutes, the longest first: begun early, none of them is waited for at the end.
LONGEST = (
    "test_a_night_of_5000_frames", "test_an_archive_that_is_away", "test_a_worker_that_freezes",
    "test_jobs_that_are_lost_often", "test_a_byte_that_rots_anywhere", "test_after_thousands",
)  # fmt: skip


def turn(name: str, whole: bool) -> tuple[int, bool]:
    """When a test is begun in a whole run: the lower, the earlier."""
    places = (n for n, start in enumerate(LONGEST) if name.startswith(start) and whole)
    return next(places, len(LONGEST)), not whole
