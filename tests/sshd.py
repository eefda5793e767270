"""A real sshd for the tests: on loopback, under a private configuration, with keys of its own."""

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from nightferry.testing.sites import wait_until

from tests.object_server import free_ports


class Sshd:
    """The account that runs the tests, reached by a key at a port of this machine."""

    def __init__(self, folder: Path, port: int, address: str) -> None:
        self.folder, self.port, self.address = folder, port, address
        self.key, self.known_hosts = folder / "id", folder / "known_hosts"

    def settings(self, path: Path, **more: object) -> dict[str, object]:
        """What observatory.yaml says of a route to it."""
        return {
            "account": f"{getpass.getuser()}@{self.address}",
            "path": str(path),
            "port": self.port,
            "key": str(self.key),
            "known_hosts": str(self.known_hosts),
            **more,
        }


@contextmanager
def sshd(address: str = "127.0.0.1", enter: Sequence[str] = ()) -> Iterator[Sshd]:
    """Skips where there is no sshd or rsync. ``enter`` leads to the host that has ``address``."""
    program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("no sshd: Debian's openssh-server is not installed")
    if shutil.which("rsync") is None:
        pytest.skip("no rsync")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # it wants to go there as nobody
    with tempfile.TemporaryDirectory(prefix="nightferry-sshd-") as name:
        (port,) = free_ports(1)
        server = Sshd(Path(name), port, address)
        make_key(server.key)
        make_key(server.folder / "host")
        os.replace(f"{server.key}.pub", server.folder / "authorized")
        server.known_hosts.write_text(
            f"[{address}]:{port} {(server.folder / 'host.pub').read_text()}"
        )
        configuration = server.folder / "sshd_config"
        configuration.write_text(
            f"Port {port}\nListenAddress {address}\nHostKey {name}/host\nPidFile none\n"
            f"AuthorizedKeysFile {name}/authorized\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin prohibit-password\nMaxStartups 100\n"
            f"SetEnv PATH={os.environ['PATH']}\n"  # what is installed here is installed there
        )
        log = server.folder / "log"
        process = subprocess.Popen(
            [
                *enter,
                "setpriv",
                "--pdeathsig=KILL",
                program,
                "-D",
                "-f",
                str(configuration),
                "-E",
                str(log),
            ],
            stdin=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: process.poll() is not None or "listening" in _text(log), 30, "sshd")
            assert process.poll() is None, _text(log)
            yield server
        finally:
            process.terminate()
            process.wait()


def make_key(path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True
    )


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
