"""Tests of the tests' API server: it must judge tokens as kube-apiserver does, and real
kubectls must be content with it.

The kubectl of $PATH is used, and those that $KUBETOKEN_TEST_KUBECTLS names (separated by
colons), so that old and new ones can be tried in one run.
"""

import base64
import contextlib
import functools
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import apiserver
from apiserver import ApiServer, make_tls_files, token_id

CLIENT_ID = "kubernetes"
USER = "someone@example.com"
NOW = 1795507422                # the server's clock stands still: no test depends on time
ABSENT = object()               # a claim or header field to leave out
HANG = 120                      # seconds after which something is stuck, not slow


# ---------------------------------------------------------------------------
# An issuer, and tokens good and bad
# ---------------------------------------------------------------------------

def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64_number(number: int) -> str:
    return b64(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def compact(value) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class SigningKey:
    """A private key that can sign with each algorithm of its family."""

    CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}

    def __init__(self, kid: str, algorithm: str = "RS256"):
        self.kid = kid
        self.algorithm = algorithm
        self._key = ec.generate_private_key(self.CURVES[algorithm]) \
            if algorithm in self.CURVES else rsa.generate_private_key(65537, 2048)

    def sign(self, algorithm: str, data: bytes) -> bytes:
        digest = {"256": hashes.SHA256(), "384": hashes.SHA384(),
                  "512": hashes.SHA512()}[algorithm[2:]]
        if algorithm.startswith("RS"):
            return self._key.sign(data, padding.PKCS1v15(), digest)
        if algorithm.startswith("PS"):
            pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return self._key.sign(data, pss, digest)
        size = (self._key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def jwk(self) -> dict:
        numbers = self._key.public_key().public_numbers()
        if isinstance(numbers, rsa.RSAPublicNumbers):
            return {"kty": "RSA", "kid": self.kid, "use": "sig", "alg": self.algorithm,
                    "n": b64_number(numbers.n), "e": b64_number(numbers.e)}
        size = (self._key.curve.key_size + 7) // 8
        curve = {256: "P-256", 384: "P-384", 521: "P-521"}[self._key.curve.key_size]
        return {"kty": "EC", "kid": self.kid, "crv": curve,
                "x": b64(numbers.x.to_bytes(size, "big")),
                "y": b64(numbers.y.to_bytes(size, "big"))}


class IssuerHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        issuer = self.server.owner
        if self.path == "/.well-known/openid-configuration":
            body = {"issuer": issuer.published_url, "jwks_uri": issuer.base + "/keys"}
        elif self.path == "/keys":
            body = {"keys": issuer.other_jwks + [key.jwk() for key in issuer.keys]}
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if issuer.cache_control:
            self.send_header("Cache-Control", issuer.cache_control)
        self.end_headers()
        self.wfile.write(compact(body))

    def log_message(self, *_):
        pass


class Issuer:
    """A TLS server with discovery and keys, and with the pen that signs tokens."""

    def __init__(self, directory: pathlib.Path, *keys: SigningKey, port: int = 0):
        files = make_tls_files(directory, "issuer")
        self.ca_file = files.ca
        self.keys = list(keys)
        self.other_jwks: list = []
        self.cache_control = ""
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), IssuerHandler)
        self._server.owner = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.base = f"https://127.0.0.1:{self.port}"
        self.url = self.published_url = self.base + "/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.socket.shutdown(socket.SHUT_RDWR)  # its thread wakes at once
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def mint(self, *, header=(), algorithm="RS256", key=None, payload=None, **claims) -> str:
        """A good token, but for what the arguments say."""
        key = key or self.keys[0]
        fields = {"alg": algorithm, "typ": "JWT", "kid": key.kid, **dict(header)}
        payload = payload if payload is not None else self.payload(**claims)
        signed = f"{b64(compact(without_absent(fields)))}.{b64(payload)}"
        return f"{signed}.{b64(self._signature(algorithm, key, signed.encode()))}"

    def payload(self, **claims) -> bytes:
        good = {"iss": self.url, "sub": "auth0|1", "aud": CLIENT_ID, "iat": NOW, "exp": NOW + 300,
                "email": USER, "email_verified": True}
        return compact(without_absent({**good, **claims}))

    @staticmethod
    def _signature(algorithm: str, key: SigningKey, data: bytes) -> bytes:
        if algorithm == "none":
            return b""
        if algorithm == "HS256":
            code = hmac.HMAC(b"a secret that both would know", hashes.SHA256())
            code.update(data)
            return code.finalize()
        return key.sign(algorithm, data)


def without_absent(fields: dict) -> dict:
    return {name: value for name, value in fields.items() if value is not ABSENT}


@functools.lru_cache(maxsize=None)
def signing_key(kid: str, algorithm: str = "RS256") -> SigningKey:
    """Made once a run: RSA keys take a while."""
    return SigningKey(kid, algorithm)


@pytest.fixture
def issuer(tmp_path):
    with Issuer(tmp_path, signing_key("first")) as running:
        yield running


