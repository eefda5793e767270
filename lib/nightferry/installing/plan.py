"""What is not yet as it is to be, as steps in the order of their doing."""

import os
from dataclasses import dataclass
from pathlib import Path

from nightferry.config import HostConfig
from nightferry.installing.units import (
    DROP_IN,
    SYSTEM_UNITS,
    drop_ins,
    enabled,
    shipped_files,
)

_LINKS = ("nightferry.target.wants", "multi-user.target.wants", "*.mount.wants")


@dataclass(frozen=True)
class Step:
    """One command of systemd's."""

    command: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.command)


@dataclass(frozen=True)
class Write:
    """One file. ``text`` None: it is removed."""

    path: Path
    text: str | None
    is_new: bool = True

    def __str__(self) -> str:
        word = "remove" if self.text is None else "lay" if self.is_new else "change"
        return f"{word} {self.path}"


def installation(host: HostConfig | None, root: Path = Path("/")) -> list[Write | Step]:
    """What is to be done so that this host is as ``host`` says; without one, nothing is enabled."""
    wanted = shipped_files()
    units: list[str] = []
    if host is not None:
        wanted |= drop_ins(host, root)
        units = enabled(host, root)
    writes = [
        Write(root / path, text, not (root / path).exists())
        for path, text in wanted.items()
        if _text(root / path) != text
    ]
    writes += [Write(path, None) for path in laid(root) if path.relative_to(root) not in wanted]
    steps: list[Write | Step] = list(writes)
    changed = {w.path.relative_to(root) for w in writes}
    if Path("etc/sysusers.d/nightferry.conf") in changed:
        steps.append(_of(root, "systemd-sysusers", "nightferry.conf"))
    if Path("etc/tmpfiles.d/nightferry.conf") in changed:
        steps.append(_of(root, "systemd-tmpfiles", "--create", "nightferry.conf"))
    return steps + _enabling(root, set(units), any(_is_unit(p) for p in changed))


def removal(root: Path = Path("/")) -> list[Write | Step]:
    """What is to be done so that nothing of ours starts here any more. All data stays."""
    steps: list[Write | Step] = []
    if now := sorted(now_enabled(root)):
        steps.append(
            _of(root, "systemctl", "disable", *([] if _is_offline(root) else ["--now"]), *now)
        )
    steps += [Write(path, None) for path in laid(root)]
    if steps and not _is_offline(root):
        steps.append(Step(("systemctl", "daemon-reload")))
    return steps


def laid(root: Path) -> list[Path]:
    """What an installation has put here: files of our names, and our own drop-ins alone."""
    units = root / SYSTEM_UNITS
    found = [p for p in units.glob("nightferry*.*") if p.is_file() and not p.is_symlink()]
    found += units.glob(f"nightferry*.d/{DROP_IN}")
    for folder in ("sysusers.d", "tmpfiles.d"):
        found += (root / "etc" / folder).glob("nightferry.conf")
    found += (root / "etc/nightferry").glob("*.yaml.example")
    return sorted(found)


def now_enabled(root: Path) -> set[str]:
    """Units of ours that start with the host."""
    units = root / SYSTEM_UNITS
    links = [link for wants in _LINKS for link in units.glob(f"{wants}/nightferry*")]
    return {link.name for link in links}


def _enabling(root: Path, units: set[str], changed: bool) -> list[Write | Step]:
    steps: list[Write | Step] = []
    if changed and not _is_offline(root):
        steps.append(Step(("systemctl", "daemon-reload")))
    now = now_enabled(root)
    if more := sorted(units - now):
        steps.append(_of(root, "systemctl", "enable", *more))
    if less := sorted(now - units):
        steps.append(_of(root, "systemctl", "disable", *less))
    return steps


def _of(root: Path, program: str, *arguments: str) -> Step:
    """A command on this host, or on the files of one that does not run."""
    where = (f"--root={root}",) if _is_offline(root) else ()
    return Step((program, *where, *arguments))


def _is_offline(root: Path) -> bool:
    return root != Path("/")


def _is_unit(path: Path) -> bool:
    return path.is_relative_to(SYSTEM_UNITS)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None


def may_apply(root: Path = Path("/")) -> bool:
    """Only root may write where systemd looks."""
    return os.geteuid() == 0 or os.access(root / "etc", os.W_OK)
