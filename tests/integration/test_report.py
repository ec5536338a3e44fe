"""What doctor and status print, as it is read: lines of 80 columns, exit codes, and a report that
can be shown to anybody."""
import json
import os
import pty
import re
import shutil
import socket
import subprocess
import unicodedata

import jsonschema
import pytest

import rig
import schemas
import test_doctor
from scripted import json_answer

TOKEN = "/oauth/token"


def width(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF"
               else 1 for c in line)


def too_long(text, columns=80):
    """Lines that are, but for those of one word, or with a command to be copied."""
    def words(line):
        return re.sub(r"^(ok|skipped|note|warning|error) +[a-z-]+ +|^ +(-> )?", "", line)
    return [line for line in text.splitlines()
            if width(line) > columns and " " in words(line)
            and not words(line).startswith(("kubectl ", "kubetoken ", "systemctl "))]


def configure(home, daemon, *profiles):
    home.configure("".join(profiles))
    daemon.start()


def on_a_terminal(home, columns, *args):
    """What it prints there, with that many columns."""
    main, terminal = pty.openpty()
    os.set_blocking(main, True)
    subprocess.run(["stty", "cols", str(columns)], stdin=terminal, check=True,
                   timeout=rig.PATIENCE)
    with subprocess.Popen([rig.BUILD / "kubetoken", *args], stdin=subprocess.DEVNULL,
                          stdout=terminal, stderr=subprocess.STDOUT,
                          env={**home.environment, "TERM": "dumb"}) as p:
        os.close(terminal)
        text = b""
        try:
            while chunk := os.read(main, 65536):
                text += chunk
        except OSError:  # the other end is closed
            pass
        os.close(main)
        p.wait(rig.PATIENCE)
    return text.decode().replace("\r\n", "\n")


# ---- 80 columns ---------------------------------------------------------------------------------

LONG = "a-profile-of-which-the-name-has-as-many-letters-as-it-may-have.x"
USER = "someone.with.rather.a.long.name@department.of.a.subsidiary.example.com"


def test_80_columns_hold_the_table_of_status(home, fake, daemon):
    fake.claims["email"] = USER
    configure(home, daemon, fake.profile(LONG, extra="username-claim = email"),
              fake.profile("minikube"), fake.profile("p", user="Jürgen" * 12))
    assert home.run("get", LONG).returncode == home.run("get", "minikube").returncode == 0
    table = home.run("status").stdout
    assert too_long(table) == []
    rows = [line for line in table.splitlines()[1:] if not line.startswith(" ")]
    assert [row.split()[0] for row in rows] == sorted([LONG, "minikube", "p"])
    assert LONG in table and USER in table and "Jürgen" * 12 in table, "nothing is shortened"
    assert "…" not in table and "..." not in table


def test_what_status_tells_below_is_wrapped_between_words(home, fake, daemon):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant", "error_description":
                                       "The pässword that was sent is wrong, ünd so is more. " * 3},
                                      403)
    configure(home, daemon, fake.profile())
    home.run("get")
    r = home.run("status")
    notes = r.stdout[r.stdout.index("\np: error") + 1:]
    assert notes.count("\n") > 3 and too_long(r.stdout) == []
    assert all(line.startswith("    ") for line in notes.splitlines()[1:])
    assert ".;" not in r.stdout
    assert max(map(width, notes.splitlines())) > 70, "by characters, and as full as they may be"
    assert "; correct the password at its source, or say kubetoken login; it is" in rig.unwrapped(
        r.stdout)


def test_80_columns_hold_what_doctor_finds(home, fake, daemon):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant", "error_description":
                                       "The pässword that was sent is wrong. " * 5}, 403)
    configure(home, daemon, fake.profile())
    r = home.run("doctor", env={"PATH": "/bin/nowhere"})
    assert r.returncode == 6 and too_long(r.stdout) == [] and ".;" not in r.stdout
    lines = r.stdout.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    at = next(i for i, line in enumerate(lines) if line.startswith("error    grant  "))
    assert all(line.startswith(" " * 26) for line in lines[at + 1:at + 5])
    assert any(line.startswith(" " * 26 + "-> correct the password") for line in lines)
    assert "error    grant            the provider refused the user name or password: " in \
        rig.unwrapped(r.stdout)


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_a_terminal_has_its_own_width(home, fake, daemon, command):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant", "error_description":
                                       "The password that was sent is wrong, say it anew. " * 5},
                                      403)
    configure(home, daemon, fake.profile())
    home.run("get")
    longest = {}
    for columns in (20, 40, 100):
        text = on_a_terminal(home, columns, command)
        assert too_long(text, max(columns, 40)) == []
        longest[columns] = max(map(width, text.splitlines()))
    assert 30 < longest[20] == longest[40] and longest[100] > 80
    wide = home.run(command, env={"COLUMNS": "120"}).stdout
    assert 100 < max(map(width, wide.splitlines())) and too_long(wide, 120) == []


