"""The JSON of all commands: one style, documented, and asked for by -o json or --json."""
import json
import re
import time

import jsonschema
import pytest

import rig
import schemas
import scripted

MANUAL = (rig.TOP / "man" / "kubetoken.1").read_text(encoding="utf-8")
NO_KUBECTL = {"PATH": "/bin/nowhere"}
COMMANDS = [["get"], ["status"], ["status", "p"], ["inspect"], ["doctor"]]


@pytest.fixture
def running(home, daemon, fake):
    fake.claims = {"email": "someone@example.com"}
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 0
    return home


def timeless(document):
    """Without what goes on while one looks."""
    return {k: timeless(v) if isinstance(v, dict) else
            [timeless(e) if isinstance(e, dict) else e for e in v] if isinstance(v, list) else v
            for k, v in document.items()
            if k not in ("expiresInSeconds", "detail", "askAgainTimestamp")}


def test_both_options_say_the_same(running):
    for command in COMMANDS:
        said = [running.run(*command, *option, env=NO_KUBECTL)
                for option in (["--json"], ["-o", "json"], ["-ojson"], ["--output=json"])]
        assert {(r.returncode, r.stderr) for r in said} == {(said[0].returncode, "")}, command
        first, *others = (schemas.check(command[0], r.stdout) for r in said)
        assert all(timeless(first) == timeless(other) for other in others), command


@pytest.mark.parametrize("command", ["status", "inspect", "doctor"])
def test_text_is_how_it_is_without(running, command):
    plain = running.run(command, env=NO_KUBECTL).stdout
    assert not plain.startswith("{")
    for last in (["--json", "-o", "text"], ["-o", "text"]):
        assert running.run(command, *last, env=NO_KUBECTL).stdout.split(":")[0] == \
            plain.split(":")[0]
    r = running.run(command, "-o", "yaml")
    assert (r.returncode, r.stdout) == (2, "") and "--output takes json" in r.stderr
    assert running.run(command, "-o", "text", "--json", env=NO_KUBECTL).stdout.startswith("{")


def test_of_two_formats_of_get_the_last_counts(running):
    assert running.run("get", "--json", "-o", "header").stdout.startswith("Authorization: ")
    assert running.run("get", "-o", "header", "--json").stdout.startswith("{")


def test_the_end_of_a_token_has_one_name_and_one_time(running):
    ends = [json.loads(running.run(*command, "--json", env=NO_KUBECTL).stdout)
            for command in (["get"], ["inspect"], ["doctor"])] + [running.status("p")]
    ends = [rig.seconds(e["expirationTimestamp"]) for e in ends]
    exp = json.loads(running.run("inspect", "--json").stdout)["claims"]["exp"]
    assert all(exp - 3 <= end <= exp for end in ends), (ends, exp)


def test_get_says_when_to_ask_again_as_an_exec_credential_does(running):
    told = json.loads(running.run("get", "--json").stdout)
    credential = json.loads(running.run("get", "-o", "exec/v1").stdout)["status"]
    assert told["askAgainTimestamp"] == credential["expirationTimestamp"]
    renewal = rig.seconds(running.status("p")["renewalTimestamp"])
    assert renewal < rig.seconds(told["askAgainTimestamp"]) < \
        rig.seconds(told["expirationTimestamp"])


def test_without_a_token_nothing_is_said_of_it(home, daemon, fake):
    fake.answers["/oauth/token"] = (503, {}, b"")
    home.configure(fake.profile())
    daemon.start()
    assert not {"expirationTimestamp", "expiresInSeconds", "verified", "renewalTimestamp",
                "retryTimestamp", "error"} & set(home.status("p"))
    assert home.run("get", "--timeout", "1s").returncode == 7
    status = home.status("p")
    assert status["error"]["code"] == "provider-fault" and "retryTimestamp" in status
    assert "renewalTimestamp" not in status


@pytest.mark.parametrize("command", [["get"], ["status", "nobody"], ["inspect"]])
def test_an_error_is_a_line_on_stderr_and_nothing_on_stdout(home, daemon, fake, command):
    fake.answers["/oauth/token"] = scripted.json_answer({"error": "invalid_grant"}, 400)
    home.configure(fake.profile())
    daemon.start()
    r = home.run(*command, "--json")
    assert r.returncode != 0 and r.stdout == ""
    assert r.stderr.startswith("kubetoken: ") and r.stderr.count("\n") == 1


