"""One-time passwords beside the password, as Auth0, Keycloak, Entra ID and FusionAuth want them."""
import os
import pty
import subprocess

import pytest

import rig
from scripted import json_answer

OTP_GRANT = "http://auth0.com/oauth/grant-type/mfa-otp"


class Auth0:
    """Wants a code of each password grant: mfa_required with an mfa_token, and then its own grant.
    A code is taken once."""

    def __init__(self, fake, refresh=True):
        self.fake, self.refresh, self.good, self.used = fake, refresh, "123456", set()
        self.password, self.wants_code = "canary-pw", True
        self.challenges = []
        fake.answers["/oauth/token"] = self.answer

    def answer(self, request):
        form = request.form
        if form["grant_type"] == OTP_GRANT:
            return self.judge_code(form)
        if form["grant_type"] == "refresh_token":
            return self.tokens()
        if form["password"] != self.password:
            return json_answer({"error": "invalid_grant",
                                "error_description": "Wrong email or password."}, 403)
        if not self.wants_code:
            return self.tokens()
        self.challenges.append(f"canary-mfa-{len(self.challenges)}")
        return json_answer({"error": "mfa_required",
                            "error_description": "Multifactor authentication required",
                            "mfa_token": self.challenges[-1]}, 403)

    def judge_code(self, form):
        if form["mfa_token"] not in self.challenges:
            return json_answer({"error": "invalid_grant",
                                "error_description": "Malformed mfa_token"}, 403)
        if form["otp"] != self.good or form["otp"] in self.used:
            return json_answer({"error": "invalid_grant",
                                "error_description": "Invalid otp_code."}, 403)
        self.used.add(form["otp"])
        return self.tokens()

    def tokens(self):
        more = {"refresh_token": "canary-refresh"} if self.refresh else {}
        return json_answer(self.fake.token(**more))


def login(home, lines, *args):
    return subprocess.run([rig.BUILD / "kubetoken", "login", *args], env=home.environment,
                          input=lines, capture_output=True, text=True, timeout=rig.PATIENCE)


