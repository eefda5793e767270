"""JSON in one form: the same values give the same bytes, also after a journey through ``jsonb``.

``jsonb`` forgets the order of keys and whether 1.0 had a point, and holds neither a NUL nor half a
surrogate pair.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
).encode


def line(value: Any) -> bytes:
    """``value`` in UTF-8 with sorted keys; numbers as :func:`canonical` leaves them.

    Raises:
        ValueError: a text has a NUL or half a surrogate pair.
    """
    text = _encode(value)
    # The cheap look first: a text may hold a backslash and "u0000" without being a NUL.
    if "\\u0000" in text and _has_nul(value):
        raise ValueError(f"a NUL character in {text[:200]}")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{error.reason} in {text[:200]!r}") from None


def page(values: Mapping[str, Any]) -> bytes:
    """An object with one line for each key, and, of a value that is an iterator, for each item.

    Raises:
        ValueError: as :func:`line`.
    """
    pieces = [b"{"]
    for key in sorted(values):
        value = values[key]
        pieces.append(b'\n"%s":' % key.encode())
        if isinstance(value, Iterator):
            pieces.append(b"[")
            for item in value:
                pieces += (b"\n", line(item), b",")
            pieces[-1] = b"\n]" if pieces[-1] == b"," else b"[]"
        else:
            pieces.append(line(value))
        pieces.append(b",")
    pieces[-1] = b"\n}\n"
    return b"".join(pieces)


def canonical(value: Json) -> Json:
    """``value`` with every number in the one form that survives ``jsonb``: whole ones as int.

    Raises:
        ValueError: a number is none that JSON can hold.
    """
    if isinstance(value, str) or value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{value} is no number that JSON can hold: leave it out")
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {key: canonical(item) for key, item in value.items()}
    return [canonical(item) for item in value]


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    return isinstance(value, list | tuple) and any(map(_has_nul, value))


def time_text(moment: datetime | None) -> str | None:
    """A time in UTC, as ISO 8601 with a Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def moment(value: Any) -> datetime | None:
    """The time that :func:`time_text` wrote."""
    return None if value is None else datetime.fromisoformat(value)


def text(value: Any) -> str:
    """``value``, a text. Raises TypeError: it is none."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} should be a text")
    return value


def text_or_none(value: Any) -> str | None:
    """``value``, a text or None. Raises TypeError: it is neither."""
    return None if value is None else text(value)


def whole_number(value: Any) -> int:
    """``value``, a whole number. Raises TypeError: it is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} should be a whole number")
    return value


def mapping(value: Any) -> Mapping[str, Json]:
    """``value``, an object of JSON. Raises TypeError: it is none."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} should be an object")
    return value
