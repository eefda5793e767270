"""A night is local noon to noon, whatever the clocks do."""

from datetime import UTC, date, datetime, timedelta

import pytest
from nightferry.night import night_of, night_span

LICK = "America/Los_Angeles"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_folder_of_13_may_holds_the_night_of_12_may():
    assert night_of(utc("2024-05-13T01:59:58"), LICK) == date(2024, 5, 12)
    assert night_of(utc("2024-05-13T07:13:01"), LICK) == date(2024, 5, 12)


def test_a_night_turns_at_local_noon():
    assert night_of(utc("2024-05-12T18:59:59"), LICK) == date(2024, 5, 11)
    assert night_of(utc("2024-05-12T19:00:00"), LICK) == date(2024, 5, 12)


@pytest.mark.parametrize(
    ("night", "hours"),
    [
        (date(2026, 3, 7), 23),  # the clocks go forward on the morning of 8 March
        (date(2026, 10, 31), 25),  # and back on 1 November
        (date(2026, 6, 1), 24),
    ],
)
def test_a_night_has_23_or_25_hours_when_the_clocks_change(night: date, hours: int):
    begin, end = night_span(night, LICK)
    assert end - begin == timedelta(hours=hours)
    second = timedelta(seconds=1)
    assert night_of(begin, LICK) == night_of(end - second, LICK) == night
    assert night_of(begin - second, LICK) != night
    assert night_of(end, LICK) != night


def test_nights_follow_each_other_without_gap_or_overlap_all_year():
    day = date(2026, 1, 1)
    for _ in range(370):
        assert night_span(day, LICK)[1] == night_span(day + timedelta(days=1), LICK)[0]
        day += timedelta(days=1)


def test_a_night_may_be_named_by_its_morning():
    moment = utc("2024-05-13T04:00:00")
    assert night_of(moment, LICK, label="morning") == date(2024, 5, 13)
    begin, end = night_span(date(2024, 5, 13), LICK, label="morning")
    assert begin <= moment < end


def test_another_turnover_is_obeyed_even_where_its_hour_does_not_exist():
    # 02:30 does not exist on 8 March 2026 in California.
    begin, end = night_span(date(2026, 3, 7), LICK, turnover="02:30")
    assert night_of(begin, LICK, turnover="02:30") == date(2026, 3, 7)
    assert night_of(end, LICK, turnover="02:30") == date(2026, 3, 8)


def test_a_moment_without_zone_and_an_unknown_zone_are_refused_in_words():
    with pytest.raises(ValueError, match="no time zone"):
        night_of(datetime(2024, 5, 13), LICK)
    with pytest.raises(ValueError, match="Lick"):
        night_of(utc("2024-05-13T04:00:00"), "Lick")
    with pytest.raises(ValueError, match="noon"):
        night_of(utc("2024-05-13T04:00:00"), LICK, turnover="noon")
    with pytest.raises(ValueError, match="dawn"):
        night_of(utc("2024-05-13T04:00:00"), LICK, label="dawn")  # type: ignore[arg-type]