# ---------------------------------------------------------------------------
# The server, and a client that can say anything
# ---------------------------------------------------------------------------

@pytest.fixture
def make_server(tmp_path, issuer):
    """Makes servers that trust `issuer`, and stops them."""
    with contextlib.ExitStack() as stack:
        def make(url=issuer.url, **options):
            settings = {"issuer_ca": issuer.ca_file, "users_allowed": [USER],
                        "clock": lambda: NOW, **options}
            return stack.enter_context(ApiServer(tmp_path / "api", url, CLIENT_ID, **settings))

        yield make


@pytest.fixture
def server(make_server):
    return make_server()


@dataclass
class Reply:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """One kept-alive connection."""

    def __init__(self, server: ApiServer, token: str = "", authorization: str = ""):
        context = ssl.create_default_context(cafile=str(server.ca_file))
        port = int(server.url.rpartition(":")[2])
        self.http = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=HANG)
        self.headers = {"Authorization": authorization or f"Bearer {token}"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def call(self, path: str, method: str = "GET", body=None, **headers) -> Reply:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        body = None if body is None else compact(body)
        self.http.request(method, path, body, {**self.headers, **headers})
        response = self.http.getresponse()
        return Reply(response.status, dict(response.headers), response.read())


SERVICES = "/api/v1/namespaces/default/services"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


def call(server: ApiServer, token: str = "", path: str = SERVICES, authorization: str = "",
         **options) -> Reply:
    with Client(server, token, authorization) as client:
        return client.call(path, **options)


# ---------------------------------------------------------------------------
# Good tokens
# ---------------------------------------------------------------------------

AS_TABLE = ("application/json;as=Table;v=v1;g=meta.k8s.io,"
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json")


def test_a_good_token_gets_the_services(server, issuer):
    token = issuer.mint()
    reply = call(server, token)
    assert reply.status == 200
    assert reply.json["kind"] == "ServiceList"
    assert [each["metadata"]["name"] for each in reply.json["items"]] == ["kubernetes"]
    assert server.requests == [apiserver.Request("GET", SERVICES, 200, "ok", USER, "",
                                                 token_id(token))]


def test_a_good_token_gets_the_table_that_kubectl_prints(server, issuer):
    table = call(server, issuer.mint(), Accept=AS_TABLE).json
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]] == [
        "Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"]
    assert [row["cells"] for row in table["rows"]] == [
        ["kubernetes", "ClusterIP", "10.96.0.1", "<none>", "443/TCP", "0s"]]


@pytest.mark.parametrize("algorithm", apiserver.SIGNING_ALGORITHMS)
def test_every_algorithm_of_signing_algs_is_verified(make_server, issuer, algorithm):
    key = signing_key(algorithm, algorithm) if algorithm.startswith("ES") else issuer.keys[0]
    issuer.keys = [key]
    server = make_server(signing_algs=apiserver.SIGNING_ALGORITHMS)
    token = issuer.mint(algorithm=algorithm)
    assert call(server, token).status == 200
    assert call(server, changed_in_the_middle(token)).status == 401


# ---------------------------------------------------------------------------
# What kube-apiserver was seen to answer and to log, token by token
# ---------------------------------------------------------------------------

def changed_in_the_middle(token: str) -> str:
    """One character of the signature replaced, not the last: that one has unused bits."""
    start = token.rindex(".") + 1
    middle = (start + len(token)) // 2
    return token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1:]


def changed_in_unused_bits(text: str) -> str:
    """2048 bits are 341 characters and 2 bits: the last character's other 4 say nothing."""
    assert len(text.rpartition(".")[2]) % 4 != 0
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def header_changed_in_unused_bits(token: str) -> str:
    header, dot, rest = token.partition(".")
    return changed_in_unused_bits(header) + dot + rest


def doubled_exp(issuer: Issuer) -> bytes:
    return issuer.payload(exp=1).rstrip(b"}") + b',"exp":%d}' % (NOW + 300)


def without_slash(issuer: Issuer) -> str:
    return issuer.url.rstrip("/")


UNAUTHENTICATED = "Unable to authenticate the request due to an error: "
NO_REASON = UNAUTHENTICATED + "invalid bearer token"


def because(reason: str) -> str:
    return f"{UNAUTHENTICATED}[invalid bearer token, {reason}]"


def verify(reason: str) -> str:
    return because("oidc: verify token: " + reason)


def no_claim(reason: str) -> str:
    return because('oidc: parse username claims "email": ' + reason)


def not_verified(kind: str) -> str:
    return because("oidc: parse 'email_verified' claim: json: cannot unmarshal "
                   f"{kind} into Go value of type bool")


def wrong_audience(got: str) -> str:
    return verify(f'oidc: expected audience "kubernetes" got {got}')


def expired(moment: str) -> str:
    return verify(f"oidc: token is expired (Token Expiry: {moment} +0000 UTC)")


def bad_claims(reason: str) -> str:
    return verify("oidc: failed to unmarshal claims: " + reason)