def test_who_says_no_width_gets_80_columns(home, fake, daemon):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant", "error_description": "no " * 80},
                                      403)
    configure(home, daemon, fake.profile())
    home.run("get")
    text = rig.ask(home, b"status text * once\n").decode()
    assert too_long(text[text.index("\n") + 1:]) == []
    assert text[text.index("\n") + 1:] == home.run("status").stdout
    for odd in (b"1", b"99999999"):
        assert rig.ask(home, b"status text * columns=" + odd + b" once\n").startswith(b"ok ")
    assert rig.ask(home, b"status text * columns=x once\n").startswith(b"error bad-request ")


# ---- status -q ----------------------------------------------------------------------------------


def quiet(home, *args):
    r = home.run("status", "-q", *args)
    assert (r.stdout, r.stderr) == ("", "")
    return r.returncode


def test_quiet_status_is_the_exit_code_of_the_worst_profile(home, fake, daemon):
    configure(home, daemon, fake.profile("good"),
              fake.profile("down", extra="token-endpoint = https://127.0.0.1:1/"),
              fake.profile("refused", user="other"))
    assert quiet(home) == 0, "nobody has asked for anything yet"
    for name, code in (("good", 0), ("down", 7), ("refused", 6)):
        if name == "refused":
            fake.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 403)
        home.run("get", name, "--timeout", "2s")
        assert quiet(home, name) == quiet(home) == code, "a refusal is worse than what may pass"
    assert quiet(home, "good") == 0 and quiet(home, "nobody") == 4


def test_quiet_status_where_a_login_is_needed(home, fake, daemon):
    configure(home, daemon, fake.profile("good"), fake.profile("typed", password=""))
    assert (quiet(home), quiet(home, "typed"), quiet(home, "good")) == (5, 5, 0)


def test_quiet_status_of_a_broken_configuration(home, fake, daemon):
    configure(home, daemon, fake.profile())
    home.run("get")
    home.configure(fake.profile(extra="colour = blue"))
    daemon.reload()
    assert quiet(home) == 9 and quiet(home, "p") == 0


def test_quiet_status_without_a_daemon(home, fake):
    assert quiet(home) == 3
    home.configure(fake.profile())


def test_quiet_status_without_a_configuration(home, daemon):
    daemon.start()
    assert quiet(home) == 9


def test_quiet_status_says_nothing_else(home, fake, daemon):
    configure(home, daemon, fake.profile())
    assert home.run("status", "--quiet").returncode == 0
    r = home.run("status", "-q", "--json")
    assert r.returncode == 2 and "-q prints nothing" in r.stderr
    assert home.run("refresh", "-q").returncode == 2
    assert rig.ask(home, b"status quiet * once\n") == b"ok 0 0\n"
    assert rig.ask(home, b"get quiet * once\n").startswith(b"error bad-request ")


# ---- what would tell a secret, and what contradicts itself --------------------------------------


def test_a_password_that_occurs_in_a_claim_is_not_half_masked(home, fake, daemon):
    """someone@example.com stands in the table: ***@example.com would tell the password."""
    fake.claims["email_verified"] = False
    configure(home, daemon, fake.profile(password="password = someone",
                                         extra="username-claim = email"))
    home.run("get")
    fake.claims["email"] = "other.someone@example.com"
    home.run("refresh")
    said = (home.run("status").stdout + home.run("status", "--json").stdout
            + home.run("inspect").stdout + daemon.log.read_text())
    assert "p: warning: the e-mail address is not verified: " in \
        rig.unwrapped(said)
    assert "claims changed: email: someone@example.com -> other.someone@example.com" in \
        rig.unwrapped(said)
    assert "***" not in said


def test_a_check_with_a_warning_is_not_ok_as_well(home, fake, daemon):
    fake.claims["email_verified"] = False
    configure(home, daemon, fake.profile())
    home.run("get")
    text = home.run("inspect").stdout
    assert "  warning     claims: the e-mail address is not verified" in text
    assert "  ok          claims" not in text and "  ok          issuer" in text
    found = json.loads(home.run("inspect", "--json").stdout)["checks"]
    assert [f["level"] for f in found if f["check"] == "claims"] == ["warning"]
    report = test_doctor.doctor(home)
    assert [f["level"] for f in report.of("claims")] == ["warning"]


