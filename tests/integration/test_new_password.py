"""A password that has expired, or has to be changed: the error says what to do where, and what to
type then, for the place where this profile has its password."""
import pytest

import rig
import scripted

TOKEN = "/oauth/token"
EXPIRED = "the provider wants a new password: "
SETUP = "the provider wants something done in a browser first: "
NOT_SET_UP = {"error": "invalid_grant", "error_description": "Account is not fully set up"}


@pytest.fixture
def keycloak(tmp_path):
    folder = tmp_path / "keycloak"
    folder.mkdir()
    p = scripted.Provider(folder, issuer_path="/realms/r")
    yield p
    p.stop()


def refuse(provider, status=400, **members):
    provider.answers[TOKEN] = scripted.json_answer(members, status)


def said(home, *args, code=6, **kwargs):
    """What a command says in its one line, without its head."""
    r = home.run(*args, **kwargs)
    assert (r.returncode, r.stdout, r.stderr.count("\n")) == (code, "", 1), r
    assert "canary" not in r.stderr and ".;" not in r.stderr and ";;" not in r.stderr
    return r.stderr.split(": ", 2)[2].rstrip("\n")


# What the providers say, and where nobody can tell more: (status, members)
EXPIRIES = {
    "Entra ID": (400, {"error": "invalid_grant", "error_codes": [50055], "error_description":
                       "AADSTS50055: The password is expired.\r\nTrace ID: 1\r\nTimestamp: 2"}),
    "Entra ID, synchronized": (400, {"error": "invalid_grant", "error_codes": [50144],
                                     "error_description": "AADSTS50144: The user's Active "
                                     "Directory password has expired."}),
    "FusionAuth": (400, {"error": "invalid_grant", "error_reason": "user_password_expired",
                         "error_description": "The user's password is expired."}),
    "FusionAuth, to be changed": (400, {"error": "change_password_required",
                                        "change_password_reason": "Expired"}),
    "Auth0": (403, {"error": "password_leaked", "error_description": "This login has been blocked "
                    "because your password has been leaked in another website."}),
    "Okta": (400, {"error": "invalid_grant", "error_description": "Password expired"}),
}


@pytest.mark.parametrize("provider", EXPIRIES)
def test_an_expired_password_is_told_from_a_wrong_one(home, daemon, fake, provider):
    status, members = EXPIRIES[provider]
    refuse(fake, status, **members)
    home.configure(fake.profile(user="someone"))
    daemon.start()
    line = said(home, "get", "p")
    assert line.startswith(f"{EXPIRED}HTTP {status}, {members['error']}"), line
    assert line.endswith("; set one at the provider, in a browser, then write it as password into "
                         "the configuration and say: kubetoken reload"), line
    assert len(fake.grants()) == 1


