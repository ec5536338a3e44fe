"""Providers whose refresh brings no newer id_token (OpenID Connect Core §12.2 wants iat to be the
time of the refresh). What is handed out is never dead, and is never called new."""
import base64
import json
import time

import pytest

import rig
from scripted import json_answer


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


class Session:
    """A provider whose logins begin a session, and whose refreshes give the id_token of its
    beginning: unchanged, or made anew with the times of before. Refresh tokens rotate."""

    def __init__(self, fake, how, date=True):
        self.fake, self.how, self.date = fake, how, date
        self.token = None
        self.n = 0
        self.not_before = 0  # of answers to a refresh
        fake.answers["/oauth/token"] = self.answer

    def answer(self, request):
        fake, headers = self.fake, {} if self.date else {"Date": None}
        self.n += 1
        if request.form["grant_type"] == "password":
            self.token = fake.id_token()
            return json_answer(self.members(self.token), **headers)
        if request.form["refresh_token"] != f"r{self.n - 1}":
            return json_answer({"error": "invalid_grant"}, 400)
        time.sleep(max(0, self.not_before - time.monotonic()))
        old = claims(self.token)
        token = {"unchanged": lambda: self.token,
                 "anew": lambda: fake.id_token(iat=old["iat"], exp=old["exp"]),
                 "older": lambda: fake.id_token(iat=old["iat"] - 5, exp=old["exp"] + 5),
                 "longer": lambda: fake.id_token(iat=old["iat"], exp=old["exp"] + 3600),
                 "newer": lambda: fake.id_token(iat=old["iat"] + 1)}[self.how]()
        self.token = token if self.how == "newer" else self.token
        return json_answer(self.members(token), **headers)

    def members(self, token):
        return {"access_token": "a", "id_token": token, "refresh_token": f"r{self.n}"}

    def grants(self):
        return [r.form["grant_type"] for r in self.fake.grants()]


STALE = ["unchanged", "anew", "older", "longer"]


def aged(fake):
    """Logins of a minute ago, whose tokens live on: a clock that is told by Date, too."""
    fake.clock = lambda: time.time() - (0 if fake.tokens else 60)


@pytest.mark.parametrize("date", [True, False], ids=["date", "no-date"])
@pytest.mark.parametrize("how", STALE)
def test_where_a_password_is_known_it_is_used_until_a_login(fake, home, daemon, how, date):
    session = Session(fake, how, date)
    aged(fake)
    home.configure(fake.profile())
    daemon.start()
    first = home.run("get").stdout
    r = home.run("refresh")
    assert (r.returncode, r.stderr) == (0, "")
    assert session.grants() == ["password", "refresh_token", "password"]
    second = home.run("get").stdout
    assert claims(second)["iat"] > claims(first)["iat"]
    for _ in range(2):
        assert home.run("refresh").returncode == 0
    assert session.grants()[3:] == ["password", "password"]
    assert home.run("login", input="canary-pw").returncode == 0
    assert session.grants()[5:] == ["password"]
    session.token = first  # a minute old, whatever the machine's speed
    assert home.run("refresh").returncode == 0
    assert session.grants()[6:] == ["refresh_token", "password"]


@pytest.mark.parametrize("date", [True, False], ids=["date", "no-date"])
def test_a_newer_one_is_taken(fake, home, daemon, date):
    session = Session(fake, "newer", date)
    home.configure(fake.profile())
    daemon.start()
    home.run("get")
    assert home.run("refresh").returncode == 0
    assert home.run("refresh").returncode == 0
    assert session.grants() == ["password", "refresh_token", "refresh_token"]


def test_two_refreshes_within_a_second_are_both_new(fake, home, daemon):
    """iat is in whole seconds."""
    now = time.time()
    fake.clock = lambda: now
    fake.answers["/oauth/token"] = lambda _: json_answer(fake.token(refresh_token="r"))
    home.configure(fake.profile())
    daemon.start()
    tokens = {home.run("get").stdout}
    for _ in range(2):
        assert home.run("refresh").returncode == 0
        tokens.add(home.run("get").stdout)
    assert len(tokens) == 3
    assert [r.form["grant_type"] for r in fake.grants()] == ["password"] + 2 * ["refresh_token"]


def login_for_a_second(home, session):
    """Its password is forgotten before the first refresh is answered, and that so late that whole
    seconds tell its iat from that of a token made now."""
    assert home.run("login", input="canary-pw").returncode == 0
    session.not_before = time.monotonic() + 2.5