def too_early(moment: str) -> str:
    return verify("oidc: current time 2026-11-24 08:03:42 +0000 UTC before the nbf "
                  f"(not before) time: 2026-11-24 {moment} +0000 UTC")


def wrong_algorithm(got: str) -> str:
    return verify("oidc: id token signed with unsupported algorithm, expected "
                  f'["RS256"] got "{got}"')


BAD_SIGNATURE = verify("failed to verify signature: failed to verify id token signature")


def not_allowed(user: str) -> str:
    return (f'services is forbidden: User "{user}" cannot list resource "services" '
            'in API group "" in the namespace "default"')


TOKENS = {
    "email_verified false": (401, because("oidc: email not verified"),
                             lambda i: i.mint(email_verified=False)),
    "email_verified null": (401, because("oidc: email not verified"),
                            lambda i: i.mint(email_verified=None)),
    "email_verified a string": (401, not_verified("string"),
                                lambda i: i.mint(email_verified="true")),
    "email_verified a number": (401, not_verified("number"), lambda i: i.mint(email_verified=1)),
    "email_verified missing": (200, "", lambda i: i.mint(email_verified=ABSENT)),
    "email missing": (401, no_claim("claim not present"), lambda i: i.mint(email=ABSENT)),
    "email a list": (401, no_claim("json: cannot unmarshal array into Go value of type string"),
                     lambda i: i.mint(email=[USER])),
    "email a number": (401, no_claim("json: cannot unmarshal number into Go value of type string"),
                       lambda i: i.mint(email=7)),
    "email empty": (403, not_allowed(""), lambda i: i.mint(email="")),
    "email null": (403, not_allowed(""), lambda i: i.mint(email=None)),
    "email in other case": (403, not_allowed("Someone@example.com"),
                            lambda i: i.mint(email="Someone@example.com")),
    "another user": (403, not_allowed("nobody@example.com"),
                     lambda i: i.mint(email="nobody@example.com")),
    "aud other": (401, wrong_audience('["other-client"]'), lambda i: i.mint(aud="other-client")),
    "aud in other case": (401, wrong_audience('["Kubernetes"]'),
                          lambda i: i.mint(aud="Kubernetes")),
    "aud empty": (401, wrong_audience('[""]'), lambda i: i.mint(aud="")),
    "aud missing": (401, wrong_audience("[]"), lambda i: i.mint(aud=ABSENT)),
    "aud two others": (401, wrong_audience('["a" "b"]'), lambda i: i.mint(aud=["a", "b"])),
    "aud a list with it": (200, "", lambda i: i.mint(aud=["a", CLIENT_ID], azp="a")),
    "iss without the slash": (401, NO_REASON, lambda i: i.mint(iss=without_slash(i))),
    "iss of another host": (401, NO_REASON, lambda i: i.mint(iss="https://other.example/")),
    "iss missing": (401, NO_REASON, lambda i: i.mint(iss=ABSENT)),
    "two parts": (401, NO_REASON, lambda i: i.mint().rpartition(".")[0]),
    "four parts": (401, NO_REASON, lambda i: i.mint() + ".x"),
    "payload not an object": (401, NO_REASON, lambda i: i.mint(payload=b'["iss"]')),
    "payload not JSON": (401, NO_REASON, lambda i: i.mint(payload=b"iss")),
    "payload with a stray character": (
        401, NO_REASON, lambda i: i.mint().replace(".", ".+", 1)),
    "expired": (401, expired("2026-11-24 08:03:41"), lambda i: i.mint(exp=NOW - 1)),
    "exp now": (200, "", lambda i: i.mint(exp=NOW)),
    "exp missing": (401, expired("0001-01-01 00:00:00"), lambda i: i.mint(exp=ABSENT)),
    "exp 0": (401, expired("1970-01-01 00:00:00"), lambda i: i.mint(exp=0)),
    "exp null": (401, bad_claims('strconv.ParseFloat: parsing "": invalid syntax'),
                 lambda i: i.mint(exp=None)),
    "iat null": (401, bad_claims('strconv.ParseFloat: parsing "": invalid syntax'),
                 lambda i: i.mint(iat=None)),
    "iat a word": (401, bad_claims("json: invalid number literal, trying to unmarshal "
                                   r'"\"yesterday\"" into Number'),
                   lambda i: i.mint(iat="yesterday")),
    "exp a string": (200, "", lambda i: i.mint(exp=str(NOW + 300))),
    "exp in milliseconds": (200, "", lambda i: i.mint(exp=(NOW + 300) * 1000)),
    "exp a fraction": (200, "", lambda i: i.mint(exp=NOW + 300.5)),
    "exp doubled": (200, "", lambda i: i.mint(payload=doubled_exp(i))),
    "nbf in 30 s": (200, "", lambda i: i.mint(nbf=NOW + 30)),
    "nbf in 60 s": (200, "", lambda i: i.mint(nbf=NOW + 60)),
    "nbf in 61 s": (401, too_early("08:04:43"), lambda i: i.mint(nbf=NOW + 61)),
    "nbf in 290 s": (401, too_early("08:08:32"), lambda i: i.mint(nbf=NOW + 290)),
    "iat in 400 s": (200, "", lambda i: i.mint(iat=NOW + 400)),
    "iat tomorrow": (200, "", lambda i: i.mint(iat=NOW + 86400)),
    "iat missing": (200, "", lambda i: i.mint(iat=ABSENT)),
    "sub missing": (200, "", lambda i: i.mint(sub=ABSENT)),
    "typ missing": (200, "", lambda i: i.mint(header={"typ": ABSENT})),
    "typ at+jwt": (200, "", lambda i: i.mint(header={"typ": "at+jwt"})),
    "HS256": (401, wrong_algorithm("HS256"), lambda i: i.mint(algorithm="HS256")),
    "none": (401, wrong_algorithm("none"), lambda i: i.mint(algorithm="none")),
    "RS384": (401, wrong_algorithm("RS384"), lambda i: i.mint(algorithm="RS384")),
    "RS512": (401, wrong_algorithm("RS512"), lambda i: i.mint(algorithm="RS512")),
    "PS256": (401, wrong_algorithm("PS256"), lambda i: i.mint(algorithm="PS256")),
    "kid unknown": (401, BAD_SIGNATURE, lambda i: i.mint(header={"kid": "nobody's"})),
    "other key": (401, BAD_SIGNATURE,
                  lambda i: i.mint(key=signing_key("other"), header={"kid": i.keys[0].kid})),
    "one byte changed": (401, BAD_SIGNATURE, lambda i: changed_in_the_middle(i.mint())),
    "crit header": (401, BAD_SIGNATURE, lambda i: i.mint(header={"crit": ["exp"]})),
    "kid missing": (200, "", lambda i: i.mint(header={"kid": ABSENT})),
    "kid empty": (200, "", lambda i: i.mint(header={"kid": ""})),
    "last character cut off": (
        401, verify("oidc: malformed jwt: illegal base64 data at input byte 340"),
        lambda i: i.mint()[:-1]),
    "last character changed in its unused bits": (
        200, "", lambda i: changed_in_unused_bits(i.mint())),
    "header changed in its unused bits": (
        200, "", lambda i: header_changed_in_unused_bits(i.mint())),
    "signature padded": (
        401, verify("oidc: malformed jwt: illegal base64 data at input byte 342"),
        lambda i: i.mint() + "=="),
    "trailing space": (200, "", lambda i: i.mint() + " "),
}


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_is_judged_as_kube_apiserver_judges_it(server, issuer, name):
    status, reason, make = TOKENS[name]
    reply = call(server, make(issuer))
    seen = server.requests[-1]
    assert (reply.status, seen.reason) == (status, reason)
    assert seen.status == status
    assert server.log_file.read_text().rstrip("\n").endswith(reason)


