"""Credential commands beside a real user manager: in a unit of their own, outside the sandbox and
the life of kubetoken.service; as its children where that cannot be."""
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess

import pytest

import memory_scan
from service import PATIENCE, as_root, wait_until
from service import command as run

HOME = pathlib.Path.home()
RUNTIME = pathlib.Path("/run/user/4711")
COMMAND = "kubetoken-command-"
# What a user may add: no way to the user's systemd, nor to what it would run outside.
CLOSED = ("[Service]\nPrivateUsers=yes\n"
          "InaccessiblePaths=%t/systemd/private %t/bus\n")
# Nothing may be written but the socket's folder.
CONFINED = ("[Service]\nPrivateUsers=yes\nProtectSystem=strict\nProtectHome=read-only\n"
            "ReadWritePaths=%t/kubetoken\nMemoryDenyWriteExecute=yes\n")


def alive(pid):
    """A process that has ended and that nobody has collected yet is none."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def journal(*words):
    """All of it that this user sees."""
    run("journalctl", "--sync", check=False)
    return run("journalctl", "--no-pager", "--all", *words).stdout


@pytest.fixture
def service(service):
    if not (RUNTIME / "bus").exists():
        pytest.skip("there is no bus of the user: dbus-daemon is not installed")
    yield service
    service.systemctl("kill", "--signal=SIGKILL", COMMAND + "*", check=False)


def command(service, fake, line):
    """The command yields the password of profile p."""
    service.configure(fake.profile(password=f"password-command = {line}"))
    service.systemctl("stop", service.name)


def password(service, fake):
    """What was sent as one."""
    service.get()
    return fake.grants()[-1].form["password"]


@pytest.fixture(params=["unit", "child"])
def way(request, service):
    if request.param == "child":
        service.drop_in("closed", CLOSED)
    return request.param


# ---- where it runs ---------------------------------------------------------------------------

def test_a_command_runs_in_a_unit_of_its_own_where_systemd_can_be_asked(service, fake, way):
    command(service, fake, "sh -c 'tail -n 1 /proc/self/cgroup'")
    cgroup = password(service, fake)
    assert (f"/{COMMAND}" in cgroup) == (way == "unit"), cgroup
    assert cgroup.endswith("/kubetoken.service") == (way == "child"), cgroup


LOOK = """cd {folder} && /usr/bin/python3 -B - {pids} <<'END'
import sys
from memory_scan import copies, exposed, scan
secret = open("{file}").read()
for pid in sys.argv[1:]:
    found = scan(pid, {{"canary": secret}})
    print(pid, len(found), exposed(found) + copies(found))
