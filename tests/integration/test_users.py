"""Whom Kubernetes sees: what status and doctor say of it is what an API server says, never a
guess."""
import base64
import json

import pytest

import rig
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

import apiserver
import test_apiserver
from scripted import b64, json_answer
from test_doctor import Cluster, doctor, needs_kubectl, needs_whoami

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
SCENE = {"sub": "auth0|1", "preferred_username": "anna", "upn": "anna@corp"}


@pytest.fixture
def start(fake, home, daemon):
    """Configures, starts the daemon, has it get a token. Returns the token."""
    def run(extra=""):
        home.configure(fake.profile(extra=extra))
        daemon.start()
        r = home.run("get", "p")
        assert r.returncode == 0, r.stderr
        return r.stdout.strip()
    return run


@pytest.fixture
def ask(fake, tmp_path):
    """What an API server with these flags answers: status, and the user that it sees."""
    def run(token, **flags):
        with apiserver.ApiServer(str(tmp_path / "apiserver"), fake.issuer, "client",
                                 issuer_ca=fake.ca_file, **flags) as server:
            review = test_apiserver.call(server, token, REVIEW, method="POST")
            seen = review.json["status"]["userInfo"] if review.status == 201 else None
            return test_apiserver.call(server, token).status, seen
    return run


def give(fake, **changes):
    """Tokens with these claims: None is null, ... takes one out."""
    def answer(_):
        payload = fake.id_token().split(".")[1]
        claims = {**json.loads(base64.urlsafe_b64decode(payload + "==")), **changes}
        parts = ({"alg": "RS256", "kid": fake.key.kid},
                 {name: value for name, value in claims.items() if value is not ...})
        text = ".".join(b64(json.dumps(part).encode()) for part in parts)
        signature = fake.key.private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return json_answer(fake.token(id_token=f"{text}.{b64(signature)}"))
    fake.answers["/oauth/token"] = answer


def detail(report, link):
    return report.of(link)[0]["detail"]


# ---- by the profile's words ---------------------------------------------------------------------

FLAGS = [("sub", None), ("sub", "-"), ("sub", "x:"), ("email", None), ("email", "-"),
         ("email", "x:"), ("preferred_username", None), ("preferred_username", "-"),
         ("preferred_username", "x:")]


@pytest.mark.parametrize("claim, prefix", FLAGS)
def test_the_user_is_named_as_an_api_server_with_these_flags_names_it(fake, home, start, ask, claim,
                                                                     prefix):
    fake.claims = SCENE
    token = start(f"username-claim = {claim}" + (f"\nusername-prefix = {prefix}" if prefix else ""))
    seen = ask(token, username_claim=claim, username_prefix=prefix)[1]["username"]
    status = home.status("p")
    assert (status["user"], status["username"], status["usernameClaim"]) == (seen, "someone", claim)
    assert status.get("usernamePrefix") == prefix and "userByClaim" not in status
    assert status["warnings"] == []
    table = home.run("status").stdout
    assert f" {seen} " in table and "user by" not in table
    assert detail(doctor(home), "user").startswith(f"{seen}, by username-claim = {claim}; ")


@pytest.mark.parametrize("groups", [["dev", "ops"], "dev", [], "", None, ["dev", None]])
@pytest.mark.parametrize("prefix", ["", "oidc:", "-"])
def test_the_groups_have_the_prefix_that_an_api_server_gives_them(fake, home, start, ask, groups,
                                                                 prefix):
    give(fake, groups=groups)
    token = start("groups-claim = groups" + (f"\ngroups-prefix = {prefix}" if prefix else ""))
    seen = ask(token, groups_claim="groups", groups_prefix=prefix)[1]["groups"]
    assert json.loads(detail(doctor(home), "groups")) == seen[:-1], "but system:authenticated"
    assert home.status("p").get("groupsPrefix", "") == prefix


# ---- without them -------------------------------------------------------------------------------

def test_without_a_username_claim_status_tells_the_account_and_what_each_flag_gives(
        fake, home, start, ask):
    fake.claims = SCENE
    token = start()
    sub, email = (ask(token, username_claim=c)[1]["username"] for c in ("sub", "email"))
    status = home.status("p")
    assert status["user"] == status["username"] == "someone"
    assert status["userByClaim"] == {"sub": sub, "email": email}
    table = rig.unwrapped(home.run("status").stdout)
    row = next(line for line in table.splitlines() if line.startswith("p "))
    assert row.split()[1] == "someone"
    assert f"p: user by --oidc-username-claim=sub (the default): {sub}\n" in table
    assert f"p: user by --oidc-username-claim=email: {email}\n" in table


