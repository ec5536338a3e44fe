#!/usr/bin/python3
"""A small Kubernetes API server for the tests: real TLS, real token checks, toy objects.

It judges a bearer token as kube-apiserver does with --oidc-issuer-url: the same
checks in the same order, the same answers, the same words in the log.  What it
serves behind them is just enough for kubectl's everyday commands.

As a module:

    with ApiServer(directory, issuer, client_id, issuer_ca=ca_file) as server:
        kubeconfig.write_text(json.dumps(server.kubeconfig({"exec": {...}})))
        ...
        assert server.requests[-1].outcome == "ok"

As a command see --help; DIR/apiserver.json says where it listens.

Left out, and so not to be tested here: HTTP/2, aggregated discovery, distributed
claims, required claims, CEL rules, tokens longer than 64 KiB (http.server's limit).
"""

import argparse
import base64
import collections
import contextlib
import copy
import datetime
import hashlib
import http.client
import http.server
import ipaddress
import json
import os
import pathlib
import re
import selectors
import signal
import socket
import socketserver
import ssl
import sys
import threading
import time
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any, Callable, Optional

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SIGNING_ALGORITHMS = tuple(family + bits for family in ("RS", "ES", "PS")
                           for bits in ("256", "384", "512"))
NBF_LEEWAY = 60             # go-oidc gives nbf a minute, and exp nothing
KEYS_EXPIRY_DELTA = 30      # go-oidc fetches keys again that soon before max-age ends
ISSUER_TIMEOUT = 30         # as kube-apiserver's client of the issuer
HANDSHAKE_TIMEOUT = 30
IDLE_TIMEOUT = 300
BODY_LIMIT = 3 << 20        # as kube-apiserver
KUBERNETES_VERSION = ("1", "32")


# ---------------------------------------------------------------------------
# Go's ways, where a client can tell them from Python's
# ---------------------------------------------------------------------------

class Number(str):
    """A JSON number as it was written, as Go's json.Number keeps it."""


JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
NO_TIME = -62135596800      # Go's zero time.Time, the first second of the year 1


def go_base64(text: str) -> bytes:
    """RawURLEncoding: no padding, no stray characters; surplus bits at the end are ignored."""
    stray = re.search(r"[^A-Za-z0-9_-]", text)
    if stray:
        raise ValueError(f"illegal base64 data at input byte {stray.start()}")
    if len(text) % 4 == 1:
        raise ValueError(f"illegal base64 data at input byte {len(text) - 1}")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def to_base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def go_quote(value: Any) -> str:
    """%q of a string or of a list of strings."""
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(go_quote(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def go_kind(value: Any) -> str:
    """What Go's encoding/json calls a value of this kind."""
    for kind, name in ((Number, "number"), (str, "string"), (bool, "bool"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"


def wrong_type(value: Any, wanted: str, where: str = "Go value") -> ValueError:
    return ValueError(f"json: cannot unmarshal {go_kind(value)} into {where} of type {wanted}")


def go_object(raw: bytes) -> dict:
    """A JSON object; as in Go, null counts as an empty one and the last of equal keys wins."""
    def no_constant(word):
        raise ValueError(f"invalid character {word[0]!r} looking for beginning of value")

    text = raw.decode("utf-8", "replace")
    try:
        value = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=no_constant)
    except RecursionError:
        raise ValueError("exceeded max depth") from None
    if value is not None and not isinstance(value, dict):
        raise wrong_type(value, "struct")
    return value or {}


def go_string(value: Any, where: str = "Go value") -> str:
    if value is None:           # null leaves a Go variable as it was: empty
        return ""
    if type(value) is not str:
        raise wrong_type(value, "string", where)
    return value


def go_bool(value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise wrong_type(value, "bool")
    return bool(value)


def go_audience(value: Any) -> list:
    """A string or a list of strings, as go-oidc reads aud."""
    if value is None or type(value) is str:
        return [go_string(value)]
    if not isinstance(value, list):
        raise wrong_type(value, "[]string")
    return [go_string(each) for each in value]


def go_groups(value: Any) -> list:
    """The same as kube-apiserver reads it: it tries the list first."""
    if value is None:
        return []
    if isinstance(value, list) and all(each is None or type(each) is str for each in value):
        return [go_string(each) for each in value]
    return [go_string(value)]


def go_oidc_time(value: Any) -> int:
    """Seconds, as go-oidc reads them: a number, or a string that holds one; cut to the whole."""
    if value is None:
        raise ValueError('strconv.ParseFloat: parsing "": invalid syntax')
    if not isinstance(value, str):
        raise wrong_type(value, "json.Number")
    if not JSON_NUMBER.fullmatch(value):
        raise ValueError("json: invalid number literal, trying to unmarshal "
                         f"{go_quote(go_quote(value))} into Number")
    if float(value) in (float("inf"), float("-inf")):
        raise ValueError(f"strconv.ParseFloat: parsing {go_quote(value)}: value out of range")
    seconds = int(value) if re.fullmatch(r"-?[0-9]{1,18}", value) else int(float(value))
    return seconds if abs(seconds) < 1 << 63 else -(1 << 63)   # what amd64 makes of an overflow


def go_time_text(seconds: float) -> str:
    try:
        moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} s after 1970"
    return moment.replace(tzinfo=None).isoformat(" ") + " +0000 UTC"


@contextlib.contextmanager
def explained(prefix: str):
    """Puts `prefix` before the text of a ValueError, as Go's fmt.Errorf chains do."""
    try:
        yield
    except ValueError as error:
        raise ValueError(prefix + str(error)) from None


# ---------------------------------------------------------------------------
# Certificates
# ---------------------------------------------------------------------------

@dataclass(frozen=True)
class TlsFiles:
    ca: pathlib.Path
    cert: pathlib.Path
    key: pathlib.Path


def make_tls_files(directory, name: str = "apiserver", names=("127.0.0.1", "localhost"),
                   days=(-1, 3650)) -> TlsFiles:
    """A CA and a certificate for those names and days; those already there are kept, so
    that a server started again in the same directory is trusted as before."""
    directory = pathlib.Path(directory)
    files = TlsFiles(*(directory / (name + end) for end in ("-ca.crt", ".crt", ".key")))
    if not files.key.exists():
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca = _sign_certificate(f"{name} test CA", ca_key.public_key(), None, ca_key)
        key = ec.generate_private_key(ec.SECP256R1())
        cert = _sign_certificate(names[0], key.public_key(), ca, ca_key, names, days)
        files.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        files.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        _write_private_key(files.key, key)
    return files


def _write_private_key(path: pathlib.Path, key) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM,
                                       serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()))


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _sign_certificate(name, public_key, issuer: Optional[x509.Certificate], ca_key, names=(),
                      days=(-1, 3650)):
    """A CA certificate when `issuer` is None, else a server's.  Complete enough for
    OpenSSL's strict mode, which Python 3.13 turns on."""
    is_ca = issuer is None
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject if is_ca else issuer.subject)
        .public_key(public_key).serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(_key_usage(is_ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
                       critical=False))
    if not is_ca:
        builder = (
            builder.add_extension(x509.SubjectAlternativeName(map(_general_name, names)),
                                  critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH,
                                                  ExtendedKeyUsageOID.CLIENT_AUTH]),
                           critical=False))
    return builder.sign(ca_key, hashes.SHA256())


