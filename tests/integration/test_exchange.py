"""Profiles with from: their tokens are got for those of another profile (RFC 8693), whose one login
serves them all."""
import base64
import json

import pytest

import rig
from scripted import json_answer

TYPE = "urn:ietf:params:oauth:token-type:"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def errors(status, error, description=None):
    body = {"error": error, **({"error_description": description} if description else {})}
    return json_answer(body, status)


class Exchanger:
    """A provider with logins, refreshes and exchanges. `shape` makes the members of an exchange's
    answer of its token; `refuses` answers a request for an exchange instead of it, or returns None;
    `login` answers everything else, likewise."""

    def __init__(self, fake):
        self.fake = fake
        self.shape = SHAPES["dex"]
        self.refuses = self.login = lambda _: None
        self.lifetime = 3600  # of what is exchanged
        self.access_tokens, self.n = [], 0
        fake.answers["/oauth/token"] = self.answer

    def answer(self, request):
        form = request.form
        if form["grant_type"] != EXCHANGE:
            self.n += 1
            return self.login(form) or json_answer(self.fake.token(
                access_token=f"canary-access-{self.n}", refresh_token=f"canary-refresh-{self.n}"))
        return self.refuses(form) or json_answer(self.shape(self.make(form), form))

    def make(self, form):
        now = int(self.fake.clock())
        return self.fake.id_token(aud=form.get("audience", form.get("client_id")),
                                  exp=now + self.lifetime)

    def grants(self):
        return [r.form["grant_type"] for r in self.fake.grants()]

    def exchanges(self):
        return [r.form for r in self.fake.grants() if r.form["grant_type"] == EXCHANGE]

    def logins(self):
        return [r.form for r in self.fake.grants() if r.form["grant_type"] != EXCHANGE]


# What providers were seen, or say, to answer: the token, the request -> the members.
SHAPES = {
    "dex": lambda t, _: {"access_token": t, "issued_token_type": TYPE + "id_token",
                         "token_type": "bearer", "expires_in": 3599},
    "keycloak": lambda t, form: {
        "access_token": t, "expires_in": 300, "refresh_expires_in": 0, "token_type": "N_A",
        "not-before-policy": 0, "scope": "openid email profile", "session_state": "c7f1",
        "issued_token_type": form["requested_token_type"]},
    "keycloak-access-token": lambda t, _: {
        "access_token": t, "expires_in": 300, "refresh_expires_in": 0, "token_type": "Bearer",
        "not-before-policy": 0, "scope": "profile", "issued_token_type": TYPE + "access_token"},
    "okta": lambda t, _: {"access_token": t, "token_type": "Bearer", "expires_in": 3600,
                          "scope": "api:read", "issued_token_type": TYPE + "access_token"},
    "zitadel": lambda t, _: {"access_token": t, "issued_token_type": TYPE + "jwt",
                             "token_type": "Bearer", "expires_in": 43199, "scope": "openid"},
    "id-token-beside": lambda t, _: {"access_token": "opaque", "id_token": t,
                                     "issued_token_type": TYPE + "access_token",
                                     "token_type": "Bearer", "expires_in": 86400},
    "untyped": lambda t, _: {"access_token": t, "token_type": "bearer"},
}


def dependent(fake, name, extra="", audience=None, client="client"):
    """A [profile] section with from."""
    audience = f"audience = {audience}\n" if audience else ""
    return (f"[profile {name}]\nissuer = {fake.issuer}\nca-file = {fake.ca_file}\n"
            f"client-id = {client}\nfrom = work\n{audience}{extra}\n")


@pytest.fixture
def session(fake):
    return Exchanger(fake)


def configure(home, fake, *dependents, extra="", password="password = canary-pw"):
    home.configure("".join([fake.profile("work", extra=extra, password=password), *dependents]))


def get(home, profile):
    r = home.run("get", profile)
    assert (r.returncode, r.stderr) == (0, ""), r.stderr
    return r.stdout.strip()


def wait_state(home, profile, state):
    return rig.wait_until(lambda: home.status(profile)["state"] == state, f"{profile}: {state}")


# ---- one login, several clusters ----------------------------------------------------------------


