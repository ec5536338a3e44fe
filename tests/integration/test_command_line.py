"""What a person types: help of each command, what was meant by what is none, and output that cannot
be written."""
import re
import subprocess

import pytest

import rig

COMMANDS = ["get", "status", "inspect", "login", "logout", "refresh", "reload", "stop", "restart",
            "kubeconfig", "explain", "doctor", "version", "help"]
MANUAL = (rig.TOP / "man" / "kubetoken.1").read_text(encoding="utf-8")
# options without a value of their own to try: what a parser needs beside them
VALUES = {"--output": "token", "--min-validity": "1s", "--timeout": "1s", "--api-version": "v1",
          "--expect-issuer": "https://i/", "--expect-audience": "a", "--expect-claim": "a=b",
          "--expect-signing-alg": "RS256", "--authentication-config": "/dev/null",
          "--kubeconfig": "/dev/null"}


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


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("version", "help")])
def test_a_commands_help_names_what_it_takes(home, command):
    """Each is taken: what is complained of is another thing, or the second profile."""
    named = options_of(help_of(home, command)) - {"-h", "--help", "-V", "--version"}
    for option in named:
        long = "--output" if option == "-o" else option
        value = [VALUES[long]] if long in VALUES else []
        r = home.run(command, option, *value, "--bogus")
        assert r.returncode == 2 and "unknown option --bogus" in r.stderr, (option, r.stderr)
        if value:
            r = home.run(command, option)
            assert f"{option} wants a value" in r.stderr, r.stderr
        assert option.replace("-", "\\-").lstrip("\\-") in MANUAL or f"Fl {option[1:]}" in MANUAL
    assert command == "explain" or named


@pytest.mark.parametrize("arguments, says", [
    (["stauts"], "there is no command stauts; did you mean status?; see kubetoken --help"),
    (["quit"], "there is no command quit; see kubetoken --help"),
    (["help", "statu"], "there is no command statu; did you mean status?; see kubetoken help --help"),
    (["get", "--timout", "3s"], "unknown option --timout; did you mean --timeout?; see kubetoken get "
     "--help"),
    (["get", "--timout=3s"], "unknown option --timout; did you mean --timeout?; see kubetoken get "
     "--help"),
    (["status", "--jsno"], "unknown option --jsno; did you mean --json?; see kubetoken status --help"),
    (["login", "--password"], "unknown option --password; see kubetoken login --help"),
    (["reload", "--json"], "unknown option --json; see kubetoken reload --help"),
    (["doctor", "--expect-isuer", "x"], "unknown option --expect-isuer; did you mean "
     "--expect-issuer?; see kubetoken doctor --help"),
    (["kubeconfig", "--api-versoin=v1"], "unknown option --api-versoin; did you mean "
     "--api-version?; see kubetoken kubeconfig --help"),
    (["version", "--foo"], "unknown option --foo; see kubetoken version --help"),
    (["explain", "--foo"], "unknown option --foo; see kubetoken explain --help"),
    (["--foo"], "unknown option --foo; see kubetoken --help"),
    (["get", "--timeout"], "--timeout wants a value; see kubetoken get --help"),
    (["get", "a", "b"], "more than one profile is named; see kubetoken get --help"),
    (["status", "--", "a", "b"], "more than one profile is named; see kubetoken status --help"),
])
def test_what_was_meant_is_named_if_it_is_near(home, arguments, says):
    r = home.run(*arguments)
    assert (r.returncode, r.stdout) == (2, "")
    assert r.stderr == f"kubetoken: wrong usage: {says}\n"


def test_the_nearest_profile_is_named(home, daemon, fake):
    home.configure(fake.profile("minikube") + fake.profile("work"))
    daemon.start()
    r = home.run("get", "minkube")
    assert r.returncode == 4 and "no such profile: minkube; did you mean minikube?;" in r.stderr
    r = home.run("get", "elsewhere")
    assert r.returncode == 4 and "did you mean" not in r.stderr
    assert "-" not in (home.run("get", "--", "-x").stderr.split("profile: ")[0]), "a name, no option"