def _key_usage(is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False)


# ---------------------------------------------------------------------------
# Signatures
# ---------------------------------------------------------------------------

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


@dataclass(frozen=True)
class SignedToken:
    """A JWT in its parts; nothing in it is to be believed before its signature is verified."""
    algorithm: str
    key_id: str
    critical: list
    signing_input: bytes
    signature: bytes

    @classmethod
    def parse(cls, token: str) -> "SignedToken":
        parts = re.sub(r"\s", "", token).split(".")     # go-jose drops white space
        header, payload, signature = (go_base64(part) for part in parts)
        fields = go_object(header)
        with explained("failed to unmarshal algorithm: "):
            algorithm = go_string(fields.get("alg"))
        with explained("failed to unmarshal key ID: "):
            key_id = go_string(fields.get("kid"))
        # go-jose signs over its own encoding of the parts, not over the text it was sent.
        signing_input = to_base64(header) + b"." + to_base64(payload)
        return cls(algorithm, key_id, fields.get("crit") or [], signing_input, signature)

    def is_signed_by(self, key) -> bool:
        if self.critical:       # go-jose understands no extension
            return False
        family, digest = self.algorithm[:2], HASHES[self.algorithm[2:]]
        try:
            if family == "ES" and isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(self._ecdsa_signature(), self.signing_input, ec.ECDSA(digest))
            elif family == "RS" and isinstance(key, rsa.RSAPublicKey):
                key.verify(self.signature, self.signing_input, padding.PKCS1v15(), digest)
            elif family == "PS" and isinstance(key, rsa.RSAPublicKey):
                pss = padding.PSS(padding.MGF1(digest), padding.PSS.AUTO)
                key.verify(self.signature, self.signing_input, pss, digest)
            else:
                return False
        except InvalidSignature:
            return False
        return True

    def _ecdsa_signature(self) -> bytes:
        size = {"256": 32, "384": 48, "512": 66}[self.algorithm[2:]]
        if len(self.signature) != 2 * size:
            raise InvalidSignature
        r, s = self.signature[:size], self.signature[size:]
        return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


def public_key(jwk: dict):
    """The key of a JWK, or None for a kind that kube-apiserver has no use for."""
    def number(name):
        return int.from_bytes(go_base64(go_string(jwk.get(name))), "big")

    if jwk.get("kty") == "RSA":
        return rsa.RSAPublicNumbers(number("e"), number("n")).public_key()
    if jwk.get("kty") == "EC" and jwk.get("crv") in CURVES:
        curve = CURVES[jwk["crv"]]
        return ec.EllipticCurvePublicNumbers(number("x"), number("y"), curve).public_key()
    return None


class IssuerKeys:
    """The issuer's keys, found by discovery, fetched when first needed."""

    def __init__(self, issuer: str, ca_file, clock, counters: collections.Counter):
        self._issuer = issuer
        self._clock = clock
        self._counters = counters
        self._fetching = threading.Lock()
        self._jwks_uri: Optional[str] = None
        self._cached: tuple = ((), 0.0)     # keys as (kid, key), and when they expire
        context = ssl.create_default_context(cafile=ca_file and str(ca_file))
        # Python 3.13 is stricter than Go about the certificates of a home-made CA.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

    def discover(self) -> None:
        """Does nothing once it has succeeded.  kube-apiserver tries each 10 s; doing it at
        each token makes the outcome of a test independent of time."""
        with self._fetching:
            if self._jwks_uri is None:
                self._jwks_uri = self._fetch_jwks_uri()

    def verify(self, token: SignedToken) -> None:
        keys, expiry = self._cached
        if self._any_key_fits(keys, token):
            return
        if self._clock() + KEYS_EXPIRY_DELTA <= expiry:
            raise ValueError("failed to verify id token signature")
        with self._fetching, explained("fetching keys "):
            keys, expiry = self._cached = self._fetch_keys()
        if not self._any_key_fits(keys, token):
            raise ValueError("failed to verify id token signature")

    @staticmethod
    def _any_key_fits(keys, token: SignedToken) -> bool:
        return any(token.is_signed_by(key) for key_id, key in keys
                   if token.key_id in ("", key_id))

    def _fetch_jwks_uri(self) -> str:
        url = self._issuer[:-1] if self._issuer.endswith("/") else self._issuer
        self._counters["discovery"] += 1
        document, _ = self._get(url + "/.well-known/openid-configuration")
        if document.get("issuer") != self._issuer:
            raise ValueError(
                "oidc: issuer did not match the issuer returned by provider, expected "
                f"{go_quote(self._issuer)} got {go_quote(document.get('issuer', ''))}")
        return go_string(document.get("jwks_uri"))

    def _fetch_keys(self) -> tuple:
        self._counters["jwks"] += 1
        with explained("oidc: get keys failed "):
            document, max_age = self._get(self._jwks_uri)
        jwks = [jwk for jwk in document.get("keys") or [] if isinstance(jwk, dict)]
        keys = [(jwk.get("kid", ""), public_key(jwk)) for jwk in jwks]
        usable = tuple((key_id, key) for key_id, key in keys if key is not None)
        return usable, self._clock() + max_age

    def _get(self, url: str) -> tuple:
        try:
            with self._opener.open(url, timeout=ISSUER_TIMEOUT) as answer:
                document = go_object(answer.read())
                return document, _max_age(answer.headers.get("Cache-Control", ""))
        except (OSError, http.client.HTTPException) as error:
            raise ValueError(f"Get {go_quote(url)}: {error}") from None


def _max_age(cache_control: str) -> int:
    if re.search(r"\bno-(store|cache)\b", cache_control):
        return 0
    found = re.search(r"\bmax-age=([0-9]+)", cache_control)
    return int(found[1]) if found else 0


# ---------------------------------------------------------------------------
# Who is it?
# ---------------------------------------------------------------------------

@dataclass(frozen=True)
class User:
    name: str
    groups: tuple = ("system:authenticated",)


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
INVALID_TOKEN = "invalid bearer token"
ROTATED_KEY = "oidc: verify token: failed to verify signature: failed to verify id token signature"


class Rejected(Exception):
    """A token that earns a 401.  Its text is kube-apiserver's: without a reason when the
    token was not even meant for the OIDC authenticator."""

    def __init__(self, reason: str = ""):
        super().__init__(f"[{INVALID_TOKEN}, {reason}]" if reason else INVALID_TOKEN)


def bearer_token(authorization: Optional[str]) -> Optional[str]:
    """The token of an Authorization header, or None: then the request is anonymous."""
    words = (authorization or "").strip().split(" ")
    if len(words) < 2 or words[0].lower() != "bearer" or not words[1]:
        return None
    return words[1]


