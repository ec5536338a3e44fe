"""kubetoken-fetch by itself: one job in, steps and one result out. What it keeps for the next
job, and what it does with what an earlier one kept."""
import json
import re
import shutil
import socket
import struct
import subprocess
import time

import pytest

import rig
import scripted
from scripted import json_answer

DISCOVERY, KEYS, GRANT = ("/.well-known/openid-configuration", "/.well-known/jwks.json",
                          "/oauth/token")
MINUTE = 60 * 1000000


def encode(fields):
    body = b"".join(struct.pack("<B", len(n)) + n.encode() + struct.pack("<I", len(v)) + v
                    for n, v in ((n, v if isinstance(v, bytes) else str(v).encode())
                                 for n, v in fields))
    return b"KTR1" + struct.pack("<I", len(body)) + body


def decode(data):
    """The records in the bytes, each a list of (name, value)."""
    records = []
    while data:
        assert data[:4] == b"KTR1"
        length, = struct.unpack_from("<I", data, 4)
        body, data, fields = data[8:8 + length], data[8 + length:], []
        while body:
            n = body[0]
            size, = struct.unpack_from("<I", body, 1 + n)
            fields.append((body[1:1 + n].decode(), body[5 + n:5 + n + size]))
            body = body[5 + n + size:]
        records.append(fields)
    return records


def boottime():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def past(minutes):
    """So long ago; 0, which is always too long ago, where the machine is not up for so long."""
    return max(0, boottime() - minutes * MINUTE - 1)


class Fetch:
    """Runs jobs against the provider; each is given the cache that the last one left."""

    def __init__(self, provider):
        self.provider, self.cache = provider, b""
        self.program = [rig.BUILD / "kubetoken-fetch"]
        self.environment = {}
        self.may_give_up = False  # by its status, without a result

    def __call__(self, **changes):
        seconds = changes.pop("seconds", 15)
        job = {"record": "job", "version": 1, "kind": "password",
               "deadline": boottime() + seconds * 1000000, "allow-http-loopback": 0,
               "issuer": self.provider.issuer, "client-id": "client", "client-auth": "auto",
               "username": "u", "password": "canary-pw", "scope": "openid", "proxy": "none",
               "ca-file": self.provider.ca_file, "signing-algs": "RS256"}
        if self.cache:
            job["cache"] = self.cache
        job.update({k.replace("_", "-"): v for k, v in changes.items()})
        self.provider.requests.clear()
        ours, theirs = socket.socketpair()
        with ours, subprocess.Popen(self.program, stdin=theirs, env=self.environment,
                                    stdout=subprocess.DEVNULL) as process:
            theirs.close()
            ours.settimeout(rig.PATIENCE)
            data = b""
            try:
                ours.sendall(encode([(k, v) for k, v in job.items() if v is not None]))
                while chunk := ours.recv(65536):
                    data += chunk
            except ConnectionError:  # it ended before it read all of it
                assert self.may_give_up
        self.said, self.status = data, process.returncode
        if self.may_give_up and self.status != 0:
            return None
        assert self.status == 0
        *steps, end = decode(data)
        self.steps = [dict(s)["name"].decode() for s in steps]
        self.cache = dict(end).get("cache", b"")
        self.warnings = [v.decode() for n, v in end if n == "warning"]
        self.result = dict(end)
        return self.result["outcome"].decode()

    @property
    def paths(self):
        return [r.path for r in self.provider.requests]

    def edit(self, **changes):
        """Changes fields of the cache."""
        fields = dict(decode(self.cache)[0])
        fields.update({k.replace("_", "-"): v for k, v in changes.items()})
        self.cache = encode(fields.items())


@pytest.fixture
def fetch(fake):
    f = Fetch(fake)
    assert f() == "token"
    assert f.paths == [DISCOVERY, KEYS, GRANT]
    return f


def test_the_next_job_asks_for_the_token_alone(fetch):
    assert fetch() == "token"
    assert fetch.paths == [GRANT] and fetch.result["verified"] == b"1"


