"""A package is read with tar, sha256sum and Python's standard library alone."""

import hashlib
import json
import os
import subprocess
import tarfile
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from nightferry.names import to_bytes
from nightferry.packaging import tar
from nightferry.packaging.layout import plan
from nightferry.packaging.manifest import Document
from nightferry.packaging.naming import package_name
from nightferry.packaging.sidecar import Sidecar, parse, render

from tests.unit.packaging_night import (
    CONTENTS,
    NIGHT,
    document,
    member,
    write_package,
    write_sources,
)


@pytest.fixture
def package(tmp_path: Path) -> tuple[Path, Document]:
    write_sources(tmp_path / "source")
    what = document()
    path = tmp_path / f"{what.name}.tar"
    packed = write_package(tmp_path / "source", path, what)
    side = Sidecar(what.id, path.name, packed.sha256, packed.size, packed.members)
    Path(f"{path}.sha256").write_text(render(side))
    return path, what


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_gnu_tar_unpacks_it_and_sha256sum_agrees_with_every_manifest(
    package: tuple[Path, Document],
) -> None:
    path, what = package
    assert run(path.parent, "sha256sum", "-c", f"{path.name}.sha256") == f"{path.name}: OK\n"
    run(path.parent, "tar", "-xf", path.name)
    bag = path.parent / what.name
    files = run(bag, "sha256sum", "-c", "manifest-sha256.txt").splitlines()
    assert len(files) == len(CONTENTS)
    assert all(line.endswith(": OK") for line in files)
    tags = run(bag, "sha256sum", "-c", "tagmanifest-sha256.txt").splitlines()
    assert tags == [
        f"{name}: OK"
        for name in ("bagit.txt", "bag-info.txt", "manifest-sha256.txt", "nightferry.json")
    ]


def test_the_standard_library_alone_reads_every_field(package: tuple[Path, Document]) -> None:
    path, what = package
    with tarfile.open(path) as archive:
        infos = archive.getmembers()
    names = [info.name.removeprefix(what.name + "/") for info in infos]
    payload = [name for name in names if name.startswith("data/")]
    assert names == [
        "bagit.txt",
        "bag-info.txt",
        "manifest-sha256.txt",
        "tagmanifest-sha256.txt",
        *sorted(payload, key=str.encode),
        "nightferry.json",
    ]
    assert {(i.mode, i.uid, i.gid, i.uname, i.gname, i.type) for i in infos} == {
        (0o644, 0, 0, "", "", tarfile.REGTYPE)
    }
    raw = path.read_bytes()
    described = raw[infos[-1].offset_data :][: infos[-1].size]
    stored = json.loads(described)
    assert {key: value for key, value in stored.items() if key != "files"} == {
        "format": "nightferry-package",
        "version": 1,
        "id": what.id,
        "name": what.name,
        "site": "hill",
        "night": "2024-05-12",
        "instrument": "nickel",
        "module": "CCD-2",
        "created": "2024-05-13T14:00:00Z",
        "owner": "survey",
        "public_after": "2025-05-13T00:00:00Z",
        "ledger": {},
        "observations": [
            {
                "id": "018f6c2a-7d10-7001-8000-000000000001",
                "owner": "survey",
                "public_after": None,
                "ledger": {"target": "M 51"},
            }
        ],
    }
    contents = dict(CONTENTS)
    for entry, info, registered in zip(stored["files"], infos[4:-1], what.members, strict=True):
        at = entry["offset"]
        found = raw[at : at + entry["size"]]
        original = (
            bytes.fromhex(entry["path_hex"])
            if "path_hex" in entry
            else entry["name"].removeprefix("data/").encode()
        )
        assert found == contents.pop(original)
        assert hashlib.sha256(found).hexdigest() == entry["sha256"]
        assert (info.name, info.offset_data, info.size, info.mtime) == (
            f"{what.name}/{entry['name']}",
            at,
            entry["size"],
            entry["mtime"],
        )
        assert entry == {
            "id": registered.id,
            "path": registered.path,
            "name": registered.name,
            "size": registered.size,
            "sha256": registered.sha256,
            "mtime": registered.mtime,
            "mode": "0640",
            "header": "whole",
            "defects": list(registered.defects),
            "hdus": list(registered.hdus),
            "observation": registered.observation,
            "derived": registered.derived,
            "ledger": registered.ledger,
            "offset": at,
            **({"path_hex": original.hex()} if "path_hex" in entry else {}),
        }
    assert not contents


def test_it_is_a_bag_as_rfc_8493_says(package: tuple[Path, Document]) -> None:
    path, what = package
    run(path.parent, "tar", "-xf", path.name)
    bag = path.parent / what.name
    assert (bag / "bagit.txt").read_bytes() == (
        b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    )
    info = dict(line.split(": ", 1) for line in (bag / "bag-info.txt").read_text().splitlines())
    sizes = [p.stat().st_size for p in (bag / "data").rglob("*") if p.is_file()]
    assert info["Payload-Oxum"] == f"{sum(sizes)}.{len(sizes)}"
    assert info["External-Identifier"] == what.id
    manifest = (bag / "manifest-sha256.txt").read_text()
    assert not set("%\\\r") & set(manifest)  # nothing that BagIt and sha256sum read differently
    listed = {line.split("  ", 1)[1] for line in manifest.splitlines()}
    assert listed == {str(p.relative_to(bag)) for p in (bag / "data").rglob("*") if p.is_file()}


