"""kubetoken doctor --authentication-config: the API server's own file, and what it makes of a
token. The verdicts are those of Kubernetes 1.36's code, which was given the same files."""
import time

import pytest

from test_doctor import Report, doctor, start  # noqa: F401 (a fixture)
import scripted
import test_doctor

HEAD = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n"

TWO_ISSUERS = HEAD + """\
- issuer:
    url: @ISSUER@
    audiences: [kubernetes, client]
    audienceMatchPolicy: MatchAny
  claimMappings:
    username: {claim: email, prefix: ""}
    groups: {claim: groups, prefix: oidc:}
- issuer:
    url: https://other.example/b
    audiences: [b-client]
  claimMappings:
    username: {claim: sub, prefix: "b:"}
"""

RULES = HEAD + """\
- issuer: {url: "@ISSUER@", audiences: [client]}
  claimValidationRules:
  - {claim: hd, requiredValue: example.com}
  - expression: "claims.exp - claims.nbf <= 7200"
    message: a token may live two hours at most
  - expression: "claims.tenant in ['red', 'green']"
  claimMappings:
    username: {claim: sub, prefix: "oidc:"}
    uid: {claim: sub}
"""

MAPPINGS = HEAD + """\
- issuer: {url: "@ISSUER@", audiences: [client]}
  claimMappings:
    username: {expression: "claims.preferred_username + '@corp'"}
    groups: {expression: "claims.roles.split(',').map(r, 'oidc:' + r)"}
    uid: {expression: "claims.oid"}
    extra:
    - {key: example.com/tenant, valueExpression: "claims.tenant"}
    - {key: example.com/scopes, valueExpression: "claims.?scp.orValue([])"}
"""

USER_RULES = HEAD + """\
- issuer: {url: "@ISSUER@", audiences: [client]}
  claimMappings:
    username: {claim: email, prefix: ""}
    groups: {claim: groups, prefix: ""}
  userValidationRules:
  - expression: "!user.username.startsWith('system:')"
    message: username cannot use the reserved system prefix
  - expression: "user.groups.all(g, !g.startsWith('system:'))"
    message: groups cannot use the reserved system prefix
"""


def by_name(mapping):
    return HEAD + f"""\
- issuer: {{url: "@ISSUER@", audiences: [client]}}
  claimMappings:
    username: {mapping}
"""


@pytest.fixture
def judge(home, start, fake, tmp_path):  # noqa: F811
    """Runs doctor with the file and a token of these claims."""
    def run(text, claims=None, *args):
        fake.claims = {"nbf": int(time.time()), **(claims or {})}
        start()
        path = tmp_path / "authentication.yaml"
        path.write_text(text.replace("@ISSUER@", fake.issuer))
        return doctor(home, "--authentication-config", str(path), *args)
    return run


MISSING = None  # as the provider is told to leave a claim out
GOOD_RULES = {"hd": "example.com", "tenant": "red"}
ANNA = {"preferred_username": "anna", "oid": "u-1", "roles": "a,b", "tenant": "red"}


def changed(claims, **changes):
    return {**claims, **changes}


@pytest.mark.parametrize("text, claims, user", [
    (TWO_ISSUERS, {"groups": ["devs", "ops"]},
     'someone@example.com, groups ["oidc:devs","oidc:ops"], uid none'),
    (TWO_ISSUERS, {"aud": ["x", "client"]}, "someone@example.com, groups [], uid none"),
    (TWO_ISSUERS, {"email_verified": MISSING}, "someone@example.com, groups [], uid none"),
    (RULES, GOOD_RULES, "oidc:auth0|1, groups [], uid auth0|1"),
    (RULES, {**GOOD_RULES, "email_verified": False}, "oidc:auth0|1, groups [], uid auth0|1"),
    (MAPPINGS, ANNA, 'anna@corp, groups ["oidc:a","oidc:b"], uid u-1'),
    (MAPPINGS, {**ANNA, "scp": ["x", "y"], "tenant": ""},
     'anna@corp, groups ["oidc:a","oidc:b"], uid u-1'),
    (MAPPINGS, {**ANNA, "roles": ""}, 'anna@corp, groups ["oidc:"], uid u-1'),
    (USER_RULES, {"groups": "devs"}, 'someone@example.com, groups ["devs"], uid none'),
    (by_name('{expression: "dyn(claims).email"}'), {"email_verified": False},
     "someone@example.com, groups [], uid none"),
    (by_name("{expression: \"claims['email']\"}"), {"email_verified": False},
     "someone@example.com, groups [], uid none"),
    (by_name('{expression: "claims.email_verified ? claims.email : claims.sub"}'),
     {"email_verified": False}, "auth0|1, groups [], uid none"),
])
def test_a_token_that_is_taken_and_its_names(judge, text, claims, user):
    report = judge(text, claims)
    assert [f for f in report.found() if f[0].startswith("auth-")] == []
    assert report.of("auth-user")[0]["detail"] == user
    assert report.of("auth-issuer")[0]["detail"].startswith("jwt[0], https://")
    assert report.of("user") == report.of("groups") == [], "by the profile they would be others"


