"""Each allocation, and each system call, of kubetoken-fetch fails once (failing.c). What it then
says is that, and passes: never that a token is good, or that somebody is refused. What it has not
sent it does not send, and what it has sent is not sent again by itself.

`make check` fails some of the calls, always the same; `make check-faults` every system call, and of
some 20,000 allocations (nearly all of them of libcrypto, for itself) 2,000 a job; with
KUBETOKEN_FULL=all each."""
import json
import pathlib

import pytest

import failing
import scripted
from failing import ERRORS_MOST, KINDS, numbers
from scripted import json_answer
from test_fetcher_program import GRANT, Fetch

PASSWORD = "canary pw+1"
SENT = "canary%20pw%2B1"


class Job:
    """What it is told, what the provider says, and what came of it where nothing failed."""

    def __init__(self, outcome, cached=True, answer=None, **changes):
        self.outcome, self.cached, self.answer, self.changes = outcome, cached, answer, changes


def refused(request):
    """Also what it was sent, as it came and as it was meant."""
    words = f"no {request.form.get('password')} nor {SENT}"
    return json_answer({"error": "invalid_grant", "error_description": words}, 400)


def page(request):
    return 403, {"Content-Type": "text/html"}, f"<title>{PASSWORD} {SENT}</title>".encode()


JOBS = {
    "first": Job("token", cached=False),
    "next": Job("token"),
    "refresh": Job("token", kind="refresh", refresh_token="canary-refresh", password=None,
                   previous=True),
    "refused": Job("refused", answer=refused),
    "refused-silently": Job("refused", answer=lambda _: (401, {}, b"")),
    "page": Job("doubtful", answer=page),
    "secret": Job("token", client_secret="canary-secret", client_auth="basic"),
    "inspect": Job("report", kind="inspect", token=True, json=1, password=None),
    "inspect-text": Job("report", cached=False, kind="inspect", token=True, password=None),
    "proxy": Job("token", cached=False, proxy="auto", environment=True),
}


class Bench:
    def __init__(self, fake, library, folder):
        self.fake, self.fetch = fake, Fetch(fake)
        fake.members = {"refresh_token": "canary-next"}
        self.fetch.may_give_up = True
        self.control = failing.Control(folder, library)
        self.fetch.environment = self.control.environment
        self.proxy = None
        self.n = 0
        self.spared = 0  # that nobody lacked

    def prepare(self, job):
        self.job, self.changes = job, {"password": PASSWORD, **job.changes}
        self.control.renew()
        if job.cached:
            assert self.fetch(password=PASSWORD) == "token"
        self.cache = self.fetch.cache
        if job.answer:
            self.fake.answers[GRANT] = job.answer
        for name in {"token", "previous"} & {k for k, v in self.changes.items() if v is True}:
            self.changes[name] = self.fake.id_token(iat=1)
        if "environment" in self.changes:
            self.proxy = scripted.Proxy()
            self.changes["environment"] = f"https_proxy=http://127.0.0.1:{self.proxy.port}"

    def run(self):
        self.fetch.cache = self.cache
        self.fake.tokens.clear()
        self.n += 1
        mine = "refresh_token" if "refresh_token" in self.changes else "username"
        return self.fetch(**{**self.changes, mine: f"canary-{self.n}"})

    @property
    def grants(self):
        """Of this run: what one before sent may be heard of late."""
        return [r for r in self.fake.grants() if f"canary-{self.n}" in r.form.values()]

    def must(self, holds, what):
        if not holds:
            raise AssertionError(f"{what}: {self.control.what()}")


@pytest.fixture
def bench(fake, library, tmp_path):
    b = Bench(fake, library, tmp_path)
    yield b
    if b.proxy:
        b.proxy.stop()


# Libraries that end a process by themselves where memory lacks, before anything was sent:
# libseccomp 2.5 looks at no result of its own, libcrypto 3.5 not at all of them.
OF_THEIR_OWN = "libseccomp.", "libcrypto."


def check(bench, fired, kind):
    """What it said is true."""
    fetch, fake, outcome, grants = bench.fetch, bench.fake, bench.outcome, bench.grants
    if bench.control.by.startswith(OF_THEIR_OWN) and fetch.status < 0:
        bench.must(not grants, "it has sent something")
        return
    bench.must(fetch.status in (0, 1, 2, 3, 127), f"it ended with {fetch.status}")
    # libcurl sends once more what a connection that was used before has reset
    bench.must(len(grants) <= 1 + (fired and bench.control.short() == "recv"), "it sent it twice")
    for secret in (PASSWORD, SENT, "canary-secret"):
        bench.must(secret.encode() not in fetch.said, f"it told {secret}")
    if bench.proxy:
        bench.must(not grants or bench.proxy.seen, "it went past the proxy")
        bench.proxy.seen.clear()
    if outcome is None:
        lost = bench.control.short() == "send"  # nobody listens, as far as it can tell
        bench.must(fired and (lost or not grants), "no result")
        return
    result = fetch.result
    if kind == failing.ALLOCATIONS and fired and outcome == bench.job.outcome:
        bench.spared += 1
    elif kind == failing.ALLOCATIONS and fired:
        bench.must(result["code"] == b"internal" and b"memory" in result["detail"], result)
        bench.must(outcome == "temporary" or (outcome == "config" and not grants), outcome)
    allowed = {bench.job.outcome, "temporary"} | (set() if grants else {"config"})
    bench.must(outcome in (allowed if fired else {bench.job.outcome}), f"{outcome}, {result}")
    if outcome == "token":
        bench.must(result["id-token"].decode() in fake.tokens, "another token")
        bench.must(result["verified"] == b"1" or b"not-verified" in fetch.said, "not verified")
    else:
        bench.must("id-token" not in result, "a token of no use")
    if outcome == "report" and bench.job.changes.get("json"):
        json.loads(result["report"])


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_job_with_a_call_that_fails(bench, name, kind):
    kind = KINDS[kind]
    bench.prepare(JOBS[name])
    bench.control.renew()
    assert bench.run() == JOBS[name].outcome
    total, failed, kept = bench.control.counted(kind), 0, 0
    for number in numbers(total, 6, 2000):
        for choice in range(ERRORS_MOST if kind == failing.SYSTEM_CALLS else 1):
            bench.control.renew()
            bench.control.fail(kind, number, choice)
            bench.outcome = bench.run()
            fired = bench.control.end()
            failed += fired
            check(bench, fired, kind)
            kept += bool(fired and bench.outcome != "token" and
                         bench.fetch.result.get("refresh-token"))
            if not fired:
                break
    assert bench.spared <= 1  # what heap_lock() asks for and gives back
    print(f"{name}: {total} counted, {failed} failed, {kept} with a new refresh token")