@pytest.mark.parametrize("how", ["unchanged", "anew"])
def test_where_none_is_known_the_token_is_served_until_it_dies(fake, home, daemon, how):
    fake.lifetime = 6
    session = Session(fake, how)
    home.configure(fake.profile(password="", extra="password-lifetime = 1s\ntimeout = 5s"))
    daemon.start()
    login_for_a_second(home, session)
    token = home.run("get").stdout
    error = rig.wait_until(lambda: home.status("p").get("error"), "the renewal")
    assert error["code"] == "token-stale" and home.status("p")["state"] != "login needed"
    while True:
        before = time.time()
        r = home.run("get")
        if r.returncode:
            break
        assert r.stdout == token and before < claims(token)["exp"], "a dead token"
    assert r.returncode == 5 and "no newer id_token" in r.stderr and "login" in r.stderr, r.stderr
    assert session.grants()[1:] == (len(session.grants()) - 1) * ["refresh_token"]
    assert len(session.grants()) < 12
    assert home.status("p")["state"] == "login needed"


def test_a_person_is_told_that_nothing_newer_came(fake, home, daemon):
    session = Session(fake, "unchanged")
    home.configure(fake.profile(password="", extra="password-lifetime = 1s\ntimeout = 5s"))
    daemon.start()
    login_for_a_second(home, session)
    token = home.run("get").stdout
    r = home.run("refresh")
    assert r.returncode == 8 and "no newer id_token: it is the one in hand" in r.stderr, r.stderr
    assert home.run("get").stdout == token


@pytest.mark.parametrize("date", [True, False], ids=["date", "no-date"])
def test_a_password_grant_that_gives_the_token_of_before(fake, home, daemon, date):
    """Its life is counted from its own issue, not from when it was asked for again."""
    headers = {} if date else {"Date": None}
    fake.lifetime = 6
    token = fake.id_token()
    fake.answers["/oauth/token"] = lambda _: json_answer({"id_token": token}, **headers)
    home.configure(fake.profile(extra="refresh-before = 50%"))
    daemon.start()
    exp = claims(token)["exp"]
    served = 0
    while True:
        before = time.time()
        r = home.run("get", "--timeout", "1s")
        if r.returncode:
            break
        served += 1
        assert before < exp, "a dead token"
    assert served and time.time() > exp - 2 and r.returncode in (7, 8)


def test_it_dies_before_its_exp_whatever_was_cut_from_the_times(fake, home, daemon):
    """iat and Date may have been nearly a second more."""
    for fraction in (0.0, 0.5, 0.99):
        fake.clock = lambda: int(time.time()) + fraction  # pylint: disable=cell-var-from-loop
        home.configure(fake.profile(f"p{fraction}".replace(".", "")))
        daemon.reload() if daemon.process else daemon.start()
        token = home.run("get").stdout
        assert rig.seconds(home.status()[0]["expirationTimestamp"]) < claims(token)["exp"]


@pytest.mark.parametrize("error, grants", [
    ("unauthorized_client", ["password", "refresh_token", "password"]),
    ("invalid_client", ["password", "refresh_token"])])
def test_by_password_it_goes_on_where_the_client_may_not_refresh(fake, home, daemon, error, grants):
    """But not where the client itself is refused, which it would be by password, too."""
    def answer(request):
        if request.form["grant_type"] == "refresh_token":
            return json_answer({"error": error}, 400)
        return json_answer(fake.token(refresh_token="r"))
    fake.answers["/oauth/token"] = answer
    home.configure(fake.profile())
    daemon.start()
    home.run("get")
    assert home.run("refresh").returncode == (0 if error == "unauthorized_client" else 6)
    assert [r.form["grant_type"] for r in fake.grants()] == grants


# ---- a refresh token that brings only faults -----------------------------------------------------


def kinds(fake):
    return [r.form["grant_type"] for r in fake.grants()]


def faulty(fake, fault):
    """The password works, the refresh token does not: Dex answers 500 once the session upstream
    is gone, Keycloak when its own store fails."""
    def answer(request):
        if request.form["grant_type"] == "refresh_token":
            return fault
        return json_answer(fake.token(refresh_token="r"))
    fake.answers["/oauth/token"] = answer


LATER = {"Retry-After": "600"}  # no other fault comes in the middle of a test
FAULTS = {"500": json_answer({"error": "invalid_request"}, 500, **LATER),
          "503 page": (503, LATER, b"<p>no</p>"),
          "200 and no JSON": (200, {"Content-Type": "application/json"}, b"{"),
          "an id_token that is none": json_answer({"id_token": "no.token.x"})}