def token_id(token: str) -> str:
    """Tells tokens apart in logs and tests, and gives nothing of them away."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()[:12]


class OidcAuthenticator:
    """What kube-apiserver's --oidc-* options set up."""

    def __init__(self, keys: IssuerKeys, issuer: str, client_id: str, *, username_claim: str,
                 username_prefix: Optional[str], groups_claim: Optional[str], groups_prefix: str,
                 signing_algs, clock, log: Callable[[str], None]):
        self._keys = keys
        self._issuer = issuer
        self._client_id = client_id
        self._username_claim = username_claim
        self._username_prefix = _effective_prefix(username_prefix, username_claim, issuer)
        self._groups_claim = groups_claim
        self._groups_prefix = groups_prefix
        self._signing_algs = list(signing_algs)
        self._clock = clock
        self._log = log

    def authenticate(self, token: str) -> User:
        claims = self._untrusted_claims(token)
        try:
            self._keys.discover()
        except ValueError as error:
            self._log(f"oidc authenticator: initializing plugin: {error}")
            raise Rejected("oidc: authenticator not initialized") from None
        try:
            with explained("oidc: verify token: "):
                self._verify(token, claims)
            return User(self._username(claims), self._groups(claims))
        except ValueError as error:
            raise Rejected(str(error)) from None

    def _untrusted_claims(self, token: str) -> dict:
        """The claims of a token that says it is this issuer's; any other is not ours to judge."""
        try:
            _, payload, _ = token.split(".")
            claims = go_object(go_base64(payload))
            issuer = go_string(claims.get("iss"))
        except ValueError:
            raise Rejected() from None
        if issuer != self._issuer:
            raise Rejected()
        return claims

    def _verify(self, token: str, claims: dict) -> None:
        with explained("oidc: malformed jwt: "):
            signed = SignedToken.parse(token)
        with explained("oidc: failed to unmarshal claims: "):
            audience, expiry, not_before = _checked_claims(claims)
        self._check_audience(audience)
        self._check_times(expiry, not_before)
        if signed.algorithm not in self._signing_algs:
            raise ValueError("oidc: id token signed with unsupported algorithm, expected "
                             f"{go_quote(self._signing_algs)} got {go_quote(signed.algorithm)}")
        with explained("failed to verify signature: "):
            self._keys.verify(signed)

    def _check_audience(self, audience: list) -> None:
        if self._client_id not in audience:
            raise ValueError(f"oidc: expected audience {go_quote(self._client_id)} "
                             f"got {go_quote(audience)}")

    def _check_times(self, expiry: int, not_before: Optional[int]) -> None:
        now = self._clock()
        if expiry < now:
            raise ValueError(f"oidc: token is expired (Token Expiry: {go_time_text(expiry)})")
        if not_before is not None and now + NBF_LEEWAY < not_before:
            raise ValueError(f"oidc: current time {go_time_text(now)} before the nbf "
                             f"(not before) time: {go_time_text(not_before)}")

    def _username(self, claims: dict) -> str:
        with explained(f"oidc: parse username claims {go_quote(self._username_claim)}: "):
            if self._username_claim not in claims:
                raise ValueError("claim not present")
            name = go_string(claims[self._username_claim])
        if self._username_claim == "email" and "email_verified" in claims:
            with explained("oidc: parse 'email_verified' claim: "):
                verified = go_bool(claims["email_verified"])
            if not verified:
                raise ValueError("oidc: email not verified")
        return self._username_prefix + name

    def _groups(self, claims: dict) -> tuple:
        groups = []
        if self._groups_claim in claims:
            with explained(f"oidc: parse groups claim {go_quote(self._groups_claim)}: "):
                groups = go_groups(claims[self._groups_claim])
        return (*(self._groups_prefix + group for group in groups), "system:authenticated")


def _effective_prefix(prefix: Optional[str], username_claim: str, issuer: str) -> str:
    if not prefix:
        return "" if username_claim == "email" else issuer + "#"
    return "" if prefix == "-" else prefix


def _checked_claims(claims: dict) -> tuple:
    """Audience, expiry and not-before, with the types that go-oidc's idToken demands."""
    for name in ("sub", "nonce", "at_hash"):
        go_string(claims.get(name), f"Go struct field idToken.{name}")
    audience = go_audience(claims["aud"]) if "aud" in claims else []
    expiry = go_oidc_time(claims["exp"]) if "exp" in claims else NO_TIME
    if "iat" in claims:         # only its form is looked at
        go_oidc_time(claims["iat"])
    not_before = claims.get("nbf")
    return audience, expiry, None if not_before is None else go_oidc_time(not_before)


class Rejections:
    """The tests' hand on the scales: says no to tokens that passed every check, with the
    words of a signing key that was rotated away."""

    def __init__(self):
        self._lock = threading.Lock()
        self._seen: set = set()
        self.accept_all()

    def accept_all(self) -> None:
        with self._lock:
            self._remaining = 0
            self._ids: set = set()
            self._predicate: Callable[[str], bool] = lambda token: False

    def next(self, n: int) -> None:
        with self._lock:
            self._remaining = n

    def token(self, token: str) -> None:
        with self._lock:
            self._ids.add(token_id(token))

    def seen(self) -> None:
        with self._lock:
            self._ids |= self._seen

    def when(self, predicate: Callable[[str], bool]) -> None:
        with self._lock:
            self._predicate = predicate

    def check(self, token: str) -> None:
        with self._lock:
            if self._remaining > 0:
                self._remaining -= 1
                raise Rejected(ROTATED_KEY)
            if token_id(token) in self._ids or self._predicate(token):
                raise Rejected(ROTATED_KEY)
            self._seen.add(token_id(token))


# ---------------------------------------------------------------------------
# Answers
# ---------------------------------------------------------------------------

@dataclass
class Answer:
    status: int
    body: Any                   # bytes go out as they are, anything else as JSON
    content_type: str = "application/json"
    reason: str = ""            # for the log; never sent

    def encoded(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, separators=(",", ":")).encode() + b"\n"


class ApiError(Exception):
    """An answer of kind Status; `cause` is for the log where it differs from the message."""

    def __init__(self, code: int, reason: str, message: str, details=None, cause: str = ""):
        super().__init__(message)
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "reason": reason}
        if details is not None:
            body["details"] = details
        body["code"] = code
        self.answer = Answer(code, body, reason=cause or message)


def unauthorized(rejected: Rejected) -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized", cause=(
        f"Unable to authenticate the request due to an error: {rejected}"))


def not_found(resource: str, name: str) -> ApiError:
    return ApiError(404, "NotFound", f"{resource} {go_quote(name)} not found",
                    {"name": name, "kind": resource})


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def unsupported(what: str) -> ApiError:
    return ApiError(415, "UnsupportedMediaType", f"{what}: not supported by this test server")


# ---------------------------------------------------------------------------
# What is asked for, and may the user have it?
# ---------------------------------------------------------------------------

@dataclass(frozen=True)
class Target:
    """A request as kube-apiserver's RequestInfo sees it; `resource` is empty for paths
    outside the API proper."""
    verb: str
    path: str
    query: dict
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""

    @classmethod
    def parse(cls, method: str, url: str) -> "Target":
        split = urllib.parse.urlsplit(url)
        query = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))
        parts = [urllib.parse.unquote(part) for part in split.path.split("/") if part]
        if parts[:1] == ["api"] and len(parts) >= 3:
            group, version, rest = "", parts[1], parts[2:]
        elif parts[:1] == ["apis"] and len(parts) >= 4:
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            return cls(method.lower(), split.path, query)
        namespace = ""
        if rest[0] == "namespaces" and len(rest) >= 3:
            namespace, rest = rest[1], rest[2:]
        resource, name, subresource = (rest + ["", ""])[:3]
        verb = _resource_verb(method, name, query)
        return cls(verb, split.path, query, group, version, namespace, resource, name,
                   subresource)


