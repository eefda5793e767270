"""A document survives the database, and is refused in words where no package can be made of it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightferry.names import to_text
from nightferry.packaging.canonical import Json
from nightferry.packaging.layout import plan
from nightferry.packaging.manifest import Document, Member, NotPackable
from nightferry.packaging.naming import stored_path

from tests.unit.packaging_night import document, member


def through_jsonb(text: bytes) -> Any:
    """What PostgreSQL does to a document: keys in another order, whole floats without a point."""

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: shuffled(v) for k, v in sorted(value.items(), key=lambda i: i[0][::-1])}
        if isinstance(value, list):
            return [shuffled(item) for item in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    return shuffled(json.loads(text))


def test_a_document_that_went_through_the_database_gives_the_same_package() -> None:
    numbers: dict[str, Json] = {
        "a": 1.0,
        "b": -0.0,
        "c": 1e22,
        "d": 1.5e-07,
        "e": 0.1,
        "f": [1, 2.0, None, True],
    }
    what = document()
    first = replace(what.members[0], derived=numbers, ledger={"z": {"y": 1.0}, "x": "é\\u0000"})
    what = replace(what, members=(first, *what.members[1:]), ledger={"supplement_of": None})
    back = Document.from_json(through_jsonb(what.to_json()))
    assert back.to_json() == what.to_json()
    assert plan(back).description == plan(what).description
    assert Document.from_json(what.to_json()) == back


def test_a_document_is_one_line_per_file_with_its_keys_in_order() -> None:
    what = document()
    text = what.to_json()
    assert text.endswith(b"\n}\n")
    assert text.count(b'"path":') == len(what.members)
    assert sum(b'"path":' in line for line in text.splitlines()) == len(what.members)
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_a_document_without_observations_is_read_back() -> None:
    what = replace(document(), observations=())
    assert json.loads(what.to_json())["observations"] == []
    assert Document.from_json(what.to_json()) == what


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_hold_is_refused(value: float) -> None:
    what = replace(document(), ledger={"ra": value})
    with pytest.raises(NotPackable, match="no number"):
        what.to_json()


@pytest.mark.parametrize("text", ["a\0b", "half \ud800 pair"])
def test_a_text_that_the_database_cannot_hold_is_refused(text: str) -> None:
    first = replace(document().members[0], hdus=(text,))
    with pytest.raises(NotPackable, match="package nickel"):
        replace(document(), members=(first,)).to_json()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("/etc/passwd", "not a relative path"),
        ("a/../../b", "'..'"),
        ("a/%2E%2E/b", "'..'"),
        ("a%2Fb", "as the ledger writes"),
        ("a%0ab", "as the ledger writes"),
        ("a\nb", "as the ledger writes"),
        ("a//b", "empty"),
        ("d/" * 2030 + "x", "no tool takes more"),
        ("x" * 4097, "not a relative path"),
    ],
)
def test_a_path_that_no_package_can_hold_is_refused_in_words(raw: str, reason: str) -> None:
    bad = replace(member(b"x", b""), path=raw)
    with pytest.raises(NotPackable, match=reason):
        replace(document(), members=(bad,))


def test_two_files_never_share_a_name() -> None:
    twice = (member(b"a.fits", b"1"), member(b"a.fits", b"2"))
    with pytest.raises(NotPackable, match="two files"):
        replace(document(), members=twice)


def test_a_file_and_a_folder_never_share_a_name() -> None:
    both = (member(b"a", b"1"), member(b"a-", b"2"), member(b"a/b", b"3"))
    with pytest.raises(NotPackable, match="a file and a folder"):
        replace(document(), members=both)


@pytest.mark.parametrize(
    "change", [{"sha256": "0" * 63}, {"sha256": "A" * 64}, {"size": -1}, {"mode": 0o100644}]
)
def test_a_member_with_an_impossible_value_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(NotPackable):
        replace(document(), members=(replace(member(b"a", b""), **change),))


def test_a_package_without_files_is_refused() -> None:
    with pytest.raises(NotPackable, match="no files"):
        replace(document(), members=())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not a package's document"),
        (b"[" * 100_000, "not a package's document"),
        (b"\xff", "not a package's document"),
        (b'{"format":"nightferry-package","version":2}', "use the program that wrote it"),
        (b'{"format":"nightferry-package","version":1}', "'id'"),
    ],
)
def test_a_text_that_is_no_document_is_refused_in_words(text: bytes, reason: str) -> None:
    with pytest.raises(NotPackable, match=reason):
        Document.from_json(text)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=2, max_size=2, unique=True))
def test_different_names_stay_different_in_a_package(pair: list[bytes]) -> None:
    one, two = (stored_path(to_text(raw.replace(b"=", b"=41"))) for raw in pair)
    assert one != two
    assert not set("%\\\n\r") & set(one + two)


def test_a_name_that_grew_too_long_for_a_file_system_is_cut_and_stays_its_own() -> None:
    names = [stored_path(to_text(b"\xff" * 254 + bytes([last]))) for last in (0xFE, 0xFF)]
    assert len(set(names)) == 2
    assert all(len(name.encode()) <= 255 for name in names)
    wide = stored_path("é" * 127 + "%25")
    assert len(wide.encode()) <= 255


def test_a_member_is_equal_wherever_it_stands_in_the_tar() -> None:
    one: Member = member(b"a", b"1")
    assert replace(one, offset=512) == one
