"""What is to be laid: each shipped file with its place, and the drop-ins of this host."""

import sys
from pathlib import Path

from nightferry import yamlfile
from nightferry.address import is_elsewhere
from nightferry.config import SYSTEM, HostConfig
from nightferry.errors import ConfigError
from nightferry.installing.mounts import escaped, mount_of, mount_points
from nightferry.yamlfile import shipped, shipped_units

SYSTEM_UNITS = Path("etc/systemd/system")
DROP_IN = "nightferry-install.conf"
_SHIPPED_PREFIX = "/opt/nightferry/"
_READ_ONLY = {"ingest", "metrics"}  # all others also ask whether a place can be written to
_SERVANTS = {"postgres", "migrate", "backup", "canary"}  # enabled by other words than runs:
_OPEN = """\
# The database is on another host, an archive is a bucket, or a catalogue is asked of its archive.
PrivateNetwork=no
RestrictAddressFamilies=AF_INET AF_INET6
IPAddressDeny=
"""


def known_daemons() -> set[str]:
    """What ``runs:`` may name: every daemon that has a unit."""
    units = {p.stem.removeprefix("nightferry-") for p in shipped_units().glob("*.service")}
    return {name for name in units if not name.endswith("@")} - _SERVANTS


def shipped_files(prefix: Path | None = None) -> dict[Path, str]:
    """What comes with the program, by its place below the root of the host."""
    prefix = prefix or Path(sys.prefix)
    units = shipped_units()
    files = {
        SYSTEM_UNITS / path.name: path.read_text(encoding="utf-8")
        for path in sorted(units.glob("nightferry*.*"))
    }
    for folder in ("sysusers.d", "tmpfiles.d"):
        text = (units / folder / "nightferry.conf").read_text(encoding="utf-8")
        files[Path("etc") / folder / "nightferry.conf"] = text
    for name in ("nightferry.yaml", "observatory.yaml"):
        text = shipped(name).read_text(encoding="utf-8")
        files[Path("etc/nightferry") / f"{name}.example"] = text
    return {
        path: text.replace(_SHIPPED_PREFIX, f"{prefix}/")
        if path.is_relative_to(SYSTEM_UNITS)
        else text
        for path, text in files.items()
    }


def checked_runs(host: HostConfig) -> tuple[str, ...]:
    """The daemons that this host runs.

    Raises:
        ConfigError: it names one that there is not.
    """
    known = sorted(known_daemons())
    for name in host.runs:
        if name not in known:
            raise ConfigError(
                f"{yamlfile.place_of(host.path, 'runs')}: there is no daemon {name!r}"
                f"{yamlfile.nearest(name, known)}"
            )
    return host.runs


def mounts(host: HostConfig, root: Path) -> list[str]:
    """The mount units, without their suffix, that this host's locations lie on."""
    points = mount_points(root)
    found = {mount_of(path, points) for path in host.locations.values()}
    return sorted(escaped(path) for path in found if path is not None)


def drop_ins(host: HostConfig, root: Path) -> dict[Path, str]:
    """What only this host knows: its paths, its mounts, and whether the database is elsewhere."""
    followed = mounts(host, root)
    runs = checked_runs(host)
    texts = {f"nightferry-{name}.service": of_daemon(name, host, followed) for name in runs}
    if host.backup is not None:
        texts["nightferry-backup.service"] = of_daemon("backup", host, followed)
    if host.canary is not None:
        texts["nightferry-canary.service"] = of_daemon("canary", host, followed)
    if host.database == "embedded":
        for name in ("postgres", "migrate"):
            texts[f"nightferry-{name}.service"] = _of_servant(name, host)
    if followed:
        served = " ".join(f"nightferry-{name}.service" for name in runs if name != "metrics")
        texts["nightferry-mount@.service"] = f"[Service]\nEnvironment=DAEMONS='{served}'\n"
    return {
        SYSTEM_UNITS / f"{unit}.d" / DROP_IN: _HEAD.format(path=host.path) + text
        for unit, text in texts.items()
        if text
    }


_HEAD = "# Made from {path} by 'nf install', and again by it: your own changes go beside it.\n\n"


def of_daemon(name: str, host: HostConfig, followed: list[str]) -> str:
    """The drop-in of one daemon, on a host with these mounts."""
    text = ""
    if followed:
        text += "[Unit]\n# The mounts of this host's locations, and who follows them.\n"
        text += "".join(f"After={m}.mount nightferry-mount@{m}.service\n" for m in followed)
        text += "\n"
    text += "[Service]\n" + _configuration(host)
    if host.locations and name not in _READ_ONLY:
        text += "# This host's locations; one that is not there stops nothing.\n"
        text += "".join(f"ReadWritePaths={_quoted(p)}\n" for p in host.locations.values())
    if name == "metrics" and (textfile := host.metrics.get("textfile")):
        text += f"ReadWritePaths={_quoted(Path(str(textfile)).parent)}\n"
    if _needs_network(name, host):
        text += _OPEN
    return text + (_state(host) if host.database == "embedded" else "")


def _needs_network(name: str, host: HostConfig) -> bool:
    buckets = any(path.is_file() for path in host.locations.values())  # the file holds the keys
    asks = name == "calibrate" and bool(host.calibrate.get("remote"))
    return is_elsewhere(host) or buckets or asks


def _of_servant(name: str, host: HostConfig) -> str:
    text = _configuration(host) + _state(host)
    if name == "postgres" and host.state is not None:
        command = Path(sys.prefix) / "bin/nightferry-postgres"
        text += f"ExecStart=\nExecStart={command} --state {host.state}\n"
    return "[Service]\n" + text if text else ""


def _configuration(host: HostConfig) -> str:
    if host.path is None or host.path == SYSTEM:
        return ""
    return f"Environment=NIGHTFERRY_CONFIG={host.path}\n"


def _state(host: HostConfig) -> str:
    return "" if host.state is None else f"ReadWritePaths={_quoted(host.state)}\n"


def _quoted(path: Path) -> str:
    """A path as a unit takes it, whatever is in it; '-' = it may be missing."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"-{text}"' if text != str(path) or " " in text else f"-{text}"


def enabled(host: HostConfig, root: Path) -> list[str]:
    """The units that are to start with this host."""
    runs = checked_runs(host)
    if not runs:
        return []
    units = ["nightferry.target", *(f"nightferry-{name}.service" for name in runs)]
    if host.database == "embedded":
        units += ["nightferry-postgres.service", "nightferry-migrate.service"]
    if host.backup is not None:
        units.append("nightferry-backup.timer")
    if host.canary is not None:
        units.append("nightferry-canary.timer")
    return units + [f"nightferry-mount@{mount}.service" for mount in mounts(host, root)]
