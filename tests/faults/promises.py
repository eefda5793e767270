"""docs/promises.md, made of a run's results: each promise, how it is tested, and what came out."""

import os
import platform
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults import campaign, checker, results
from tests.faults.faults import KILL

ROOT = Path(__file__).resolve().parents[2]
Result = Mapping[str, Any]


def page(folder: Path) -> str:
    """The page of the run in ``folder``, as Markdown."""
    faults = campaign.kept(folder)
    tests = results.read(folder, "test", "file", "case", "when")
    figures = results.read(folder, "figure", "file", "name")
    begun = results.read(folder, "begun")
    elsewhere = results.read(folder, "elsewhere", "point")
    without = results.read(folder, "no error", "point")
    commits, servers = (list(dict.fromkeys(b[k] for b in begun)) for k in ("commit", "postgres"))
    seconds = sum(r["seconds"] for r in results.read(folder, "time"))
    lines = [
        "# What is promised, and how it was tested",
        "",
        "Made by `bin/test --faults`; never edited. A promise is the first sentence of a family of"
        " the tests in `tests/faults/`, and of those beside them that `tests/faults/beside.py` names; what follows is what came out of the last whole run.",
        "",
        f"- Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- Commit: {', then '.join(commits)}",
        f"- Machine: {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        f"- PostgreSQL {', '.join(servers)}, Python {platform.python_version()}",
        f"- Duration: {seconds / 60:.0f} minutes",
        "",
        *_promises(faults, tests),
        *_points(faults),
        *_without_errors(without),
        *_elsewhere(elsewhere),
        *_families(tests, figures),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _promises(faults: Sequence[Result], tests: Sequence[Result]) -> Iterator[str]:
    yield "| promise | how it is tested | last whole run |"
    yield "|---|---|---|"
    kills, errors = _split(faults)
    if kills:
        yield (
            "| Killed with SIGKILL at any call that matters, nothing is lost, doubled, half visible"
            f" or deleted unproven, and all completes | `tests/faults/campaign.py` | {_said(kills)} |"
        )
    if errors:
        yield (
            "| Given an error at any call that matters, the same; once the disk is well, all"
            f" completes by itself | `tests/faults/campaign.py` | {_said(errors)} |"
        )
    for file, of_file in _by_file(tests).items():
        yield f"| {_cell(of_file[0]['promise'])} | `{file}` | {_outcomes(of_file)} |"
    yield ""


def _said(faults: Sequence[Result]) -> str:
    wrong = sum(bool(f["wrong"]) for f in faults)
    return f"{len(faults)} faults: {wrong or 'none'} failed, {_missed(faults)} not hit"


def _points(faults: Sequence[Result]) -> Iterator[str]:
    """How many points, by kind of work; what was found wrong; what could not be hit."""
    if not faults:
        return
    kills, errors = _split(faults)
    yield "## Killed at every step, and the same with errors"
    yield ""
    yield (
        "A point is distinct by the kind of work and its form, the process, the call, and the role"
        " of what it is about (a temporary file, a package, a sidecar, a directory, the trash, a"
        " statement of the database, a word between worker and daemon); of each, at most two"
        " ordinals. An error point is a point and an error. Kills are strace's, all of them: there"
        " are no built-in fault points."
    )
    yield ""
    yield "| work | kill points | not hit | error points | not hit |"
    yield "|---|---:|---:|---:|---:|"
    for kind in sorted({f["kind"] for f in faults}):
        k, e = ([f for f in part if f["kind"] == kind] for part in (kills, errors))
        yield f"| {kind} | {len(k)} | {_missed(k)} | {len(e)} | {_missed(e)} |"
    yield f"| **all** | {len(kills)} | {_missed(kills)} | {len(errors)} | {_missed(errors)} |"
    alike = [len({_alike(f) for f in part}) for part in (kills, errors)]
    yield (
        f"| distinct even where the forms of a kind are not told apart | {alike[0]} | |"
        f" {alike[1]} | |"
    )
    yield ""
    found = Counter(w.split(":")[0] for f in faults for w in f["wrong"])
    yield "| found wrong, after a kill or an error | count |"
    yield "|---|---:|"
    for kind, words in checker.KINDS.items():
        yield f"| {words} | {found[kind]} |"
    yield ""
    failed = [f for f in faults if f["wrong"]]
    yield from _list("Failed:", (f"{_named(f)}: {f['wrong'][0]}" for f in failed))
    missed = (_named(f) for f in faults if not f["hit"])
    yield from _list("Tried, and never hit: what is done there is chance.", missed)


def _without_errors(points: Sequence[Result]) -> Iterator[str]:
    """The points that are killed and given no error: each kind's, by the reason."""
    for why in sorted({p["why"] for p in points}):
        of_it = [p for p in points if p["why"] == why]
        yield f"Error points that can't be injected, {len(of_it)}: {_cell(why)}."
        yield ""
        for kind in sorted({p["kind"] for p in of_it}):
            names = [p["point"].removeprefix(p["scene"] + ", ") for p in of_it if p["kind"] == kind]
            counts = sorted(Counter(n.rpartition(", no. ")[0] for n in names).items())
            told = "; ".join(name + (f" ({n} times)" if n > 1 else "") for name, n in counts)
            yield f"- {kind}: {_cell(told)}"
        yield ""


def _elsewhere(points: Sequence[Result]) -> Iterator[str]:
    """The points that two scenes share, and that one of them leaves to the other."""
    for (scene, like), many in sorted(Counter((p["scene"], p["like"]) for p in points).items()):
        names = sorted(p["point"].removeprefix(scene + ", ") for p in points if p["scene"] == scene)
        yield (
            f"{many} points of *{scene}* are points of *{like}* too, and are tried there:"
            f" {_cell('; '.join(names))}."
        )
        yield ""


def _families(tests: Sequence[Result], figures: Sequence[Result]) -> Iterator[str]:
    for file, of_file in _by_file(tests).items():
        yield f"## {of_file[0]['promise'].rstrip('.')}"
        yield ""
        yield f"`{file}`: {_outcomes(of_file)}"
        yield ""
        by_name: dict[str, list[Result]] = defaultdict(list)
        for test in of_file:
            by_name[test["test"]].append(test)
        for name, cases in sorted(by_name.items()):
            sentence = name.removeprefix("test_").replace("_", " ")
            yield f"- {sentence}: {_outcomes(cases)}"
        yield from (f"- *{f['name']} {f['value']}*" for f in figures if f["file"] == file)
        yield ""


def _list(title: str, lines: Iterator[str]) -> Iterator[str]:
    told = sorted(f"- {_cell(line)}" for line in lines)
    if told:
        yield from (title, "", *told, "")


def _split(faults: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    kills = [f for f in faults if f["fault"] == KILL]
    return kills, [f for f in faults if f["fault"] != KILL]


def _alike(fault: Result) -> tuple[str, str, str]:
    return fault["kind"], fault["point"].removeprefix(fault["scene"]), fault["fault"]


def _missed(faults: Sequence[Result]) -> int:
    return sum(not f["hit"] for f in faults)


def _named(fault: Result) -> str:
    return f"{fault['point']}: {fault['fault'].replace('signal=SIGKILL', 'kill')}"


def _by_file(tests: Sequence[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = defaultdict(list)
    for test in sorted(tests, key=lambda t: t["file"]):
        found[test["file"]].append(test)
    return found


def _outcomes(tests: Sequence[Result]) -> str:
    """Of each case its worst: one that ran and could not be cleaned up after has failed."""
    worst: dict[str, str] = {}
    for test in tests:
        if worst.get(test["case"]) != "failed":
            worst[test["case"]] = test["outcome"]
    counts = Counter(worst.values())
    said = ", ".join(f"{counts[o]} {o}" for o in ("passed", "failed", "skipped") if counts[o])
    whys = sorted({t["why"].removeprefix("Skipped: ") for t in tests if t["why"]})
    return said + (f" ({_cell('; '.join(whys))})" if whys else "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def commit() -> str:
    """What is tested, by its commit."""

    def git(*words: str) -> str:
        run = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return run.stdout.strip()

    changed = [p for p in git("status", "--porcelain").splitlines() if "promises.md" not in p]
    head = git("rev-parse", "--short=12", "HEAD") or "not known"
    return f"{head}{', with changes' if changed else ''}"