def test_an_end_that_no_date_reaches_is_left_out(home, fake):
    home.configure(fake.profile())
    for exp, member in ((253402300799, "9999-12-31T23:59:59Z"), (253402300800, None), (-1, None),
                        (int(time.time()) - 60, ...), (None, None)):
        r = home.run("inspect", "-", "--json", input=fake.id_token(exp=exp))
        report = json.loads(r.stdout)
        if member is ...:
            assert -100 < report["expiresInSeconds"] <= -60 and not report["ok"]
        else:
            assert report.get("expirationTimestamp") == member
            assert ("expiresInSeconds" in report) == (member is not None)


def test_each_error_of_the_configuration_is_one_of_its_own(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    home.configure(fake.profile(extra="colour = blue\nsize = 3"))
    daemon.reload()
    whole = json.loads(home.run("status", "--json").stdout)
    assert [re.search(r'"(\w+)"', e["detail"])[1] for e in whole["configurationErrors"]] == [
        "colour", "size"]
    assert {e["code"] for e in whole["configurationErrors"]} == {"config"}
    (home.config / "kubetoken.conf").unlink()
    daemon.reload()
    [error] = json.loads(home.run("status", "--json").stdout)["configurationErrors"]
    assert error["code"] == "no-config" and error["detail"].endswith("kubetoken.conf is missing")


# ---- the schemas --------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", sorted(schemas.SCHEMAS))
def test_each_schema_is_one(kind):
    jsonschema.Draft202012Validator.check_schema(schemas.SCHEMAS[kind])


def members(schema):
    """Those that it names, but for those of the tokens."""
    if isinstance(schema, list):
        return set().union(*map(members, schema))
    if not isinstance(schema, dict):
        return set()
    own = set(schema["properties"]) if schema.get("type") == "object" and \
        "properties" in schema else set()
    return own | set().union(*map(members, schema.values()))


def test_the_names_and_what_they_hold_are_of_one_style():
    for kind, schema in schemas.SCHEMAS.items():
        for name in members(schema):
            assert re.fullmatch("[a-z]+([A-Z][a-z]+)*", name), (kind, name)
        text = json.dumps(schema)
        for name, value in re.findall(r'"(\w+)": ({[^{}]*})', text):
            value = json.loads(value)
            is_time = value.get("$ref") == "#/$defs/timestamp"
            assert is_time == (name.lower().endswith("timestamp") and name != "timestamp" or
                               is_time and name == "timestamp"), (kind, name)
            if name.endswith("Seconds"):
                assert value["type"] == "integer", (kind, name)


def test_what_has_one_name_has_one_definition():
    seen = {}
    for schema in schemas.SCHEMAS.values():
        for name, definition in schema.get("$defs", {}).items():
            assert seen.setdefault(name, definition) == definition, name


def test_the_manual_names_each_member():
    said = set(re.findall(r"[a-zA-Z]+", "\n".join(
        line for line in MANUAL.splitlines() if re.match(r"\.(It )?(Li|Cm)\b", line))))
    for kind, schema in schemas.SCHEMAS.items():
        assert members(schema) <= said, (kind, members(schema) - said)


def test_a_member_that_no_schema_names_is_seen(running):
    text = running.run("status", "--json").stdout
    document = schemas.check("status", text)
    for broken in ({**document, "colour": 1}, {**document, "log": None},
                   {**document, "profiles": [{**document["profiles"][0], "next": "x"}]},
                   {k: v for k, v in document.items() if k != "version"}):
        with pytest.raises((jsonschema.ValidationError, AssertionError)):
            schemas.check("status", json.dumps(broken) + "\n")
    with pytest.raises(AssertionError):
        schemas.check("status", json.dumps(document, indent=1) + "\n")
    row = {**document["profiles"][0], "timestamp": "2026-11-24T14:05:12Z"}
    schemas.check("change", json.dumps(row) + "\n")
    schemas.check("change", json.dumps({"timestamp": row["timestamp"], "profile": "p",
                                        "state": "gone"}) + "\n")
    with pytest.raises(jsonschema.ValidationError):
        schemas.check("change", json.dumps(document["profiles"][0]) + "\n")