def _resource_verb(method: str, name: str, query: dict) -> str:
    if method == "GET" and query.get("watch") in ("1", "true"):
        return "watch"
    if method == "GET" and not name:
        return "list"
    if method == "DELETE" and not name:
        return "deletecollection"
    return {"POST": "create", "PUT": "update"}.get(method, method.lower())


# The default roles system:public-info-viewer, system:discovery and system:basic-user.
PUBLIC_PATHS = re.compile(r"/(healthz|livez|readyz|version)/?")
DISCOVERY_PATHS = re.compile(r"/(api|apis|openapi)(/.*)?")
SELF_REVIEWS = ("selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews")

# What a SelfSubjectRulesReview lists of those roles.
BASIC_RESOURCE_RULES = [
    {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
     "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]},
    {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"],
     "resources": ["selfsubjectreviews"]}]
BASIC_PATH_RULES = [
    {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version",
                                           "/version/"]},
    {"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz",
                                           "/livez", "/openapi", "/openapi/*", "/readyz",
                                           "/version", "/version/"]}]
OBJECT_RULES = [{"verbs": ["*"], "apiGroups": [""], "resources": ["*"]}]


def forbidden(user: User, target: Target) -> ApiError:
    if not target.resource:
        message = (f"forbidden: User {go_quote(user.name)} cannot {target.verb} "
                   f"path {go_quote(target.path)}")
        return ApiError(403, "Forbidden", message, {})
    scope = f"in the namespace {go_quote(target.namespace)}" if target.namespace \
        else "at the cluster scope"
    named = f"{target.resource} {go_quote(target.name)}" if target.name else target.resource
    details = {"kind": target.resource}
    if target.name:
        details = {"name": target.name, "kind": target.resource}
    return ApiError(403, "Forbidden", (
        f"{named} is forbidden: User {go_quote(user.name)} cannot {target.verb} resource "
        f"{go_quote(target.resource)} in API group {go_quote(target.group)} {scope}"), details)


# ---------------------------------------------------------------------------
# Objects
# ---------------------------------------------------------------------------

@dataclass(frozen=True)
class Column:
    title: str
    cell: Callable[[dict], Any]


@dataclass(frozen=True)
class Kind:
    name: str
    short: tuple
    columns: tuple              # those between NAME and AGE
    namespaced: bool = True


def _service_ports(service: dict) -> str:
    ports = service.get("spec", {}).get("ports", [])
    return ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in ports) \
        or "<none>"


def _pod_phase(pod: dict) -> str:
    return pod.get("status", {}).get("phase", "Pending")


def _data_size(thing: dict) -> int:
    return len(thing.get("data") or {}) + len(thing.get("binaryData") or {})


KINDS = {
    "configmaps": Kind("ConfigMap", ("cm",), (Column("Data", _data_size),)),
    "namespaces": Kind("Namespace", ("ns",), (Column("Status", lambda ns: "Active"),), False),
    "pods": Kind("Pod", ("po",), (Column("Status", _pod_phase),)),
    "secrets": Kind("Secret", (), (
        Column("Type", lambda secret: secret.get("type", "Opaque")),
        Column("Data", _data_size))),
    "services": Kind("Service", ("svc",), (
        Column("Type", lambda service: service.get("spec", {}).get("type", "ClusterIP")),
        Column("Cluster-IP", lambda service: service.get("spec", {}).get("clusterIP", "<none>")),
        Column("External-IP", lambda service: "<none>"),
        Column("Port(s)", _service_ports))),
}
KUBERNETES_SERVICE = {
    "metadata": {"name": "kubernetes",
                 "labels": {"component": "apiserver", "provider": "kubernetes"}},
    "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1",
             "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}]},
}


@dataclass(frozen=True)
class Event:
    version: int
    type: str                   # ADDED, MODIFIED, DELETED
    resource: str
    thing: dict


class Store:
    """Objects in memory, with the history that watches read.  Objects are never changed in
    place, so that they may be handed out."""

    def __init__(self, clock):
        self._clock = clock
        self._lock = threading.Lock()
        self._objects: dict = {}
        self._events: list = []
        self._wakeups: set = set()
        self.create("namespaces", "", {"metadata": {"name": "default"}})
        self.create("services", "default", KUBERNETES_SERVICE)

    def list(self, resource: str, namespace: str = "") -> tuple:
        """The objects (of all namespaces when that is empty) and the list's version."""
        with self._lock:
            things = [thing for (kind, where, _), thing in sorted(self._objects.items())
                      if kind == resource and namespace in ("", where)]
            return things, len(self._events)

    def get(self, resource: str, namespace: str, name: str) -> dict:
        with self._lock:
            return self._existing((resource, namespace, name))

    def create(self, resource: str, namespace: str, thing: dict) -> dict:
        name = thing.get("metadata", {}).get("name", "")
        if not name:
            raise ApiError(422, "Invalid", "metadata.name: Required value", {})
        with self._lock:
            if (resource, namespace, name) in self._objects:
                message = f"{resource} {go_quote(name)} already exists"
                raise ApiError(409, "AlreadyExists", message, {"name": name, "kind": resource})
            created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
            born = {"uid": str(uuid.uuid4()), "creationTimestamp": created}
            return self._put("ADDED", (resource, namespace, name), thing, born)

    def update(self, resource: str, namespace: str, name: str,
               change: Callable[[dict], dict]) -> dict:
        key = (resource, namespace, name)
        with self._lock:
            old = self._existing(key)
            kept = {each: old["metadata"][each] for each in ("uid", "creationTimestamp")}
            return self._put("MODIFIED", key, change(old), kept)

    def delete(self, resource: str, namespace: str, name: str) -> dict:
        with self._lock:
            thing = self._existing((resource, namespace, name))
            del self._objects[resource, namespace, name]
            self._happened("DELETED", resource, thing)
            return thing

    def events_after(self, version: int, resource: str, namespace: str) -> tuple:
        """The events since then that concern these objects, and the version reached."""
        with self._lock:
            events = [event for event in self._events[version:] if event.resource == resource
                      and namespace in ("", event.thing["metadata"].get("namespace"))]
            return events, len(self._events)

    @contextlib.contextmanager
    def changes(self):
        """A socket that becomes readable when something changes."""
        reader, writer = socket.socketpair()
        with reader, writer:
            writer.setblocking(False)
            with self._lock:
                self._wakeups.add(writer)
            try:
                yield reader
            finally:
                with self._lock:
                    self._wakeups.remove(writer)

    def _existing(self, key: tuple) -> dict:
        if key not in self._objects:
            raise not_found(key[0], key[2])
        return self._objects[key]

    def _put(self, event: str, key: tuple, thing: dict, metadata: dict) -> dict:
        resource, namespace, name = key
        thing = {"kind": KINDS[resource].name, "apiVersion": "v1", **copy.deepcopy(thing)}
        thing["metadata"] = {**thing.get("metadata", {}), **metadata, "name": name,
                             "resourceVersion": str(len(self._events) + 1)}
        if namespace:
            thing["metadata"]["namespace"] = namespace
        self._objects[key] = thing
        self._happened(event, resource, thing)
        return thing

    def _happened(self, event: str, resource: str, thing: dict) -> None:
        self._events.append(Event(len(self._events) + 1, event, resource, thing))
        for writer in self._wakeups:
            with contextlib.suppress(BlockingIOError):      # full: it will wake up anyway
                writer.send(b"!")


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386.  For objects without lists a strategic merge patch is the same."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