END
"""


def test_a_password_is_in_the_daemon_alone_while_its_command_runs(service, fake, way, tmp_path):
    """Not in systemd-run between both, and in pages that are locked."""
    file, started, goes_on = (tmp_path / name for name in ("pw", "started", "goes-on"))
    file.write_text("canary-" + secrets.token_hex(16))
    command(service, fake, f"sh -c 'cat {file}; touch {started}; "
                           f"while [ ! -e {goes_on} ]; do sleep 0.05; done'")
    with subprocess.Popen(["/usr/local/bin/kubetoken", "get", "p"],
                          stdout=subprocess.DEVNULL) as get:
        wait_until(started.exists, "the command")
        daemon = service.show("MainPID")
        children = pathlib.Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
        folder = pathlib.Path(memory_scan.__file__).parent
        said = wait_until(lambda: "0" != (lines := as_root(LOOK.format(
            folder=folder, file=file, pids=f"{daemon} {' '.join(children)}")).splitlines()
        )[0].split()[1] and lines, "the password in the daemon")
        goes_on.touch()
        assert get.wait(PATIENCE) == 0
    assert said[0].endswith(" []"), said
    program = "systemd-run" if way == "unit" else "sh"
    assert len(said) == 2 and (program == "sh" or said[1].endswith(" 0 []")), said
    assert fake.grants()[-1].form["password"] == file.read_text()


def test_it_is_a_unit_also_when_an_upgrade_has_replaced_the_daemons_file(service, fake):
    command(service, fake, "sh -c 'tail -n 1 /proc/self/cgroup'")
    first = password(service, fake)
    program = "/usr/local/bin/kubetokend"
    as_root(f"cp {program} {program}.new && mv {program}.new {program}")
    assert service.run("refresh").returncode == 0
    second = fake.grants()[-1].form["password"]
    assert f"/{COMMAND}" in second != first


def test_a_child_leads_a_group_of_its_own_and_why_it_is_one_is_said_once(service, fake):
    service.drop_in("closed", CLOSED)
    command(service, fake, "sh -c 'echo $(cut -d\" \" -f1,5 /proc/$$/stat)'")
    pid, group = password(service, fake).split()
    assert pid == group
    service.run("refresh")
    assert len(fake.grants()) == 2
    invocation = service.show("InvocationID")
    lines = journal("-o", "cat", f"_SYSTEMD_INVOCATION_ID={invocation}",
                            "KUBETOKEN_EVENT=command")
    assert lines == ("credential commands run inside this service: the user's bus and systemd "
                     "cannot be reached\n")


@pytest.mark.parametrize("line", [
    "sh -c 'echo $HOME %h'", "printf '%%s' '$HOME ${HOME} $$ %h %n \\x41 \"q\"'",
    "sh -c 'printf \"%s|\" \"$@\"' x '' \"b  c\" -n $x '$'",
    "sh -c 'echo $(pwd) $(umask) $(ulimit -c) $(readlink /proc/self/fd/0)'",
    "sh -c 'exec 2>&-; echo words; exit 0'"])
def test_a_line_means_the_same_in_both_ways(service, fake, line):
    command(service, fake, line)
    in_unit = password(service, fake)
    service.drop_in("closed", CLOSED)
    command(service, fake, line)
    assert password(service, fake) == in_unit != ""


def test_a_command_may_write_where_the_service_may_not(service, fake, tmp_path):
    service.drop_in("confined", CONFINED)
    line = "sh -c 'echo canary-pw > {0} && cat {0} && rm {0}'"
    for folder in (HOME, tmp_path):
        command(service, fake, line.format(folder / "written"))
        assert password(service, fake) == "canary-pw"
    service.drop_in("closed", CLOSED)
    command(service, fake, line.format(HOME / "written"))
    assert "Read-only file system" in service.run("get").stderr


def test_variables_that_the_service_alone_has_are_passed_on(service, fake):
    service.drop_in("variable", "[Service]\nEnvironment=PASSWORD_STORE_DIR=/of/the/drop-in "
                                "CANARY_VARIABLE=x\n")
    command(service, fake, "sh -c 'echo $PASSWORD_STORE_DIR:$CANARY_VARIABLE'")
    assert password(service, fake) == "/of/the/drop-in:"


@pytest.mark.parametrize("line, says", [
    ("/nowhere/pass", "password-command: exit status 127, with PATH=/"),
    ("no-such-program-at-all x", "password-command: exit status 127, with PATH=/"),
    ("sh -c no-such-program", "no-such-program: not found: exit status 127, with PATH=/"),
    ("/etc/passwd", "exit status 126"),
    ("sh -c 'echo first >&2; echo why not >&2; echo >&2; exit 2'",
     "failed with exit status 2: why not"),
    ("sh -c 'exit 3'", "failed with exit status 3\n"),
    ("sh -c 'printf half; kill -TERM $$'", "was killed by"),
    ("sh -c 'printf half; kill -KILL $$'", "was killed by"),
    ("sh -c 'printf canary-pw; printf \"got canary-pw\" >&2; exit 4'",
     "failed with exit status 4\n"),
    ("head -c 70000 /dev/zero", "printed more than 64 KiB"), ("true", "is empty")])
def test_a_command_that_gives_no_password_is_explained(service, fake, way, line, says):
    command(service, fake, line)
    r = service.run("get")
    assert r.returncode == 9 and r.stderr.count("\n") == 1, way
    assert says in r.stderr.replace("; ", "\n"), r.stderr
    assert fake.grants() == []


def test_a_script_without_an_interpreter_is_one_of_sh(service, fake, way, tmp_path):
    script = tmp_path / "script"
    script.write_text("echo canary-pw\n")
    script.chmod(0o700)
    command(service, fake, str(script))
    assert password(service, fake) == "canary-pw", way


def test_a_program_that_others_can_change_is_not_run(service, fake, way, tmp_path):
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\necho canary-pw\n")
    script.chmod(0o757)
    command(service, fake, str(script))
    r = service.run("get")
    assert r.returncode == 9, way
    assert (f"password-command: the command is not run: {script} can be written by others "
            f"(mode 757); chmod o-w {script}\n") in r.stderr, r.stderr
    assert not (tmp_path / "ran").exists() and fake.grants() == []
    script.chmod(0o700)
    assert service.run("refresh").returncode == 0
    assert password(service, fake) == "canary-pw"


# ---- what it leaves --------------------------------------------------------------------------

@pytest.fixture
def agent(tmp_path):
    """A command that leaves a process behind, which has the command's stdout too."""
    pids = tmp_path / "agent"
    yield pids
    if pids.exists():
        for pid in pids.read_text().split():
            if alive(pid):
                os.kill(int(pid), signal.SIGKILL)