def test_one_login_serves_three_clusters(fake, home, daemon, session):
    names = ["dev", "prod", "stage"]
    configure(home, fake, *[dependent(fake, n, audience=f"kube-{n}") for n in names])
    daemon.start()
    tokens = {name: get(home, name) for name in names}
    assert {n: claims(t)["aud"] for n, t in tokens.items()} == {n: f"kube-{n}" for n in names}
    assert session.grants() == ["password"] + 3 * [EXCHANGE]
    work = get(home, "work")
    assert [f["subject_token"] for f in session.exchanges()] == 3 * [work]
    assert {n: get(home, n) for n in names} == tokens and len(session.grants()) == 4


def test_the_request_is_that_of_rfc_8693(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod", audience="kube-prod", client="prod-client",
                                    extra="client-secret = canary secret\nclient-auth = post\n"
                                          "scope = groups\nresource = https://kube.example.com/\n"
                                          "token-parameter = connector_id=ldap"))
    daemon.start()
    get(home, "prod")
    form = session.exchanges()[0]
    work = get(home, "work")
    assert form == {
        "grant_type": EXCHANGE, "subject_token": work, "subject_token_type": TYPE + "id_token",
        "requested_token_type": TYPE + "id_token", "audience": "kube-prod",
        "resource": "https://kube.example.com/", "scope": "openid groups", "connector_id": "ldap",
        "client_id": "prod-client", "client_secret": "canary secret"}


def test_another_type_may_be_asked_for(fake, home, daemon, session):
    session.shape = SHAPES["keycloak"]
    configure(home, fake, dependent(
        fake, "prod", extra=f"token-parameter = requested_token_type={TYPE}jwt"))
    daemon.start()
    get(home, "prod")
    assert session.exchanges()[0]["requested_token_type"] == TYPE + "jwt"


@pytest.mark.parametrize("shape", SHAPES)
def test_the_token_is_found_in_each_shape(fake, home, daemon, session, shape):
    session.shape = SHAPES[shape]
    configure(home, fake, dependent(fake, "prod", audience="kube-prod"))
    daemon.start()
    assert claims(get(home, "prod"))["aud"] == "kube-prod"


OF_NO_USE = {
    "opaque": {"access_token": "canary-opaque", "issued_token_type": TYPE + "access_token"},
    "refresh-token": {"access_token": "SHAPED", "issued_token_type": TYPE + "refresh_token"},
    "nothing": {"token_type": "Bearer"},
}


@pytest.mark.parametrize("what", OF_NO_USE)
def test_what_is_no_id_token_is_told_by_its_type(fake, home, daemon, session, what):
    members = OF_NO_USE[what]
    session.shape = lambda t, _: {**members, **({"access_token": t} if "SHAPED" in str(members)
                                                else {})}
    configure(home, fake, dependent(fake, "prod"))
    daemon.start()
    r = home.run("get", "prod")
    named = members.get("issued_token_type", "is not said").removeprefix(TYPE)
    assert r.returncode == 8 and f"issued_token_type {named}" in r.stderr, r.stderr
    assert "canary" not in r.stderr
    assert home.status("prod")["state"] == "stopped"
    assert home.run("get", "prod").returncode == 8 and len(session.exchanges()) == 1


