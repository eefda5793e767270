"""nightferry-metrics: what it tells of a real night, and what stands on it."""

import json
import re
import shutil
import subprocess
import threading
import urllib.request
from pathlib import Path

import pytest
import yaml
from nightferry import metrics
from nightferry.testing.sites import wait_until

from tests.daemons.ground import Ground, ground
from tests.daemons.test_processes import Daemon
from tests.tree import ROOT

RULES = ROOT / "etc/prometheus/nightferry.rules.yml"
DASHBOARD = ROOT / "etc/grafana/nightferry.json"
NAMES = {f"nightferry_{name}" for name in metrics.TOLD}


def promtool(*arguments: object, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not on this machine (Debian package prometheus)")
    return subprocess.run(["promtool", *map(str, arguments)], input=given, capture_output=True)


def told(site: Ground) -> dict[str, float]:
    """Every sample, by its name with its labels."""
    text = site.db.run(lambda tx: metrics.read(tx, metrics.read_coverage(tx))).text().decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


@pytest.fixture
def night(database: str, tmp_path: Path) -> Ground:
    site = ground(tmp_path, database, keep=None)
    site.frames(6)
    site.travel()
    return site


def test_a_night_that_has_travelled_is_told_stage_by_stage(night: Ground) -> None:
    found = told(night)
    assert found["nightferry_database_up"] == 1
    assert found['nightferry_jobs{stage="archive",state="ready"}'] == 0
    assert found['nightferry_stage_done_last_day{stage="archive"}'] > 0
    assert found['nightferry_stage_failed{stage="archive"}'] == 0
    packed = night.one("SELECT sum(size)::bigint FROM raw_data_package")
    assert found['nightferry_stage_last_day_bytes{stage="package"}'] == packed
    assert found['nightferry_stage_last_day_bytes{stage="transfer"}'] == packed
    assert found['nightferry_stage_last_day_bytes{stage="archive"}'] == 2 * packed
    assert found['nightferry_stage_last_day_bytes{stage="ingest"}'] == night.one(
        "SELECT sum(size)::bigint FROM raw_data_file"
    )
    # Read once each, as they arrived: at the dome, at the centre, at two archives.
    assert found['nightferry_stage_last_day_bytes{stage="verify"}'] == 4 * packed
    assert found['nightferry_stage_bytes_per_second{stage="archive"}'] == 2 * packed / 300
    assert found['nightferry_scrub_covered_ratio{location="archive-a"}'] == 1
    assert found["nightferry_lost_files"] == 0
    assert "nightferry_canary_age_seconds" not in found  # where none is sent each day
    night.ask(
        "INSERT INTO canary (location, path, sha256, size, daily, sent, ended, outcome) VALUES"
        " ('dome-source', 'c', repeat('a', 64), 1, true, now() - interval '2 h',"
        " now() - interval '1 h', 'returned')"
    )
    assert 3600 <= told(night)["nightferry_canary_age_seconds"] < 3700
    night.ask(
        "INSERT INTO breaker (name, state) VALUES ('archive-b', 'open') ON CONFLICT (name) DO UPDATE SET state = 'open'"
    )
    night.ask(
        "INSERT INTO job (kind, subject, created) VALUES ('archive', 'x', now() - interval '1 h')"
    )
    found = told(night)
    assert found['nightferry_breaker_open{name="archive-b"}'] == 1
    assert found['nightferry_breaker_open{name="archive-a"}'] == 0
    assert 3600 <= found['nightferry_stage_oldest_seconds{stage="archive"}'] < 3700
    assert found['nightferry_jobs{stage="archive",state="ready"}'] == 1


def test_every_stage_is_told_in_the_same_words(night: Ground) -> None:
    found = told(night)
    for stage in (
        "ingest",
        "package",
        "transfer",
        "archive",
        "verify",
        "stage",
        "calibrate",
        "reap",
    ):
        for name in ("done_last_day", "failed", "oldest_seconds", "last_day_bytes"):
            assert f'nightferry_stage_{name}{{stage="{stage}"}}' in found, (name, stage)
        assert f'nightferry_stage_bytes_per_second{{stage="{stage}"}}' in found
        for state in ("ready", "waiting", "running"):
            assert f'nightferry_jobs{{stage="{stage}",state="{state}"}}' in found


def test_daemons_places_successes_and_failures_are_told_as_the_ledger_has_them(
    night: Ground,
) -> None:
    night.ask("DELETE FROM heartbeat")
    night.ask(
        "INSERT INTO heartbeat (daemon, host, pid, version, seen, stopped) VALUES"
        " ('archive', 'h', 1, '7', now(), NULL), ('verify', 'h', 1, '7', now() - interval '2 min', NULL),"
        " ('reap', 'h', 1, '7', now(), now()), ('stage', 'h', 1, '7', now(), now() - interval '2 d')"
    )
    night.ask(
        "INSERT INTO blocked (kind, subject, reason) VALUES ('stage', 'x', ''), ('stage', 'y', '')"
    )
    night.ask(
        "INSERT INTO location_state (location, host, state, total_bytes, free_bytes, measured) VALUES"
        " ('archive-a', 'h', 'available', 1000000, 123456, now()),"
        " ('archive-b', 'h', 'unavailable', NULL, NULL, NULL)"
    )
    found = told(night)
    up = {
        name.partition('daemon="')[2].partition('"')[0]: value
        for name, value in found.items() if name.startswith("nightferry_daemon_up{")
    }  # fmt: skip
    assert up == {"archive": 1, "verify": 0, "reap": 0}
    assert found['nightferry_daemon_up{daemon="archive",host="h",name="",version="7"}'] == 1
    last = night.one(
        "SELECT extract(epoch FROM max(at))::float FROM job_done WHERE kind = 'archive'"
    )
    name = 'nightferry_stage_last_success_timestamp_seconds{stage="archive"}'
    assert found[name] == pytest.approx(last, abs=0.001)
    assert 'nightferry_stage_last_success_timestamp_seconds{stage="stage"}' not in found
    assert found['nightferry_stage_failed{stage="stage"}'] == 2
    assert found['nightferry_location_free_bytes{location="archive-a"}'] == 123456
    assert found['nightferry_location_total_bytes{location="archive-a"}'] == 1000000
    assert found['nightferry_location_available{location="archive-a"}'] == 1
    assert found['nightferry_location_available{location="archive-b"}'] == 0


def test_what_was_let_go_unpacked_and_calibrated_is_told_in_bytes(night: Ground) -> None:
    package = night.ask("SELECT id, size FROM raw_data_package")[0]
    night.ask(
        "INSERT INTO staged_package (package, location, path, size, state)"
        " VALUES (%s, 'center-buffer', 'x', 77, 'ready'), (%s, 'center-buffer', 'y', 7, 'gone')",
        package.id, package.id,
    )  # fmt: skip
    file = night.ask("SELECT id, location, sha256, size FROM raw_data_file LIMIT 1")[0]
    for part in ("1", "2"):  # of one file, which was read once
        night.ask(
            "INSERT INTO calibration (file, source_name, source_location, sha256, part, state, reason)"
            " VALUES (%s, 'a', %s, %s, %s, 'failed', 'no stars')",
            file.id, file.location, file.sha256, part,
        )  # fmt: skip
    night.ask("INSERT INTO deletion (package, reason) VALUES (%s, 'age')", package.id)
    night.ask(
        "INSERT INTO deletion_copy (deletion, copy, stage)"
        " SELECT d.id, c.id, CASE c.location WHEN 'dome-buffer' THEN 'deleted' ELSE 'kept' END::deletion_stage"
        " FROM deletion d JOIN physical_copy c ON c.package = d.package"
    )
    found = told(night)
    assert found['nightferry_stage_last_day_bytes{stage="stage"}'] == 77
    assert found['nightferry_stage_last_day_bytes{stage="calibrate"}'] == file.size
    assert found['nightferry_stage_last_day_bytes{stage="reap"}'] == package.size


def test_promtool_takes_what_is_told_and_the_alerts_and_their_tests(night: Ground) -> None:
    text = night.db.run(lambda tx: metrics.read(tx, metrics.read_coverage(tx))).text()
    checked = promtool("check", "metrics", given=text)
    assert (checked.returncode, checked.stderr) == (0, b"")
    assert promtool("check", "rules", RULES).returncode == 0
    tested = promtool("test", "rules", RULES.with_name("nightferry.test.yml"))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_alerts_and_dashboard_ask_for_metrics_that_exist(tmp_path: Path) -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    asked = [rule["expr"] for group in groups for rule in group["rules"]]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked += [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(asked) > 20
    for query in asked:
        names = set(re.findall(r"\bnightferry_\w+", query))
        assert names, query
        assert names <= NAMES, f"{query}: {names - NAMES}"
        for labels in re.findall(r"by \((\w+)\)", query):
            assert labels in {label for _, known in metrics.TOLD.values() for label in known}
    rules = {"groups": [{"name": "panels", "rules": [{"record": "a", "expr": q} for q in asked]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    checked = promtool("check", "rules", tmp_path / "rules.yml")
    assert checked.returncode == 0, checked.stderr.decode()


def test_every_alert_says_what_to_do_and_has_a_test() -> None:
    tested = RULES.with_name("nightferry.test.yml").read_text()
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["todo"]
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert rule["alert"] in tested, f"{rule['alert']} has no test"


def test_it_answers_over_http_and_in_a_file_and_says_when_the_database_is_away(
    night: Ground, tmp_path: Path
) -> None:
    path = night.sites.config("center")
    port = 20_000 + threading.get_native_id() % 30_000
    textfile = tmp_path / "nightferry.prom"
    document = yaml.safe_load(path.read_text()) | {
        "metrics": {"listen": f"127.0.0.1:{port}", "textfile": str(textfile), "every": "0.2 s"}
    }
    path.write_text(yaml.safe_dump(document))

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    with Daemon(night.sites.command("center", "metrics"), tmp_path / "log") as daemon:
        wait_until(lambda: "nightferry_database_up 1.0" in page(), 30, "its page")
        wait_until(lambda: textfile.exists() and "nightferry_jobs{" in textfile.read_text())
        assert night.ask("SELECT FROM heartbeat WHERE daemon = 'metrics' AND stopped IS NULL")
        name = night.one("SELECT current_database()")
        with_other = document | {"database": f"postgresql://nobody@/{name}?host={tmp_path}"}
        path.write_text(yaml.safe_dump(with_other))
        assert daemon.stop() == 0
        assert night.one("SELECT stopped IS NOT NULL FROM heartbeat WHERE daemon = 'metrics'")
    with Daemon(night.sites.command("center", "metrics"), tmp_path / "log") as daemon:
        wait_until(lambda: "nightferry_database_up 0.0" in page(), 30, "its word")
        assert "nightferry_jobs{" not in page()
        assert daemon.stop() == 0
