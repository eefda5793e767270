"""What was probed of a location's storage, in words."""

from collections.abc import Mapping
from typing import Any


def told(found: Mapping[str, Any]) -> list[str]:
    """Line by line: of a directory's file system, or of a bucket's server."""
    return of_bucket(found) if found["file_system"] == "s3" else of_directory(found)


def of_directory(found: Mapping[str, Any]) -> list[str]:
    where = "a network file system" if found["network"] else "local"
    lines = [f"file system: {found['file_system']}, {where}, names up to {found['name_max']} bytes"]
    if not found["writable"]:
        return [*lines, "read-only here: what needs writing was not tried"]
    lines.append(
        "reads past this host's memory: "
        + ("yes" if found["o_direct"] else "no: a reading proves less, and is recorded as such")
    )
    if found["one_writer_only"]:
        lines.append("publishing never overwrites: only while one host writes here")
    else:
        how = "renameat2" if found["renameat2"] else "link and unlink"
        lines.append(f"publishing never overwrites: by {how}")
    if not found["rename_to_trash"]:
        lines.append("the trash is on another file system: nothing can be deleted here")
    if not found["directory_fsync"]:
        lines.append("directories can't be synced: a power cut may lose a name")
    if found["case_sensitive"] is False:
        lines.append("names that differ in case only are one name here")
    return lines


def of_bucket(found: Mapping[str, Any]) -> list[str]:
    lines = [f"a bucket at {found['server']}"]
    if found["one_writer_only"]:
        lines.append("it writes over what is there when asked to: let one host write here")
    else:
        lines.append("publishing never overwrites: by If-None-Match")
    if not found["rejects_wrong_sha256"]:
        lines.append("it takes bytes that differ from their SHA-256: only reading back proves them")
    if not found["if_match"]:
        lines.append("a reading does not notice that an object was replaced meanwhile")
    if not found["keeps_metadata"]:
        lines.append("it does not keep our token and SHA-256 beside an object")
    if not found["lists_parts"]:
        lines.append("an interrupted upload begins again")
    elif not found["etag_is_md5"]:
        lines.append("the parts of an interrupted upload are believed until they are read back")
    lines.append(trash(found))
    if found["locked"]:
        lines.append("it is locked: what is written stays as long as its rule says")
    return lines


def trash(found: Mapping[str, Any]) -> str:
    """Whether a deletion in this bucket can be undone."""
    if found.get("versions"):
        return "a deletion is a marker that can be taken away: it keeps versions"
    return "there is no trash, for it keeps no versions: nothing is deleted here"
