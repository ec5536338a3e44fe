"""What a person types: help of each command, what was meant by what is none, and output that cannot
be written."""
import os
import re
import subprocess

import pytest

import rig

COMMANDS = ["get", "run", "status", "list", "inspect", "login", "logout", "refresh", "reload",
            "share", "unshare", "stop", "restart", "import", "init", "config", "kubeconfig", "log",
            "why", "explain", "doctor", "version", "help"]
MANUAL = (rig.TOP / "man" / "kubetoken.1").read_text(encoding="utf-8")
# options without a value of their own to try: what a parser needs beside them
VALUES = {"--output": "json", "--env": "A", "--rehearse": "5s", "--min-validity": "1s",
          "--timeout": "1s", "--uid": "1", "--for": "1s", "--api-version": "v1",
          "--expect-issuer": "https://i/", "--expect-audience": "a", "--expect-claim": "a=b",
          "--expect-signing-alg": "RS256", "--authentication-config": "/dev/null",
          "--kubeconfig": "/dev/null", "--cluster": "c", "--user": "u", "--command": "/c",
          "--issuer": "https://i/", "--client-id": "c", "--client-secret-file": "f",
          "--client-auth": "auto", "--username": "u", "--password-file": "f",
          "--password-command": "c", "--password-credential": "n", "--keep-password": "prompt",
          "--realm": "r", "--audience": "a", "--scope": "s", "--username-claim": "c",
          "--ca-file": "f", "--set": "realm=r", "--context": "c", "--profile": "p",
          "--grant": "device", "--from": "p", "--token-command": "c"}


def options_of(text):
    """Those that a help names, at the start of a line."""
    found = set()
    for line in text.splitlines():
        if line.startswith("  -"):
            found |= set(re.findall(r"(?<=[ ,])--?[a-zV][-a-z]*", line.split("   ")[0] + " "))
    return found


def help_of(home, command):
    r = home.run(command, "--help")
    assert (r.returncode, r.stderr) == (0, "")
    return r.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_help_of_its_own(home, command):
    text = help_of(home, command)
    assert text.startswith(f"Usage: kubetoken {command}")
    assert all(len(line) <= 80 for line in text.splitlines())
    for arguments in ([command, "-h"], ["help", command], [command, "--help", "--bogus"]):
        r = home.run(*arguments)
        assert (r.returncode, r.stdout, r.stderr) == (0, text, "")
    r = home.run(command, "-V")
    assert (r.returncode, r.stderr) == (0, "") and re.fullmatch(r"kubetoken \d\S+\n", r.stdout)
    assert home.run(command, "--version").stdout == r.stdout


def test_the_help_of_kubetoken_names_each_command(home):
    text = home.run("help").stdout
    assert re.findall(r"^  ([a-z]+)  ", text, re.M) == COMMANDS
    for word in ("--help", "-h"):
        assert home.run(word).stdout == text
    r = home.run()
    assert (r.returncode, r.stdout, r.stderr) == (2, "", text)


def options_of_all():
    """Those of any command's help, and any that a source of the client compares with."""
    text = "".join(p.read_text(encoding="utf-8") for p in (rig.TOP / "client").rglob("*.c"))
    quoted = re.findall(r'"(--?[a-zV][-a-z]*)"', text)
    valued = re.findall(r'options_value\([^"]*"([a-z][-a-z]*)"|{ "([a-z][-a-z]+)", &[dkm]->', text)
    return set(quoted) | {"--" + (a or b) for a, b in valued}


def wrong_usage(command):
    """Its exit code."""
    return 125 if command == "run" else 2