@pytest.mark.parametrize("authorization", [
    "Bearer ", "Bearer", "Bearer  {token}", "Bearer\t{token}", "Token {token}", "Basic eDp5"])
def test_what_is_not_a_bearer_token_is_anonymous(server, issuer, authorization):
    reply = call(server, authorization=authorization.format(token=issuer.mint()))
    assert reply.status == 403
    assert server.requests[-1].reason == not_allowed("system:anonymous")
    assert server.requests[-1].token_id == ""


@pytest.mark.parametrize("form", ["bEaReR {token}", "Bearer {token} and more"])
def test_the_scheme_may_be_in_any_case_and_a_blank_ends_the_token(server, issuer, form):
    assert call(server, authorization=form.format(token=issuer.mint())).status == 200


def test_anonymous_may_see_the_health_and_the_version_and_nothing_else(server):
    with Client(server, authorization="none") as client:
        assert client.call("/healthz").body == b"ok"
        assert client.call("/version").status == 200
        reply = client.call("/api")
    assert reply.status == 403
    assert reply.json["message"] == 'forbidden: User "system:anonymous" cannot get path "/api"'


def test_a_user_without_rights_may_see_discovery_and_who_he_is(server, issuer):
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    with Client(server, issuer.mint(email="nobody@example.com")) as client:
        for path in ("/api", "/apis", "/api/v1", "/openapi/v2"):
            assert client.call(path).status == 200, path
        reply = client.call("/apis/authentication.k8s.io/v1/selfsubjectreviews", "POST", review)
        assert client.call(SERVICES + "/kubernetes").json["details"] == {
            "name": "kubernetes", "kind": "services"}
    assert reply.status == 201
    assert reply.json["status"]["userInfo"] == {
        "username": "nobody@example.com", "groups": ["system:authenticated"]}


RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


def rules_of(server, token, namespace="default"):
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
              "spec": {"namespace": namespace}}
    with Client(server, token) as client:
        reply = client.call(RULES, "POST", review)
    return reply.json["status"] if reply.status == 201 else reply.json["message"]