def test_of_many_profiles_status_tells_each_flag_only_where_one_is_asked_for(fake, home, daemon):
    home.configure(fake.profile("p") + fake.profile("q"))
    daemon.start()
    for name in "pq":
        assert home.run("get", name).returncode == 0
    assert "user by" not in home.run("status").stdout
    assert home.run("status", "p").stdout.count("p: user by ") == 2
    assert all("userByClaim" in status for status in home.status())


def test_before_there_is_a_token_nothing_is_said_of_flags(fake, home, daemon):
    home.configure(fake.profile())
    daemon.start()
    status = home.status("p")
    assert status["user"] == "someone" and "userByClaim" not in status
    assert "user by" not in home.run("status").stdout


def test_without_a_username_claim_doctor_tells_which_flag_gives_which_name(fake, home, start):
    fake.claims = SCENE
    start()
    assert detail(doctor(home), "user") == (
        f"by --oidc-username-claim=sub (the default): {fake.issuer}#auth0|1; "
        f"by email: someone@example.com; by preferred_username: {fake.issuer}#anna; "
        f"by upn: {fake.issuer}#anna@corp; username-claim in the profile says which one counts")


# What is odd, and what an API server with --oidc-username-claim=email answers to it.
ODD = {
    "missing": ({"email": ...}, "email-claim", 401),
    "empty": ({"email": ""}, "email-claim", 403),
    "null": ({"email": None}, "email-claim", 403),
    "a number": ({"email": 5}, "email-claim", 401),
    "a list": ({"email": ["someone@example.com"]}, "email-claim", 401),
    "not verified": ({"email_verified": False}, "email-not-verified", 401),
    "verified null": ({"email_verified": None}, "email-not-verified", 401),
    "verified as a text": ({"email_verified": "true"}, "email-not-verified", 401),
    "verified 1": ({"email_verified": 1}, "email-not-verified", 401),
    "empty and not verified": ({"email": "", "email_verified": False}, "email-not-verified", 401),
    "not spoken of": ({"email_verified": ...}, None, 200),
    "in order": ({}, None, 200),
}


def odd(fake, row):
    give(fake, **ODD[row][0])
    return ODD[row][1:]


@pytest.mark.parametrize("row", ODD)
def test_an_odd_email_warns_untold_of_what_the_api_server_would_answer(fake, home, start, ask, row):
    code, answer = odd(fake, row)
    token = start()
    assert ask(token, username_claim="email")[0] == answer
    assert ask(token, username_claim="sub")[0] == 200
    status, report = home.status("p"), doctor(home)
    assert [w["code"] for w in status["warnings"]] == ([code] if code else [])
    assert report.found() == ([("claims", "warning", code)] if code else [])
    assert report.exit_code == 0
    assert ("email" in status["userByClaim"]) == (code is None)
    if code:
        says = status["warnings"][0]["detail"]
        assert "with username claim email the API server would " in says
        assert says.endswith(f"answer {answer}")
        for text in (home.run("status").stdout, home.run("inspect", "p").stdout):
            assert says in rig.unwrapped(text)
        assert "; by email: none; " in detail(report, "user")
        assert "p: user by --oidc-username-claim=email: none\n" in home.run("status").stdout


@pytest.mark.parametrize("row", [r for r in ODD if ODD[r][1]])
def test_an_odd_email_is_an_error_where_it_is_the_username_claim(fake, home, start, row):
    code, answer = odd(fake, row)
    start("username-claim = email")
    report = doctor(home)
    code = "username-claim" if code == "email-claim" else code
    assert report.found() == [("claims", "error", code)] and report.exit_code == 1
    says = next(f["detail"] for f in report.of("claims") if f["level"] == "error")
    assert says.endswith('the API server sees the user ""' if answer == 403 else
                         "the API server answers 401")
    if answer == 401:
        assert report.of("user")[0]["level"] == "skipped"


@pytest.mark.parametrize("row", ODD)
def test_an_odd_email_is_nothing_where_another_claim_counts(fake, home, start, row):
    odd(fake, row)
    start("username-claim = sub")
    assert home.status("p")["warnings"] == [] and doctor(home).found() == []


def test_an_email_that_scope_does_not_ask_for_is_not_missed(fake, home, start):
    odd(fake, "missing")
    start("scope = openid profile")
    assert home.status("p")["warnings"] == []
    assert "; by email: none; " in detail(doctor(home), "user")


# ---- the configuration --------------------------------------------------------------------------

@pytest.mark.parametrize("extra, says", [
    ("username-prefix = x:", "profile p: username-prefix needs username-claim; write "
     "username-claim = sub, or what --oidc-username-claim of the API server names"),
    ("groups-prefix = x:", "profile p: groups-prefix needs groups-claim; write groups-claim = what "
     "--oidc-groups-claim of the API server names"),
])
def test_a_prefix_without_its_claim_is_an_error_that_says_what_to_write(fake, home, daemon, extra,
                                                                       says):
    home.configure(fake.profile(extra=extra))
    daemon.start()
    r = home.run("get", "p")
    assert r.returncode == 9
    assert f"kubetoken.conf:7: {says}" in r.stderr