# ---------------------------------------------------------------------------
# Tables, as kubectl asks for them
# ---------------------------------------------------------------------------

def wants_table(accept: str) -> bool:
    return any("as=Table" in map(str.strip, choice.split(";")) for choice in accept.split(","))


def table(resource: str, things: list, version: int, now: float, whole_objects: bool) -> dict:
    kind = KINDS[resource]
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": str(version)},
            "columnDefinitions": _column_definitions(kind),
            "rows": [_row(kind, thing, now, whole_objects) for thing in things]}


def _column_definitions(kind: Kind) -> list:
    titles = ["Name", *(column.title for column in kind.columns), "Age"]
    return [{"name": title, "type": "string", "format": "name" if title == "Name" else "",
             "description": title, "priority": 0} for title in titles]


def _row(kind: Kind, thing: dict, now: float, whole_object: bool) -> dict:
    metadata = thing["metadata"]
    cells = [metadata["name"], *(column.cell(thing) for column in kind.columns),
             _age(metadata["creationTimestamp"], now)]
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
               "metadata": metadata}
    return {"cells": cells, "object": thing if whole_object else partial}


def _age(created: str, now: float) -> str:
    moment = datetime.datetime.fromisoformat(created.replace("Z", "+00:00"))
    seconds = max(0, int(now - moment.timestamp()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


# ---------------------------------------------------------------------------
# Discovery
# ---------------------------------------------------------------------------

REVIEWS = {
    ("authentication.k8s.io", "v1"): {"selfsubjectreviews": "SelfSubjectReview"},
    ("authentication.k8s.io", "v1beta1"): {"selfsubjectreviews": "SelfSubjectReview"},
    ("authorization.k8s.io", "v1"): {"selfsubjectaccessreviews": "SelfSubjectAccessReview",
                                     "selfsubjectrulesreviews": "SelfSubjectRulesReview"},
}
ALL_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def core_resources() -> dict:
    resources = [{"name": resource, "singularName": "", "namespaced": kind.namespaced,
                  "kind": kind.name, "verbs": ALL_VERBS, "shortNames": list(kind.short)}
                 for resource, kind in KINDS.items()]
    return {"kind": "APIResourceList", "groupVersion": "v1", "resources": resources}


def review_resources(group: str, version: str) -> dict:
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/{version}",
            "resources": [{"name": resource, "singularName": "", "namespaced": False,
                           "kind": kind, "verbs": ["create"]}
                          for resource, kind in REVIEWS[group, version].items()]}


def api_group(group: str) -> dict:
    versions = [{"groupVersion": f"{group}/{version}", "version": version}
                for each, version in REVIEWS if each == group]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def discovery_documents(address: str) -> dict:
    groups = sorted({group for group, _ in REVIEWS})
    documents = {
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": address}]},
        "/api/v1": core_resources(),
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1",
                  "groups": [api_group(group) for group in groups]},
        "/version": version_document(),
    }
    for group in groups:
        documents[f"/apis/{group}"] = {"kind": "APIGroup", "apiVersion": "v1", **api_group(group)}
    for group, version in REVIEWS:
        documents[f"/apis/{group}/{version}"] = review_resources(group, version)
    return documents