@pytest.mark.parametrize("elsewhere, level", [
    ("", "error"), (", discoveryURL: https://keys.example/d", "warning")])
def test_a_key_set_that_it_cannot_use(judge, fake, elsewhere, level):
    fake.answers[test_doctor.KEYS] = scripted.json_answer(
        {"keys": [fake.key.jwk(x5u="https://x/")]})
    fake.answers[test_doctor.DISCOVERY] = scripted.json_answer(
        {**fake.discovery(), "userinfo_endpoint": 5})
    report = judge(HEAD + """\
- issuer: {url: "@ISSUER@", audiences: [client]%s}
  claimMappings:
    username: {claim: sub, prefix: ""}
""" % elsewhere)
    assert [f for f in report.found() if f[0] == "signature"] == [
        ("signature", level, "keys-unreadable"), ("signature", level, "discovery-unreadable")]


@pytest.mark.parametrize("text, claims, link, code, words", [
    (RULES, {"tenant": "red"}, "auth-required", "required-claim",
     "jwt[0].claimValidationRules[0]: expected hd=example.com, the token has none of that name"),
    (RULES, changed(GOOD_RULES, hd="Example.com"), "auth-required", "required-claim",
     "expected hd=example.com, the token has Example.com"),
    (RULES, changed(GOOD_RULES, hd=["example.com"]), "auth-required", "required-claim",
     'the token has one that is no text: ["example.com"]'),
    (RULES, changed(GOOD_RULES, nbf=lambda: int(time.time()) - 7200), "auth-rule", "claim-rule",
     "'claims.exp - claims.nbf <= 7200' cannot be true (a token may live two hours at most)"),
    (RULES, {**GOOD_RULES, "nbf": MISSING}, "auth-rule", "claim-rule",
     "ends in the error no such key: nbf; it reads claims.exp "),
    (RULES, {**GOOD_RULES, "tenant": "blue"}, "auth-rule", "claim-rule",
     "'claims.tenant in ['red', 'green']' cannot be true; it reads claims.tenant \"blue\""),
    (RULES, {**GOOD_RULES, "tenant": 5}, "auth-rule", "claim-rule", "cannot be true"),
    (RULES, {"hd": "example.com"}, "auth-rule", "claim-rule",
     "no such key: tenant; it reads claims.tenant missing; not evaluated"),
    (MAPPINGS, changed(ANNA, preferred_username=MISSING), "auth-username", "claim-rule",
     "jwt[0].claimMappings.username: 'claims.preferred_username + '@corp'' ends in the error no "
     "such key: preferred_username"),
    (MAPPINGS, {**ANNA, "preferred_username": 5}, "auth-username", "claim-rule",
     "no such overload"),
    (MAPPINGS, changed(ANNA, oid=MISSING), "auth-uid", "claim-rule", "no such key: oid"),
    (MAPPINGS, {**ANNA, "oid": 5}, "auth-uid", "claim-rule", "yields no string"),
    (MAPPINGS, {**ANNA, "roles": ["a"]}, "auth-groups", "claim-rule", "no such overload"),
    (MAPPINGS, {**ANNA, "tenant": 5}, "auth-extra", "claim-rule",
     "example.com/tenant: 'claims.tenant' yields no string and no list of strings"),
    (MAPPINGS, changed(ANNA, tenant=MISSING), "auth-extra", "claim-rule", "no such key: tenant"),
    (USER_RULES, {"email": "system:admin"}, "auth-user-rule", "claim-rule",
     "cannot be true (username cannot use the reserved system prefix)"),
    (USER_RULES, {"groups": ["system:masters"]}, "auth-user-rule", "claim-rule",
     "cannot be true (groups cannot use the reserved system prefix)"),
    (USER_RULES, {"groups": [5]}, "auth-groups", "groups-claim", "the claim groups is [5]"),
    (USER_RULES, {"email": MISSING}, "auth-username", "username-claim",
     "the claim email is not there"),
    (TWO_ISSUERS, {"email_verified": False}, "auth-username", "email-not-verified",
     "jwt[0].claimMappings.username: email_verified is false"),
    (by_name('{expression: \'claims.sub == "x"\'}'), {}, "auth-username", "claim-rule",
     "yields no string"),
    (by_name('{expression: "claims.email_verified ? claims.email : claims.sub"}'),
     {"email_verified": MISSING}, "auth-username", "claim-rule", "no such key: email_verified"),
    (TWO_ISSUERS.replace("kubernetes, client", "kubernetes, second"), {}, "auth-audience",
     "token-audience", 'jwt[0].issuer.audiences are ["kubernetes","second"], the token has '
     '"client"'),
    (TWO_ISSUERS.replace("@ISSUER@", "https://third.example"), {}, "auth-issuer",
     "issuer-mismatch", 'the file has "https://third.example", "https://other.example/b"'),
])
def test_a_token_that_is_refused_and_by_what(judge, text, claims, link, code, words):
    report = judge(text, {k: v() if callable(v) else v for k, v in claims.items()})
    errors = [f for f in report.links if f["level"] == "error" and f["link"].startswith("auth-")]
    assert [(f["link"], f["code"]) for f in errors] == [(link, code)]
    assert words in errors[0]["detail"]
    assert report.exit_code != 0
    if code == "claim-rule":
        assert errors[0]["detail"].endswith("; not evaluated")