class Terminal:
    """`kubetoken login` on a terminal."""

    def __init__(self, home, *args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(rig.BUILD / "kubetoken", ["kubetoken", "login", *args], home.environment)
        self.shown = ""

    def read_to(self, text):
        while text not in self.shown:
            self.shown += os.read(self.fd, 1024).decode()
        self.shown, before = self.shown.split(text, 1)[1], self.shown.split(text, 1)[0]
        return before + text

    def say(self, line):
        os.write(self.fd, line.encode() + b"\n")

    def end(self):
        try:
            while chunk := os.read(self.fd, 1024):
                self.shown += chunk.decode()
        except OSError:  # as Linux ends a terminal
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def sent(fake):
    """What was sent, in short: p for a password, c with a code, o for Auth0's second request."""
    def one(form):
        if form["grant_type"] == OTP_GRANT:
            return "o"
        if form["grant_type"] == "refresh_token":
            return "r"
        return "c" if "totp" in form else "p"
    return "".join(one(r.form) for r in fake.grants())


def start(home, daemon, configuration):
    home.configure(configuration)
    return daemon.start()


def typed(fake, name="p", extra=""):
    return fake.profile(name=name, password="", user="someone@example.com", extra=extra)


# ---- Auth0: the provider asks for it


def test_both_from_stdin_are_one_login(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, typed(fake))
    r = login(home, "canary-pw\n123 456\n", "--otp")
    assert (r.returncode, r.stdout, r.stderr) == (0, "p: logged in\n", "")
    assert home.run("get").returncode == 0
    assert sent(fake) == "po"
    second = fake.grants()[1].form
    assert second == {"grant_type": OTP_GRANT, "mfa_token": "canary-mfa-0", "otp": "123456",
                      "client_id": "client"}
    assert "canary" not in daemon.log.read_text() and "123456" not in daemon.log.read_text()


def test_the_client_proves_itself_with_the_code_too(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, typed(fake, extra="client-secret = canary-secret\nclient-auth = post"))
    assert login(home, "canary-pw\n123456\n", "--otp").returncode == 0
    assert fake.grants()[1].form["client_secret"] == "canary-secret"


def test_where_the_daemon_has_the_password_the_code_comes_alone(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, fake.profile())
    assert home.run("get").returncode == 5
    r = login(home, "123456\n", "--otp")
    assert (r.returncode, r.stdout) == (0, "p: logged in\n"), r.stderr
    assert sent(fake) == "ppo" and fake.grants()[1].form["password"] == "canary-pw"


def test_without_a_code_get_names_the_login(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, fake.profile())
    r = home.run("get")
    assert r.returncode == 5 and "kubetoken login --otp" in r.stderr and r.stdout == ""
    assert "canary" not in r.stderr
    state = home.status("p")
    assert state["state"] == "login needed" and state["error"]["code"] == "otp-required"
    for _ in range(3):
        assert home.run("get").returncode == 5
        assert home.run("refresh").returncode == 5
    assert sent(fake) == "p"


def test_the_password_goes_out_once_for_all_profiles_of_the_account(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, fake.profile("p") + fake.profile("q") + fake.profile("r"))
    for name in "pqr":
        r = home.run("get", name)
        assert r.returncode == 5 and "login --otp" in r.stderr
        assert home.status(name)["state"] == "login needed"
    assert sent(fake) == "p"


def test_a_wrong_code_is_sent_once_and_not_held_against_the_password(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, typed(fake))
    r = login(home, "canary-pw\n000000\n", "--otp")
    assert r.returncode == 6 and "one-time password" in r.stderr and "Invalid otp_code" in r.stderr
    assert home.status("p")["error"]["code"] == "otp-refused"
    assert home.run("get").returncode == 6
    assert sent(fake) == "po"
    assert login(home, "123456\n", "--otp").returncode == 0  # the password is still there
    assert sent(fake) == "popo"


def test_a_code_is_taken_back_by_nobody(fake, home, daemon):
    """One that the provider has had is never sent by the daemon again, whatever was answered."""
    auth0 = Auth0(fake)
    start(home, daemon, typed(fake))

    def fail(request):
        if request.form["grant_type"] == OTP_GRANT:
            return 503, {}, b"busy"
        return auth0.answer(request)
    fake.answers["/oauth/token"] = fail
    r = login(home, "canary-pw\n123456\n", "--otp", "--timeout", "5s")
    assert r.returncode == 5 and "used up" in r.stderr and "503" in r.stderr
    fake.answers["/oauth/token"] = auth0.answer
    assert home.run("get").returncode == 5
    r = home.run("refresh")
    assert r.returncode == 5 and "used up" in r.stderr and "503" in r.stderr
    assert sent(fake) == "po"


def test_a_wrong_password_is_refused_as_ever(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, typed(fake))
    r = login(home, "wrong\n123456\n", "--otp")
    assert r.returncode == 6 and "user name or password" in r.stderr
    assert home.status("p")["state"] == "stopped"
    assert sent(fake) == "p"


def test_a_page_of_something_in_between_stops_no_login_with_a_code(fake, home, daemon):
    """Whether it came before the code went out or after that."""
    auth0 = Auth0(fake)
    start(home, daemon, fake.profile())
    assert home.run("get").returncode == 5  # refused without a code

    def page(request):
        return 403, {"Content-Type": "text/html"}, b"<html>Blocked</html>"

    def page_for_the_code(request):
        return (page if request.form["grant_type"] == OTP_GRANT else auth0.answer)(request)
    for answer in (page, page_for_the_code):
        fake.answers["/oauth/token"] = answer
        assert login(home, "123456\n", "--otp").returncode == 5
        state = home.status("p")
        assert state["state"] == "login needed" and state["error"]["code"] == "otp-required"
    fake.answers["/oauth/token"] = auth0.answer
    assert login(home, "123456\n", "--otp").returncode == 0


def test_a_password_that_lacks_a_code_stays_one_when_another_is_refused(fake, home, daemon):
    Auth0(fake)
    user = "someone@example.com"
    start(home, daemon, fake.profile("p", user=user) + fake.profile("q", user=user) +
          typed(fake, "r"))
    assert home.run("get", "p").returncode == 5
    assert login(home, "wrong\n", "r").returncode == 6
    r = home.run("get", "q")
    assert r.returncode == 5 and "login --otp" in r.stderr
    assert home.status("q")["state"] == "login needed"
    assert sent(fake) == "pp"


def test_a_dead_mfa_token_is_a_refused_code(fake, home, daemon):
    auth0 = Auth0(fake)
    auth0.judge_code = lambda form: json_answer(
        {"error": "expired_token", "error_description": "mfa_token is expired"}, 401)
    start(home, daemon, typed(fake))
    r = login(home, "canary-pw\n123456\n", "--otp")
    assert r.returncode == 6 and "mfa_token is expired" in r.stderr
    assert home.status("p")["error"]["code"] == "otp-refused"


def test_an_mfa_token_is_shown_nowhere(fake, home, daemon):
    auth0 = Auth0(fake)
    auth0.judge_code = lambda form: json_answer(
        {"error": "invalid_grant",
         "error_description": f"bad {form['mfa_token']} and {form['otp']}"}, 403)
    start(home, daemon, typed(fake))
    r = login(home, "canary-pw\n123456\n", "--otp")
    assert "canary" not in r.stderr and "123456" not in r.stderr and "***" in r.stderr
    assert "canary" not in daemon.log.read_text()


def test_life_goes_on_by_refresh_token(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, typed(fake))
    assert login(home, "canary-pw\n123456\n", "--otp").returncode == 0
    assert home.run("refresh").returncode == 0
    assert sent(fake) == "por"


def test_when_the_refresh_token_ends_the_person_is_needed(fake, home, daemon):
    """The password is at hand, and is not sent without a code."""
    auth0 = Auth0(fake)
    start(home, daemon, fake.profile())
    assert home.run("get").returncode == 5
    assert login(home, "123456\n", "--otp").returncode == 0
    fake.answers["/oauth/token"] = lambda r: json_answer({"error": "invalid_grant"}, 403)
    r = home.run("refresh")
    assert r.returncode == 5 and "refused the refresh token" in r.stderr and "--otp" in r.stderr
    assert home.status("p")["state"] == "login needed"
    assert home.run("get").returncode == 0  # the token in hand still lives
    assert sent(fake) == "ppor"
    fake.answers["/oauth/token"] = auth0.answer
    auth0.good = "654321"
    assert login(home, "654321\n", "--otp").returncode == 0
    assert home.status("p")["state"] == "idle"


def test_a_refused_code_takes_no_refresh_token_away(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, typed(fake))
    assert login(home, "canary-pw\n123456\n", "--otp").returncode == 0
    assert login(home, "000000\n", "--otp").returncode == 6
    state = home.status("p")
    assert state["state"] == "waiting" and "retryTimestamp" in state
    assert home.run("get").returncode == 0
    assert home.run("refresh").returncode == 0
    assert sent(fake) == "popor"


def test_that_a_code_is_needed_outlives_a_restart(fake, home, daemon):
    Auth0(fake, refresh=False)
    start(home, daemon, fake.profile())
    assert login(home, "123456\n", "--otp").returncode == 0
    daemon.restart()
    assert home.run("get").returncode == 0
    assert home.run("refresh").returncode == 5
    assert home.status("p")["error"]["code"] == "otp-required"
    assert sent(fake) == "po"


def test_where_the_provider_wants_none_the_password_goes_on_alone(fake, home, daemon):
    """The code is not even sent."""
    auth0 = Auth0(fake, refresh=False)
    auth0.wants_code = False
    start(home, daemon, typed(fake))
    assert login(home, "canary-pw\n123456\n", "--otp").returncode == 0
    assert home.run("refresh").returncode == 0
    assert sent(fake) == "pp"


def test_the_client_id_may_not_use_the_grant_of_codes(fake, home, daemon):
    """Which says nothing of others who have the same client, and no second factor."""
    auth0 = Auth0(fake)
    auth0.judge_code = lambda form: json_answer(
        {"error": "unauthorized_client", "error_description": "Grant type not allowed"}, 403)
    start(home, daemon, typed(fake) + fake.profile("q", user="other@example.com"))
    r = login(home, "canary-pw\n123456\n", "--otp", "p")
    assert r.returncode == 6 and "Grant type not allowed" in r.stderr
    auth0.wants_code = False
    assert home.run("get", "q").returncode == 0


# ---- on a terminal


def test_on_a_terminal_both_are_asked_for(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, typed(fake))
    t = Terminal(home, "--otp")
    t.read_to("Password for p: ")
    t.say("canary-pw")
    shown = t.read_to("One-time password for p: ")
    t.say("123456")
    assert t.end() == 0 and "logged in" in t.shown and "canary" not in shown
    assert sent(fake) == "po"


def test_a_provider_that_says_it_wants_one_has_it_asked_for(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, typed(fake))
    t = Terminal(home)
    t.read_to("Password for p: ")
    t.say("canary-pw")
    shown = t.read_to("One-time password for p: ")
    t.say("123456")
    assert t.end() == 0 and "logged in" in t.shown and "kubetoken:" not in shown
    assert sent(fake) == "ppo"


def test_an_empty_line_says_that_there_is_none(fake, home, daemon):
    """Of a realm in which some have a second factor."""
    start(home, daemon, typed(fake, extra="otp-parameter = totp"))
    t = Terminal(home)
    t.read_to("Password for p: ")
    t.say("canary-pw")
    t.read_to("One-time password for p: ")
    t.say("")
    assert t.end() == 0
    assert home.run("refresh").returncode == 0
    assert sent(fake) == "pp"


# ---- Keycloak: it goes with the password


class Keycloak:
    """A wrong code, none, and a wrong password are one answer."""

    def __init__(self, fake):
        self.fake, self.good = fake, "123456"
        fake.answers["/oauth/token"] = self.answer

    def answer(self, request):
        form = request.form
        if form["grant_type"] == "refresh_token":
            return json_answer(self.fake.token(refresh_token="canary-refresh"))
        if form["password"] != "canary-pw" or form.get("totp") != self.good:
            return json_answer({"error": "invalid_grant",
                                "error_description": "Invalid user credentials"}, 401)
        return json_answer(self.fake.token(refresh_token="canary-refresh"))


def test_a_parameter_takes_the_code_with_the_password(fake, home, daemon):
    Keycloak(fake)
    start(home, daemon, typed(fake, extra="otp-parameter = totp"))
    assert login(home, "canary-pw\n123456\n", "--otp").returncode == 0
    form = fake.grants()[0].form
    assert sent(fake) == "c" and (form["password"], form["totp"]) == ("canary-pw", "123456")
    assert home.run("refresh").returncode == 0 and sent(fake) == "cr"


def test_with_a_parameter_no_password_is_sent_without_a_code(fake, home, daemon):
    Keycloak(fake)
    start(home, daemon, fake.profile(extra="otp-parameter = totp\nstart = with-daemon"))
    r = home.run("get")
    assert r.returncode == 5 and "login --otp" in r.stderr
    assert login(home, "canary-pw\n").returncode == 5
    assert sent(fake) == ""


def test_a_password_whose_code_is_still_to_come_is_known(fake, home, daemon):
    Keycloak(fake)
    start(home, daemon, typed(fake, extra="otp-parameter = totp"))
    r = home.run("get")
    assert r.returncode == 5 and "no password is known" in r.stderr
    assert login(home, "canary-pw\n").returncode == 5
    r = home.run("get")
    assert r.returncode == 5 and "no password" not in r.stderr and "login --otp" in r.stderr
    assert login(home, "123456\n", "--otp").returncode == 0
    assert sent(fake) == "c"


def test_what_may_be_the_code_is_told_so_and_held_against_nobody(fake, home, daemon):
    Keycloak(fake)
    start(home, daemon, typed(fake, extra="otp-parameter = totp") +
          fake.profile("q", user="someone@example.com"))
    for lines in ("canary-pw\n000000\n", "000001\n", "000002\n", "000003\n"):
        r = login(home, lines, "--otp", "p")
        assert r.returncode == 6
        assert "the one-time password, or the password" in r.stderr
    assert home.status("p")["state"] == "login needed"
    home.run("get", "q")
    assert sent(fake) == "ccccp", "another profile of the account is not stopped"
    assert login(home, "123456\n", "--otp", "p").returncode == 0


def test_a_required_action_is_no_wrong_code(fake, home, daemon):
    fake.answers["/oauth/token"] = json_answer(
        {"error": "invalid_grant", "error_description": "Account is not fully set up"}, 400)
    start(home, daemon, typed(fake, extra="otp-parameter = totp"))
    assert login(home, "canary-pw\n123456\n", "--otp").returncode == 6
    assert home.status("p")["error"]["code"] == "account-setup"


def test_a_parameter_where_the_provider_asks_is_named(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, typed(fake, extra="otp-parameter = totp"))
    r = login(home, "canary-pw\n123456\n", "--otp")
    assert r.returncode == 5 and "otp-parameter = totp" in r.stderr
    assert sent(fake) == "c"


# ---- where no code helps


@pytest.mark.parametrize("status, answer", [
    (400, {"error": "invalid_grant", "error_codes": [50076],
           "error_description": "AADSTS50076: you must use multi-factor authentication\r\nTrace"}),
    (400, {"error": "interaction_required", "error_codes": [50079], "suberror": "basic_action"}),
    (400, {"error": "two_factor_required", "two_factor_id": "canary-id",
           "error_reason": "two_factor_required"}),
])
def test_a_second_factor_that_is_no_code_leads_to_the_device_grant(fake, home, daemon, status,
                                                                   answer):
    fake.answers["/oauth/token"] = json_answer(answer, status)
    start(home, daemon, typed(fake))
    r = login(home, "canary-pw\n123456\n", "--otp")
    assert r.returncode == 6 and "grant = device" in r.stderr and "canary" not in r.stderr
    assert home.status("p")["error"]["code"] == "second-factor"
    assert home.run("get").returncode == 6
    assert sent(fake) == "p" and "otp" not in fake.grants()[0].form


# ---- the protocol


@pytest.mark.parametrize("line", [
    b"login otp p secret=2 otp=0\n", b"login otp p secret=2 otp=129\n", b"login otp p secret=2\n",
    b"login otp p otp=x\n"])
def test_a_code_that_is_none_is_a_bad_request(fake, home, daemon, line):
    start(home, daemon, typed(fake))
    assert rig.ask(home, line).startswith(b"error bad-request 0 ")
    assert fake.requests == [] and daemon.alive


def test_name_password_and_code_are_one_block(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, fake.profile(password="", user="x").replace("username = x\n", ""))
    answer = rig.ask(home, b"login otp p secret=9 username=4 otp=6\nannacanary-pw123456")
    assert answer == b"ok 13 0\np: logged in\n"
    first, second = fake.grants()
    assert (first.form["username"], first.form["password"]) == ("anna", "canary-pw")
    assert second.form["otp"] == "123456"


def test_a_code_alone_where_no_password_is_known_is_told(fake, home, daemon):
    start(home, daemon, typed(fake))
    assert rig.ask(home, b"login otp p otp=6\n123456").startswith(b"error login-needed ")
    assert fake.grants() == []


def test_what_a_login_is_to_ask_for_is_told_on_request(fake, home, daemon):
    Auth0(fake)
    start(home, daemon, fake.profile() + typed(fake, "q", "otp-parameter = totp"))
    assert home.run("get", "p").returncode == 5
    assert rig.ask(home, b"profile * p\n") == b"ok 2 0\np\n"
    assert rig.ask(home, b"profile * p with-otp\n") == b"ok 15 0\np\npassword\notp\n"
    assert rig.ask(home, b"profile * q with-otp\n") == b"ok 6 0\nq\notp\n"
