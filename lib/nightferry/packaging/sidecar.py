"""The text beside a package, ``NAME.tar.sha256``: read by ``sha256sum -c``, and exact."""

import re
from dataclasses import dataclass

SUFFIX = ".sha256"

_FORM = re.compile(
    r"# package ([!-~]+)\n# bytes (0|[1-9][0-9]*)\n# files (0|[1-9][0-9]*)\n"
    r"([0-9a-f]{64})  ([A-Za-z0-9_][A-Za-z0-9._-]*\.tar)\n"
)


@dataclass(frozen=True)
class Sidecar:
    """``file`` is the name of the tar, without a folder; ``members`` the files of the night."""

    package: str
    file: str
    sha256: str
    size: int
    members: int


def render(sidecar: Sidecar) -> str:
    """The text. Raises ValueError for values that :func:`parse` would not give back."""
    text = (
        f"# package {sidecar.package}\n# bytes {sidecar.size}\n# files {sidecar.members}\n"
        f"{sidecar.sha256}  {sidecar.file}\n"
    )
    parse(text)
    return text


def parse(text: str) -> Sidecar:
    """The values of a sidecar's text. Raises ValueError: it is not exactly one."""
    found = _FORM.fullmatch(text)
    if not found:
        raise ValueError(f"not the sidecar of a package: {text[:300]!r}")
    package, size, members, sha256, file = found.groups()
    return Sidecar(package, file, sha256, int(size), int(members))
