"""The doing of a plan. It stops at the first step that fails: what is left is in the next plan."""

import os
import subprocess
from collections.abc import Iterable

from nightferry.errors import NightferryError
from nightferry.installing.plan import Step, Write


def do(steps: Iterable[Write | Step]) -> None:
    """All steps, in their order.

    Raises:
        NightferryError: one failed; the text is what it said.
    """
    for step in steps:
        try:
            if isinstance(step, Step):
                _run(step)
            elif step.text is None:
                _take_away(step)
            else:
                _write(step, step.text)
        except OSError as error:
            raise NightferryError(f"{step}: {error.strerror}") from error


def _run(step: Step) -> None:
    ended = subprocess.run(step.command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise NightferryError(f"{step}: {ended.stderr.strip() or ended.returncode}")


def _write(step: Write, text: str) -> None:
    step.path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(step.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _take_away(step: Write) -> None:
    """A file that an installation of ours has laid; never data."""
    step.path.unlink(missing_ok=True)
    if step.path.parent.name.endswith(".d") and not any(step.path.parent.iterdir()):
        step.path.parent.rmdir()