def test_an_agent_that_a_command_leaves_behind_outlives_the_service(service, fake, agent):
    command(service, fake, f"sh -c 'setsid sleep 100000 & echo $! > {agent}; printf canary-pw'")
    assert password(service, fake) == "canary-pw"
    pid = agent.read_text().strip()
    service.systemctl("restart", service.name)
    service.pid()
    assert alive(pid)
    os.kill(service.pid(), signal.SIGKILL)
    service.get()
    service.systemctl("stop", "kubetoken.socket", service.name)
    assert alive(pid)


def hang(service, fake, agent, tmp_path):
    """Has a command hang, for which nobody waits any more. It has left an agent. Returns the pids
    of its main process, of a child in the same group, and of the agent, and how often it ran."""
    runs, pids = tmp_path / "runs", tmp_path / "pids"
    os.mkfifo(tmp_path / "never")
    command(service, fake,
            f"sh -c 'echo x >> {runs}; setsid sleep 100000 & echo $! > {agent}; sleep 100001 & "
            f"echo $$ $! $(cat {agent}) > {pids}.new; mv {pids}.new {pids}; "
            f"cat < {tmp_path}/never; wait'")
    wait_until(lambda: "command has not ended yet" in service.run("get", "--timeout", "1s").stderr,
               "a get that says what it waited for")
    wait_until(pids.exists, "a command that hangs")
    unit, _, description = service.systemctl("list-units", "--plain", "--no-legend",
                                             COMMAND + "*").stdout.partition(" ")
    assert description.endswith(" Credential command of kubetoken, profile p\n")
    # what follows is by this, and not since its time is up
    assert service.show("BindsTo", unit) == service.name
    main, child, left = pids.read_text().split()
    agent.write_text(f"{left} {child}")
    return main, child, left, runs


def settled(service):
    """No job is under way, and no command either."""
    return not service.systemctl("list-jobs", "--no-legend").stdout.strip() and not re.search(
        r"\s(active|activating|deactivating|reloading)\s",
        service.systemctl("list-units", "--all", "--plain", "--no-legend", COMMAND + "*").stdout)


@pytest.mark.parametrize("what", ["restart", "stop", "kill -9"])
def test_a_command_that_hangs_ends_with_the_service_and_its_agent_does_not(
        service, fake, agent, tmp_path, what):
    main, _, left, runs = hang(service, fake, agent, tmp_path)
    before = service.pid()
    if what == "kill -9":
        os.kill(before, signal.SIGKILL)
    else:
        service.systemctl(what, service.name)
    wait_until(lambda: not alive(main), "the end of the command")
    wait_until(lambda: what == "stop" or service.pid() != before, "another daemon")
    wait_until(lambda: settled(service), "the end of all jobs")
    assert alive(left)
    assert runs.read_text() == "x\n"  # and not once more with the service's restart


def test_a_command_whose_attempt_is_given_up_ends_with_all_that_it_started(
        service, fake, agent, tmp_path):
    main, child, left, runs = hang(service, fake, agent, tmp_path)
    service.configure(fake.profile(user="another", password="password = canary-pw"))
    service.run("reload")
    wait_until(lambda: not any(alive(pid) for pid in (main, child, left)), "the end of all")
    service.get()
    assert runs.read_text() == "x\n"


def test_nothing_of_the_line_the_output_or_stderr_is_in_the_journal(service, fake, agent):
    """Also where a unit that an agent keeps alive is read again by the manager."""
    canary = secrets.token_hex(8)
    line = (f"sh -c 'setsid sleep 100000 & echo $! > {agent}; echo \"{canary}\" >&2; "
            f"echo {canary}; {{}} $ \\ `:` %h ; ' {canary}")
    command(service, fake, line.format(":"))
    assert password(service, fake) == canary
    service.systemctl("daemon-reload")
    command(service, fake, line.format("echo last >&2; exit 7"))
    assert "exit status 7: last" in service.run("get").stderr
    service.systemctl("daemon-reload")
    text = journal("-o", "export")
    assert "exit status 7: last" in text  # by us, and nothing else of that
    assert COMMAND not in text and canary not in text
    units = list((RUNTIME / "systemd").glob(f"**/{COMMAND}*"))
    assert units and not any(canary in unit.read_text() for unit in units)


