"""How fast a route may be, by the hour of its own place."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from nightferry.errors import ConfigError
from nightferry.transports.bandwidth import Bandwidth, Meter
from nightferry.yamlfile import Size, parse

from tests.clock import shows
from tests.pace import took

TABLE = """
rate: 50 MB
zone: America/Santiago
hours:
  - {from: "19:00", to: "07:00", rate: 5 MB}
  - {from: "12:00", to: "13:00", rate: 1 MB}
"""


def at(hour: int, minute: int = 0):  # type: ignore[no-untyped-def]
    """A clock that shows this local time of Santiago, which is UTC-3 in March."""
    moment = datetime(2026, 3, 14, hour, minute, tzinfo=ZoneInfo("America/Santiago"))
    return lambda zone: moment.astimezone(UTC).astimezone(zone)


@pytest.mark.parametrize(
    ("hour", "rate"), [(8, 50_000_000), (12, 1_000_000), (19, 5_000_000), (3, 5_000_000)]
)
def test_the_hours_of_a_night_go_over_midnight(hour: int, rate: int) -> None:
    assert parse(TABLE, Bandwidth).now(at(hour)) == rate


def test_it_says_how_long_a_rate_holds() -> None:
    table = parse(TABLE, Bandwidth)
    assert table.until_change(at(18, 30)) == timedelta(minutes=30)
    assert table.until_change(at(23)) == timedelta(hours=8)
    assert Bandwidth().until_change() is None


def test_without_a_table_it_goes_as_fast_as_it_can() -> None:
    assert Bandwidth().now() == 0


def test_a_wrong_table_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'rate'"):
        parse("{rat: 5}", Bandwidth)


def test_a_meter_spreads_what_is_sent_and_lets_itself_be_stopped() -> None:
    meter = Meter(Bandwidth(rate=Size(1_000_000)))
    began = time.monotonic()
    for _ in range(4):
        meter.sent(100_000, lambda: None)
    assert time.monotonic() - began >= 0.3

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        meter.sent(10_000_000, stop)


def test_a_meter_has_its_streams_share_of_the_rate() -> None:
    meter, began = Meter(Bandwidth(rate=Size(4_000_000)), streams=4), time.monotonic()
    meter.sent(1_000_000, lambda: None)
    assert took(time.monotonic() - began, 1.0)


@pytest.mark.parametrize(("night", "seconds"), [(4_000_000, 1.5), (250_000, 3.0)])
def test_a_meter_follows_a_table_that_changes_while_it_waits(
    monkeypatch: pytest.MonkeyPatch, night: int, seconds: float
) -> None:
    """A second at 1 MB/s is before the change; what is owed then is paid at the night's rate."""
    table = f'{{rate: 1 MB, hours: [{{from: "19:00", to: "07:00", rate: {night}}}]}}'
    amount = 1_000_000 + int(night * (seconds - 1.0))
    monkeypatch.setattr("nightferry.transports.bandwidth.wall_clock", shows("18:59:59"))
    meter, began = Meter(parse(table, Bandwidth)), time.monotonic()
    meter.sent(amount, lambda: None)
    assert took(time.monotonic() - began, seconds)