def test_a_link_with_a_warning_is_not_ok_as_well(home, fake):
    home.configure(fake.profile())
    with test_doctor.unlocked_daemon(home):
        report = test_doctor.doctor(home)
    assert [f["level"] for f in report.of("daemon")] == ["warning"]


def test_no_link_is_ok_and_has_an_error(home, fake):
    home.configure(fake.profile())
    report = test_doctor.doctor(home)
    assert [f["level"] for f in report.of("daemon")] == ["error"]
    assert "doctor started one for itself" in report.of("daemon")[0]["detail"]


def test_what_the_provider_ends_with_a_period_is_followed_by_no_other_sign(home, fake, daemon):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant",
                                       "error_description": "Wrong password."}, 403)
    configure(home, daemon, fake.profile())
    get = home.run("get")
    said = [get.stderr, home.run("status").stdout, home.run("login", input="x").stderr,
            daemon.log.read_text(), "".join(daemon.messages)]
    assert "invalid_grant: Wrong password; correct the password" in get.stderr
    assert [text for text in said if ".;" in text] == []


# ---- a report to be shown to anybody ------------------------------------------------------------


WOLF = "wolf"  # in every name


def shows_nothing(r, home, *also):
    """No name, host, address or path in what doctor printed."""
    assert r.stderr == ""
    for name in (WOLF, "127.0.0.1", str(home.folder), "/tmp", "://", "@", socket.gethostname(),
                 *also):
        assert name.lower() not in r.stdout.lower(), r.stdout
    return r.stdout


def redacted(home, env, *args):
    """As text, and as JSON: that."""
    shows_nothing(home.run("doctor", "--redact", *args, env=env), home)
    r = home.run("doctor", "--redact", "--json", *args, env=env)
    report = json.loads(shows_nothing(r, home))
    assert report["redacted"] is True
    return {f["link"]: f for f in report["links"]}


@pytest.fixture
def wolves(home, fake, daemon, tmp_path):
    """A user, an API server and a kubeconfig whose names would tell who it is."""
    fake.claims.update(email="wolf.user@wolfmail.example", name="Wolf Name", groups=["wolfgroup"],
                       sub="wolf|4711", department="wolfdept", hd="wolf.example")
    configure(home, daemon, fake.profile("wolfprofile", user="wolfuser",
                                         extra="username-claim = email\ngroups-claim = groups"))
    cluster = test_doctor.Cluster(home, fake, tmp_path)
    config = cluster.config
    config["users"][0].update(name="wolfkubeuser")
    cluster.exec["args"][-1] = "wolfprofile"
    cluster.exec["env"] = [{"name": "X", "value": "wolfvalue"}]
    config["clusters"][0].update(name="wolfcluster")
    config["contexts"] = [
        {"name": "wolfcontext", "context": {"cluster": "wolfcluster", "user": "wolfkubeuser",
                                            "namespace": "wolfspace"}},
        {"name": "wolfother", "context": {"cluster": "wolfcluster", "user": "wolfnobody"}}]
    config["current-context"] = "wolfcontext"
    yield cluster
    cluster.server.stop()


@test_doctor.needs_kubectl
def test_a_redacted_report_shows_no_name_host_or_path(home, fake, wolves):
    env = {**wolves.environment(), "USER": "wolfroot", "LOGNAME": "wolflogin",
           "https_proxy": "", "KUBERC": str(home.folder / "wolfrc")}
    plain = home.run("doctor", env=env).stdout
    assert plain.count(WOLF) > 8 and fake.issuer in plain and str(home.folder) in plain
    links = redacted(home, env, "--expect-issuer", fake.issuer, "--expect-audience", "wolfaud",
                     "--expect-claim", "hd=wolf.example", "--expect-claim", "department=wolf")
    assert links["profile"]["detail"] == "<profile-1>"
    assert links["configuration"]["detail"].endswith("/kubetoken.conf: in order, 1 profile")
    assert links["daemon"]["detail"].startswith("kubetokend ")
    assert links["header"]["detail"].startswith("alg RS256, kid <key-")
    assert links["issuer"]["detail"] == links["expect-issuer"]["detail"] == links["dns"]["detail"]
    assert links["context"]["detail"].startswith("<context-1>, user <user-")
    assert links["plugin"]["detail"] == "kubetoken"
    assert links["apiversion"]["detail"].startswith("client.authentication.k8s.io/v1")
    assert "--oidc-client-id" in links["expect-audience"]["remedy"], "our own words stay"
    assert "not reached" in links["expect-claim"]["detail"]
    assert links["user"]["detail"].startswith("<email-1>, ")