# ---- real ones -------------------------------------------------------------------------------

def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


@pytest.fixture
def gpg():
    """A key without a passphrase and a store for pass; no agent in the end."""
    need("pass", "gpg", "gpg-agent")
    folders = HOME / ".gnupg", HOME / ".password-store"
    sockets = "gpg-agent.socket", "gpg-agent.service"
    run("systemctl", "--user", "stop", *sockets, check=False)
    run("gpgconf", "--kill", "all")
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", "kt@example.com", "default",
        "default", "never")
    run("pass", "init", "kt@example.com")
    run("pass", "insert", "--echo", "kubetoken", input="canary-of-pass\n")
    run("gpgconf", "--kill", "all")
    yield
    run("gpgconf", "--kill", "all", check=False)
    run("systemctl", "--user", "stop", *sockets, check=False)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def agent_pid():
    r = run("gpg-connect-agent", "--no-autostart", "getinfo pid", "/bye", check=False)
    found = re.search(r"^D (\d+)", r.stdout, re.MULTILINE)
    return found and found[1]


def test_pass_with_the_agent_that_systemd_starts(service, fake, gpg):
    if service.systemctl("start", "gpg-agent.socket", check=False).returncode:
        pytest.skip("there is no gpg-agent.socket")
    command(service, fake, "pass show kubetoken")
    assert password(service, fake) == "canary-of-pass"
    assert service.show("MainPID", "gpg-agent.service") == agent_pid()


def test_pass_with_an_agent_of_gpgs_own_which_outlives_a_restart(service, fake, gpg):
    service.drop_in("confined", CONFINED)
    command(service, fake, "pass show kubetoken")
    assert not agent_pid()
    assert password(service, fake) == "canary-of-pass"
    agent = agent_pid()
    assert f"/{COMMAND}" in pathlib.Path(f"/proc/{agent}/cgroup").read_text()
    service.systemctl("restart", service.name)
    assert password(service, fake) == "canary-of-pass"
    assert agent_pid() == agent


def test_secret_tool_with_a_keyring(service, fake):
    need("secret-tool", "gnome-keyring-daemon")
    keyring = subprocess.Popen(["gnome-keyring-daemon", "--foreground", "--unlock",
                                "--components=secrets"], stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        keyring.stdin.write(b"of the keyring")
        keyring.stdin.close()
        wait_until(lambda: run("busctl", "--user", "status", "org.freedesktop.secrets",
                               check=False).returncode == 0, "a keyring")
        run("secret-tool", "store", "--label=test", "service", "kubetoken",
            input="canary-of-keyring")
        command(service, fake, "secret-tool lookup service kubetoken")
        assert password(service, fake) == "canary-of-keyring"
    finally:
        keyring.terminate()
        keyring.wait(PATIENCE)
        shutil.rmtree(HOME / ".local" / "share" / "keyrings", ignore_errors=True)


def test_a_credential_that_systemd_has_encrypted(service, fake, tmp_path):
    """By the system's own socket: systemd 256 or later."""
    need("systemd-creds")
    if "--user " not in run("systemd-creds", "--help").stdout:
        pytest.skip("systemd-creds of this version has no --user")
    as_root("systemctl start systemd-creds.socket")
    file = tmp_path / "credential"
    run("systemd-creds", "--user", "encrypt", "--name=pw", "-", file, input="canary-of-systemd")
    command(service, fake, f"systemd-creds --user decrypt --name=pw {file} -")
    assert password(service, fake) == "canary-of-systemd"


def test_a_program_that_makes_code_at_run_time_under_a_service_that_may_not(service, fake):
    need("node")
    line = "node -e 'process.stdout.write(\"canary-of-\" + \"node\")'"
    service.drop_in("mdwe", "[Service]\nMemoryDenyWriteExecute=yes\n")
    command(service, fake, line)
    assert password(service, fake) == "canary-of-node"
    service.drop_in("closed", CLOSED)
    command(service, fake, line)
    assert service.run("get").returncode == 9  # as a child it dies
