"""Bidirectional controls, joiners, tags and the like, which a terminal would obey or show as
nothing: wherever they come from, none reaches one. In JSON they are escaped, and so not lost."""
import json
import sys
import unicodedata

import pytest

import rig
import scripted
from scripted import json_answer
from test_rejected import INFO

TOKEN, KEYS = "/oauth/token", "/.well-known/jwks.json"
ODD = "a\u202eb\u2066c\u200bd\u2028e\U000e0041f\u00adg\ufeffh"
SHOWN = "a?b?c?d?e?f?g?h"
# what a configuration may not hold either
WORSE = ODD + "\x9b31m\x1b]0;x\x07"


def is_hidden(c):
    tag = 0xe0000 <= ord(c) <= 0xe007f
    return unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c not in "\n\t" or tag


def clean(r):
    """Both of its streams, which hold none of them."""
    for text in (r.stdout, r.stderr):
        assert not [f"U+{ord(c):04X}" for c in text if is_hidden(c)], ascii(text)
    return r


def test_all_of_unicode_s_format_characters_are_hidden():
    """Of the Unicode that this Python knows, by a word of the command line."""
    every = [chr(c) for c in range(0xa0, sys.maxunicode + 1)
             if unicodedata.category(chr(c)) in ("Cf", "Zl", "Zp")]
    assert len(every) > 150
    home = rig.Home.__new__(rig.Home)
    home.environment = {"LANG": "C.UTF-8"}
    for i in range(0, len(every), 10):
        r = clean(home.run("explain", "".join(every[i:i + 10])))
        assert r.returncode == 2 and "?" * len(every[i:i + 10]) in r.stderr


@pytest.fixture
def odd(fake, home, daemon):
    """All that a provider, a token and a configuration may say says it so."""
    fake.key = scripted.Key("k" + WORSE)
    fake.claims = {"email": "m" + WORSE, "name": WORSE, "groups": ["g" + WORSE, WORSE],
                   "n" + WORSE: 1, "sub": "s" + WORSE}
    home.configure(fake.profile(user="u" + ODD, extra="username-claim = email\n"
                                "groups-claim = groups\naudience = x" + ODD))
    daemon.start()
    return home


def test_what_a_token_and_a_configuration_hold(odd, fake, daemon):
    home = odd
    assert clean(home.run("get")).returncode == 0
    fake.claims = {**fake.claims, "groups": ["h" + WORSE]}
    fake.key = scripted.Key("l" + WORSE)
    clean(home.run("refresh"))
    clean(home.run("get", env={"KUBERNETES_EXEC_INFO": INFO}))
    said = {args: clean(home.run(*args)) for args in (
        ("status",), ("status", "p"), ("status", "--json"), ("status", "--metrics"),
        ("status", "-o", "name"), ("log",), ("log", "--json"), ("why",), ("why", "--json"),
        ("inspect", "p"), ("inspect", "p", "--json"), ("doctor",), ("doctor", "--json"),
        ("config", "show"), ("config", "show", "--json"), ("list",), ("kubeconfig", "p"))}
    assert "m" + SHOWN in said[("status",)].stdout
    assert "m" + SHOWN in said[("inspect", "p")].stdout
    assert "username = u" + SHOWN + "\n" in said[("config", "show")].stdout
    assert "claims changed" in said[("log",)].stdout and "h" + SHOWN in rig.unwrapped(
        said[("log",)].stdout)
    settings = json.loads(said[("config", "show", "--json")].stdout)["profiles"][0]["settings"]
    assert {"u" + ODD, "x" + ODD} <= {s.get("value") for s in settings}
    claims = json.loads(said[("inspect", "p", "--json")].stdout)["claims"]
    assert (claims["name"], claims["email"]) == (WORSE, "m" + WORSE)
    assert json.loads(said[("status", "--json")].stdout)["profiles"][0]["username"] == "u" + ODD
    assert not [c for c in daemon.log.read_text() if is_hidden(c)]


def test_the_account_of_a_profile(fake, home, daemon):
    """Whom it names where no claim is told: the configuration's own word."""
    home.configure(fake.profile(user="u" + ODD))
    daemon.start()
    assert "u" + SHOWN in clean(home.run("status")).stdout
    assert clean(home.run("get")).returncode == 0
    assert "u" + SHOWN in clean(home.run("status", "p")).stdout


