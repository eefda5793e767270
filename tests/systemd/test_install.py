"""``nf install`` on the files of a host that does not run: what it lays, enables, and takes away."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nightferry.cli import main
from nightferry.installing.mounts import escaped, mount_of

HOST = """\
site: dome
runs: [ingest, package, verify]
locations: {source: /data/nickel, buffer: /srv/the buffer}
backup: buffer
canary: source
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if shutil.which("systemctl") is None:
        pytest.skip("systemctl is not on this machine (Debian package systemd)")
    monkeypatch.delenv("NIGHTFERRY_CONFIG", raising=False)
    (tmp_path / "etc/nightferry").mkdir(parents=True)
    (tmp_path / "etc/fstab").write_text("# disks\n/dev/sdb1 /data ext4 defaults,nofail 0 2\n")
    return tmp_path


def install(root: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["install", "--root", str(root), *options])
    return int(ended.value.code or 0)


def says(root: Path, text: str) -> None:
    (root / "etc/nightferry/nightferry.yaml").write_text(text)


def units(root: Path) -> Path:
    return root / "etc/systemd/system"


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): b"" if p.is_symlink() else p.read_bytes()
        for p in root.rglob("*")
        if p.is_symlink() or p.is_file()
    }


def test_a_plan_changes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    says(root, HOST)
    before = tree(root)
    assert install(root) == 1
    assert tree(root) == before
    assert "nightferry-ingest.service" in capsys.readouterr().out


def test_without_a_configuration_all_is_laid_and_nothing_enabled(root: Path) -> None:
    assert install(root, "--apply") == 0
    assert (units(root) / "nightferry-archive.service").exists()
    assert (root / "etc/nightferry/nightferry.yaml.example").exists()
    assert not (root / "etc/nightferry/nightferry.yaml").exists()
    assert not list(units(root).glob("*.wants/*"))


def test_what_the_configuration_names_is_enabled_and_may_write_to_its_locations_alone(
    root: Path,
) -> None:
    says(root, HOST)
    assert install(root, "--apply") == 0
    wanted = {link.name for link in (units(root) / "nightferry.target.wants").iterdir()}
    assert wanted == {
        "nightferry-ingest.service", "nightferry-package.service", "nightferry-verify.service",
        "nightferry-postgres.service", "nightferry-migrate.service", "nightferry-backup.timer",
        "nightferry-canary.timer", "nightferry-mount@data.service",
    }  # fmt: skip
    drop_in = (units(root) / "nightferry-verify.service.d/nightferry-install.conf").read_text()
    assert "After=data.mount nightferry-mount@data.service\n" in drop_in
    assert "ReadWritePaths=-/data/nickel\n" in drop_in
    assert 'ReadWritePaths="-/srv/the buffer"\n' in drop_in
    assert drop_in.count("ReadWritePaths") == 2
    reads_only = (units(root) / "nightferry-ingest.service.d/nightferry-install.conf").read_text()
    assert "ReadWritePaths" not in reads_only
    program = f"ExecStart={sys.prefix}/bin/nightferry-ingest\n"
    assert program in (units(root) / "nightferry-ingest.service").read_text()
    follows = (units(root) / "nightferry-mount@.service.d/nightferry-install.conf").read_text()
    assert "nightferry-ingest.service nightferry-package.service" in follows


def test_doing_it_twice_does_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    says(root, HOST)
    install(root, "--apply")
    before = tree(root)
    capsys.readouterr()
    assert install(root) == 0
    assert install(root, "--apply") == 0
    assert tree(root) == before
    assert "lay " not in capsys.readouterr().out


def test_a_changed_configuration_changes_what_is_laid(root: Path) -> None:
    says(root, HOST)
    install(root, "--apply")
    elsewhere = HOST.replace("ingest, ", "").replace("canary: source\n", "")
    says(root, elsewhere.replace("backup: buffer", "database: postgresql://db/n"))
    assert install(root) == 1
    assert install(root, "--apply") == 0
    wanted = {link.name for link in (units(root) / "nightferry.target.wants").iterdir()}
    assert wanted == {
        "nightferry-package.service", "nightferry-verify.service", "nightferry-mount@data.service"
    }  # fmt: skip
    assert not (units(root) / "nightferry-ingest.service.d").exists()
    opened = (units(root) / "nightferry-verify.service.d/nightferry-install.conf").read_text()
    assert "PrivateNetwork=no" in opened


def test_the_calibrator_reaches_a_remote_catalogue_if_one_is_named(root: Path) -> None:
    place = units(root) / "nightferry-calibrate.service.d/nightferry-install.conf"
    here = HOST.replace("verify]", "calibrate]")
    says(root, here)
    install(root, "--apply")
    assert "PrivateNetwork" not in place.read_text()
    says(root, here + "calibrate: {remote: [gaia-dr3]}\n")
    install(root, "--apply")
    assert "PrivateNetwork=no" in place.read_text()


def test_removing_keeps_configuration_data_and_a_persons_own_drop_ins(root: Path) -> None:
    says(root, HOST)
    install(root, "--apply")
    own = units(root) / "nightferry-verify.service.d/override.conf"
    own.write_text("[Service]\nNice=5\n")
    data = root / "var/lib/nightferry/postgres/18"
    data.mkdir(parents=True)
    assert install(root, "--remove") == 1
    assert (units(root) / "nightferry.target").exists()
    assert install(root, "--remove", "--apply") == 0
    left = {path for path in tree(root) if "nightferry" in path}
    assert left == {"etc/nightferry/nightferry.yaml", str(own.relative_to(root))}
    assert data.is_dir()
    assert install(root, "--remove") == 0


def test_an_unknown_daemon_is_refused_with_its_line_and_the_nearest_name(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    says(root, HOST.replace("verify", "verfy"))
    assert install(root, "--apply") == 3
    said = capsys.readouterr().err
    assert "nightferry.yaml, line 2: there is no daemon 'verfy'; did you mean 'verify'?" in said
    assert not units(root).exists()


@pytest.mark.parametrize("path", ["/data", "/data/nick el", "/data/ä/b-c", "/data/.hidden/.x"])
def test_a_mount_unit_is_named_as_systemd_names_it(path: str) -> None:
    if shutil.which("systemd-escape") is None:
        pytest.skip("systemd-escape is not on this machine (Debian package systemd)")
    said = subprocess.run(
        ["systemd-escape", "-p", path], capture_output=True, text=True, check=True
    )
    assert escaped(Path(path)) == said.stdout.strip()


def test_a_directory_lies_on_the_deepest_mount_above_it() -> None:
    points = [Path("/"), Path("/data"), Path("/data/b"), Path("/database")]
    assert mount_of(Path("/data/b/c"), points) == Path("/data/b")
    assert mount_of(Path("/data/bc"), points) == Path("/data")
    assert mount_of(Path("/srv"), points) is None