@pytest.mark.parametrize("key, says", [("isuer", 'did you mean "issuer"?'),
                                       ("Issuer", 'did you mean "issuer"?'),
                                       ("colour", "see kubetoken.conf(5)")])
def test_the_nearest_key_is_named(home, key, says):
    home.configure(f"[profile p]\n{key} = x\n")
    r = subprocess.run([rig.BUILD / "kubetokend", "--check-config"], env=home.environment,
                       text=True, capture_output=True, timeout=rig.PATIENCE)
    assert f'unknown key "{key}"; {says}' in r.stderr


@pytest.mark.parametrize("program, arguments, says", [
    ("kubetokend", ["--chek-config"], "unknown option --chek-config; did you mean --check-config?"),
    ("kubetokend", ["-x"], "unknown option -x"),
    ("kubetokend", ["--config"], "--config: one value, or none, is wanted"),
    ("kubetokend", ["--check-config=yes"], "--check-config: one value, or none, is wanted")])
def test_the_daemons_own_options(home, program, arguments, says):
    r = subprocess.run([rig.BUILD / program, *arguments], env=home.environment, text=True,
                       capture_output=True, timeout=rig.PATIENCE)
    assert (r.returncode, r.stdout) == (2, "")
    assert r.stderr == f"{program}: {says}; see {program} --help\n"


@pytest.mark.parametrize("program", ["kubetokend", "kubetoken-fetch"])
def test_the_other_programs_have_help_and_version(home, program):
    for option, begins in (("-h", "Usage: kubetokend|kubetoken-fetch is run"), ("-V", program)):
        r = subprocess.run([rig.BUILD / program, option], text=True, capture_output=True,
                           env=home.environment, timeout=rig.PATIENCE)
        assert (r.returncode, r.stderr) == (0, "") and re.match(begins, r.stdout)


# ---- output that cannot be written --------------------------------------------------------------

SPEAKING = [["get"], ["get", "-o", "json"], ["status"], ["status", "--json"], ["inspect"],
            ["inspect", "--json"], ["refresh"], ["reload"], ["kubeconfig", "p"], ["explain"],
            ["explain", "refused"], ["version"], ["help"], ["--help"],
            *([c, "--help"] for c in COMMANDS), *([c, "-V"] for c in COMMANDS)]
SILENT = {"login", "logout", "stop", "restart", "doctor"}  # doctor: test_doctor.py


@pytest.fixture
def running(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 0


def into(home, arguments, program="kubetoken", closed=False):
    """With stdout full, or closed."""
    command = ["sh", "-c", '"$@" >&-' if closed else '"$@" >/dev/full', "sh",
               rig.BUILD / program, *arguments]
    return subprocess.run(command, env=home.environment, text=True, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=rig.PATIENCE)


@pytest.mark.parametrize("arguments", SPEAKING, ids=" ".join)
def test_a_full_disk_is_seen(home, running, arguments):
    r = into(home, arguments)
    assert r.returncode == 1
    assert re.fullmatch(r"kubetoken: (p: )?the output cannot be written: No space left on device; "
                        r"see where stdout goes, and whether there is room\n", r.stderr), r.stderr
    r = into(home, arguments, closed=True)
    assert r.returncode == 1 and "the output cannot be written: Bad file desc" in r.stderr


def test_no_command_is_left_out():
    assert {a[0].lstrip("-") for a in SPEAKING} | SILENT == set(COMMANDS)


@pytest.mark.parametrize("option", ["--help", "--version", "--check-config"])
def test_the_daemons_output_too(home, running, option):
    r = into(home, [option], "kubetokend")
    assert r.returncode == 1
    assert "the output cannot be written: No space left on device" in r.stderr