def test_what_every_user_may_is_listed_for_one_without_rights(make_server, issuer):
    server = make_server(users_allowed=("someone@example.com",), rules_namespace="dev")
    basic = rules_of(server, issuer.mint(email="nobody@example.com"))
    assert {r for rule in basic["resourceRules"] for r in rule["resources"]} == {
        "selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"}
    assert "/apis/*" in basic["nonResourceRules"][1]["nonResourceURLs"]
    assert basic["incomplete"] is False and "evaluationError" not in basic
    assert rules_of(server, issuer.mint()) == basic, "another namespace"
    assert rules_of(server, issuer.mint(), "dev")["resourceRules"][-1]["verbs"] == ["*"]
    assert rules_of(server, issuer.mint(), "") == "no namespace on request"


def test_a_list_of_rights_that_is_not_whole(make_server, issuer):
    status = rules_of(make_server(rules_error="webhook"), issuer.mint())
    assert (status["incomplete"], status["evaluationError"]) == (True, "webhook")


def test_a_401_is_kube_apiservers_byte_for_byte(server, issuer):
    reply = call(server, issuer.mint(exp=0))
    assert reply.body == (
        b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
        b'"message":"Unauthorized","reason":"Unauthorized","code":401}\n')
    assert reply.headers["Content-Length"] == "129"


def test_no_token_is_ever_logged(server, issuer):
    good = issuer.mint()
    for token in (good, changed_in_the_middle(good), good[:-1], "opaque" * 8):
        call(server, token)
    known = server.log_file.read_text() + repr(server.requests)
    for part in (*good.split("."), "opaque"):
        assert part not in known


def test_the_users_name_follows_the_options(make_server, issuer):
    server = make_server(username_claim="sub", groups_claim="groups", users_allowed=None)
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    token = issuer.mint(email_verified=False, groups="ops")
    assert call(server, token, review, method="POST").json["status"]["userInfo"] == {
        "username": issuer.url + "#auth0|1", "groups": ["ops", "system:authenticated"]}
    call(server, issuer.mint(groups=[1]))
    assert server.requests[-1].reason == because(
        'oidc: parse groups claim "groups": '
        "json: cannot unmarshal array into Go value of type string")


# ---------------------------------------------------------------------------
# The issuer's keys
# ---------------------------------------------------------------------------

def test_the_keys_are_fetched_when_a_token_first_needs_them(server, issuer):
    assert (server.counters["discovery"], server.counters["jwks"]) == (0, 0)
    for _ in range(3):
        assert call(server, issuer.mint()).status == 200
    assert (server.counters["discovery"], server.counters["jwks"]) == (1, 1)


def test_an_unknown_kid_makes_it_fetch_the_keys_each_time(server, issuer):
    for _ in range(10):
        assert call(server, issuer.mint(header={"kid": "nobody's"})).status == 401
    assert server.counters["jwks"] == 10


def test_a_new_key_of_the_issuer_is_found_and_the_old_one_forgotten(server, issuer):
    old = issuer.mint()
    assert call(server, old).status == 200
    issuer.keys = [signing_key("second")]
    assert call(server, issuer.mint()).status == 200
    assert call(server, old).status == 401
    assert server.requests[-1].reason == BAD_SIGNATURE


def test_a_token_without_kid_is_tried_with_all_keys(server, issuer):
    issuer.keys = [signing_key("first"), signing_key("second")]
    token = issuer.mint(key=signing_key("second"), header={"kid": ABSENT})
    assert call(server, token).status == 200


def test_keys_of_an_unknown_kind_are_passed_over(server, issuer):
    issuer.other_jwks = [{"kty": "oct", "kid": "first", "k": "AAAA"},
                         {"kty": "OKP", "kid": "first", "crv": "Ed25519", "x": "AAAA"}]
    assert call(server, issuer.mint()).status == 200


def test_keys_are_kept_as_long_as_cache_control_says(server, issuer):
    issuer.cache_control = "public, max-age=3600"
    assert call(server, issuer.mint()).status == 200
    issuer.keys = [signing_key("second")]
    assert call(server, issuer.mint()).status == 401
    assert server.requests[-1].reason == BAD_SIGNATURE
    assert server.counters["jwks"] == 1


NOT_INITIALIZED = because("oidc: authenticator not initialized")


def assert_not_initialized(server: ApiServer, token: str, cause: str) -> None:
    assert call(server, token).status == 401
    assert server.requests[-1].reason == NOT_INITIALIZED
    assert "oidc authenticator: initializing plugin: " + cause in server.log_file.read_text()


def test_an_issuer_that_publishes_another_name_is_refused(server, issuer):
    issuer.published_url = without_slash(issuer)
    assert_not_initialized(server, issuer.mint(), (
        "oidc: issuer did not match the issuer returned by provider, "
        f'expected "{issuer.url}" got "{without_slash(issuer)}"'))


def test_an_issuer_whose_certificate_is_unknown_is_refused(make_server, issuer, tmp_path):
    server = make_server(issuer_ca=make_tls_files(tmp_path, "stranger").ca)
    assert_not_initialized(server, issuer.mint(), (
        f'Get "{issuer.base}/.well-known/openid-configuration": '))