def test_the_same_document_gives_the_same_bytes_in_any_order_and_place(
    package: tuple[Path, Document], tmp_path: Path
) -> None:
    path, what = package
    shuffled = replace(what, members=what.members[::-1])
    os.utime(tmp_path / "source/empty.fits", (1, 1))
    again = tmp_path / "again.tar"
    packed = write_package(tmp_path / "source", again, shuffled)
    assert again.read_bytes() == path.read_bytes()
    assert packed.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_its_bytes_are_these_for_ever(tmp_path: Path) -> None:
    """A change of this number is a change of the format: raise its version instead."""
    source, tar_file = tmp_path / "source", tmp_path / "x.tar"
    write_sources(source)
    packed = write_package(source, tar_file, document())
    assert packed.sha256 == "25053a7a250d5009fa4e381fa4bfeff5e6fb84debdd70198778b551df4aa32ac"


def test_a_layout_is_the_package_without_its_files(package: tuple[Path, Document]) -> None:
    path, what = package
    layout = plan(what)
    raw = path.read_bytes()
    assert layout.size == len(raw)
    for m, offset in zip(what.members, layout.offsets, strict=True):
        assert raw[offset : offset + m.size] == CONTENTS[to_bytes(m.path)]
    for entry in layout.entries():
        assert raw[entry.offset - len(entry.header) : entry.offset] == entry.header


@pytest.mark.parametrize("size", [8 * 2**30 - 1, 8 * 2**30, 2**43])
def test_a_size_beyond_ustar_is_read_by_gnu_tar_and_python(size: int, tmp_path: Path) -> None:
    block = tar.header(b"x/data/huge.fits", size, 1_715_500_000)
    path = tmp_path / "huge.tar"
    with path.open("wb") as file:
        file.write(block)
        file.truncate(512 + tar.padded(size) + 1024)  # sparse: takes no room
    with tarfile.open(path) as archive:
        info = archive.next()
    assert info is not None
    assert (info.size, info.mtime) == (size, 1_715_500_000)
    assert f" {size} " in run(tmp_path, "tar", "--list", "--verbose", "--file", path.name)


@pytest.mark.parametrize("length", [99, 100, 101, 155, 200, 255, 256, 257, 1000, 3900])
def test_long_names_are_read_by_gnu_tar_and_python(length: int, tmp_path: Path) -> None:
    text = ("d" * 50 + "/") * (length // 51) + "é" * ((length % 51) // 2) + "e" * (length % 51 % 2)
    name = ("x" + text[1:-1] + "z").encode()
    header = tar.header(name, 0, 0)
    assert len(header) == tar.header_size(name)
    path = tmp_path / "long.tar"
    path.write_bytes(header + tar.END)
    with tarfile.open(path, encoding="utf-8") as archive:
        assert [info.name.encode() for info in archive] == [name]
    listed = run(tmp_path, "tar", "--quoting-style=literal", "-tf", path.name)
    assert listed.encode() == name + b"\n"


@pytest.mark.parametrize(
    ("name", "size"),
    [
        (b"n" * 100, 512),
        (b"n" * 101, 1536),
        (b"p/" + b"n" * 100, 512),
        (b"p/" + b"n" * 101, 1536),
        (b"p" * 155 + b"/" + b"n" * 100, 512),
        (b"p" * 156 + b"/" + b"n" * 99, 1536),
        (b"n" * 511, 1536),
        (b"n" * 512, 2048),
    ],
)
def test_a_long_name_is_an_entry_of_its_own_only_where_ustar_has_no_room(
    name: bytes, size: int
) -> None:
    assert tar.header_size(name) == size == len(tar.header(name, 0, 0))


def test_times_that_a_header_cannot_hold_are_kept_in_the_document(tmp_path: Path) -> None:
    contents = {b"old.fits": b"1", b"future.fits": b"2"}
    what = replace(
        document(),
        members=(member(b"old.fits", b"1", -5), member(b"future.fits", b"2", 2**40)),
    )
    write_sources(tmp_path / "source", contents)
    path = tmp_path / "x.tar"
    write_package(tmp_path / "source", path, what)
    with tarfile.open(path) as archive:
        times = [info.mtime for info in archive if "/data/" in info.name]
    assert times == [0o77777777777, 0]
    assert [m.mtime for m in what.members] == [2**40, -5]


def test_a_package_and_its_place_have_safe_names() -> None:
    what = document()
    assert what.name == "nickel-2024-05-12-0123456789ab"
    assert what.path == f"nickel/2024-05-12/{what.name}.tar"
    name = package_name("../Käst (blue)", NIGHT, what.id)
    assert name == "_K_st_blue_-2024-05-12-0123456789ab"
    assert package_name("…", date(999, 1, 2), what.id) == "_-0999-01-02-0123456789ab"


def test_a_sidecar_says_exactly_what_it_was_made_from() -> None:
    side = Sidecar("018f", "a.tar", "0" * 64, 1024, 3)
    text = render(side)
    assert text == f"# package 018f\n# bytes 1024\n# files 3\n{'0' * 64}  a.tar\n"
    assert parse(text) == side


def test_a_sidecar_is_not_made_of_what_could_not_be_read_back() -> None:
    for bad in (Sidecar("a b", "a.tar", "0" * 64, 1, 1), Sidecar("a", "../a", "0" * 64, 1, 1)):
        with pytest.raises(ValueError, match="not the sidecar"):
            render(bad)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{'0' * 64}  a.tar\n",
        f"# package 018f\n# bytes 1024\n# files 3\n{'0' * 63}  a.tar\n",
        f"# package 018f\n# bytes 01024\n# files 3\n{'0' * 64}  a.tar\n",
        f"# package 018f\n# bytes 1024\n# files 3\n{'0' * 64}  ../a.tar\n",
        f"# package 018f\n# bytes 1024\n# files 3\n{'0' * 64}  a.tar\nmore\n",
    ],
)
def test_a_sidecar_that_is_not_exactly_one_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the sidecar"):
        parse(text)