def test_where_the_new_one_goes_is_where_the_profile_has_its_password(home, daemon, fake, tmp_path):
    """Each source by its own words; accounts of their own, or one refusal would stop them all."""
    refuse(fake, error="password_expired")
    stored = tmp_path / "stored"
    stored.mkdir()
    (stored / "pw").write_text("canary-pw")
    (stored / "pw").chmod(0o600)
    home.environment["CREDENTIALS_DIRECTORY"] = str(stored)
    for name in ("secret-tool", "pass", "other"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho canary-pw\n")
        program.chmod(0o755)
    home.environment["PATH"] = f"{tmp_path}:{home.environment['PATH']}"
    file = home.write("pw", "canary-pw")
    places = {
        f"password-file = {file}": f"write it to {file}, which is then read again by itself",
        "password-command = secret-tool lookup service kubetoken user 'me and you'":
            "store it by: secret-tool store --label=kubetoken service kubetoken user "
            "'me and you', and say: kubetoken refresh NAME",
        "password-command = pass show work/oidc":
            "store it by: pass edit work/oidc, and say: kubetoken refresh NAME",
        f"password-command = {tmp_path}/other --of me":
            f"store it where {tmp_path}/other finds it, and say: kubetoken refresh NAME",
        "password-credential = pw":
            "replace the systemd credential pw and say: systemctl --user restart "
            "kubetoken.service",
    }
    home.configure("".join(fake.profile(f"p{i}", key, f"user{i}")
                           for i, key in enumerate(places)))
    daemon.start()
    for i, place in enumerate(places.values()):
        line = said(home, "get", f"p{i}")
        assert line == (f"{EXPIRED}HTTP 400, password_expired; set one at the provider, in a "
                        f"browser, then {place.replace('NAME', f'p{i}')}"), line


def test_a_typed_one_is_forgotten_and_asked_for(home, daemon, fake):
    refuse(fake, error="password_expired")
    home.configure(fake.profile(password=""))
    daemon.start()
    advice = "set one at the provider, in a browser, then say: kubetoken login p"
    assert said(home, "login", "p", input="canary-pw\n").endswith(advice)
    status = home.status("p")
    assert (status["state"], status["error"]["code"]) == ("stopped", "new-password")
    fake.answers.clear()
    r = home.run("login", "p", input="canary-new\n")
    assert (r.returncode, r.stdout) == (0, "p: logged in\n")


def test_what_was_typed_over_a_file_is_typed_again(home, daemon, fake):
    refuse(fake, error="password_expired")
    home.configure(fake.profile(password=f"password-file = {home.write('pw', 'canary-pw')}"))
    daemon.start()
    assert said(home, "login", "p", input="canary-typed\n").endswith("kubetoken login p")


def test_a_file_with_the_new_one_is_used_by_itself(home, daemon, fake):
    refuse(fake, error="password_expired")
    home.configure(fake.profile(password=f"password-file = {home.write('pw', 'canary-pw')}"))
    daemon.start()
    assert str(home.config / "pw") in said(home, "get")
    fake.answers.clear()
    home.write("pw", "canary-new")
    rig.wait_until(lambda: "expirationTimestamp" in home.status("p"), "a token, unasked")
    assert fake.grants()[-1].form["password"] == "canary-new"


def test_keycloak_does_not_say_which_step_it_wants(home, keycloak):
    """And the realm has an account page. What was typed may be right, and is kept."""
    refuse(keycloak, **NOT_SET_UP)
    file = home.write("pw", "canary-pw")
    home.configure(keycloak.profile(password=f"password-file = {file}") +
                   keycloak.profile("typed", password="", user="other"))
    daemon = rig.Daemon(home, activated=False).start()
    try:
        check_not_set_up(home, keycloak, file)
        assert home.run("stop").stderr.startswith("kubetoken: typed: "), "what it forgets"
    finally:
        daemon.close()


def check_not_set_up(home, keycloak, file):
    page = f"log in at {keycloak.base}/realms/r/account/ in a browser, do what it asks, then "
    head = f"{SETUP}HTTP 400, invalid_grant: Account is not fully set up; "
    assert said(home, "get", "p") == (
        f"{head}{page}say: kubetoken refresh p; a new password: first write it to {file}, which "
        "is then read again by itself")
    assert said(home, "login", "typed", input="canary-pw\n") == (
        f"{head}{page}say: kubetoken login typed")
    keycloak.answers.clear()
    assert home.run("refresh", "p").stdout == "p: a new token\n"


def test_the_page_of_a_realm_is_named_for_an_expired_password_too(home, daemon, keycloak):
    refuse(keycloak, error="password_expired")
    home.configure(keycloak.profile(password=""))
    daemon.start()
    assert f"; set one at {keycloak.base}/realms/r/account/ in a browser, then say: " in said(
        home, "login", input="canary-pw\n")


def test_doctor_and_status_say_it_too(home, daemon, fake):
    refuse(fake, error="password_expired")
    home.configure(fake.profile(password=f"password-file = {home.write('pw', 'canary-pw')}"))
    daemon.start()
    said(home, "get")
    for command in (["status"], ["doctor", "p"]):
        text = rig.unwrapped(home.run(*command, env={"PATH": "/bin/nowhere"}).stdout)
        assert f"{EXPIRED}HTTP 400, password_expired; set one at the provider" in text
        assert str(home.config / "pw") in text


def test_of_much_that_a_provider_says_the_place_is_kept(home, daemon, fake):
    refuse(fake, error="password_expired", error_description="x" * 3000)
    file = home.write("pw" + 200 * "x", "canary-pw")
    home.configure(fake.profile(password=f"password-file = {file}"))
    daemon.start()
    line = said(home, "get")
    assert "HTTP 400, password_expired: xxx" in line
    assert line.endswith(f"then write it to {file}, which is then read again by itself")