def test_what_lies_behind_the_error_was_not_reached(judge):
    """So a wrong mapping hides a required claim that is missing; both are told."""
    report = judge(RULES.replace("{claim: sub, prefix", "{claim: upn, prefix"), {"tenant": "red"})
    details = [(f["level"], f["detail"]) for f in report.links if f["link"] == "auth-required"]
    assert details == [("skipped", "not reached, it would refuse the token too: jwt[0]."
                        "claimValidationRules[0]: expected hd=example.com, the token has none of "
                        "that name")]
    assert [f[0] for f in report.found() if f[0].startswith("auth-")] == ["auth-username"]
    assert report.of("auth-user")[0]["level"] == "skipped"


def test_a_final_slash_of_the_issuer(judge, fake):
    report = judge(TWO_ISSUERS.replace("@ISSUER@", fake.issuer.rstrip("/")))
    assert "one differs only in the final slash" in report.of("auth-issuer")[0]["detail"]
    assert "byte for byte" in report.of("auth-issuer")[0]["remedy"]
    assert "which the profile has" in report.of("auth-config")[1]["detail"]


def test_a_key_that_is_guarded_is_missing_without_an_error(judge):
    report = judge(MAPPINGS, ANNA)
    assert report.of("auth-extra")[1]["detail"] == (
        "jwt[0].claimMappings.extra[1] example.com/scopes: 'claims.?scp.orValue([])'; it reads "
        "claims.scp missing; not evaluated, foreseen: []")


def test_a_key_that_is_missed_in_some_cases_is_a_warning(judge):
    report = judge(by_name("{expression: \"claims.sub.matches('x') ? claims.upn : claims.sub\"}"))
    found = report.of("auth-username")[0]
    assert (found["level"], found["code"]) == ("warning", "claim-rule")
    assert "ends in the error no such key: upn where it comes to that" in found["detail"]


def test_groups_that_split_yields_by_itself(judge):
    report = judge(by_name('{claim: sub, prefix: ""}\n    groups: {expression: "claims.roles.'
                           "split(',')\"}"), {"roles": "a"})
    assert ("auth-groups", "warning", "claim-rule") in report.found()
    assert ".map(x, x)" in report.of("auth-groups")[1]["remedy"]


@pytest.mark.parametrize("text, words", [
    (TWO_ISSUERS.replace(', prefix: ""', ""), "jwt[0].claimMappings.username.prefix: Required "
     "value: prefix is required when claim is set. It can be set to an empty string to disable "
     "prefixing"),
    (TWO_ISSUERS.replace("https://other.example/b", "http://other.example/b"),
     'jwt[1].issuer.url: Invalid value: "http://other.example/b": URL scheme must be https'),
    (TWO_ISSUERS.replace("audienceMatchPolicy: MatchAny", "signingAlgs: [RS256]"),
     'jwt[0].issuer.signingAlgs: unknown field "jwt[0].issuer.signingAlgs"'),
    (MAPPINGS.replace("+ '@corp'", "+"), "syntax error at character 28: it ends where a value is "
     "expected"),
    (HEAD.replace("/v1", "/v2"), 'apiVersion: no kind "AuthenticationConfiguration" is registered '
     'for version "apiserver.config.k8s.io/v2"'),
])
def test_a_file_that_would_not_load(judge, text, words):
    report = judge(text)
    errors = [f for f in report.links if f["level"] == "error"]
    assert {(f["link"], f["code"]) for f in errors} == {("auth-config", "server-config")}
    assert [f for f in errors if words in f["detail"]], errors
    assert report.exit_code == 9
    assert [f["detail"] for f in report.of("auth-issuer")] == ["after auth-config"]


