"""The one PostgreSQL of the sites: a distribution's server, reached by TLS and a password only."""

import os
import pwd
import shutil
import subprocess
from glob import glob
from pathlib import Path

from nightferry.testing.sites import wait_until

from tests.sites.network import Host, Process

USER = "postgres"
OWNER = "nightferry"


def binaries() -> Path | None:
    """Debian's newest; None where there is none that speaks TLS."""
    found = sorted(glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: int(p.split("/")[4]))
    return Path(found[-1]).parent if found else None


def why_not() -> str | None:
    if binaries() is None:
        return "no PostgreSQL of the system's here: it takes Debian's postgresql-15"
    if shutil.which("openssl") is None:
        return "no openssl here: it makes the server's certificate"
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return f"no user {USER!r} here, whom Debian's PostgreSQL brings"
    return None


class Ledger:
    """A server on ``host``, in ``folder``, which its user can enter. ``authority`` is the
    certificate that vouches for its own; ``other_authority`` does not."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.authority = folder / "authority.crt"
        self.other_authority = folder / "another.crt"
        found = binaries()
        assert found is not None
        self._programs = found
        shutil.chown(folder, USER)
        make_authority(folder, "authority")
        make_authority(folder, "another")
        make_certificate(folder, "server", host.name)
        for name in ("server.key", "server.crt"):
            shutil.chown(folder / name, USER)
        self._initdb()
        self._process = self._start()

    def _initdb(self) -> None:
        data = self.folder / "data"
        done = subprocess.run(
            [*_as_server(), self._programs / "initdb", "-D", data, "--username", OWNER, "--no-sync",
             "--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--no-instructions"],
            capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        access = data / "pg_hba.conf"
        access.write_text(
            "local   all all trust\n"
            "hostssl all all 0.0.0.0/0 scram-sha-256\n"
            "host    all all 0.0.0.0/0 reject\n"
        )

    def _start(self) -> Process:
        settings = {
            "listen_addresses": "*", "unix_socket_directories": self.folder, "fsync": "off",
            "ssl": "on", "ssl_cert_file": self.folder / "server.crt",
            "ssl_key_file": self.folder / "server.key", "password_encryption": "scram-sha-256",
            "jit": "off", "max_connections": "200", "timezone": "UTC",
        }  # fmt: skip
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        process = self.host.start(
            *_as_server(), self._programs / "postgres", "-D", self.folder / "data", *words
        )
        wait_until(
            lambda: process.ended() or (self.folder / ".s.PGSQL.5432").exists(), 30, "PostgreSQL"
        )
        assert not process.ended(), self.host.said()
        wait_until(self._answers, 30, "PostgreSQL")
        return process

    def _answers(self) -> bool:
        ready = [self._programs / "pg_isready", "-q", "-h", self.folder]
        return subprocess.run(ready, check=False).returncode == 0

    @property
    def dsn(self) -> str:
        """For its owner, who is on the same machine."""
        return f"postgresql://{OWNER}@/postgres?host={self.folder}"

    def dsn_for(self, database: str, **more: object) -> str:
        """For a host's user, over the network."""
        how = {
            "host": self.host.name, "dbname": database, "sslmode": "verify-full",
            "sslrootcert": self.authority, **more,
        }  # fmt: skip
        return "postgresql://?" + "&".join(f"{key}={value}" for key, value in how.items())


def make_authority(folder: Path, name: str) -> None:
    """Whose word certificates are trusted on."""
    _openssl(
        "req", "-x509", *_new_key(folder / f"{name}.key"), "-subj", f"/CN={name} of a test",
        "-out", folder / f"{name}.crt",
    )  # fmt: skip


def make_certificate(folder: Path, name: str, host: str) -> None:
    _openssl(
        "req", "-x509", *_new_key(folder / f"{name}.key"), "-subj", f"/CN={host}",
        "-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=CA:FALSE",
        "-CA", folder / "authority.crt", "-CAkey", folder / "authority.key",
        "-out", folder / f"{name}.crt",
    )  # fmt: skip
    os.chmod(folder / f"{name}.key", 0o600)


def _new_key(path: Path) -> list[str | Path]:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    return [*curve, "-keyout", path]


def _openssl(*words: str | Path) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _as_server() -> list[str]:
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
