"""What steers a secret is as trusted as the secret: configuration, certificates, files of secrets,
programs, and every folder and link on the way to them."""
import errno
import json
import os
import struct
import subprocess

import pytest

import rig
from rig import wait_until
from test_doctor import doctor
from test_import import Kubeconfig, provider_user
from test_init import files, flags
from test_secret_form import GROUP, OTHER, PROFILE, USER, Desk, needs_root  # noqa: F401

STAFF = 50
CONFIG = "[profile p]\nissuer = https://login.example.com/\nclient-id = c\nusername = u\n"


def open_to_all(path, kind="", mode=0o777):
    """Makes it so; returns what is said of it."""
    path.chmod(mode)
    change = "go-w" if mode & 0o020 else "o-w"
    named = "it" if len(str(path)) > 60 else path
    return f"{kind}{path} can be written by others (mode {mode:o}); chmod {change} {named}"


def check(home):
    r = subprocess.run([rig.BUILD / "kubetokend", "--check-config"], env=home.environment,
                       capture_output=True, text=True, timeout=rig.PATIENCE, check=False)
    assert r.returncode in (0, 9)
    return r.stderr if r.returncode else ""


def fails(home, says, sentence="the configuration has errors", command="get"):
    """Whoever asks is told on one line."""
    r = home.run(command)
    assert r.returncode == 9 and r.stderr.count("\n") == 1 and says in r.stderr, r.stderr
    assert sentence in r.stderr and r.stdout == ""


# ---- the configuration --------------------------------------------------------------------------

def test_a_configuration_that_others_can_write_is_refused_though_it_names_no_secret(
        home, daemon, fake):
    home.write("pw", "canary-pw")
    path = home.configure(fake.profile(password="password-file = pw"))
    daemon.start()
    token = home.run("get").stdout
    before = path.read_text()
    for mode in (0o666, 0o602):
        path.write_text(before)
        says = open_to_all(path, mode=mode).replace(f"{path} can", f"{path}: can")
        r = home.run("reload")
        assert r.returncode == 9 and says in r.stderr, r.stderr
        assert home.run("get").stdout == token, "the former one stays in force"
        assert says in rig.unwrapped(home.run("status").stdout)
        path.write_text(CONFIG)  # without any source of a secret
        assert check(home) == f"{says}\n"
    daemon.restart()
    fails(home, says)
    found = doctor(home).of("configuration")[0]
    assert found["code"] == "config" and says in found["detail"]
    home.configure(fake.profile())
    home.settle()
    assert home.run("get").returncode == 0


def test_a_folder_on_the_way_to_the_configuration_is_judged_and_mended(home, daemon, fake):
    path = home.configure(fake.profile())
    home.settle()
    daemon.start()
    for folder in (home.config, home.config.parent, home.folder):
        before = folder.stat().st_mode
        says = f"{path}: " + open_to_all(folder, "the folder ")
        daemon.restart()
        fails(home, says)
        folder.chmod(0o1777)
        assert home.run("get").returncode == 0, "a chmod is seen, and the sticky bit will do"
        folder.chmod(before)


def test_where_there_is_no_file_yet_nothing_is_wrong_with_it(home):
    home.config.chmod(0o777)
    assert "there is no configuration" in check(home)


def test_a_link_is_followed_to_where_others_can_write(home, tmp_path):
    folder = tmp_path / "dotfiles"
    folder.mkdir()
    (folder / "real").write_text(CONFIG)
    (folder / "real").chmod(0o600)
    (home.config / "kubetoken.conf").symlink_to(folder / "real")
    assert check(home) == ""
    says = open_to_all(folder, "the folder ")
    assert check(home) == f"{home.config}/kubetoken.conf: {says}\n"


# ---- files of secrets ---------------------------------------------------------------------------