def test_what_a_provider_that_refuses_says(odd, fake, daemon):
    fake.answers[TOKEN] = json_answer({"error": "x" + WORSE, "error_description": WORSE}, 400)
    r = clean(odd.run("get", "--timeout", "5s"))
    assert r.returncode != 0 and SHOWN.replace("?", " ") in r.stderr
    for args in ("status",), ("status", "--json"), ("log",), ("why",), ("doctor",):
        clean(odd.run(*args))
    assert not [c for c in daemon.log.read_text() if is_hidden(c)]


def inspect(home, token):
    return clean(home.run("inspect", "-", input=token))


def test_what_a_token_that_is_refused_holds(odd, fake):
    for claims, says in (({"iss": "https://" + WORSE}, f'says "https://{SHOWN}'),
                         ({"aud": ["x" + WORSE]}, "x" + SHOWN)):
        r = inspect(odd, fake.id_token(**claims))
        assert says in rig.unwrapped(r.stdout), r.stdout
    foreign = fake.key.sign({"iss": fake.issuer}, {"alg": "x" + WORSE, "kid": WORSE})
    assert f"signed with x{SHOWN}" in rig.unwrapped(inspect(odd, foreign).stdout)
    fake.answers[KEYS] = json_answer({"keys": [fake.key.jwk(e="AQ"), {"kty": WORSE}]})
    assert f'key "k{SHOWN}' in rig.unwrapped(inspect(odd, fake.id_token()).stdout)


def test_what_a_command_says_and_what_is_typed(fake, home, daemon):
    home.write("say", f"#!/bin/sh\nprintf '%s\\n' '{WORSE}' >&2\nexit 1\n", 0o700)
    home.configure(fake.profile(password=f"password-command = {home.config}/say"))
    daemon.start()
    assert SHOWN in clean(home.run("get", "--timeout", "5s")).stderr
    for args in ("get", WORSE), ("get", "--" + WORSE), ("explain", WORSE), (WORSE,), \
            ("status", "p" + ODD), ("login", ODD), ("config", "show", ODD), ("inspect", ODD), \
            ("kubeconfig", ODD), ("import", ODD), ("__complete", "get", ODD):
        assert clean(home.run(*args)).stdout.count("?") < 9
    home.configure(fake.profile() + f"x{ODD} = 1\nissuer = http://{ODD}\n")
    for args in ("get", "p"), ("config", "show"), ("doctor",), ("status",):
        clean(home.run(*args))


def test_files_that_are_shown(fake, home, daemon):
    """A kubeconfig with such names, one whose path has them, and what init and import say."""
    home.configure(fake.profile())
    daemon.start()
    path = home.folder / f"kube{ODD}"
    user = {"auth-provider": {"name": "oidc", "config": {
        "idp-issuer-url": fake.issuer, "client-id": "client" + ODD,
        "client-secret": "canary-secret", "extra-scopes": "x" + ODD}}}
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c" + ODD,
        "contexts": [{"name": "c" + ODD, "context": {"cluster": "k" + ODD, "user": "u" + ODD}}],
        "clusters": [{"name": "k" + ODD, "cluster": {"server": "https://x" + ODD}}],
        "users": [{"name": "u" + ODD, "user": user}]}, ensure_ascii=False, indent=1))
    path.chmod(0o666)
    env = {"KUBECONFIG": str(path)}
    for args in ("import", "--dry-run"), ("import", "--dry-run", "--username", "z" + ODD), \
            ("kubeconfig", "--write", "--dry-run", "p"), ("doctor",), \
            ("__complete", "kubeconfig", "--context", ""), ("__complete", "import", ""), \
            ("kubeconfig", "--write", "--context", "c" + ODD, "p"):
        assert clean(home.run(*args, env=env)).returncode in (0, 9, 11), args
    fake.claims = {"email": "m" + WORSE, "sub": "s" + WORSE}
    r = clean(home.run("init", "q", "--issuer", fake.issuer, "--ca-file", str(fake.ca_file),
                       "--client-id", "client", "--username", "u" + ODD, "--audience", "x" + ODD,
                       "--keep-password", "file", input="canary-pw\n", env=env))
    assert f"#s{SHOWN} " in r.stdout and f"\n  m{SHOWN} " in r.stdout, "what the API server sees"
    assert "u" + ODD in (home.config / "kubetoken.conf").read_text(), "the file has them as given"