# Of all commands, and what a command's own parser is not asked.
EVERYWHERE = {"-h", "--help", "-V", "--version"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_names_what_it_takes(home, command):
    """Each is taken: what is complained of is another thing behind it."""
    named = options_of(help_of(home, command))
    assert EVERYWHERE <= named
    for option in named - EVERYWHERE:
        long = "--output" if option == "-o" else option
        value = [VALUES[long]] if long in VALUES else []
        r = home.run(command, option, *value, "--bogus")
        assert r.returncode == wrong_usage(command)
        assert "unknown option --bogus" in r.stderr, (option, r.stderr)
        if value:
            r = home.run(command, option)
            assert f"{option} wants a value" in r.stderr, r.stderr
        assert re.search(rf"Fl {option[1:]}\b", MANUAL), option


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_nothing_that_its_help_does_not_name(home, command):
    others = options_of_all() - options_of(help_of(home, command)) - EVERYWHERE
    assert len(others) > 3
    for option in others:
        r = home.run(command, option)
        says = f'no command "{option}"' if command == "help" else f"unknown option {option}"
        assert r.returncode == wrong_usage(command) and says in r.stderr, (option, r.stderr)


def test_the_manual_names_no_option_that_there_is_not(home):
    named = set().union(*(options_of(help_of(home, c)) for c in COMMANDS))
    assert {"-" + o for o in re.findall(r"Fl (-?[a-zV][-a-z]*)", MANUAL)} <= named


@pytest.mark.parametrize("arguments, says, of", [
    (["stauts"], 'there is no command "stauts"; did you mean "status"?', ""),
    (["quit"], 'there is no command "quit"', ""),
    ([""], 'there is no command ""', ""),
    (["help", "statu"], 'there is no command "statu"; did you mean "status"?', "help "),
    (["get", "--timout", "3s"], 'unknown option --timout; did you mean "--timeout"?', "get "),
    (["get", "--timout=3s"], 'unknown option --timout; did you mean "--timeout"?', "get "),
    (["get", "p", "--rejectd"], 'unknown option --rejectd; did you mean "--rejected"?', "get "),
    (["status", "--jsno"], 'unknown option --jsno; did you mean "--json"?', "status "),
    (["status", "-json"], 'unknown option -json; did you mean "--json"?', "status "),
    (["login", "--password"], "unknown option --password", "login "),
    (["reload", "--json"], "unknown option --json", "reload "),
    (["doctor", "--expect-isuer", "x"],
     'unknown option --expect-isuer; did you mean "--expect-issuer"?', "doctor "),
    (["doctor", "--oidc-issuer-ur", "x"], "unknown option --oidc-issuer-ur", "doctor "),
    (["kubeconfig", "--api-versoin=v1"],
     'unknown option --api-versoin; did you mean "--api-version"?', "kubeconfig "),
    (["version", "--foo"], "unknown option --foo", "version "),
    (["explain", "--foo"], "unknown option --foo", "explain "),
    (["--foo"], "--foo stands before a command; options stand behind it", ""),
    (["--timeout", "3s", "get"], "--timeout stands before a command; options stand behind it", ""),
    (["get", "--timeout"], "--timeout wants a value", "get "),
    (["get", "-o"], "-o wants a value", "get "),
    (["get", "--rejected=yes"], "--rejected takes no value", "get "),
    (["status", "--json=1"], "--json takes no value", "status "),
    (["doctor", "--refresh="], "--refresh takes no value", "doctor "),
    (["get", "-oexce"], "-o takes exec, exec/v1, exec/v1beta1, token, header or json", "get "),
    (["kubeconfig", "--api-version", "v2"], "--api-version takes v1 or v1beta1", "kubeconfig "),
    (["help", "get", "p"], "it takes one command", "help "),
    *(([c, "a", "b"], "more than one profile is named", f"{c} ")
      for c in ("get", "status", "doctor", "kubeconfig", "login")),
    *(([c, "--", "--", "b"], "more than one profile is named", f"{c} ")
      for c in ("get", "status", "doctor", "kubeconfig", "login")),
])
def test_what_was_meant_is_named_if_it_is_near(home, arguments, says, of):
    r = home.run(*arguments)
    assert (r.returncode, r.stdout) == (2, "")
    assert r.stderr == f"kubetoken: wrong usage: {says}; see kubetoken {of}--help\n"


def test_the_nearest_profile_is_named(home, daemon, fake):
    home.configure(fake.profile("minikube") + fake.profile("work"))
    daemon.start()
    r = home.run("get", "minkube")
    assert r.returncode == 4 and 'no such profile: minkube; did you mean "minikube"?;' in r.stderr
    r = home.run("get", "elsewhere")
    assert r.returncode == 4 and "did you mean" not in r.stderr
    assert "no such profile: -x;" in home.run("get", "--", "-x").stderr, "a name, no option"


def test_kubeconfig_repeats_what_the_daemon_says(home, daemon, fake):
    home.configure(fake.profile("minikube") + fake.profile("work"))
    daemon.start()
    r = home.run("kubeconfig", "minkube")
    assert (r.returncode, r.stdout) == (4, "")
    assert 'no such profile: minkube; did you mean "minikube"?;' in r.stderr
    r = home.run("kubeconfig")
    assert r.returncode == 4 and "there are minikube, work" in r.stderr, r.stderr


@pytest.mark.parametrize("key, says", [("isuer", 'did you mean "issuer"?'),
                                       ("Issuer", 'did you mean "issuer"?'),
                                       ("colour", "see kubetoken.conf(5)")])
def test_the_nearest_key_is_named(home, key, says):
    home.configure(f"[profile p]\n{key} = x\n")
    r = subprocess.run([rig.BUILD / "kubetokend", "--check-config"], env=home.environment,
                       text=True, capture_output=True, timeout=rig.PATIENCE)
    assert f'unknown key "{key}"; {says}' in r.stderr


@pytest.mark.parametrize("program, arguments, says", [
    ("kubetokend", ["--chek-config"],
     'unknown option --chek-config; did you mean "--check-config"?'),
    ("kubetokend", ["-x"], "unknown option -x"),
    ("kubetokend", ["--config"], "--config wants a value"),
    ("kubetokend", ["--check-config=yes"], "--check-config takes no value")])
def test_the_daemons_own_options(home, program, arguments, says):
    r = subprocess.run([rig.BUILD / program, *arguments], env=home.environment, text=True,
                       capture_output=True, timeout=rig.PATIENCE)
    assert (r.returncode, r.stdout) == (2, "")
    assert r.stderr == f"{program}: {says}; see {program} --help\n"


@pytest.mark.parametrize("program", ["kubetokend", "kubetoken-fetch", "kubetoken-admin"])
def test_the_other_programs_have_help_and_version(home, program):
    for options, begins in ((("-h", "--help"), "Usage: kubetokend|kubetoken-[a-z]+ is run by"),
                            (("-V", "--version"), rf"{program} \d\S+\n$")):
        for option in options:
            r = subprocess.run([rig.BUILD / program, option], text=True, capture_output=True,
                               env=home.environment, timeout=rig.PATIENCE)
            assert (r.returncode, r.stderr) == (0, "") and re.match(begins, r.stdout)


@pytest.mark.parametrize("command", ["doctor", "kubeconfig", "log", "why", "init", "config"])
def test_the_admin_program_called_by_itself(home, command):
    r = subprocess.run([rig.BUILD / "kubetoken-admin", command, "-h"], text=True,
                       capture_output=True, env=home.environment, timeout=rig.PATIENCE)
    assert (r.returncode, r.stdout, r.stderr) == (0, help_of(home, command), "")
    for unknown in (["--foo"], ["status"], []):
        r = subprocess.run([rig.BUILD / "kubetoken-admin", *unknown], text=True,
                           capture_output=True, env=home.environment, timeout=rig.PATIENCE)
        assert r.returncode == 2 and r.stderr == ("kubetoken: wrong usage: kubetoken-admin is run "
                                                  "by kubetoken; see kubetoken --help\n")


# ---- output that cannot be written --------------------------------------------------------------

SPEAKING = [["get"], ["get", "--json"], ["status"], ["status", "--json"],
            ["status", "-o", "name"], ["status", "--watch"], ["list"], ["inspect"],
            ["inspect", "--json"], ["log"], ["log", "--follow"], ["why", "--json"],
            ["config", "show"], ["config", "show", "--json"], ["share", "box", "--renew"],
            ["import", "--kubeconfig", "/dev/null"],
            ["kubeconfig", "p"], ["explain"], ["explain", "8"],
            ["explain", "refused"], ["version"], ["help"], ["--help"], ["--version"],
            *([c, "--help"] for c in COMMANDS), *([c, "-V"] for c in COMMANDS)]
SPEAKING_LAST = [["refresh"], ["reload"]]  # what they print is of a thing that is done
# doctor: test_doctor.py, init: test_init.py
SILENT = {"run", "login", "logout", "unshare", "stop", "restart", "doctor", "init"}


@pytest.fixture
def running(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 0


def into(home, arguments, to, program="kubetoken"):
    """With stdout full (>/dev/full), closed (>&-), or without a reader (a pipe)."""
    command = ["sh", "-c", f'"$@" {to}', "sh", rig.BUILD / program, *arguments]
    ends = os.pipe()
    os.close(ends[0])
    try:
        return subprocess.run(command, env=home.environment, text=True, stdin=subprocess.DEVNULL,
                              stdout=ends[1], stderr=subprocess.PIPE, timeout=rig.PATIENCE)
    finally:
        os.close(ends[1])


TOS = [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor"),
       ("", "Broken pipe")]


@pytest.mark.parametrize("arguments", SPEAKING + SPEAKING_LAST, ids=" ".join)
def test_a_full_disk_is_seen(home, running, arguments):
    for to, says in TOS:
        r = into(home, arguments, to)
        assert r.returncode == 1, (to, r.stderr)
        assert r.stderr == (f"kubetoken: the output cannot be written: {says}; see where stdout "
                            "goes, and whether there is room\n")


def test_no_command_is_left_out(home):
    table = {a[0].lstrip("-") for a in SPEAKING + SPEAKING_LAST} | SILENT
    assert table == set(COMMANDS)
    assert table == set(re.findall(r"^  ([a-z]+)  ", home.run("help").stdout, re.M))


@pytest.mark.parametrize("program, option", [
    *(("kubetokend", o) for o in ("--help", "-h", "--version", "-V", "--check-config",
                                   "--print-config")),
    *((p, o) for p in ("kubetoken-fetch", "kubetoken-admin") for o in ("--help", "-V"))])
def test_the_other_programs_output_too(home, running, program, option):
    for to, says in TOS:
        r = into(home, [option], to, program)
        assert r.returncode == 1, (to, r.stderr)
        assert f"the output cannot be written: {says}" in r.stderr


@pytest.mark.parametrize("to", ["2>/dev/full", "2>&-", "2>&1"])  # the last: without a reader
@pytest.mark.parametrize("arguments, code", [(["get", "nobody"], 4), (["status", "nobody"], 4),
                                             (["get", "--foo"], 2), (["kubeconfig", "nobody"], 4),
                                             (["explain", "nothing"], 2), ([], 2),
                                             (["stop"], 1), (["logout"], 0)])
def test_a_full_stderr_leaves_the_exit_code(home, running, arguments, code, to):
    assert into(home, arguments, f"{to} >/dev/null" if to != "2>&1" else to).returncode == code
