"""The results of one run: lines of JSON in the folder that NIGHTFERRY_FAULTS_RUN names.

Several processes write at once: a line is one write to a file that is only appended to.
"""

import json
import os
from pathlib import Path
from typing import Any

FOLDER = "NIGHTFERRY_FAULTS_RUN"
NAME = "results.jsonl"


def folder() -> Path | None:
    """Of the run that this process is part of; None if it is part of none."""
    named = os.environ.get(FOLDER)
    return Path(named) if named else None


def keep(folder: Path | None, what: str, **values: Any) -> None:
    """Appends one result of the kind ``what``; nothing where there is no run."""
    if folder is None:
        return
    line = json.dumps({"what": what} | values) + "\n"
    file = os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read(folder: Path, what: str, *key: str) -> list[dict[str, Any]]:
    """The results of one kind, in the order in which they came; of those with one ``key`` the last."""
    found: dict[Any, dict[str, Any]] = {}
    file = folder / NAME
    for line in file.read_text().splitlines() if file.exists() else []:
        result = json.loads(line)
        if result.pop("what") == what:
            found[tuple(result[k] for k in key) or len(found)] = result
    return list(found.values())