# ---- the API server's own word ------------------------------------------------------------------

@pytest.fixture
def cluster(fake, home, tmp_path, start):
    """An API server with these flags, and doctor's report of it."""
    servers = []

    def run(extra="", change=lambda c: None, **flags):
        start(extra)
        servers.append(Cluster(home, fake, tmp_path, **flags))
        change(servers[0])
        return servers[0].doctor()
    yield run
    for each in servers:
        each.server.stop()


@needs_kubectl
@needs_whoami
@pytest.mark.parametrize("flags, name, by", [
    ({"username_claim": "email"}, "someone@example.com", "=email"),
    ({"username_claim": "sub"}, "ISSUER#auth0|1", "=sub"),
    ({"username_claim": "sub", "username_prefix": "-"}, "auth0|1",
     "=sub with --oidc-username-prefix=-"),
    ({"username_claim": "email", "username_prefix": "x:"}, "x:someone@example.com",
     "=email with --oidc-username-prefix=x:"),
    ({"username_claim": "preferred_username"}, "ISSUER#anna", "=preferred_username"),
    ({"username_claim": "nickname"}, "ISSUER#nick", "=nickname"),
])
def test_what_the_api_server_says_tells_which_flag_it_has(fake, cluster, flags, name, by):
    fake.claims = {**SCENE, "nickname": "nick"}
    report = cluster(**flags)
    name = name.replace("ISSUER", fake.issuer)
    assert report.found() == []
    gives = f"; --oidc-username-claim{by} gives that name"
    assert detail(report, "user") == f"{name}, as the API server itself says (auth whoami){gives}"
    assert detail(report, "cluster").startswith(f"user {name}, groups [")
    assert detail(report, "cluster").endswith(gives)


@needs_kubectl
@needs_whoami
def test_the_api_server_agrees_with_the_profile(fake, cluster):
    fake.claims["groups"] = ["dev"]
    report = cluster("username-claim = sub\nusername-prefix = x:\n"
                     "groups-claim = groups\ngroups-prefix = y:", username_claim="sub",
                     username_prefix="x:", groups_claim="groups", groups_prefix="y:")
    assert report.found() == []
    assert detail(report, "user") == "x:auth0|1, as the API server itself says (auth whoami)"
    assert detail(report, "groups") == ('["y:dev","system:authenticated"], as the API server '
                                        "itself says (auth whoami)")


@needs_kubectl
@needs_whoami
def test_the_api_server_sees_another_user_than_the_profile_says(fake, cluster):
    report = cluster("username-claim = email", username_claim="sub")
    assert report.found() == [("cluster", "warning", "other-user")]
    assert detail(report, "cluster") == (
        f'the API server sees "{fake.issuer}#auth0|1", username-claim = email gives '
        '"someone@example.com"')
    assert detail(report, "user") == (f"{fake.issuer}#auth0|1, as the API server itself says "
                                      "(auth whoami)")


@needs_kubectl
@needs_whoami
def test_the_api_server_sees_other_groups_than_the_profile_says(fake, cluster):
    fake.claims["groups"] = ["dev"]
    report = cluster("groups-claim = groups\ngroups-prefix = y:", groups_claim="groups")
    assert report.found() == [("cluster", "warning", "other-user")]
    assert detail(report, "cluster") == (
        'groups-claim = groups gives "y:dev", the API server sees ["dev","system:authenticated"]')


@needs_kubectl
@needs_whoami
def test_a_user_whom_none_of_the_usual_claims_gives_is_somebody_else(fake, cluster):
    fake.claims["department"] = "red"
    report = cluster(username_claim="department", username_prefix="x:")
    assert [f for f in report.found() if f[0] == "cluster"] == [
        ("cluster", "warning", "other-user")]
    assert detail(report, "cluster") == (
        'the API server sees "x:red", which none of the usual claims gives')
    assert detail(report, "user") == "x:red, as the API server itself says (auth whoami)"


@needs_kubectl
@needs_whoami
def test_what_the_api_server_says_of_another_profile_is_not_said_of_this_one(fake, home, tmp_path,
                                                                            start):
    start(fake.profile("q"))
    c = Cluster(home, fake, tmp_path)
    try:
        c.exec["args"][-1] = "q"
        report = c.doctor("p")
    finally:
        c.server.stop()
    assert report.found() == [("kubectl-profile", "warning", "not-used")]
    assert detail(report, "user").startswith("by --oidc-username-claim=sub (the default): ")
