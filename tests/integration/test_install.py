"""make install, make uninstall: where everything goes, what is said, and that nothing stays."""
import re
import subprocess

import pytest

import rig

SAID = ["systemctl --user daemon-reload", "systemctl --user enable --now kubetoken.socket"]


def make(target, **variables):
    """With what is built: another PREFIX would have it built again."""
    r = subprocess.run(["make", "-C", rig.TOP, "-o", "all", target, f"BUILD={rig.BUILD}",
                        *(f"{name}={value}" for name, value in variables.items())],
                       capture_output=True, text=True, timeout=rig.PATIENCE, check=False)
    assert r.returncode == 0, r.stderr
    return r.stdout


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.fixture
def staged(tmp_path):
    """The folder of a packager, and what make printed."""
    return tmp_path, make("install", DESTDIR=tmp_path, PREFIX="/usr",
                          USERUNITDIR="/usr/lib/systemd/user")


def test_all_pages_are_installed(staged):
    folder, _ = staged
    for page in (rig.TOP / "man").glob("*.[1-8]"):
        assert (folder / f"usr/share/man/man{page.suffix[1:]}" / page.name).is_file()


def test_programs_can_be_run_and_nothing_else(staged):
    folder, _ = staged
    programs = {path.name for path in folder.rglob("*")
                if path.is_file() and path.stat().st_mode & 0o777 == 0o755}
    assert programs == {"kubetoken", "kubetokend", "kubetoken-fetch", "kubetoken-admin",
                        "kubectl-kubetoken", "kubectl_complete-kubetoken"}
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()
            and path.name not in programs} == {0o644}


def test_the_units_name_the_installed_programs(staged):
    folder, _ = staged
    unit = (folder / "usr/lib/systemd/user/kubetoken.service").read_text()
    assert re.findall(r"^Exec\w+=(.*)$", unit, re.M) == ["/usr/bin/kubetokend",
                                                         "/usr/bin/kubetoken reload"]
    assert (folder / "usr/lib/systemd/user/kubetoken.socket").is_file()


def test_the_hardened_drop_in_is_there_and_not_in_force(staged):
    folder, _ = staged
    assert [str(path.relative_to(folder)) for path in folder.rglob("hardened.conf")] \
        == ["usr/share/kubetoken/hardened.conf"]


def test_the_catalogue_is_where_journalctl_looks(staged):
    folder, _ = staged
    assert (folder / "usr/lib/systemd/catalog/kubetoken.catalog").is_file()


def test_kubectl_finds_its_plugin(staged):
    folder, _ = staged
    plugin = folder / "usr/bin/kubectl-kubetoken"
    assert plugin.is_symlink() and plugin.resolve() == folder / "usr/bin/kubetoken"


def test_completions_are_where_the_shells_look(staged, tmp_path):
    """fish does not look below /usr/local by itself."""
    folder, _ = staged
    assert {"usr/share/bash-completion/completions/kubetoken.bash",
            "usr/share/zsh/site-functions/_kubetoken",
            "usr/share/fish/vendor_completions.d/kubetoken.fish"} <= files(folder)
    make("install", DESTDIR=tmp_path / "local", PREFIX="/usr/local")
    assert "etc/fish/completions/kubetoken.fish" in files(tmp_path / "local")
    make("uninstall", DESTDIR=tmp_path / "local", PREFIX="/usr/local")
    assert files(tmp_path / "local") == set()


def test_a_packager_may_have_the_units_elsewhere(tmp_path):
    make("install", DESTDIR=tmp_path, USERUNITDIR="/usr/lib/systemd/user")
    assert {path for path in files(tmp_path) if "systemd/user" in path} == {
        "usr/lib/systemd/user/kubetoken.service", "usr/lib/systemd/user/kubetoken.socket"}


def test_who_is_logged_in_is_told_what_to_say(tmp_path):
    said = make("install", PREFIX=tmp_path).splitlines()
    assert [line.strip() for line in said if line.startswith(" ")] == SAID


def test_a_packager_is_told_nothing(staged):
    _, said = staged
    assert "systemctl" not in said


@pytest.mark.parametrize("variables", [{}, {"DESTDIR": "stage"}, {"USERUNITDIR": "units"}],
                         ids=["plain", "DESTDIR", "USERUNITDIR"])
def test_uninstall_leaves_nothing_of_ours_and_all_of_others(tmp_path, variables):
    variables = {name: tmp_path / folder for name, folder in variables.items()}
    make("install", PREFIX=tmp_path, **variables)
    before = files(tmp_path)
    units = next(tmp_path.rglob("kubetoken.socket")).parent
    (units / "another.service").touch()
    (next(tmp_path.rglob("hardened.conf")).parent / "notes").touch()
    make("uninstall", PREFIX=tmp_path, **variables)
    assert len(before) > 15
    assert {path.rpartition("/")[2] for path in files(tmp_path)} == {"another.service", "notes"}
    folders = {path.name for path in tmp_path.rglob("kubetoken") if path.is_dir()}
    assert folders == {"kubetoken"}  # that of the notes


def test_uninstall_twice_is_no_error(tmp_path):
    make("uninstall", DESTDIR=tmp_path)
    assert files(tmp_path) == set()