def test_the_audience_is_the_clients_or_the_one_that_was_asked_for(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod", audience="kube-prod"))
    session.make = lambda _: fake.id_token(aud="client")
    daemon.start()
    assert claims(get(home, "prod"))["aud"] == "client"
    session.make = lambda _: fake.id_token(aud="somebody-else")
    r = home.run("refresh", "prod")
    assert r.returncode == 8, r.stderr
    assert 'expected "client" or "kube-prod", got "somebody-else"' in r.stderr


def test_an_audience_counts_for_an_exchange_alone(fake, home, daemon):
    fake.claims = {"aud": "kube-prod"}
    home.configure(fake.profile("p", extra="audience = kube-prod\n"
                                           "subject-token-type = access_token"))
    daemon.start()
    assert home.run("get", "p").returncode == 8


def test_no_refresh_token_is_kept_of_an_exchange(fake, home, daemon, session):
    session.shape = lambda t, f: {**SHAPES["dex"](t, f), "refresh_token": "canary-other"}
    configure(home, fake, dependent(fake, "prod"))
    daemon.start()
    get(home, "prod")
    assert home.run("refresh", "prod").returncode == 0
    assert session.grants() == ["password", EXCHANGE, EXCHANGE]


# ---- the access token ---------------------------------------------------------------------------


def test_the_access_token_is_given_where_that_is_configured(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod", extra="subject-token-type = access_token"),
              dependent(fake, "dev"))
    daemon.start()
    get(home, "prod")
    get(home, "dev")
    of_prod, of_dev = session.exchanges()
    assert of_prod["subject_token"] == "canary-access-1"
    assert of_prod["subject_token_type"] == TYPE + "access_token"
    assert of_dev["subject_token"] == get(home, "work") and len(session.logins()) == 1


def test_an_access_token_that_a_restart_has_ended_is_got_again(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod", extra="subject-token-type = access_token"))
    daemon.start()
    work = get(home, "work")
    daemon.restart()
    assert get(home, "work") == work and len(session.logins()) == 1
    get(home, "prod")
    assert len(session.logins()) == 2
    assert session.exchanges()[0]["subject_token"] == "canary-access-2"


def test_a_provider_without_access_tokens_is_told_so(fake, home, daemon, session):
    session.login = lambda form: json_answer({"id_token": fake.id_token()})
    configure(home, fake, dependent(fake, "prod", extra="subject-token-type = access_token"))
    daemon.start()
    r = home.run("get", "prod")
    assert r.returncode == 8 and "work brought no access_token" in r.stderr, r.stderr
    assert len(session.logins()) <= 2 and session.exchanges() == []


# ---- the other profile has none -----------------------------------------------------------------


def test_where_that_one_needs_a_login_the_command_is_named_and_the_login_wakes_all(
        fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod"), dependent(fake, "dev"), password="")
    daemon.start()
    for name in ("prod", "dev"):
        r = home.run("get", name)
        assert r.returncode == 5 and "kubetoken login work" in r.stderr, r.stderr
        assert home.status(name)["state"] == "login needed"
    assert fake.grants() == []
    assert home.run("login", "work", input="canary-pw").returncode == 0
    for name in ("prod", "dev"):
        wait_state(home, name, "idle")
    assert sorted(session.grants()) == sorted(["password", EXCHANGE, EXCHANGE])
    assert "expirationTimestamp" in home.status("prod")  # nobody has asked again


@pytest.mark.parametrize("how", [[], ["--refresh-token"]])
def test_nobody_logs_in_to_one_that_comes_from_another(fake, home, daemon, session, how):
    configure(home, fake, dependent(fake, "prod"), password="")
    daemon.start()
    r = home.run("login", *how, "prod", input="canary-pw")
    assert r.returncode == 2 and "kubetoken login work" in r.stderr, r.stderr
    assert rig.ask(home, b"login * prod secret=4 once\nword").startswith(b"error usage")
    assert fake.grants() == []


def test_a_source_that_is_refused_stops_what_comes_from_it_and_nothing_is_sent_again(
        fake, home, daemon, session):
    session.login = lambda _: errors(401, "invalid_grant", "Invalid user credentials")
    configure(home, fake, dependent(fake, "prod"), dependent(fake, "dev"))
    daemon.start()
    for name in ("prod", "dev", "prod"):
        r = home.run("get", name)
        assert r.returncode == 6 and "work: the provider refused" in r.stderr, r.stderr
    assert home.status("prod")["state"] == "stopped" and len(fake.grants()) == 1
    session.login = lambda _: None
    assert home.run("refresh", "work").returncode == 0
    for name in ("prod", "dev"):
        wait_state(home, name, "idle")


def test_a_source_that_stopped_is_known_behind_a_restart(fake, home, daemon, session):
    session.login = lambda _: errors(401, "invalid_grant")
    configure(home, fake, dependent(fake, "prod"))
    daemon.start()
    assert home.run("get", "prod").returncode == 6
    daemon.restart(crash=True)
    assert home.status("prod")["state"] == "stopped" and len(fake.grants()) == 1
    session.login = lambda _: None
    assert home.run("refresh", "work").returncode == 0
    wait_state(home, "prod", "idle")


def test_a_source_that_cannot_be_reached_is_named_and_waited_for(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod"))
    fake.refuse()
    daemon.start()
    r = home.run("get", "prod")
    assert r.returncode == 7 and "work, from which its tokens come" in r.stderr, r.stderr
    assert home.status("prod")["error"]["code"] == "connect"
    fake.listen_again()
    assert home.run("refresh", "work").returncode == 0
    wait_state(home, "prod", "idle")
    assert session.grants() == ["password", EXCHANGE]


def test_who_waits_for_both_gets_a_token_and_each_is_asked_once(fake, home, daemon, session):
    """P3, over two profiles."""
    configure(home, fake, dependent(fake, "prod"), dependent(fake, "dev"))
    daemon.start()
    connections = [rig.connect(home) for _ in range(20)]
    for i, s in enumerate(connections):
        s.sendall(b"get token %s once\n" % (b"prod", b"dev", b"work")[i % 3:][:1][0])
    for s in connections:
        assert s.recv(4096).startswith(b"ok ")
        s.close()
    assert sorted(session.grants()) == sorted(["password", EXCHANGE, EXCHANGE])


# ---- the token that is given has ended ----------------------------------------------------------


@pytest.mark.parametrize("answer", [(400, "invalid_grant"), (400, "invalid_request"),
                                    (401, "invalid_token")])
def test_a_token_that_has_ended_there_is_replaced_once(fake, home, daemon, session, answer):
    configure(home, fake, dependent(fake, "prod"))
    daemon.start()
    first = get(home, "work")
    session.refuses = lambda form: errors(*answer) if form["subject_token"] == first else None
    get(home, "prod")
    assert session.grants() == ["password", EXCHANGE, "refresh_token", EXCHANGE]
    assert session.exchanges()[1]["subject_token"] == get(home, "work") != first
    assert "canary" not in daemon.log.read_text()


def test_a_new_one_that_is_refused_too_stops_the_profile_alone(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod"), dependent(fake, "dev", audience="kube-dev"))
    daemon.start()
    get(home, "work")
    session.refuses = lambda form: None if "audience" in form else errors(400, "invalid_grant")
    r = home.run("get", "prod")
    assert r.returncode == 6 and "token that was to be exchanged" in r.stderr, r.stderr
    assert session.grants() == ["password", EXCHANGE, "refresh_token", EXCHANGE]
    assert home.run("get", "prod").returncode == 6 and len(session.grants()) == 4
    get(home, "dev")
    assert home.status("work")["state"] == "idle" and home.status("prod")["state"] == "stopped"


def test_a_new_one_that_has_to_wait_for_the_account_is_the_last_one(fake, home, daemon, session):
    """P5: the six of the bucket are used up by then, so that it is sent seconds later. Forgotten
    over that, it would be replaced again and again."""
    names = [f"c{i}" for i in range(4)]
    configure(home, fake, *[dependent(fake, n, audience=n) for n in names],
              dependent(fake, "prod"))
    daemon.start()
    for name in names:
        get(home, name)
    session.refuses = lambda _: errors(400, "invalid_request")
    r = home.run("get", "prod", "--timeout", f"{rig.PATIENCE}s")
    assert r.returncode == 6 and "token that was to be exchanged" in r.stderr, r.stderr
    assert session.grants() == ["password"] + 5 * [EXCHANGE] + ["refresh_token", EXCHANGE]


def test_what_was_refused_is_not_sent_again_while_no_new_one_is_to_be_had(
        fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod"))
    daemon.start()
    first = get(home, "work")
    session.refuses = lambda _: errors(400, "invalid_request")
    session.login = lambda _: errors(503, "temporarily_unavailable")
    for command in ("get", "refresh"):
        r = home.run(command, "prod", "--timeout", "1s")
        assert r.returncode == 7 and len(session.exchanges()) == 1, r.stderr
    session.login = lambda _: None
    assert home.run("refresh", "work").returncode == 0
    wait_state(home, "prod", "stopped")
    assert [f["subject_token"] for f in session.exchanges()] == [first, get(home, "work")]


def test_where_no_new_one_is_to_be_had_the_source_says_why(fake, home, daemon, session):
    """Its session was ended elsewhere: the token in hand, and the refresh token, are void."""
    configure(home, fake, dependent(fake, "prod"), password="")
    daemon.start()
    assert home.run("login", "--refresh-token", "work", input="canary-refresh-0").returncode == 0
    session.refuses = lambda _: errors(400, "invalid_grant", "Session not active")
    session.login = lambda form: errors(400, "invalid_grant", "Session not active")
    r = home.run("get", "prod")
    assert r.returncode == 5 and "kubetoken login work" in r.stderr, r.stderr
    session.refuses = session.login = lambda _: None
    assert home.run("login", "work", input="canary-pw").returncode == 0
    wait_state(home, "prod", "idle")


REFUSALS = {
    "keycloak-not-allowed": (403, "access_denied", "Client not allowed to exchange"),
    "keycloak-client": (400, "invalid_client", "Client is not allowed to exchange"),
    "grant-type": (400, "unsupported_grant_type", None),
    "unauthorized": (400, "unauthorized_client", "Token exchange is not enabled"),
    "target": (400, "invalid_target", None),
}


@pytest.mark.parametrize("how", REFUSALS)
def test_a_refused_exchange_is_sent_once_and_not_held_against_the_login(
        fake, home, daemon, session, how):
    """P4: the client of both is the same."""
    session.refuses = lambda _: errors(*REFUSALS[how])
    configure(home, fake, dependent(fake, "prod"))
    daemon.start()
    r = home.run("get", "prod")
    assert r.returncode == 6 and f"HTTP {REFUSALS[how][0]}, {REFUSALS[how][1]}" in r.stderr
    for _ in range(2):
        assert home.run("get", "prod").returncode == 6
    assert home.run("refresh", "work").returncode == 0  # a renewal is no reason to try again
    assert home.status("prod")["state"] == "stopped" and len(session.exchanges()) == 1
    daemon.restart(crash=True)
    assert home.run("get", "prod").returncode == 6
    assert session.grants() == ["password", EXCHANGE, "refresh_token"]
    session.refuses = lambda _: None
    assert home.run("refresh", "prod").returncode == 0
    assert home.status("work")["state"] == "idle"


def test_a_login_at_the_source_lets_a_refused_exchange_try_again(fake, home, daemon, session):
    session.refuses = lambda _: errors(403, "access_denied")
    configure(home, fake, dependent(fake, "prod"), password="")
    daemon.start()
    assert home.run("login", "work", input="canary-pw").returncode == 0
    assert home.run("get", "prod").returncode == 6
    session.refuses = lambda _: None
    assert home.run("login", "work", input="canary-pw").returncode == 0
    wait_state(home, "prod", "idle")
    assert len(session.exchanges()) == 2


def test_exchanges_take_from_the_bucket_of_the_sources_account(fake, home, daemon, session):
    """P5: a login and five exchanges at once, and then one more each ten seconds."""
    names = [f"c{i}" for i in range(6)]
    configure(home, fake, *[dependent(fake, n, audience=n) for n in names])
    daemon.start()
    for name in names[:5]:
        get(home, name)
    r = home.run("get", "c5", "--timeout", "1s")
    assert r.returncode == 7 and "the next one is made in" in r.stderr, r.stderr
    assert home.status("c5")["error"]["code"] == "throttled"
    assert len(session.grants()) == 6


# ---- logout, reload, restart --------------------------------------------------------------------


def test_a_logout_of_the_source_ends_what_came_from_it_and_no_other_way_round(
        fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod"), dependent(fake, "dev"), password="")
    daemon.start()
    assert home.run("login", "work", input="canary-pw").returncode == 0
    get(home, "prod")
    dev = get(home, "dev")
    assert home.run("logout", "prod").returncode == 0
    assert "expirationTimestamp" not in home.status("prod")
    assert get(home, "dev") == dev and home.status("work")["state"] == "idle"
    assert home.run("logout", "work").returncode == 0
    assert "expirationTimestamp" not in home.status("dev")
    r = home.run("get", "dev")
    assert r.returncode == 5 and "kubetoken login work" in r.stderr, r.stderr


def test_another_identity_of_the_source_ends_what_came_from_it(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod"))
    daemon.start()
    first = get(home, "prod")
    home.configure(fake.profile("work", user="another") + dependent(fake, "prod"))
    daemon.reload()
    assert "expirationTimestamp" not in home.status("prod")
    assert get(home, "prod") != first
    assert session.grants() == ["password", EXCHANGE, "password", EXCHANGE]


def test_it_is_another_identity_behind_a_restart_too(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod"))
    daemon.start()
    first = get(home, "prod")
    daemon.restart()
    assert get(home, "prod") == first and session.grants() == ["password", EXCHANGE]
    home.configure(fake.profile("work", user="another") + dependent(fake, "prod"))
    daemon.restart()
    assert get(home, "prod") != first


def test_a_source_that_is_taken_away_is_an_error_of_the_file(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod"))
    daemon.start()
    token = get(home, "prod")
    home.configure(dependent(fake, "prod"))
    r = home.run("reload")
    assert r.returncode == 9 and "from = work: there is no such profile" in r.stderr, r.stderr
    assert get(home, "prod") == token


def test_with_keep_over_restart_all_goes_on_without_a_login(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod"), password="", extra="keep-over-restart = all")
    daemon.start()
    assert home.run("login", "work", input="canary-pw").returncode == 0
    first = get(home, "prod")
    daemon.restart(crash=True)
    assert get(home, "prod") == first
    assert home.run("refresh", "prod").returncode == 0
    assert session.grants() == ["password", EXCHANGE, EXCHANGE]


def test_both_are_renewed_ahead_with_nobody_asking(fake, home, daemon, session):
    """P2; each is due within seven seconds."""
    fake.lifetime = session.lifetime = 14
    configure(home, fake, dependent(fake, "prod"))
    daemon.start()
    get(home, "prod")
    rig.wait_until(lambda: len(session.exchanges()) >= 3 and len(session.logins()) >= 3,
                   "renewals of both")
    assert home.status("prod")["state"] in ("idle", "asking")


def links_of(home, profile):
    report = json.loads(home.run("doctor", profile, "--json").stdout)
    return {link["link"]: link for link in report["links"]}


# ---- told ---------------------------------------------------------------------------------------


def test_status_log_and_doctor_say_from_which_it_comes(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod"))
    daemon.start()
    get(home, "prod")
    assert "someone  from work" in home.run("status").stdout
    assert home.status("prod")["from"] == "work" and "from" not in home.status("work")
    assert "got a token by exchange" in rig.unwrapped(home.run("log", "prod").stdout)
    entries = [json.loads(line) for line in home.run("log", "prod", "--json").stdout.splitlines()]
    assert "exchange" in [e.get("by") for e in entries]
    links = links_of(home, "prod")
    assert links["source"]["level"] == "ok" and links["source"]["detail"] == "work"
    assert "source" not in home.run("doctor", "work", "--json").stdout


def test_doctor_names_the_source_that_needs_a_login(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod"), password="")
    daemon.start()
    links = links_of(home, "prod")
    assert links["source"]["level"] == "error"
    assert links["source"]["code"] == "source-login"
    assert "kubetoken login work" in links["source"]["detail"]
    assert links["grant"]["level"] == "skipped"


def test_the_log_names_the_login_of_the_source(fake, home, daemon, session):
    configure(home, fake, dependent(fake, "prod"), password="")
    daemon.start()
    home.run("get", "prod")
    line = [x for x in daemon.log.read_text().splitlines() if "prod" in x][-1]
    assert "say kubetoken login work" in line, line


# ---- kept fresh ---------------------------------------------------------------------------------


@pytest.mark.parametrize("keep, kept", [("12h", True), ("1m", False)])
def test_the_source_is_kept_fresh_as_long_as_what_comes_from_it(fake, home, daemon, session, keep,
                                                               kept):
    """By itself it would be renewed within a minute of its last use alone."""
    configure(home, fake, dependent(fake, "prod", extra=f"keep-fresh = {keep}"),
              extra="keep-fresh = 1m")
    daemon.start()
    get(home, "prod")
    assert home.run("refresh", "work").returncode == 0  # the first may be renewed at any time
    assert ("renewalTimestamp" in home.status("work")) == kept