@test_doctor.needs_kubectl
@pytest.mark.parametrize("trouble", ["down", "unauthorized", "authority", "context", "file",
                                     "unknown-host", "bypassed"])
def test_nor_does_what_kubectl_says(home, fake, wolves, tmp_path, trouble):
    args = []
    cluster = wolves.config["clusters"][0]["cluster"]
    if trouble == "down":
        wolves.server.stop()
    elif trouble == "unauthorized":
        wolves.server.reject_when(lambda _: True)
    elif trouble == "authority":
        test_doctor.trust(wolves, fake.ca_file)
    elif trouble == "context":
        wolves.config["current-context"] = "wolfgone"
    elif trouble == "file":
        (tmp_path / "wolf den").mkdir()
        (tmp_path / "wolf den" / "config").write_text("kind: [")
        args = ["--kubeconfig", str(tmp_path / "wolf den" / "config")]
    elif trouble == "unknown-host":
        cluster["server"] = "https://wolfhost.wolf.invalid:6443"
    else:
        wolves.user["username"], wolves.user["password"] = "wolfbasic", "canary"
    links = redacted(home, wolves.environment(), *args)
    assert links["cluster"]["detail"] or links["context"]["detail"]


def test_nor_do_errors_of_the_configuration_and_of_the_provider(home, fake, daemon):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant", "error_description":
                                       "The tenant wolfland knows no wolfuser"}, 403)
    configure(home, daemon, fake.profile("wolfprofile", user="wolfuser"))
    env = {"PATH": "/bin/nowhere"}
    links = redacted(home, env)
    assert links["grant"]["detail"] == "HTTP 403, invalid_grant: <words>"
    assert links["grant"]["code"] == "refused"
    assert "correct the password" in links["grant"]["remedy"]
    home.configure(fake.profile("wolfprofile", user="wolfuser", password="",
                                extra="colour = wolf\npassword-file = wolf/secret\n")
                   + "[profile wolfnext]\n")
    links = redacted(home, env)
    assert links["configuration"]["code"] == "config"
    daemon.reload()
    links = redacted(home, env)
    assert "an earlier one is in force" in links["daemon"]["detail"]
    home.configure(fake.profile("wolfprofile", user="wolfuser"))
    daemon.reload()
    home.configure(fake.profile("wolfprofile", user="wolfuser", extra="scope = openid wolf"))
    redacted(home, env)
    links = redacted(home, env, "wolfnobody")
    assert links["profile"]["code"] == "no-profile"


def test_nor_does_the_log_that_a_remedy_names(home, fake):
    home.configure(fake.profile("wolfprofile"))
    assert "<path-" in shows_nothing(home.run("doctor", "--redact", env={
        "PATH": "/bin/nowhere", "HOME": str(home.folder / "wolf home"),
        "KUBETOKEN_SOCKET": str(home.folder / "wolf" / "socket")}), home)


# ---- exit codes, and where stdout cannot be written ---------------------------------------------


def sends(**answers):
    return lambda fake: fake.answers.update(answers)


def finds(home, fake, daemon, code):
    """Makes doctor find what has that exit code. Returns its arguments."""
    if code == 2:
        return ["--bogus"]
    home.configure(fake.profile(password="" if code == 5 else "password = canary-pw",
                                extra="colour = blue" if code == 9 else ""))
    if code == 1:
        home.configure(fake.profile())
    if code == 6:
        fake.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 403)
    elif code == 7:
        fake.refuse()
    elif code == 8:
        fake.claims.update(aud="other")
    if code != 3:
        daemon.start()
    return ["nobody"] if code == 4 else []