def test_each_step_is_told_once_on_a_connection_that_is_kept(fake):
    fetch = Fetch(fake)
    assert fetch() == "token"
    assert fetch.steps == ["dns", "connect", "tls", "discovery", "keys", "grant", "verify"]


def test_the_cache_holds_bare_keys_and_no_secret(fake, fetch):
    fields = dict(decode(fetch.cache)[0])
    jwk = fake.key.jwk()
    assert json.loads(fields["keys"]) == {"keys": [{k: jwk[k] for k in ("kty", "kid", "n", "e")}]}
    assert b"canary" not in fetch.cache and len(fetch.cache) < 32 * 1024


@pytest.mark.parametrize("changes", [
    {"token_endpoint": "https://127.0.0.1:1/elsewhere", "seconds": 2}, {"proxy": "auto"},
    {"jwks_uri": "x"}])
def test_what_it_depends_on_makes_it_void(fake, fetch, changes):
    fetch(**changes)
    assert DISCOVERY in fetch.paths


def test_another_ca_file_makes_it_void(fake, fetch, tmp_path):
    copy = tmp_path / "copy.pem"
    copy.write_bytes(open(fake.ca_file, "rb").read())
    assert fetch(ca_file=copy) == "token"
    assert fetch.paths == [DISCOVERY, KEYS, GRANT]


@pytest.mark.parametrize("age, paths", [(0, [GRANT]), (60, [KEYS, GRANT])])
def test_keys_are_asked_for_again_after_an_hour(fetch, age, paths):
    fetch.edit(keyed=past(age))
    assert fetch() == "token" and fetch.paths == paths


@pytest.mark.parametrize("age, paths", [(0, [GRANT]), (24 * 60, [DISCOVERY, GRANT])])
def test_the_document_is_asked_for_again_after_a_day(fetch, age, paths):
    fetch.edit(discovered=past(age))
    assert fetch() == "token" and fetch.paths == paths


@pytest.mark.parametrize("age", [0, 1])
@pytest.mark.parametrize("kid", ["key-1", "key-2"])
def test_a_key_that_is_new_is_asked_for(fake, fetch, kid, age):
    """However lately keys were asked for, and also where it has the name of the one before."""
    fake.key = scripted.Key(kid)
    fetch.edit(keyed=past(age))
    assert fetch() == "token"
    assert fetch.paths == [GRANT, KEYS] and fetch.result["verified"] == b"1"
    assert fetch.warnings == []
    assert fetch() == "token" and fetch.paths == [GRANT]


def test_a_token_is_verified_again_after_newer_keys_came(fake, fetch):
    """Where it fails then, it does not fail at the keys."""
    fake.key = scripted.Key("key-2")
    fake.claims["iss"] = "https://other.example/"
    fetch.edit(keyed=past(1))
    assert fetch() == "doubtful" and fetch.result["code"] == b"issuer-mismatch"
    assert fetch.paths == [GRANT, KEYS] and fetch.steps[-2:] == ["keys", "verify"]


@pytest.mark.parametrize("kid, says", [
    ("key-1", b'alg RS256, kid "key-1"'),
    ("key-2", b'the provider publishes no RS256 key named "key-2"')])
def test_a_token_is_worth_one_look_at_the_keys(fake, fetch, kid, says):
    fake.answers[KEYS] = json_answer({"keys": [fake.key.jwk()]})
    fake.key = scripted.Key(kid)
    for age, paths in (0, [GRANT, KEYS]), (60, [KEYS, GRANT]):
        fetch.edit(keyed=past(age))
        assert fetch() == "doubtful" and fetch.paths == paths
        assert (fetch.result["code"], fetch.result["detail"]) == (b"token-signature", says)


def test_keys_that_are_known_are_kept_through_an_outage(fake, fetch):
    fake.answers[KEYS] = (500, {}, b"")
    fetch.edit(keyed=0)
    assert fetch() == "token" and fetch.result["verified"] == b"1"
    fake.key = scripted.Key("key-2")
    fetch.edit(keyed=0)
    assert fetch() == "token"
    assert (fetch.result["verified"], fetch.warnings) == (b"0", ["not-verified"])


