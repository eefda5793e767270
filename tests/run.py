"""What bin/test does: style, types, the import contract, then every test on a real PostgreSQL.

    bin/test              all of it, on every Python of VERSIONS that this machine has
    bin/test ARGUMENTS    pytest alone, with these arguments
    bin/test --faults     the fault suite whole, which writes docs/promises.md; --help tells more
    bin/test --whole      the long forms of all other tests, which take minutes each: those marked whole

A stage that fails does not stop the next ones; the exit status is 1 in the end. The last lines are
pytest's own summary.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13")
WORKERS = "3"  # much of a test is waiting
SUITE = ("tests",)
# What a Python can change: the libraries, what is read and computed, and each daemon once.
ON_EVERY_PYTHON = (
    "tests/unit", "tests/daemons/test_chain.py", "tests/daemons/test_processes.py",
    "tests/daemons/test_calibrate.py", "-m", "not slow and not whole",
)  # fmt: skip
WHOLE = ("tests", "--ignore", "tests/faults", "-m", "whole")


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["--faults"]:
        return subprocess.call([sys.executable, "-m", "tests.faults", *arguments[1:]], cwd=ROOT)
    if arguments[:1] == ["--whole"]:
        return subprocess.call(pytest(Path(sys.prefix), *WHOLE, *arguments[1:]), cwd=ROOT)
    if arguments:
        return subprocess.call([sys.executable, "-m", "pytest", *arguments], cwd=ROOT)
    ours = "{}.{}".format(*sys.version_info)
    others = {v: find_python(v) for v in VERSIONS if v != ours}
    without = {v: "is not on this machine, or has no venv" for v, p in others.items() if p is None}
    failed: list[str] = []
    with ThreadPoolExecutor(1) as beside:
        # Their environments are made while the quick checks run: both take about a minute.
        made = {v: beside.submit(make_venv, v, p) for v, p in others.items() if p}
        for name, command in CHECKS.items():
            if not stage(name, [str(Path(sys.prefix) / "bin" / command[0]), *command[1:]]):
                failed.append(name)
        for version, venv in made.items():
            name = f"tests on {version}"
            if isinstance(venv.result(), str):
                without[version] = venv.result()
            elif not stage(name, pytest(venv.result(), *existing(ON_EVERY_PYTHON), "-q"), tail=1):
                failed.append(name)
    told = {
        "NIGHTFERRY_TEST_WITHOUT": "\n".join(f"Python {v} {why}" for v, why in without.items()),
        "NIGHTFERRY_TEST_FAILED": ", ".join(failed),
    }
    print(f"tests on {ours}, on a PostgreSQL", flush=True)
    ended = subprocess.call(pytest(Path(sys.prefix), *SUITE), cwd=ROOT, env=os.environ | told)
    return 1 if failed else ended


CHECKS = {
    "ruff check": ("ruff", "check", "--quiet", "--output-format", "concise"),
    "ruff format": ("ruff", "format", "--check", "--quiet", "--output-format", "concise"),
    "mypy": ("mypy", "--no-error-summary"),
    "import contract": ("lint-imports", "--no-logo"),
}


def stage(name: str, command: Sequence[str], tail: int = 0) -> bool:
    """Runs a command and says how it ended; all that it printed if it failed, else its ``tail``."""
    began = time.monotonic()
    print(f"{name:<18}", end=" ", flush=True)
    run = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    good = run.returncode == 0
    print(f"{'ok' if good else 'FAILED'}  {time.monotonic() - began:.0f} s", end="")
    lines = run.stdout.strip().splitlines()
    print("".join(f"  {line.strip('= ')}" for line in lines[-tail:] if good and tail))
    if not good:
        print(run.stdout.strip(), flush=True)
    return good


def python(venv: Path) -> list[str]:
    return [str(venv / "bin" / "python")]


def pytest(venv: Path, *arguments: str) -> list[str]:
    return [
        *python(venv),
        "-m",
        "pytest",
        "-n",
        WORKERS,
        "--dist",
        "loadgroup",
        "--no-header",
        *arguments,
    ]


def existing(arguments: Sequence[str]) -> list[str]:
    return [a for a in arguments if not a.startswith("tests/") or (ROOT / a).exists()]


def find_python(version: str) -> str | None:
    """A Python of this version that runs and can make environments. pyenv's stand-ins do not all
    run, so its folder is looked into as well."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    code = "import ensurepip, sys, venv; sys.exit('{}.{}'.format(*sys.version_info) != sys.argv[1])"
    for candidate in (f"python{version}", *glob(f"{pyenv}/versions/{version}.*/bin/python")):
        try:
            if (
                subprocess.run([candidate, "-c", code, version], capture_output=True).returncode
                == 0
            ):
                return candidate
        except OSError:
            continue
    return None


def make_venv(version: str, found: str) -> Path | str:
    """An environment beside .venv, with what the tests need; or why it can't be made."""
    name = f".venv-{version}"
    told = {"NIGHTFERRY_PYTHON": found, "NIGHTFERRY_VENV": name}
    run = subprocess.run(
        [ROOT / "bin" / "bootstrap", "test"], env=os.environ | told, capture_output=True, text=True
    )
    if run.returncode == 0:
        return ROOT / name
    return f"has no environment to test in: see {name}/nightferry-install.log"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