CODES = [1, 2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("code", CODES)
def test_doctor_has_the_exit_code_of_what_it_finds(home, fake, daemon, code):
    args = finds(home, fake, daemon, code)
    for form in ([], ["--json"], ["--redact"]):
        r = home.run("doctor", "--timeout", "5s", *form, *args, env={"PATH": "/bin/nowhere"})
        assert r.returncode == code
        assert (r.stderr == "") == (code != 2)


@test_doctor.needs_kubectl
def test_doctor_has_0_where_the_api_server_has_answered(home, fake, daemon, tmp_path):
    configure(home, daemon, fake.profile(extra="username-claim = email"))
    cluster = test_doctor.Cluster(home, fake, tmp_path)
    try:
        for form in ([], ["--json"], ["--redact"]):
            r = home.run("doctor", *form, env=cluster.environment())
            assert (r.returncode, r.stderr) == (0, ""), r.stdout
    finally:
        cluster.server.stop()


def test_doctor_has_1_for_what_has_no_code_of_its_own(home, fake, daemon, tmp_path):
    """A warning elsewhere: here the API server would reject the token."""
    fake.claims["groups"] = 5
    configure(home, daemon, fake.profile(extra="groups-claim = groups"))
    r = home.run("doctor", env={"PATH": "/bin/nowhere"})
    assert r.returncode == 1 and "error    claims           the token's groups claim" in r.stdout


def unwritten(home, how, *args):
    """The exit code of doctor, with a stdout that nobody can write to."""
    command = [rig.BUILD / "kubetoken", "doctor", *args]
    stdout = None
    if how == "closed":
        command = [shutil.which("sh"), "-c", '"$@" >&-', "sh", *command]
    elif how == "full":
        stdout = os.open("/dev/full", os.O_WRONLY)
    else:  # as behind a head that has seen enough
        gone, stdout = os.pipe()
        os.close(gone)
    try:
        r = subprocess.run(command, env={**home.environment, "PATH": "/bin/nowhere"},
                           stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                           text=True, timeout=rig.PATIENCE)
    finally:
        if stdout is not None:
            os.close(stdout)
    return r.returncode, r.stderr


@pytest.mark.parametrize("how", ["closed", "full", "head"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_was_found_is_the_exit_code_also_where_it_cannot_be_written(home, fake, daemon, how,
                                                                         form):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 403)
    configure(home, daemon, fake.profile())
    code, said = unwritten(home, how, *form)
    assert code == 6 and "the output cannot be written: " in said and said.count("\n") == 1


@pytest.mark.parametrize("how", ["closed", "full", "head"])
def test_a_good_report_that_cannot_be_written_is_an_error(home, fake, daemon, how):
    configure(home, daemon, fake.profile())
    code, said = unwritten(home, how, "p")
    assert code == 1 and "the output cannot be written: " in said


# ---- the form of the JSON -----------------------------------------------------------------------


SCHEMA = schemas.SCHEMAS["doctor"]
MANUAL = (rig.TOP / "man" / "kubetoken.1").read_text()


def documented_links():
    """Those that kubetoken(1) lists, in its order."""
    links = re.search(r"\.It configuration\n(.*?)\.El\n", MANUAL[MANUAL.index(".It Cm doctor"):],
                      re.S)
    lines = re.findall(r"^\.It ([a-z, -]+)$", ".It configuration\n" + links[1], re.M)
    return [link for line in lines for link in line.split(" , ")]


def test_the_codes_of_the_schema_are_those_of_the_table(home):
    """That they are those of kubetoken-codes(7) another test sees."""
    listed = [line.split()[0] for line in home.run("explain").stdout.splitlines()]
    name = SCHEMA["$defs"]["link"]["properties"]["code"]
    for code in listed:
        jsonschema.validate(code, name)


def test_every_link_that_doctor_has_is_in_its_manual():
    """By the literals in the sources, and the checks that a token has there."""
    sources = "".join(path.read_text() for path in
                      sorted((rig.TOP / "client" / "admin").glob("check_*.c")))
    links = set(re.findall(r'LEVEL_\w+(?: : LEVEL_\w+)?,\s*"([a-z-]+)"', sources))
    links |= set(re.findall(r'\[ERROR_LINK_\w+\] = "([a-z-]+)"', sources))
    links |= set(re.findall(r'    return "([a-z-]+)";\n}', sources))  # check_name()
    assert len(links) > 25
    assert links - set(documented_links()) == set()


@pytest.mark.parametrize("claims", [{}, {"email_verified": False}, {"aud": "other"}])
def test_the_json_is_as_the_schema_says(home, fake, daemon, claims):
    fake.claims.update(claims)
    configure(home, daemon, fake.profile())
    for args in ([], ["--redact"], ["--expect-claim", "a=b"]):
        r = home.run("doctor", "--json", *args, env={"PATH": "/bin/nowhere"})
        report = json.loads(r.stdout)
        assert report.get("profile") == (None if "--redact" in args else "p")
        assert report["schemaVersion"] == 1 and report["ok"] == (r.returncode == 0)
        assert {f["link"] for f in report["links"]} <= set(documented_links())


@pytest.mark.parametrize("change", [{"schemaVersion": "1"}, {"ok": None}, {"links": [{}]},
                                    {"links": [{"link": "x", "level": "bad", "detail": ""}]}])
def test_the_schema_refuses_what_is_another_form(change):
    good = {"schemaVersion": 1, "links": [{"link": "dns", "level": "ok", "detail": ""}], "ok": True}
    jsonschema.validate(good, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**good, **change}, SCHEMA)