def test_endpoints_that_are_known_are_kept_through_an_outage(fake, fetch):
    fake.answers[DISCOVERY] = (500, {}, b"")
    fetch.edit(discovered=0)
    assert fetch() == "token" and fetch.paths == [DISCOVERY, GRANT]


@pytest.mark.parametrize("path", [DISCOVERY, KEYS])
def test_a_request_that_hangs_costs_a_known_provider_no_token(fake, fetch, path):
    fake.hang(path)
    fetch.edit(discovered=0, keyed=0)
    assert fetch() == "token"


def test_a_token_endpoint_that_moved_is_found(fake, fetch):
    fake.answers["/new"] = lambda _: json_answer(fake.token())
    fake.answers[GRANT] = (404, {}, b"")
    fake.answers[DISCOVERY] = json_answer({**fake.discovery(),
                                           "token_endpoint": fake.base + "/new"})
    assert fetch() == "doubtful" and fetch.paths == [GRANT]
    assert fetch() == "token" and fetch.paths == [DISCOVERY, "/new"]


def test_a_token_endpoint_in_clear_text_is_not_asked(fake):
    """Whatever the document says: the password would go there. What `allow-http-loopback` is for
    says who configures it."""
    with socket.create_server(("127.0.0.1", 0)) as there:
        url = f"http://127.0.0.1:{there.getsockname()[1]}/oauth/token"
        fake.answers[DISCOVERY] = json_answer({**fake.discovery(), "token_endpoint": url})
        f = Fetch(fake)
        assert f() == "invalid" and f.paths == [DISCOVERY]
        assert "is not an https:// URL" in f.result["detail"].decode(), f.result
        there.setblocking(False)
        with pytest.raises(BlockingIOError):
            there.accept()


def test_after_a_refusal_the_cache_is_kept(fake, fetch):
    fake.answers[GRANT] = (403, {}, b"")
    assert fetch() == "refused"
    del fake.answers[GRANT]
    assert fetch() == "token" and fetch.paths == [GRANT]


@pytest.mark.parametrize("changes", [
    {"token_endpoint": "http://127.0.0.1/"}, {"token_endpoint": "file:///etc/passwd"},
    {"jwks_uri": "ftp://example.com/"}, {"print": "00"}, {"token_endpoint": b"https://a\0b/"}])
def test_a_cache_that_is_not_believable_is_not_used(fetch, changes):
    fetch.edit(**changes)
    assert fetch() == "token"
    assert fetch.paths == [DISCOVERY, KEYS, GRANT]


@pytest.mark.parametrize("cache", [b"x", b"KTR1\xff\xff\xff\xff", encode([("print", "")]),
                                   b"\0" * 32768])
def test_junk_is_no_cache(fetch, cache):
    fetch.cache = cache
    assert fetch() == "token" and fetch.paths == [DISCOVERY, KEYS, GRANT]


def test_broken_keys_in_the_cache_are_asked_for_again(fetch):
    fetch.edit(keys="{}")
    assert fetch() == "token"
    assert fetch.paths == [KEYS, GRANT] and fetch.result["verified"] == b"1"


# ---- many keys ---------------------------------------------------------------------------------

def many_keys(fake, n=1000):
    """So many others, and behind them the one that signs."""
    return [fake.key.jwk(kid=f"other-{i}", x5t="x") for i in range(n)] + [fake.key.jwk()]


def kept_kids(fetch):
    return [k.get("kid") for k in json.loads(dict(decode(fetch.cache)[0])["keys"])["keys"]]


def test_of_a_thousand_keys_the_one_that_was_used_is_kept(fake):
    fake.answers[KEYS] = json_answer({"keys": many_keys(fake)})
    fetch = Fetch(fake)
    assert fetch() == "token" and fetch.paths == [DISCOVERY, KEYS, GRANT]
    assert fetch.result["verified"] == b"1" and kept_kids(fetch) == ["key-1"]
    assert fetch() == "token" and fetch.paths == [GRANT] and fetch.result["verified"] == b"1"


