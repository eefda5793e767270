"""observatory.yaml: routes and buckets that could not work are refused."""

import pytest

from tests.unit.test_observatory import GOOD, changed, read, refused


def test_a_loop_of_routes_is_refused() -> None:
    ring = GOOD.replace("sites: {", "sites: {city: {}, ").replace(
        "routes:",
        "  city-buffer: {site: city, type: BUFFER, failure_domain: city}\n"
        "routes:\n  on: {from: center-buffer, to: city-buffer}\n"
        "  home: {from: city-buffer, to: dome-buffer}",
    )
    told = refused(read(ring))
    assert told.count("a loop") == 1
    assert "center-buffer to city-buffer to dome-buffer to center-buffer (on, home, link)" in told
    assert "What is sent comes back" in told


@pytest.mark.parametrize(
    ("route", "complaint"),
    [
        ("{from: dome-buffer, to: center-buffer, transport: pigeon}", "known: bbcp, local"),
        ("{from: dome-buffer, to: center-buffer, transport: rsync}", "lacks 'account'"),
        ("{from: dome-buffer, to: center-buffer, settings: {sped: 1}}", "unknown key 'sped'"),
    ],
)
def test_a_route_that_could_not_work_is_refused(route: str, complaint: str) -> None:
    assert complaint in refused(changed("{from: dome-buffer, to: center-buffer}", route))


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ("type: LONG_TERM_ARCHIVE, storage: s3", "lacks 'bucket'"),
        ("type: LONG_TERM_ARCHIVE, storage: s3, store: {bucket: b, part: 1}", "unknown key 'part'"),
        ("type: LONG_TERM_ARCHIVE, store: {bucket: b}", "a directory has no setting 'bucket'"),
        ("type: BUFFER, storage: s3, store: {bucket: b}", "a bucket is a LONG_TERM_ARCHIVE"),
    ],
)
def test_a_store_that_could_not_work_is_refused(place: str, complaint: str) -> None:
    old = "vault-b: {site: center, type: LONG_TERM_ARCHIVE"
    assert complaint in refused(changed(old, f"vault-b: {{site: center, {place}"))