def test_an_issuer_that_comes_back_is_asked_again(make_server, tmp_path):
    with Issuer(tmp_path, signing_key("first")) as first:
        token, url, port = first.mint(), first.url, first.port
    server = make_server(url, issuer_ca=first.ca_file)
    assert_not_initialized(server, token, "Get ")
    with Issuer(tmp_path, signing_key("first"), port=port):
        assert call(server, token).status == 200


@pytest.mark.parametrize("issuer_url, signing_algs, message", [
    ("http://127.0.0.1:1/", ("RS256",), "invalid scheme"),
    ("https://127.0.0.1:1/", ("RS256", "HS256"), 'oidc: unsupported signing alg: "HS256"')])
def test_options_that_kube_apiserver_refuses_are_refused(tmp_path, issuer_url, signing_algs,
                                                         message):
    with pytest.raises(ValueError, match=message):
        ApiServer(tmp_path, issuer_url, CLIENT_ID, signing_algs=signing_algs)


# ---------------------------------------------------------------------------
# Time, and the tests' hand on the scales
# ---------------------------------------------------------------------------

def test_a_token_expires_without_leeway_and_without_cache(make_server, issuer):
    now = [NOW]
    server = make_server(clock=lambda: now[0])
    token = issuer.mint(exp=NOW + 4)
    now[0] = NOW + 4
    assert call(server, token).status == 200
    now[0] = NOW + 4.001
    assert call(server, token).status == 401


def test_the_cache_believes_a_good_token_for_its_time(make_server, issuer):
    now = [NOW]
    server = make_server(clock=lambda: now[0], cache_seconds=10)
    token = issuer.mint(exp=NOW + 4)
    assert call(server, token).status == 200
    now[0] = NOW + 9
    assert call(server, token).status == 200
    now[0] = NOW + 10
    assert call(server, token).status == 401


def statuses(server: ApiServer, *tokens: str) -> list:
    return [call(server, token).status for token in tokens]


def test_reject_next_turns_away_that_many_good_tokens(server, issuer):
    good, bad = issuer.mint(), issuer.mint(exp=0)
    server.reject_next(2)
    assert statuses(server, good, bad, good, good) == [401, 401, 401, 200]
    assert server.requests[0].reason == BAD_SIGNATURE


def test_reject_token_turns_away_one_token_until_accept_all(server, issuer):
    one, other = issuer.mint(), issuer.mint(sub="2")
    server.reject_token(one)
    assert statuses(server, one, other, one) == [401, 200, 401]
    server.accept_all()
    assert statuses(server, one, other) == [200, 200]


def test_reject_seen_turns_away_what_was_accepted_before(server, issuer):
    old, new = issuer.mint(), issuer.mint(sub="2")
    call(server, old)
    server.reject_seen()
    assert statuses(server, old, new) == [401, 200]


def test_reject_when_asks_a_predicate(make_server, issuer):
    server = make_server(cache_seconds=10)
    refused, other = issuer.mint(), issuer.mint(sub="2")
    assert statuses(server, refused) == [200]
    server.reject_when(lambda token: token == refused)
    assert statuses(server, refused, other) == [401, 200]


def test_counters_and_requests_tell_what_happened(server, issuer):
    statuses(server, issuer.mint(), issuer.mint(exp=0), issuer.mint(email="x"))
    call(server, issuer.mint(), CONFIGMAPS + "/missing")
    assert [each.outcome for each in server.requests] == [
        "ok", "unauthorized", "forbidden", "failed"]
    assert server.counters["requests"] == 4
    assert server.counters["unauthorized"] == 1
    server.forget_requests()
    assert server.requests == []


# ---------------------------------------------------------------------------
# HTTP
# ---------------------------------------------------------------------------

def config_map(name: str, **data) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_a_connection_lives_on_after_a_rejected_request_with_a_body(server, issuer):
    with Client(server, issuer.mint(exp=0)) as client:
        assert client.call(CONFIGMAPS, "POST", config_map("a")).status == 401
        first = client.http.sock
        assert client.call("/healthz", Authorization="").status == 200
        assert client.http.sock is first


def test_objects_are_made_changed_and_deleted(server, issuer):
    with Client(server, issuer.mint()) as client:
        assert client.call(CONFIGMAPS, "POST", config_map("a", x="1")).status == 201
        assert client.call(CONFIGMAPS, "POST", config_map("a")).status == 409
        patched = client.call(CONFIGMAPS + "/a", "PATCH", {"data": {"x": None, "y": "2"}},
                              Content_Type="application/strategic-merge-patch+json")
        assert patched.json["data"] == {"y": "2"}
        assert client.call(CONFIGMAPS + "/a", "PUT", config_map("a", z="3")).json["data"] == {
            "z": "3"}
        assert client.call(CONFIGMAPS + "/a", "DELETE").status == 200
        assert client.call(CONFIGMAPS + "/a").status == 404