def version_document() -> dict:
    major, minor = KUBERNETES_VERSION
    return {"major": major, "minor": minor, "gitVersion": f"v{major}.{minor}.0",
            "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "", "compiler": "", "platform": "linux/amd64"}


# ---------------------------------------------------------------------------
# The API behind the gate
# ---------------------------------------------------------------------------

OPENAPI_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


@dataclass(frozen=True)
class Asked:
    """What one request brings along, beside its target."""
    user: User
    target: Target
    accept: str
    content_type: str
    body: bytes

    def json(self) -> dict:
        try:
            value = json.loads(self.body)
        except ValueError:
            raise unsupported(self.content_type or "a request without JSON") from None
        if not isinstance(value, dict):
            raise ApiError(400, "BadRequest", "the body is not an object")
        return value


class Watch:
    """A list that goes on.  Yields each event as a line of JSON."""
    status = 200
    reason = ""

    def __init__(self, store: Store, target: Target, selected, rendered):
        self.timeout = float(target.query.get("timeoutSeconds") or "inf")
        self.changes = store.changes
        self._store = store
        self._target = target
        self._selected = selected
        self._rendered = rendered
        version = target.query.get("resourceVersion", "")
        self._version = int(version) if version.isdigit() else 0

    def next_events(self) -> list:
        target = self._target
        if self._version == 0:      # no version: first what there is, then what happens
            things, self._version = self._store.list(target.resource, target.namespace)
            pairs = [("ADDED", thing) for thing in things]
        else:
            events, self._version = self._store.events_after(
                self._version, target.resource, target.namespace)
            pairs = [(event.type, event.thing) for event in events]
        return [json.dumps({"type": kind, "object": self._rendered(thing)}).encode() + b"\n"
                for kind, thing in pairs if self._selected(thing)]


class Api:
    """Answers requests of users who are who they say they are."""

    def __init__(self, store: Store, address: str, users_allowed, clock, rules_namespace="",
                 rules_error="", knows_users=True):
        self._knows_users = knows_users
        self._rules_namespace = rules_namespace
        self._rules_error = rules_error
        self._store = store
        self._users_allowed = users_allowed
        self._clock = clock
        self._documents = discovery_documents(address)
        self._verbs = {"list": self._list, "watch": self._watch, "get": self._get,
                       "create": self._create, "update": self._update, "patch": self._patch,
                       "delete": self._delete}

    def answer(self, asked: Asked):
        target = asked.target
        if not self._may(asked.user, target):
            raise forbidden(asked.user, target)
        if target.resource == "selfsubjectreviews" and not self._knows_users:
            raise no_such_path()
        if not target.resource:
            return self._answer_path(asked)
        reviews = REVIEWS.get((target.group, target.version), {})
        if target.resource in reviews and target.verb == "create":
            return self._answer_review(asked)
        if (target.group, target.version) == ("", "v1") and target.resource in KINDS:
            return self._answer_objects(asked)
        raise no_such_path()

    def _may(self, user: User, target: Target) -> bool:
        if not target.resource and PUBLIC_PATHS.fullmatch(target.path):
            return True
        if user is ANONYMOUS:
            return False
        if not target.resource and DISCOVERY_PATHS.fullmatch(target.path):
            return True
        return target.resource in SELF_REVIEWS or self._may_use_objects(user)

    def _may_use_objects(self, user: User) -> bool:
        if self._users_allowed is None:
            return user.name != ""
        return user.name in self._users_allowed

    def _answer_path(self, asked: Asked) -> Answer:
        path = asked.target.path.rstrip("/")
        if asked.target.verb != "get":
            raise no_such_path()
        if path in ("/healthz", "/livez", "/readyz"):
            return Answer(200, b"ok", "text/plain; charset=utf-8")
        if path == "/openapi/v2":
            return openapi_v2(asked.accept)
        if path not in self._documents:
            raise no_such_path()
        return Answer(200, self._documents[path])

    def _answer_review(self, asked: Asked) -> Answer:
        """The body is looked at only where the answer depends on it: kubectl 1.32 sends
        protobuf."""
        target = asked.target
        version = f"{target.group}/{target.version}"
        review = {"kind": REVIEWS[target.group, target.version][target.resource],
                  "apiVersion": version, "metadata": {}}
        if target.resource == "selfsubjectreviews":
            review["status"] = {"userInfo": {"username": asked.user.name,
                                             "groups": list(asked.user.groups)}}
        elif target.resource == "selfsubjectrulesreviews":
            namespace = (asked.json().get("spec") or {}).get("namespace")
            if not namespace:
                raise ApiError(400, "BadRequest", "no namespace on request")
            review["spec"] = {}
            review["status"] = self._rules(asked.user, namespace)
        else:
            review["spec"] = {}
            review["status"] = {"allowed": self._may_use_objects(asked.user)}
        return Answer(201, review)

    def _rules(self, user: User, namespace: str) -> dict:
        """Those of one namespace, and of what is in none."""
        anything = self._may_use_objects(user) and self._rules_namespace in ("", namespace)
        status = {"resourceRules": BASIC_RESOURCE_RULES + OBJECT_RULES * anything,
                  "nonResourceRules": BASIC_PATH_RULES, "incomplete": bool(self._rules_error)}
        if self._rules_error:
            status["evaluationError"] = self._rules_error
        return status

    def _answer_objects(self, asked: Asked):
        target = asked.target
        if target.subresource or target.verb not in self._verbs:
            raise no_such_path()
        if target.verb not in ("list", "watch") \
                and KINDS[target.resource].namespaced != bool(target.namespace):
            raise no_such_path()
        for option in ("dryRun", "labelSelector"):
            if target.query.get(option):
                raise ApiError(400, "BadRequest", f"{option}: not supported by this test server")
        return self._verbs[target.verb](asked)

    def _list(self, asked: Asked) -> Answer:
        target = asked.target
        selected = selection(target.query)
        things, version = self._store.list(target.resource, target.namespace)
        things = [thing for thing in things if selected(thing)]
        if wants_table(asked.accept):
            return Answer(200, self._table(asked, things, version))
        return Answer(200, {"kind": KINDS[target.resource].name + "List", "apiVersion": "v1",
                            "metadata": {"resourceVersion": str(version)}, "items": things})

    def _watch(self, asked: Asked) -> Watch:
        return Watch(self._store, asked.target, selection(asked.target.query),
                     lambda thing: self._rendered(asked, thing))

    def _get(self, asked: Asked) -> Answer:
        target = asked.target
        thing = self._store.get(target.resource, target.namespace, target.name)
        return Answer(200, self._rendered(asked, thing))

    def _create(self, asked: Asked) -> Answer:
        target = asked.target
        return Answer(201, self._store.create(target.resource, target.namespace, asked.json()))

    def _update(self, asked: Asked) -> Answer:
        return self._changed(asked, lambda old: asked.json())

    def _patch(self, asked: Asked) -> Answer:
        if "merge-patch" not in asked.content_type:
            raise unsupported(asked.content_type)
        return self._changed(asked, lambda old: merge_patch(old, asked.json()))

    def _delete(self, asked: Asked) -> Answer:
        target = asked.target
        thing = self._store.delete(target.resource, target.namespace, target.name)
        return Answer(200, {"kind": "Status", "apiVersion": "v1", "metadata": {},
                            "status": "Success",
                            "details": {"name": target.name, "kind": target.resource,
                                        "uid": thing["metadata"]["uid"]}})

    def _changed(self, asked: Asked, change) -> Answer:
        target = asked.target
        return Answer(200, self._store.update(target.resource, target.namespace, target.name,
                                              change))

    def _rendered(self, asked: Asked, thing: dict) -> dict:
        if not wants_table(asked.accept):
            return thing
        return self._table(asked, [thing], thing["metadata"]["resourceVersion"])

    def _table(self, asked: Asked, things: list, version) -> dict:
        whole_objects = asked.target.query.get("includeObject") == "Object"
        return table(asked.target.resource, things, version, self._clock(), whole_objects)


def selection(query: dict) -> Callable[[dict], bool]:
    """Of the field selectors only metadata.name=NAME, the one kubectl itself uses."""
    selector = query.get("fieldSelector", "")
    if not selector:
        return lambda thing: True
    key, _, name = selector.partition("=")
    if key != "metadata.name":
        raise ApiError(400, "BadRequest", f"{selector}: not supported by this test server")
    return lambda thing: thing["metadata"]["name"] == name


def openapi_v2(accept: str) -> Answer:
    """A schema that describes nothing: kubectl then has nothing to validate against."""
    if "protobuf" in accept:        # an empty message is an empty document
        return Answer(200, b"", OPENAPI_PROTOBUF)
    return Answer(200, {"swagger": "2.0", "paths": {},
                        "info": {"title": "Kubernetes", "version": "unversioned"}})


# ---------------------------------------------------------------------------
# HTTP over TLS
# ---------------------------------------------------------------------------

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_TIMEOUT
    wbufsize = -1                   # head and body leave together
    disable_nagle_algorithm = True

    def do_any(self) -> None:
        answer = self.server.owner.handle(self, self._read_body)
        if isinstance(answer, Watch):
            self._stream(answer)
        else:
            self._send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any

    def _read_body(self) -> bytes:
        """Also before a 401: what is left unread would be taken for the next request."""
        if self.headers.get("Transfer-Encoding") == "chunked":  # kubectl create --raw
            return b"".join(self._chunks())
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise ApiError(411, "BadRequest", "a body needs a Content-Length")
        if int(length) > BODY_LIMIT:
            self.close_connection = True
            raise ApiError(413, "RequestEntityTooLarge", "Request entity too large")
        return self.rfile.read(int(length))

    def _chunks(self):
        left = BODY_LIMIT
        while left > 0:
            size = int(self.rfile.readline(20).split(b";")[0], 16)
            left -= size
            data = self.rfile.read(min(size, BODY_LIMIT))
            self.rfile.readline(2)
            if size == 0:
                return
            yield data
        self.close_connection = True
        raise ApiError(413, "RequestEntityTooLarge", "Request entity too large")

    def _send(self, answer: Answer) -> None:
        body = answer.encoded()
        self._send_head(answer.status, answer.content_type, "Content-Length", str(len(body)))
        self.wfile.write(body)

    def _send_head(self, status: int, content_type: str, framing: str, value: str) -> None:
        self.send_response(status)
        self.send_header("Cache-Control", "no-cache, private")
        self.send_header("Content-Type", content_type)
        self.send_header(framing, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _stream(self, watch: Watch) -> None:
        self.close_connection = True
        self._send_head(200, "application/json", "Transfer-Encoding", "chunked")
        deadline = time.monotonic() + watch.timeout
        with watch.changes() as changes, self.server.owner.watching():
            while True:
                for event in watch.next_events():
                    self._send_chunk(event)
                self.wfile.flush()
                if not self._wait_for(changes, deadline):
                    break
            self._send_chunk(b"")

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _wait_for(self, changes: socket.socket, deadline: float) -> bool:
        """False when the watch is over: its time is up, or the client has left."""
        with selectors.DefaultSelector() as selector:
            selector.register(changes, selectors.EVENT_READ)
            selector.register(self.connection, selectors.EVENT_READ)
            while True:
                left = deadline - time.monotonic()
                wait = None if left == float("inf") else max(left, 0)
                ready = [key.fileobj for key, _ in selector.select(wait)]
                if not ready or (self.connection in ready and self._client_left()):
                    return False
                if changes in ready:
                    changes.recv(4096)
                    return True

    def _client_left(self) -> bool:
        """A client has nothing to say on a watch, so whatever can be read means it left."""
        self.connection.settimeout(0)
        try:
            self.connection.recv(1)
        except ssl.SSLWantReadError:        # a TLS record without data
            return False
        finally:
            self.connection.settimeout(self.timeout)
        return True

    def date_time_string(self, timestamp=None) -> str:
        return super().date_time_string(self.server.owner.clock() if timestamp is None
                                        else timestamp)

    def log_error(self, format, *args) -> None:
        # Not its arguments: after a framing error they may hold anything, even a token.
        self.server.owner.log("malformed request")

    def log_message(self, format, *args) -> None:
        pass                                # ApiServer.handle has logged it


class TlsServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread for each connection.  All of them can be ended and waited for."""
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, owner: "ApiServer", port: int, files: TlsFiles):
        self.owner = owner
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(files.cert, files.key)
        self._lock = threading.Lock()
        self._connections: dict = {}
        super().__init__(("127.0.0.1", port), Handler)

    def get_request(self):
        connection, address = super().get_request()
        # The handshake is left to the connection's thread: a silent client stops no other.
        return self._context.wrap_socket(connection, server_side=True,
                                         do_handshake_on_connect=False), address

    def process_request(self, request, client_address) -> None:
        thread = threading.Thread(target=self.process_request_thread, daemon=True,
                                  args=(request, client_address))
        with self._lock:
            self._connections[request] = thread
        thread.start()

    def finish_request(self, request, client_address) -> None:
        request.settimeout(HANDSHAKE_TIMEOUT)
        try:
            request.do_handshake()
        except OSError as error:
            self.owner.log(f"http: TLS handshake error: {error}")
            return
        super().finish_request(request, client_address)

    def shutdown_request(self, request) -> None:
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exc_info()[1], OSError):      # OSError: the client left
            super().handle_error(request, client_address)

    def end(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)      # its thread wakes at once
        self.shutdown()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                # The plain socket's shutdown: SSLSocket's forgets the encryption first.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in connections.values():
            thread.join()
        self.server_close()


# ---------------------------------------------------------------------------
# The whole
# ---------------------------------------------------------------------------

OUTCOMES = {401: "unauthorized", 403: "forbidden"}


@dataclass(frozen=True)
class Request:
    """A request that was answered, as far as it may be told."""
    method: str
    path: str                   # without its query
    status: int
    outcome: str                # ok, unauthorized, forbidden, failed
    user: str                   # empty when there is none, as after a 401
    reason: str                 # why not: for a 401 what kube-apiserver would have logged
    token_id: str               # token_id(token), empty without one


class ApiServer:
    """See the head of this file.  `users_allowed`: who may use objects; by default every
    user whose name is not empty.  `rules_namespace`: the one namespace in which they are told
    to have rights (all).  `rules_error`: why the list of rights is not whole.  `knows_users`:
    it has selfsubjectreviews, as since 1.28.  `cache_seconds`: how long a good token is believed
    without another look (kube-apiserver: 10).  `clock`: the wall clock to judge tokens by."""

    def __init__(self, directory, issuer: str, client_id: str, *, issuer_ca=None,
                 username_claim: str = "email", username_prefix: Optional[str] = None,
                 groups_claim: Optional[str] = None, groups_prefix: str = "",
                 signing_algs=("RS256",), users_allowed=None, rules_namespace: str = "",
                 rules_error: str = "", knows_users: bool = True, cache_seconds: float = 0,
                 port: int = 0, clock: Callable[[], float] = time.time):
        check_options(issuer, signing_algs)
        self.directory = pathlib.Path(directory)
        self.clock = clock
        self.rejections = Rejections()
        self.store = Store(clock)
        self._port = port
        self._users_allowed = users_allowed
        self._rules = rules_namespace, rules_error
        self._knows_users = knows_users
        self._cache_seconds = cache_seconds
        self._cache: dict = {}
        self._changed = threading.Condition()
        self._requests: list = []
        self._counters: collections.Counter = collections.Counter()
        keys = IssuerKeys(issuer, issuer_ca, clock, self._counters)
        self._authenticator = OidcAuthenticator(
            keys, issuer, client_id, username_claim=username_claim,
            username_prefix=username_prefix, groups_claim=groups_claim,
            groups_prefix=groups_prefix, signing_algs=signing_algs, clock=clock, log=self.log)
        self._tls: Optional[TlsServer] = None

    # -- life ---------------------------------------------------------------

    def start(self) -> "ApiServer":
        self.directory.mkdir(parents=True, exist_ok=True)
        self.info_file.unlink(missing_ok=True)
        files = make_tls_files(self.directory)
        self._tls = TlsServer(self, self._port, files)
        self._port = self._tls.server_address[1]
        self._api = Api(self.store, f"127.0.0.1:{self._port}", self._users_allowed, self.clock,
                        *self._rules, self._knows_users)
        threading.Thread(target=self._tls.serve_forever, args=(0.05,), daemon=True).start()
        self._write_info()
        return self

    def stop(self) -> None:
        """Ends all connections, watches too, and returns when nothing of it runs."""
        if self._tls:
            self.info_file.unlink(missing_ok=True)
            self._tls.end()
            self._tls = None

    def __enter__(self) -> "ApiServer":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()

    # -- where --------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @property
    def ca_file(self) -> pathlib.Path:
        return self.directory / "apiserver-ca.crt"

    @property
    def log_file(self) -> pathlib.Path:
        return self.directory / "apiserver.log"

    @property
    def info_file(self) -> pathlib.Path:
        return self.directory / "apiserver.json"

    def kubeconfig(self, user: dict) -> dict:
        """A kubeconfig for this server and the user given, such as {"exec": {...}}.  As JSON
        it is YAML enough for kubectl."""
        cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
        context = {"cluster": "test", "user": "test"}
        return {"apiVersion": "v1", "kind": "Config", "current-context": "test",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "test", "user": user}],
                "contexts": [{"name": "test", "context": context}]}

    # -- what happened ------------------------------------------------------

    @property
    def requests(self) -> list:
        """All requests answered so far, oldest first.  A client that has its answer can
        rely on its request being here."""
        with self._changed:
            return list(self._requests)

    @property
    def counters(self) -> collections.Counter:
        """How many: requests, each outcome, discovery and jwks (fetches from the issuer),
        watching (watches open now)."""
        with self._changed:
            return collections.Counter(self._counters)

    def forget_requests(self) -> None:
        """Empties `requests`; the counters go on."""
        with self._changed:
            self._requests.clear()

    def wait_until(self, condition: Callable[[], bool], timeout: float = 60) -> None:
        """Waits for a request, or the end of a watch, that makes `condition` true."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError("the API server did not see what was waited for")

    # -- what the tests may do to tokens that are good ----------------------

    def reject_next(self, n: int = 1) -> None:
        """Answers 401 to the next n requests whose token is good."""
        self.rejections.next(n)

    def reject_token(self, token: str) -> None:
        self.rejections.token(token)

    def reject_seen(self) -> None:
        """Answers 401 to every token accepted so far, as after the issuer's key was rotated."""
        self.rejections.seen()

    def reject_when(self, predicate: Callable[[str], bool]) -> None:
        """Answers 401 to each good token for which predicate(token) is true."""
        self.rejections.when(predicate)

    def accept_all(self) -> None:
        """Takes all of these back: accepts any valid token again."""
        self.rejections.accept_all()

    # -- for the threads of the connections ---------------------------------

    def handle(self, http_request: Handler, read_body: Callable[[], bytes]):
        """The answer to a request, already entered in `requests` and the log."""
        token = bearer_token(http_request.headers.get("Authorization"))
        target = Target.parse(http_request.command, http_request.path)
        user = User("")
        try:
            body = read_body()
            user = self._authenticate(token)
            answer = self._api.answer(Asked(
                user, target, http_request.headers.get("Accept", ""),
                http_request.headers.get("Content-Type", ""), body))
        except ApiError as error:
            answer = error.answer
        self._record(http_request.command, target.path, user, token, answer)
        return answer

    @contextlib.contextmanager
    def watching(self):
        self._count_watches(+1)
        try:
            yield
        finally:
            self._count_watches(-1)

    def log(self, text: str) -> None:
        moment = datetime.datetime.fromtimestamp(self.clock(), datetime.timezone.utc)
        line = "".join(each if each.isprintable() else "?" for each in text)
        with self._changed, open(self.log_file, "a", encoding="utf-8") as log:
            log.write(f"{moment.isoformat(timespec='milliseconds')[:-6]}Z {line}\n")

    def _authenticate(self, token: Optional[str]) -> User:
        if token is None:
            return ANONYMOUS
        try:
            user = self._cached_user(token)
            self.rejections.check(token)
        except Rejected as rejected:
            raise unauthorized(rejected) from None
        return user

    def _cached_user(self, token: str) -> User:
        key = token_id(token)
        user, good_until = self._cache.get(key, (None, 0))
        if user is None or self.clock() >= good_until:
            user = self._authenticator.authenticate(token)
            self._cache[key] = user, self.clock() + self._cache_seconds
        return user

    def _record(self, method: str, path: str, user: User, token, answer) -> None:
        status = answer.status
        outcome = OUTCOMES.get(status, "ok" if status < 400 else "failed")
        request = Request(method, path, status, outcome, user.name, answer.reason,
                          token_id(token) if token else "")
        self.log(f"{status} {method} {path} user={go_quote(user.name)} "
                 f"token={request.token_id or '-'} {answer.reason}".rstrip())
        with self._changed:
            self._requests.append(request)
            self._counters["requests"] += 1
            self._counters[outcome] += 1
            self._changed.notify_all()

    def _count_watches(self, change: int) -> None:
        with self._changed:
            self._counters["watching"] += change
            self._changed.notify_all()

    def _write_info(self) -> None:
        info = {"url": self.url, "ca_file": str(self.ca_file), "log_file": str(self.log_file),
                "pid": os.getpid()}
        unfinished = self.info_file.with_suffix(".tmp")
        unfinished.write_text(json.dumps(info) + "\n", encoding="utf-8")
        unfinished.rename(self.info_file)


def check_options(issuer: str, signing_algs) -> None:
    """What kube-apiserver refuses to start with."""
    scheme = urllib.parse.urlsplit(issuer).scheme
    if scheme != "https":
        raise ValueError(f"'oidc-issuer-url' ({go_quote(issuer)}) has invalid scheme "
                         f"({go_quote(scheme)}), require 'https'")
    for algorithm in signing_algs:
        if algorithm not in SIGNING_ALGORITHMS:
            raise ValueError(f"oidc: unsupported signing alg: {go_quote(algorithm)}")


# ---------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------

STOP = (signal.SIGTERM, signal.SIGINT)
EPILOG = """SIGUSR1 makes it answer 401 to every token accepted so far, as after the
issuer's key was rotated; SIGUSR2 makes it accept any valid token again."""


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description="A small Kubernetes API server for tests.",
                                     epilog=EPILOG)
    parser.add_argument("--dir", required=True, help="for apiserver.json, .log, certificates")
    parser.add_argument("--issuer", required=True, help="https URL, compared byte by byte")
    parser.add_argument("--client-id", required=True, help="must be in the token's aud")
    parser.add_argument("--issuer-ca", help="CA of the issuer (default: the system's)")
    parser.add_argument("--username-claim", default="email")
    parser.add_argument("--username-prefix",
                        help="default: ISSUER# unless the claim is email; - for none")
    parser.add_argument("--groups-claim")
    parser.add_argument("--groups-prefix", default="")
    parser.add_argument("--signing-algs", default="RS256", type=lambda text: text.split(","),
                        help="separated by commas (default: RS256)")
    parser.add_argument("--user-allowed", nargs="+", action="extend", metavar="NAME",
                        help="who gets no 403 (default: everybody with a valid token)")
    parser.add_argument("--cache-seconds", type=float, default=0,
                        help="believe a good token that long (kube-apiserver: 10)")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    return parser.parse_args(arguments)


def main(arguments=None) -> int:
    options = parse_arguments(arguments)
    # Blocked before any thread exists, so that all of them leave the signals to sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {*STOP, signal.SIGUSR1, signal.SIGUSR2})
    try:
        server = ApiServer(
            options.dir, options.issuer, options.client_id, issuer_ca=options.issuer_ca,
            username_claim=options.username_claim, username_prefix=options.username_prefix,
            groups_claim=options.groups_claim, groups_prefix=options.groups_prefix,
            signing_algs=options.signing_algs, users_allowed=options.user_allowed,
            cache_seconds=options.cache_seconds, port=options.port)
        with server:
            print(f"apiserver: listening on {server.url}, log in {server.log_file}", flush=True)
            obey_signals(server)
    except (ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def obey_signals(server: ApiServer) -> None:
    while True:
        received = signal.sigwait({*STOP, signal.SIGUSR1, signal.SIGUSR2})
        if received in STOP:
            return
        if received == signal.SIGUSR1:
            server.reject_seen()
            print("apiserver: rejecting the tokens seen so far", flush=True)
        else:
            server.accept_all()
            print("apiserver: accepting any valid token", flush=True)


if __name__ == "__main__":
    sys.exit(main())
