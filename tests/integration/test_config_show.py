"""config show: the configuration as the files say it together, and where each line of it stands."""
import json
import subprocess

import pytest

import rig

FILE = """\
# a comment
[defaults]
default-profile = b
scope = openid groups
proxy = http://user:canary-proxy@127.0.0.1:3128
client-secret = canary-secret
token-parameter = a=1
token-parameter = b=2

[profile b]
issuer = https://b.example.com/
client-id = b
username = anna
password-command = pass show b
client-secret-file = b.secret
token-parameter = b=3
scope = openid

[profile a]
issuer = https://a.example.com/
client-id = a
username = anna
password = canary-password
"""


def shown(home, *lines):
    """As it is printed, from (line of the file, setting)."""
    return "".join(f"# {home.config}/kubetoken.conf:{number}\n{setting}\n"
                   for number, setting in lines)


BUILT_IN = """\
# built in
timeout = 15s
allow-http-loopback = no
client-auth = auto
use-refresh-token = yes
keep-fresh = 12h
start = on-demand
keep-over-restart = tokens
signing-algs = RS256
"""


def test_each_line_has_its_origin_and_no_secret_is_shown(home):
    """A profile's lines lay over those of [defaults], of a secret the source that counts; and what
    is printed is a configuration."""
    home.configure(FILE)
    r = home.run("config", "show")
    conf = f"{home.config}/kubetoken.conf"
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout == (
        f"[defaults]\n# {conf}:3 [defaults]\ndefault-profile = b\n\n[profile b]\n"
        + shown(home, ("5 [defaults]", "proxy = http://***@127.0.0.1:3128"),
                ("7 [defaults]", "token-parameter = a=1"), (11, "issuer = https://b.example.com/"),
                (12, "client-id = b"), (13, "username = anna"),
                (14, "password-command = pass show b"),
                (15, f"client-secret-file = {home.config}/b.secret"), (16, "token-parameter = b=3"),
                (17, "scope = openid")) + BUILT_IN + "\n[profile a]\n"
        + shown(home, ("4 [defaults]", "scope = openid groups"),
                ("5 [defaults]", "proxy = http://***@127.0.0.1:3128"),
                ("6 [defaults]", "# client-secret = (set, not shown)"),
                ("7 [defaults]", "token-parameter = a=1"),
                ("8 [defaults]", "token-parameter = b=2"),
                (20, "issuer = https://a.example.com/"), (21, "client-id = a"),
                (22, "username = anna"), (23, "# password = (set, not shown)")) + BUILT_IN)
    assert "canary" not in r.stdout
    one = home.run("config", "show", "a").stdout
    assert one.startswith("[defaults]") and "[profile a]" in one and "[profile b]" not in one
    home.configure(one.replace("default-profile", "# "))
    assert home.run("config", "show", "a").returncode == 0


def test_for_programs_it_is_a_line_of_json(home):
    home.configure(FILE)
    r = home.run("config", "show", "--json", "a")
    assert r.returncode == 0 and r.stdout.count("\n") == 1 and "canary" not in r.stdout
    assert home.run("config", "show", "-o", "json", "a").stdout == r.stdout
    j = json.loads(r.stdout)
    conf = str(home.config / "kubetoken.conf")
    assert j["files"] == ["/etc/kubetoken/kubetoken.conf", conf]
    assert j["defaultProfile"] == {"key": "default-profile", "value": "b", "origin": "defaults",
                                   "file": conf, "line": 3}
    [profile] = j["profiles"]
    assert profile["profile"] == "a"
    settings = {s["key"]: s for s in profile["settings"]}
    assert settings["scope"] == {"key": "scope", "value": "openid groups", "origin": "defaults",
                                 "file": conf, "line": 4}
    assert settings["password"] == {"key": "password", "secret": True, "origin": "profile",
                                    "file": conf, "line": 23}
    assert settings["timeout"] == {"key": "timeout", "value": "15s", "origin": "built-in"}


def test_what_is_not_in_force_is_said(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    assert home.run("config", "show").stderr == ""
    home.configure(fake.profile(extra="realm = x"))
    home.settle()
    r = home.run("config", "show")
    assert r.returncode == 0 and "realm = x" in r.stdout
    assert r.stderr == ("kubetoken: the daemon has another configuration in force; kubetoken "
                        "reload\n")


@pytest.mark.parametrize("args, text, code, says", [
    ([], None, 9, "there is no configuration yet: {conf}; kubetoken init makes one; or write it as "
     "kubetoken.conf(5) shows"),
    ([], "[profile a]\nissuer = x\nisuer = y\n", 9, "{conf}:3: unknown key"),
    (["c"], FILE, 4, "no such profile: c"),
    (["a", "b"], FILE, 2, "more than one profile"),
])
def test_what_is_wrong_is_said(home, args, text, code, says):
    if text:
        home.configure(text)
    r = home.run("config", "show", *args)
    assert r.returncode == code and r.stdout == ""
    assert says.format(conf=home.config / "kubetoken.conf") in r.stderr


@pytest.mark.parametrize("args", [[], ["shwo"], ["a"]])
def test_it_is_config_show(home, args):
    r = home.run("config", *args)
    assert r.returncode == 2 and "it is kubetoken config show" in r.stderr


def test_each_command_names_init_where_there_is_no_configuration(home, daemon):
    daemon.start()
    for command in (["get"], ["status"], ["inspect"], ["refresh"], ["kubeconfig"]):
        r = home.run(*command)
        assert r.returncode == 9 and "; kubetoken init makes one; or write it" in r.stderr, command


def test_kubetokend_prints_it_also_without_a_profile(home):
    home.configure("[defaults]\nscope = openid\n")
    r = subprocess.run([rig.BUILD / "kubetokend", "--print-config"], env=home.environment,
                       text=True, capture_output=True, timeout=rig.PATIENCE)
    assert r.returncode == 0 and json.loads(r.stdout)["profiles"] == []