@pytest.mark.parametrize("fault", FAULTS)
def test_after_the_first_fault_a_person_gets_the_password_tried(fake, home, daemon, fault):
    faulty(fake, FAULTS[fault])
    home.configure(fake.profile())
    daemon.start()
    token = home.run("get").stdout
    r = home.run("refresh", "--timeout", "1s")
    assert r.returncode in (7, 8) and home.run("get").stdout == token, r.stderr
    before = len(fake.grants())
    r = home.run("refresh")
    assert (r.returncode, r.stderr) == (0, "")
    assert home.run("get").stdout != token
    assert kinds(fake)[before:][-1] == "password"
    assert set(kinds(fake)[1:-1]) == {"refresh_token"}
    faulty(fake, json_answer(fake.token(refresh_token="r2")))
    assert home.run("refresh").returncode == 0, "the refresh token was not dropped"
    assert kinds(fake)[-1] == "refresh_token"


def test_after_three_faults_the_password_is_used(fake, home, daemon):
    faulty(fake, (500, {}, b""))
    home.configure(fake.profile())
    daemon.start()
    home.run("get")
    assert home.run("refresh").returncode == 0
    assert kinds(fake) == ["password"] + 3 * ["refresh_token"] + ["password"]


def test_and_at_the_latest_when_the_token_dies(fake, home, daemon):
    fake.lifetime = 4
    faulty(fake, (200, {}, b"no JSON"))  # after which it is tried again in minutes
    home.configure(fake.profile())
    daemon.start()
    first = home.run("get").stdout
    second = rig.wait_until(lambda: (t := home.run("get").stdout) != first and t, "another token")
    assert second and kinds(fake)[-1] == "password" and "refresh_token" in kinds(fake)


def test_a_page_in_the_way_of_a_refresh_costs_neither_token_nor_password(fake, home, daemon):
    """It is no fault of the refresh token; the password would meet the same."""
    faulty(fake, (403, {"Content-Type": "text/html"}, b"<title>Access denied</title>"))
    home.configure(fake.profile())
    daemon.start()
    token = home.run("get").stdout
    assert home.run("refresh", "--timeout", "1s").returncode == 7
    s = home.status("p")
    assert s["state"] == "waiting" and s["error"]["code"] == "gateway"
    assert 290 <= rig.seconds(s["retryTimestamp"]) - rig.seconds(s["sinceTimestamp"]) <= 380
    assert home.run("get").stdout == token
    faulty(fake, json_answer(fake.token(refresh_token="r")))
    assert home.run("refresh").returncode == 0
    assert kinds(fake) == ["password", "refresh_token", "refresh_token"]


# ---- sessions that end ---------------------------------------------------------------------------


def session_ends(fake, lives):
    """Keycloak caps what is refreshed at the session's end."""
    left = iter(lives)

    def answer(request):
        if request.form["grant_type"] == "password":
            return json_answer(fake.token(refresh_token="r"))
        now = int(fake.clock())
        return json_answer(fake.token(refresh_token="r",
                                      id_token=fake.id_token(iat=now, exp=now + next(left))))
    fake.answers["/oauth/token"] = answer


def test_a_life_that_is_cut_by_half_means_the_password_next(fake, home, daemon):
    session_ends(fake, [3000, 1200, 2000])
    home.configure(fake.profile())
    daemon.start()
    home.run("get")
    for _ in range(4):
        assert home.run("refresh").returncode == 0
    assert kinds(fake) == ["password", "refresh_token", "refresh_token", "password",
                           "refresh_token"]


def test_what_only_the_password_satisfies_is_got_by_password(fake, home, daemon):
    session_ends(fake, [2000, 2000])
    home.configure(fake.profile())
    daemon.start()
    home.run("get")
    assert home.run("refresh").returncode == 0
    r = home.run("get", "--min-validity", "50m")
    assert (r.returncode, r.stderr) == (0, "") and claims(r.stdout)["exp"] > time.time() + 3000
    assert kinds(fake) == ["password", "refresh_token", "password"]
    r = home.run("get", "--min-validity", "61m")
    assert r.returncode == 8 and "do not live as long" in r.stderr


def test_without_a_password_the_last_tokens_come_with_a_word(fake, home, daemon):
    session_ends(fake, [4])
    home.configure(fake.profile(password="", extra="password-lifetime = 1s"))
    daemon.start()
    assert home.run("login", input="canary-pw").returncode == 0
    time.sleep(1.1)  # what is typed is kept for a second
    assert home.run("refresh").returncode == 0
    r = home.run("get")
    assert r.returncode == 0 and r.stdout
    assert "about to expire" in r.stderr and "s left" in r.stderr and r.stderr.count("\n") == 1