@pytest.mark.parametrize("key", ["password", "client-secret"])
@pytest.mark.parametrize("kind", ["file", "credential"])
def test_a_secret_in_a_folder_that_others_can_write_is_not_sent(home, daemon, fake, tmp_path, key,
                                                                kind):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "pw").write_text("canary-pw\n")
    (folder / "pw").chmod(0o600)
    home.environment["CREDENTIALS_DIRECTORY"] = str(folder)
    source = f"{key}-{kind} = {folder / 'pw' if kind == 'file' else 'pw'}"
    home.configure(fake.profile(**{"password" if key == "password" else "extra": source}))
    says = f"{folder}/pw: " + open_to_all(folder, "the folder ")
    daemon.start()
    fails(home, says, "a credential cannot be read")
    assert kind == "credential" or f"p: {says}\n" == check(home)
    assert not fake.requests
    folder.chmod(0o755)
    wait_until(lambda: home.run("get").returncode == 0, "a look at it again")
    assert fake.grants()


# ---- TLS ----------------------------------------------------------------------------------------

def test_certificates_that_others_can_change_are_trusted_by_nobody(home, daemon, fake, tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    for name in ("ca.pem", "client.pem"):
        (folder / name).write_bytes(fake.ca_file.read_bytes())
        (folder / name).chmod(0o600)
    home.configure(fake.profile().replace(str(fake.ca_file), str(folder / "ca.pem")))
    daemon.start()
    token = home.run("get").stdout
    assert token
    asked = len(fake.requests)
    for path, kind, mode in ((folder / "ca.pem", "", 0o666), (folder, "the folder ", 0o777)):
        before = path.stat().st_mode
        says = "ca-file: " + open_to_all(path, kind, mode)
        r = home.run("refresh")
        assert r.returncode == 9 and says in r.stderr and r.stderr.count("\n") == 1, r.stderr
        assert check(home) == f"p: {says}\n"
        assert home.status("p")["error"]["code"] == "tls-file"
        assert [(f["level"], f["code"]) for f in doctor(home).of("credentials")] == [
            ("warning", "tls-file")], "the token of before still lives"
        r = home.run("get")
        assert r.stdout == token, "one that lives is served"
        inspected = json.loads(home.run("inspect", "--json", "p").stdout)
        assert says in inspected["providerError"]["detail"]
        path.chmod(before)
        assert home.run("refresh").returncode == 0
        token, asked = home.run("get").stdout, len(fake.requests)
    home.configure(fake.profile(extra=f"tls-client-cert = {folder}/client.pem\n"
                                      f"tls-client-key = {fake.ca_file}"))
    fake.ca_file.chmod(0o600)
    says = "tls-client-cert: " + open_to_all(folder / "client.pem", "", 0o606)
    assert home.run("reload").returncode == 0
    r = home.run("refresh")
    assert r.returncode == 9 and says in r.stderr, r.stderr
    assert f"p: {says}\n" == check(home)
    assert len(fake.requests) == asked, "nothing was sent meanwhile"


# ---- commands -----------------------------------------------------------------------------------

@pytest.fixture
def tool(tmp_path):
    """A program on the PATH that prints a password, and leaves a trace of having run."""
    folder = tmp_path / "tools"
    folder.mkdir()
    path = folder / "print-it"
    path.write_text(f"#!/bin/sh\necho ran >> {tmp_path}/ran\necho canary-pw\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("key", ["password", "client-secret"])
def test_a_command_that_others_can_change_is_not_run(home, daemon, fake, tmp_path, tool, key):
    home.environment["PATH"] = f"{tmp_path}/none:{tool.parent}:" + home.environment["PATH"]
    home.configure(fake.profile(**{"password" if key == "password" else "extra":
                                   f"{key}-command = print-it --now"}))
    daemon.start()
    for path, kind in ((tool, ""), (tool.parent, "the folder ")):
        says = open_to_all(path, kind)
        fails(home, f"the command is not run: {says}", "a credential cannot be read", "refresh")
        assert check(home) == f"p: the command is not run: {says}\n"
        path.chmod(0o755)
    assert check(home) == ""
    assert not (tmp_path / "ran").exists() and not fake.requests
    wait_until(lambda: home.run("get").returncode == 0, "a look at it again")
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_what_interprets_the_script_of_a_command_is_judged_too(home, daemon, fake, tmp_path, tool):
    real = tmp_path / "shell"
    real.write_text('#!/bin/sh\nexec /bin/sh "$@"\n')
    real.chmod(0o755)
    tool.write_text(tool.read_text().replace("#!/bin/sh", f"#!{real}"))
    home.configure(fake.profile(password=f"password-command = {tool}"))
    daemon.start()
    says = open_to_all(real, mode=0o757)
    fails(home, f"the command is not run: {says}", "a credential cannot be read")
    assert not (tmp_path / "ran").exists() and not fake.requests
    real.chmod(0o755)
    wait_until(lambda: home.run("get").returncode == 0, "a look at it again")


def test_a_command_says_so_by_itself_and_nobody_is_misled(home, daemon, fake, tool):
    """Exit status 126 is also that of a shell; without our words it is told as ever."""
    tool.write_text("#!/bin/sh\necho no such thing >&2\nexit 126\n")
    home.configure(fake.profile(password=f"password-command = {tool}"))
    daemon.start()
    fails(home, "the command failed with exit status 126: no such thing",
          "a credential cannot be read")


# ---- init and import ----------------------------------------------------------------------------

def test_init_and_import_write_nothing_where_others_could_change_it(home, fake):
    kubeconfig = Kubeconfig(home).write(provider_user(fake))
    for folder in (home.config, home.config.parent):
        says = open_to_all(folder, "the folder ")
        for command in (("init", *flags(fake)), ("init", *flags(fake), "--no-verify"),
                        ("import", "--no-verify", "--yes"), ("import", "--yes")):
            r = home.run(*command, input="someone\ncanary-pw\n")
            assert r.returncode == 9 and says in r.stderr, (command, r.stderr)
            assert files(home) == {} and not fake.grants()
        folder.chmod(0o755)
    assert kubeconfig.bytes == kubeconfig.before


def test_a_keyring_s_program_that_others_can_change_gets_no_password(home, fake, tool, tmp_path):
    home.environment.update(PATH=f"{tool.parent}:" + home.environment["PATH"],
                            DBUS_SESSION_BUS_ADDRESS="unix:path=/nowhere")
    program = tool.rename(tool.parent / "secret-tool")
    says = open_to_all(program)
    r = home.run("init", *flags(fake), "--keep-password=secret-tool", input="canary-pw\n")
    assert r.returncode == 9 and f"secret-tool is not run: {says}" in r.stderr, r.stderr
    assert not (tmp_path / "ran").exists() and files(home) == {} and not fake.requests


# ---- a second user ------------------------------------------------------------------------------

@pytest.fixture
def desk():
    d = Desk()
    yield d
    d.close()


def own(path, owner, group=None, mode=None):
    os.chown(path, owner, owner if group is None else group, follow_symlinks=False)
    if mode is not None:
        path.chmod(mode)


BELONGS = f"belongs to another user (uid {OTHER}); it has to be yours or root's"


@needs_root
def test_an_ordinary_user_takes_what_is_his_or_root_s(desk):
    """No false alarm where Debian, or umask 002, has it so; and no folder, file or link of
    another user's."""
    desk.configure(CONFIG)
    home, config = desk.home.config, desk.home.config / "kubetoken.conf"
    for owner, group, mode, bad in (
            (USER, USER, 0o755, None), (USER, USER, 0o775, None), (USER, USER, 0o2775, None),
            (0, 0, 0o755, None), (0, STAFF, 0o2775, None), (0, 0, 0o1777, None),
            (0, GROUP, 0o1775, None), (USER, GROUP, 0o1777, None),
            (USER, GROUP, 0o775, f"(mode 775, group {GROUP}); chmod go-w {home}"),
            (0, GROUP, 0o2775, f"(mode 2775, group {GROUP}); have root say: chmod go-w {home}"),
            (0, 0, 0o757, f"(mode 757); have root say: chmod o-w {home}"),
            (OTHER, USER, 0o755, BELONGS), (OTHER, 0, 0o1777, BELONGS)):
        own(home, owner, group, mode)
        r = desk.check()
        assert r.returncode == (9 if bad else 0), (owner, group, oct(mode), r.stderr)
        assert not bad or r.stderr.endswith(f"{bad}\n"), r.stderr
        assert not bad or r.stderr.startswith(f"{config}: the folder {home} "), r.stderr
    own(home, 0, 0, 0o1777)
    for owner, group, mode, bad in (
            (USER, USER, 0o664, None), (0, 0, 0o664, None), (0, STAFF, 0o664, None),
            (USER, STAFF, 0o664, None),
            (USER, USER, 0o666, f"can be written by others (mode 666); chmod go-w {config}"),
            (USER, GROUP, 0o664, f"can be written by others (mode 664, group {GROUP}); chmod go-w "
             f"{config}"),
            (OTHER, USER, 0o644, BELONGS)):
        own(config, owner, group, mode)
        r = desk.check()
        assert r.returncode == (9 if bad else 0), (owner, group, oct(mode), r.stderr)
        assert not bad or r.stderr == f"{config}: {bad}\n"
    own(config, USER, USER, 0o600)
    config.rename(desk.folder / "real")
    for owner in (USER, 0, OTHER):
        config.unlink(missing_ok=True)
        config.symlink_to(desk.folder / "real")
        own(config, owner)
        r = desk.check()
        assert r.stderr == (f"{config}: the link {config} {BELONGS}\n" if owner == OTHER else "")


@needs_root
def test_an_ordinary_user_s_secrets_certificates_and_programs_are_judged_alike(desk):
    folder = desk.folder / "more"
    folder.mkdir()
    path = folder / "it"
    for line, before, kind in (("password-file = {}", "", 0), ("ca-file = {}", "ca-file: ", 1),
                               ("tls-client-cert = {}", "", 0),
                               ("password-command = {}", "the command is not run: ", 1),
                               ("client-secret-command = {} -x", "the command is not run: ", 1)):
        desk.configure(PROFILE.format(line.format(path)))
        path.write_text("#!/bin/sh\n")
        for owner in (USER, 0):
            own(folder, owner, mode=0o755)
            own(path, USER, mode=0o700)
            assert desk.check().stderr == "", line
        own(folder, OTHER, mode=0o755)
        r = desk.check()
        assert r.returncode == 9, line
        at = f"{path}: " if not before else before
        assert r.stderr == f"p: {at}the folder {folder} {BELONGS}\n"
        own(folder, 0, mode=0o1777)
        own(path, OTHER, mode=0o755)
        r = desk.check()
        assert r.returncode == 9 and f"{path} belongs to another user (uid {OTHER}); " in r.stderr
        assert not kind or r.stderr == f"p: {before}{path} {BELONGS}\n"
        path.unlink()
        path.symlink_to("/etc/hostname")
        own(path, OTHER)
        r = desk.check()
        assert r.returncode == 9 and f"the link {path} {BELONGS}\n" in r.stderr, line
        path.unlink()


def access_list(path, *entries):
    """setfacl(1): of each entry tag, what it may do, id."""
    try:
        os.setxattr(path, "system.posix_acl_access",
                    struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries))
    except OSError as e:
        if e.errno == errno.EOPNOTSUPP:
            pytest.skip("no access control lists here")
        raise


@needs_root
def test_an_access_control_list_is_read_by_a_daemon_that_nobody_may_look_into(desk):
    """Whose mode tells no more than the mask: the group may read alone, another user write."""
    desk.configure(CONFIG)
    path = desk.home.config / "kubetoken.conf"
    NONE = 2**32 - 1
    access_list(path, (1, 6, NONE), (2, 6, OTHER), (4, 4, NONE), (16, 6, NONE), (32, 0, NONE))
    desk.daemon = subprocess.Popen(
        [desk.folder / "bin" / "kubetokend"], env=desk.home.environment, user=USER, group=USER,
        extra_groups=[], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
    client = desk.folder / "bin" / "kubetoken"
    wait_until(lambda: desk.run(client, "version").returncode == 0, "the daemon")
    r = desk.run(client, "get")
    assert r.returncode == 9 and (
        f"{path}: can be written by others (mode 660, access control list: uid {OTHER}); "
        f"chmod go-w {path}") in r.stderr
    access_list(path, (1, 6, NONE), (4, 4, NONE), (8, 6, 50), (16, 6, NONE), (32, 0, NONE))
    assert desk.run(client, "reload").returncode == 0, "staff may write"


@needs_root
@pytest.mark.parametrize("groups, good", [
    (f"her:x:{GROUP}:\n", True), (f"her:x:{GROUP}:her,root\n", True),
    (f"her:x:{GROUP}:him\n", False), (f"her:x:{GROUP}:\nagain:x:{GROUP}:him\n", False)])
def test_the_group_of_one_s_own_is_one_without_others(desk, tmp_path, groups, good):
    """By the files alone: umask 002 is no fault where nobody else is in the group."""
    users, names = tmp_path / "passwd", tmp_path / "group"
    users.write_text(f"root:x:0:0::/:/bin/sh\nher:x:{USER}:{GROUP}::/:/bin/sh\n"
                     f"him:x:{OTHER}:{OTHER}::/:/bin/sh\n")
    names.write_text(f"root:x:0:\n{groups}him:x:{OTHER}:\n")
    desk.configure(CONFIG)
    own(desk.home.config, USER, GROUP, 0o2775)
    own(desk.home.config / "kubetoken.conf", USER, GROUP, 0o664)
    r = subprocess.run(
        ["unshare", "--mount", "sh", "-c",
         'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group || exit 77; shift 2; '
         'exec setpriv --reuid "$1" --regid "$2" --clear-groups "$3" --check-config', "sh",
         users, names, str(USER), str(GROUP), desk.folder / "bin" / "kubetokend"],
        env=desk.home.environment, stdin=subprocess.DEVNULL, text=True, capture_output=True,
        timeout=rig.PATIENCE, check=False)
    if r.returncode == 77 or "unshare" in r.stderr:
        pytest.skip("no mount namespaces here")
    if good:
        assert r.returncode == 0, r.stderr
    else:
        assert r.returncode == 9 and r.stderr == (
            f"{desk.home.config}/kubetoken.conf: the folder {desk.home.config} can be written by "
            f"others (mode 2775, group her); chmod go-w {desk.home.config}\n")


@needs_root
def test_in_a_user_namespace_the_folders_above_are_no_alarm(desk):
    """As by hardened.conf: there / belongs to nobody."""
    path = desk.secret("pw", USER, USER, 0o600)
    desk.configure(PROFILE.format(f"password-file = {path}\nca-file = /etc/ssl/openssl.cnf"))
    inside = ["unshare", "--user", f"--map-user={USER}", f"--map-group={USER}"]
    r = desk.check(before=inside)
    if "unshare" in r.stderr:
        pytest.skip("no user namespaces here")
    assert r.returncode == 0, r.stderr
    ca_file = desk.secret("ca", 0, 0, 0o644)
    desk.configure(PROFILE.format(f"password = x\nca-file = {ca_file}"))
    r = desk.check(before=inside)
    assert r.returncode == 9 and r.stderr == (
        f"p: ca-file: {ca_file} belongs to root or to another user, who both look like uid 65534 "
        "in the user namespace of the service; only what is yours is taken there\n")