def test_a_silent_connection_stops_nobody(server, issuer):
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        assert call(server, issuer.mint()).status == 200


def watch(client: Client, path: str):
    client.http.request("GET", path + "?watch=true", headers=client.headers)
    return client.http.getresponse()


def test_a_watch_tells_of_changes_until_the_client_leaves(server, issuer):
    with Client(server, issuer.mint()) as client:
        answer = watch(client, CONFIGMAPS)
        server.wait_until(lambda: server.counters["watching"] == 1)
        server.store.create("configmaps", "default", config_map("a"))
        server.store.delete("configmaps", "default", "a")
        events = [json.loads(answer.readline()) for _ in range(2)]
        answer.close()
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "a"), ("DELETED", "a")]
    server.wait_until(lambda: server.counters["watching"] == 0)


def test_stop_ends_a_watch(server, issuer):
    with Client(server, issuer.mint()) as client:
        answer = watch(client, SERVICES)
        assert json.loads(answer.readline())["object"]["metadata"]["name"] == "kubernetes"
        server.stop()
        with contextlib.suppress(http.client.IncompleteRead, OSError):
            assert answer.read() == b""
    assert server.counters["watching"] == 0


# ---------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------

@pytest.fixture
def command(tmp_path, issuer):
    """The command, running and ready; its first line has been read."""
    arguments = ["--dir", tmp_path / "api", "--issuer", issuer.url, "--client-id", CLIENT_ID,
                 "--issuer-ca", issuer.ca_file, "--user-allowed", USER, "another"]
    with subprocess.Popen([sys.executable, apiserver.__file__, *map(str, arguments)],
                          stdout=subprocess.PIPE, text=True) as process:
        try:
            process.first_line = process.stdout.readline()
            process.info_file = tmp_path / "api" / "apiserver.json"
            yield process
        finally:
            process.kill()


def test_the_command_says_where_it_listens_and_ends_on_sigterm(command):
    info = json.loads(command.info_file.read_text())
    assert info["url"] in command.first_line
    assert info["pid"] == command.pid
    assert get(info, "/healthz") == 200
    command.send_signal(signal.SIGTERM)
    rest, _ = command.communicate(timeout=HANG)
    assert (command.returncode, rest) == (0, "")
    assert not command.info_file.exists()


def test_the_command_rejects_tokens_and_takes_it_back_on_signals(command, issuer):
    info = json.loads(command.info_file.read_text())
    token = issuer.mint(exp=4102444800, nbf=0)
    assert get(info, SERVICES, token) == 200
    for number, status in ((signal.SIGUSR1, 401), (signal.SIGUSR2, 200)):
        command.send_signal(number)
        assert command.stdout.readline().startswith("apiserver: ")
        assert get(info, SERVICES, token) == status


def get(info: dict, path: str, token: str = "") -> int:
    context = ssl.create_default_context(cafile=info["ca_file"])
    address = info["url"].rpartition("//")[2]
    connection = http.client.HTTPSConnection(address, context=context, timeout=HANG)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status


# ---------------------------------------------------------------------------
# Real kubectls
# ---------------------------------------------------------------------------

def found_kubectls() -> list:
    named = [path for path in os.environ.get("KUBETOKEN_TEST_KUBECTLS", "").split(":") if path]
    on_path = shutil.which("kubectl")
    return list(dict.fromkeys(([on_path] if on_path else []) + named))


NO_KUBECTL = pytest.param("", marks=pytest.mark.skip(reason="no kubectl in $PATH"))


@dataclass
class Kubectl:
    path: str
    home: pathlib.Path
    version: tuple = field(init=False)

    def __post_init__(self):
        self.home.mkdir()
        said = json.loads(self._run("version", "--client", "-o", "json").stdout)
        numbers = re.match(r"v(\d+)\.(\d+)", said["clientVersion"]["gitVersion"])
        self.version = tuple(map(int, numbers.groups()))

    @property
    def calls(self) -> int:
        """How often kubectl ran the plugin."""
        log = self.home / "calls"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def log_in(self, server: ApiServer, token: str, version: str = "v1beta1") -> None:
        api = "client.authentication.k8s.io/" + version
        credential = {"apiVersion": api, "kind": "ExecCredential", "status": {
            "token": token, "expirationTimestamp": "2100-01-01T00:00:00Z"}}
        (self.home / "credential.json").write_bytes(compact(credential))
        plugin = self.home / "plugin"
        plugin.write_text(f"#!/bin/sh\necho call >> '{self.home}/calls'\n"
                          f"cat '{self.home}/credential.json'\n")
        plugin.chmod(0o755)
        user = {"exec": {"apiVersion": api, "command": str(plugin), "interactiveMode": "Never"}}
        (self.home / "config").write_bytes(compact(server.kubeconfig(user)))

    def arguments(self, *arguments: str) -> list:
        return [self.path, "--kubeconfig", str(self.home / "config"),
                "--cache-dir", str(self.home / "cache"), *arguments]

    @property
    def environment(self) -> dict:
        return {"HOME": str(self.home), "PATH": os.environ["PATH"]}

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
        return self._run(*self.arguments(*arguments)[1:], stdin=stdin)

    def _run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
        return subprocess.run([self.path, *arguments], input=stdin, env=self.environment,
                              capture_output=True, text=True, timeout=HANG)