def test_an_older_version_of_the_file(judge):
    report = judge(TWO_ISSUERS.replace("/v1", "/v1beta1"))
    assert [f for f in report.found() if f[0].startswith("auth")] == []
    assert "v1beta1 depends on its version" in report.of("auth-config")[0]["detail"]


def test_a_file_that_is_beyond_our_limits(judge):
    report = judge(TWO_ISSUERS + "#" * (1 << 20))
    found = report.of("auth-config")[0]
    assert (found["level"], found["detail"]) == ("skipped", "it is not looked at: larger than "
                                                 "1048576 bytes")
    assert report.of("auth-issuer")[0]["level"] == "skipped"


def test_the_file_on_stdin(home, start, fake):  # noqa: F811
    start()
    report = Report(home.run("doctor", "--json", "--authentication-config", "-",
                             input=TWO_ISSUERS.replace("@ISSUER@", fake.issuer),
                             env={"PATH": "/bin/nowhere"}))
    assert report.of("auth-user")[0]["detail"] == "someone@example.com, groups [], uid none"


def test_a_file_that_is_not_there(home, start):  # noqa: F811
    start()
    report = doctor(home, "--authentication-config", "/nowhere/a.yaml")
    assert ("auth-config", "error", "server-config") in report.found()
    assert "/nowhere/a.yaml: No such file" in report.of("auth-config")[0]["detail"]


def test_an_audience_that_the_file_takes_and_the_daemon_does_not(judge):
    """client-id has to be in aud, by OpenID Connect: there is no token at all."""
    report = judge(TWO_ISSUERS, {"aud": "kubernetes"})
    assert [(f["link"], f["code"]) for f in report.links if f["level"] == "error"] == [
        ("token", "token-audience")]
    assert "OpenID Connect wants client-id in it" in report.of("token")[0]["remedy"]
    assert report.of("auth-issuer")[0]["detail"] == "there is no token"


@pytest.mark.parametrize("args, found", [
    (["--expect-signing-alg", "ES256", "--expect-signing-alg=RS256"], []),
    (["--expect-signing-alg", "ES256,RS256"], []),
    (["--expect-signing-alg", "ES256"], [("algorithm", "error", "token-algorithm")]),
    (["--expect-audience", "a", "--expect-audience", "client"], []),
    (["--expect-audience", "a", "--expect-audience", "b"],
     [("expect-audience", "error", "token-audience")]),
    (["--expect-audience", "a", "--expect-signing-alg", "ES256", "--expect-claim", "hd=x"],
     [("expect-audience", "error", "token-audience")]),
])
def test_what_its_options_say(home, start, args, found):  # noqa: F811
    start()
    report = doctor(home, *args)
    assert report.found() == found
    if len(args) == 6:
        assert "not reached" in report.of("algorithm")[0]["detail"]
        assert "expected hd=x" in report.of("expect-claim")[0]["detail"]


@pytest.mark.parametrize("args", [
    ["--expect-signing-alg", "EdDSA"], ["--expect-signing-alg", "HS256"], ["--expect-signing-alg"],
    ["--authentication-config"], ["--authentication-config", "x", "--expect-issuer", "y"],
    ["--expect-audience=x"] * 17])
def test_usage(home, args):
    r = home.run("doctor", *args)
    assert (r.returncode, r.stdout) == (2, "") and r.stderr.count("\n") == 1


@test_doctor.needs_kubectl
def test_a_401_names_the_entry_and_its_rules(judge, home, fake, tmp_path):
    judge(RULES, GOOD_RULES)
    cluster = test_doctor.Cluster(home, fake, tmp_path)
    try:
        cluster.server.reject_when(lambda _: True)
        report = cluster.doctor("--authentication-config", str(tmp_path / "authentication.yaml"))
        detail = report.of("cluster")[0]["detail"]
        assert 'jwt[0]: audiences ["client"]; username from oidc:sub; uid from sub; ' \
            "hd=example.com; 'claims.exp - claims.nbf <= 7200'" in detail
    finally:
        cluster.server.stop()