def test_keys_that_take_turns_are_all_kept(fake):
    """As of nodes that sign with their own."""
    first, second = fake.key, scripted.Key("key-2")
    fake.answers[KEYS] = json_answer({"keys": [*many_keys(fake), second.jwk()]})
    fetch = Fetch(fake)
    for key, paths in ((first, [DISCOVERY, KEYS, GRANT]), (second, [GRANT, KEYS]), (first, [GRANT]),
                       (second, [GRANT])):
        fake.key = key
        assert fetch() == "token" and fetch.paths == paths
    assert kept_kids(fetch) == ["key-2", "key-1"], "the latest first"


@pytest.mark.parametrize("named", [True, False])
def test_of_many_keys_without_names_the_one_that_verified_is_kept(fake, named):
    signing, other = fake.key, scripted.Key()
    fake.answers[KEYS] = json_answer({"keys": [*[other.jwk(kid=None)] * 300,
                                               signing.jwk(kid=None)]})
    fake.answers[GRANT] = lambda _: json_answer({"id_token": signing.sign(
        {"iss": fake.issuer, "aud": "client", "exp": int(time.time()) + 3600},
        {} if named else {"kid": None})})
    fetch = Fetch(fake)
    assert fetch() == "token" and fetch.result["verified"] == b"1"
    assert json.loads(dict(decode(fetch.cache)[0])["keys"])["keys"][0]["n"] == signing.jwk()["n"]
    assert kept_kids(fetch) == [None]
    assert fetch() == "token" and fetch.paths == [GRANT] and fetch.result["verified"] == b"1"


def test_before_any_was_used_all_are_kept_if_they_fit(fake):
    fake.answers[KEYS] = json_answer({"keys": [fake.key.jwk(kid="other"), fake.key.jwk()]})
    fake.answers[GRANT] = (503, {}, b"")
    fetch = Fetch(fake)
    assert fetch() == "temporary" and kept_kids(fetch) == ["other", "key-1"]
    assert fetch() == "temporary" and fetch.paths == [GRANT]
    del fake.answers[GRANT]
    assert fetch() == "token" and fetch.paths == [GRANT] and kept_kids(fetch) == ["key-1"]
    fake.answers[KEYS] = json_answer({"keys": many_keys(fake)})
    fetch, fake.answers[GRANT] = Fetch(fake), (503, {}, b"")
    assert fetch() == "temporary" and "keys" not in dict(decode(fetch.cache)[0])


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_usual_job_locks_little(fetch, tmp_path):
    """Each page that is locked is one that the first `get` waits for."""
    trace = tmp_path / "trace"
    fetch.program = ["strace", "-f", "-e", "trace=mlock", "-o", trace, *fetch.program]
    assert fetch() == "token"
    sizes = re.findall(r"mlock\(0x[0-9a-f]+, (\d+)\)", trace.read_text())
    assert sizes and sum(map(int, sizes)) <= 64 * 1024


def test_a_long_job_and_a_long_result_are_whole(fake, fetch):
    fake.claims["padding"] = "x" * 90_000
    assert fetch() == "token"
    token = fetch.result["id-token"].decode()
    assert token == fake.tokens[-1] and len(token) > 100_000
    assert fetch(kind="inspect", token=token) == "report"
    assert b"signature" in fetch.result["report"] and b"error" not in fetch.result


def test_gnutls_is_not_set_up():
    """It comes with libcurl, for protocols that are forbidden."""
    r = subprocess.run([rig.BUILD / "kubetoken-fetch", "--version"], env={"LD_DEBUG": "bindings"},
                       capture_output=True, text=True, check=True)
    if "libgnutls" not in r.stderr:
        pytest.skip("libcurl does not bring it")
    assert re.search(r"libgnutls\S* \[0\] to \S*/kubetoken-fetch .*_gnutls_global_init_skip",
                     r.stderr)