@pytest.fixture(params=found_kubectls() or [NO_KUBECTL])
def kubectl(request, tmp_path):
    return Kubectl(request.param, tmp_path / "home")


@pytest.fixture
def logged_in(kubectl, server, issuer):
    kubectl.log_in(server, issuer.mint())
    return kubectl


def said(result: subprocess.CompletedProcess) -> str:
    """What a command that must succeed printed."""
    assert result.returncode == 0, result.stderr
    return result.stdout


SERVICE_ROW = re.compile(r"^kubernetes +ClusterIP +10\.96\.0\.1 +<none> +443/TCP +\w+$", re.M)


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_kubectl_gets_the_services(kubectl, server, issuer, version):
    kubectl.log_in(server, issuer.mint(), version)
    result = kubectl("get", "services")
    if version == "v1" and kubectl.version < (1, 22):       # it knows only v1beta1
        assert 'invalid apiVersion "client.authentication.k8s.io/v1"' in result.stderr
        return
    assert re.match(r"NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE\n", said(result))
    assert SERVICE_ROW.search(result.stdout)
    assert {request.outcome for request in server.requests} == {"ok"}


def test_kubectl_gets_two_kinds_at_once(logged_in, server):
    server.store.create("configmaps", "default", config_map("a", x="1"))
    output = said(logged_in("get", "svc,cm"))
    assert re.search(r"^service/kubernetes +ClusterIP ", output, re.M)
    assert re.search(r"^configmap/a +1 +", output, re.M)


def test_kubectl_gets_one_object_as_json(logged_in):
    service = json.loads(said(logged_in("get", "svc", "kubernetes", "-o", "json")))
    assert (service["kind"], service["spec"]["clusterIP"]) == ("Service", "10.96.0.1")


def test_kubectl_gets_a_raw_path(logged_in):
    assert said(logged_in("get", "--raw", "/healthz")) == "ok"


def test_kubectl_asks_who_it_is(logged_in):
    if logged_in.version < (1, 27):
        pytest.skip("this kubectl has no auth whoami")
    who = json.loads(said(logged_in("auth", "whoami", "-o", "json")))
    assert who["status"]["userInfo"]["username"] == USER


def test_kubectl_asks_what_it_may_do(logged_in):
    assert said(logged_in("auth", "can-i", "list", "services")) == "yes\n"


@pytest.mark.parametrize("flags", [(), ("--validate=false",)])
def test_kubectl_applies_a_manifest_from_stdin(logged_in, server, flags):
    apply = ("apply", *flags, "-f", "-")
    for data, word in (({"x": "1"}, "created"), ({"y": "2"}, "configured"),
                       ({"y": "2"}, "unchanged")):
        manifest = json.dumps(config_map("a", **data))
        assert said(logged_in(*apply, stdin=manifest)) == f"configmap/a {word}\n"
        assert server.store.get("configmaps", "default", "a")["data"] == data
    # since 1.34 it says from where
    assert said(logged_in("delete", "cm", "a")).startswith('configmap "a" deleted')


def test_kubectl_watches(logged_in, server):
    command = logged_in.arguments("get", "cm", "-w", "-o", "name")
    with subprocess.Popen(command, env=logged_in.environment, stdout=subprocess.PIPE,
                          text=True) as process:
        try:
            server.wait_until(lambda: server.counters["watching"] == 1, HANG)
            server.store.create("configmaps", "default", config_map("late"))
            assert process.stdout.readline() == "configmap/late\n"
        finally:
            process.kill()
    server.wait_until(lambda: server.counters["watching"] == 0, HANG)


def test_kubectl_with_a_rejected_token_says_so_and_asks_its_plugin_again(kubectl, server, issuer):
    kubectl.log_in(server, issuer.mint(exp=0))
    result = kubectl("get", "services")
    assert result.returncode == 1
    assert "error: You must be logged in to the server" in result.stderr
    assert kubectl.calls > 1


def test_kubectl_succeeds_again_when_its_token_does(logged_in, server):
    said(logged_in("get", "services"))
    server.reject_seen()
    refused = logged_in("get", "services")
    assert refused.returncode == 1
    assert refused.stderr.endswith(
        "error: You must be logged in to the server (Unauthorized)\n")
    server.accept_all()
    said(logged_in("get", "services"))


def test_kubectl_of_a_user_without_rights_is_told_what_is_forbidden(kubectl, server, issuer):
    kubectl.log_in(server, issuer.mint(email="nobody@example.com"))
    result = kubectl("get", "services")
    assert result.returncode == 1
    assert result.stderr == ("Error from server (Forbidden): "
                             + not_allowed("nobody@example.com") + "\n")
