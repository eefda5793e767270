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
    """The account that runs the tests, reached by ``key`` at a port of ``host``, whose own key is
    in ``known_hosts``."""

    def __init__(self, folder: Path, host: str, port: int, key: Path) -> None:
        self.folder, self.host, self.port, self.key = folder, host, port, key
        self.known_hosts, self.configuration = folder / "known_hosts", folder / "sshd_config"

    def settings(self, path: Path, **more: object) -> dict[str, object]:
        """What observatory.yaml says of a route to it."""
        return {
            "account": f"{getpass.getuser()}@{self.host}",
            "path": str(path),
            "port": self.port,
            "key": str(self.key),
            "known_hosts": str(self.known_hosts),
            **more,
        }

    @contextmanager
    def instead_of(self, program: str, script: str) -> Iterator[None]:
        """A shell script is found in the program's place by who comes in meanwhile."""
        path = self.folder / "bin" / program
        before = path.read_text() if path.exists() else None
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        try:
            yield
        finally:
            path.unlink()
            if before is not None:
                path.write_text(before)
                path.chmod(0o755)


def sshd_program() -> str:
    """Skips where there is no sshd or rsync."""
    program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("no sshd: Debian's openssh-server is not installed")
    if shutil.which("rsync") is None:
        pytest.skip("no rsync")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # it wants to go there as nobody
    return program


def configured(folder: Path, host: str, port: int, key: Path) -> Sshd:
    """A host key of its own, and a configuration for ``sshd -D -f``, which lets ``key`` in."""
    server = Sshd(folder, host, port, key)
    folder.mkdir(exist_ok=True)
    (folder / "bin").mkdir()
    make_key(folder / "host")
    name = host if port == 22 else f"[{host}]:{port}"
    server.known_hosts.write_text(f"{name} {(folder / 'host.pub').read_text()}")
    server.configuration.write_text(
        f"Port {port}\nListenAddress {'127.0.0.1' if host == '127.0.0.1' else '0.0.0.0'}\n"
        f"HostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {key}.pub\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nMaxStartups 100\n"
        # No start-up file of whoever runs the tests is read.
        f"SetEnv PATH={folder}/bin:{os.environ['PATH']} HOME={folder}\n"
    )
    return server


@contextmanager
def sshd(host: str = "127.0.0.1", enter: Sequence[str] = ()) -> Iterator[Sshd]:
    """One at ``host``, where ``enter`` leads. Skips where there is none."""
    program = sshd_program()
    with tempfile.TemporaryDirectory(prefix="nightferry-sshd-") as name:
        (port,) = free_ports(1)
        folder = Path(name)
        make_key(folder / "id")
        server = configured(folder, host, port, folder / "id")
        log = folder / "log"
        process = subprocess.Popen(
            [*enter, "setpriv", "--pdeathsig=KILL", program, "-D", "-f", str(server.configuration),
             "-E", str(log)],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
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
