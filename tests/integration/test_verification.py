"""Which id_tokens kubetoken-fetch takes. They are signed by jwcrypto, which shares no code with
what verifies them; what is wrong with each is named, by the code and in words."""
import base64
import datetime
import hashlib
import json
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from jwcrypto import jwa, jwe, jwk

import scripted
from scripted import b64, json_answer
from test_fetcher_program import Fetch, KEYS

ALGORITHMS = {
    "RS256": "rsa", "RS384": "rsa", "RS512": "rsa",
    "ES256": "P-256", "ES384": "P-384", "ES512": "P-521",
    "PS256": "rsa", "PS384": "rsa", "PS512": "rsa",
    "EdDSA": "Ed25519",
}
ALL = " ".join(ALGORITHMS)
NATURAL = {"rsa": "RS256", "P-256": "ES256", "P-384": "ES384", "P-521": "ES512",
           "Ed25519": "EdDSA", "Ed448": "EdDSA", "secp256k1": "ES256K"}


def public(key, **changes):
    """The JWK that is published; None leaves a member out."""
    whole = {**key.export_public(as_dict=True), "use": "sig", **changes}
    return {k: v for k, v in whole.items() if v is not None}


def compact(header, payload, key, alg):
    """Both are bytes, or a value that becomes JSON."""
    parts = [p if isinstance(p, bytes) else json.dumps(p).encode() for p in (header, payload)]
    text = ".".join(map(b64, parts))
    return f"{text}.{b64(jwa.JWA.signing_alg(alg).sign(key, text.encode()))}"


@pytest.fixture(scope="module")
def keys():
    """By type, each with its type as kid."""
    made = {"rsa": jwk.JWK.generate(kty="RSA", size=2048, kid="rsa")}
    for curve in ("P-256", "P-384", "P-521", "secp256k1"):
        made[curve] = jwk.JWK.generate(kty="EC", crv=curve, kid=curve)
    for curve in ("Ed25519", "Ed448"):
        made[curve] = jwk.JWK.generate(kty="OKP", crv=curve, kid=curve)
    made["other"] = jwk.JWK.generate(kty="RSA", size=2048, kid="other")
    return made


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    """Without TLS, which has nothing to do with all this, and takes longer than the rest."""
    p = scripted.Provider(tmp_path_factory.mktemp("fake"), tls=False)
    p.ca_file = None
    yield p
    p.stop()


class Verify:
    """Has the program judge a token."""

    def __init__(self, fake, keys):
        self.fake, self.keys = fake, keys
        self.published = [public(k) for n, k in keys.items()
                          if n not in ("other", "secp256k1", "Ed448")]

    def claims(self, **changes):
        now = int(time.time())
        whole = {"iss": self.fake.issuer, "aud": "client", "sub": "auth0|1", "iat": now,
                 "exp": now + 3600, **changes}
        return {k: v for k, v in whole.items() if v is not ...}

    def token(self, key="rsa", alg=None, header=(), **claims):
        """A good one but for the members given; ... leaves one out."""
        alg = alg or NATURAL[key]
        head = {"alg": alg, "typ": "JWT", "kid": key, **dict(header)}
        return compact({k: v for k, v in head.items() if v is not ...}, self.claims(**claims),
                       self.keys[key], alg)

    def raw(self, header=b'{"alg":"RS256"}', payload=None, key="rsa", alg="RS256"):
        """Header and payload as they stand, in bytes."""
        return compact(header, self.claims() if payload is None else payload, self.keys[key], alg)

    def __call__(self, token, signing_algs=ALL):
        self.fake.answers = {
            KEYS: json_answer({"keys": self.published}),
            "/oauth/token": json_answer({"access_token": "a", "id_token": token})}
        fetch = Fetch(self.fake)
        fetch(signing_algs=signing_algs, allow_http_loopback=1)
        return fetch

    def takes(self, token, **kwargs):
        fetch = self(token, **kwargs)
        assert fetch.result["outcome"] == b"token", fetch.result
        assert fetch.result["verified"] == b"1"
        assert fetch.result["id-token"].decode() == token
        return fetch

    def refuses(self, token, code, says, **kwargs):
        fetch = self(token, **kwargs)
        seen = {k: fetch.result[k].decode() for k in ("outcome", "code", "detail")}
        assert (seen["outcome"], seen["code"]) == ("doubtful", code), seen
        assert says in seen["detail"]
        assert "id-token" not in fetch.result and fetch.result.get("verified", b"0") == b"0"


@pytest.fixture
def verify(fake, keys):
    return Verify(fake, keys)


# ---- algorithms and keys -----------------------------------------------------------------------

@pytest.mark.parametrize("alg", ALGORITHMS)
def test_each_algorithm_is_taken_when_it_is_allowed(verify, alg):
    verify.takes(verify.token(ALGORITHMS[alg], alg), signing_algs=alg)


def test_eddsa_may_be_that_of_ed448(verify):
    """Which the API server knows not, and so it takes no token of that provider."""
    verify.published.append(public(verify.keys["Ed448"]))
    fetch = verify.takes(verify.token("Ed448"), signing_algs="EdDSA")
    assert fetch.warnings == ["keys-unreadable"]


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_no_algorithm_is_taken_when_only_the_others_are_allowed(verify, alg):
    others = " ".join(a for a in ALGORITHMS if a != alg)
    verify.refuses(verify.token(ALGORITHMS[alg], alg), "token-algorithm",
                   f"signed with {alg}; signing-algs allows {others}", signing_algs=others)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_of_another_type_or_curve_serves_no_algorithm(verify, alg):
    fitting = {"EdDSA": ("Ed25519", "Ed448")}.get(alg, (ALGORITHMS[alg],))
    for kind in NATURAL:
        if kind not in fitting:
            verify.refuses(verify.token(kind, NATURAL[kind], {"alg": alg}), "token-signature",
                           f'publishes no {alg} key named "{kind}"')


RSA = [a for a, kind in ALGORITHMS.items() if kind == "rsa"]


@pytest.mark.parametrize("alg", RSA)
def test_the_signature_of_another_algorithm_is_refused(verify, alg):
    for other in RSA:
        if other != alg:
            verify.refuses(verify.token("rsa", other, {"alg": alg}), "token-signature",
                           f"alg {alg}")


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_one_bit_changed_in_any_part_is_refused(verify, alg):
    parts = verify.token(ALGORITHMS[alg], alg).split(".")
    other = verify.token(ALGORITHMS[alg], alg, email="other@example.com").split(".")
    verify.refuses(".".join((parts[0], other[1], parts[2])), "token-signature", f"alg {alg}")
    head = b64(json.dumps({"alg": alg, "kid": ALGORITHMS[alg]}).encode())
    verify.refuses(".".join((head, *parts[1:])), "token-signature", f"alg {alg}")
    signature = bytearray(base64.urlsafe_b64decode(parts[2] + "=="))
    for at in (0, len(signature) // 2, len(signature) - 1):
        spoilt = bytearray(signature)
        spoilt[at] ^= 1
        verify.refuses(".".join((*parts[:2], b64(spoilt))), "token-signature", f"alg {alg}")


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_signature_longer_or_shorter_is_refused(verify, alg):
    head, _, signature = verify.token(ALGORITHMS[alg], alg).rpartition(".")
    whole = base64.urlsafe_b64decode(signature + "==")
    half = len(whole) // 2
    for other in (whole[:-1], whole[1:], whole + b"\0", b"\0" + whole, b"\0", whole * 2,
                  b"\0" + whole[:half] + b"\0" + whole[half:]):
        verify.refuses(f"{head}.{b64(other)}", "token-signature", f"alg {alg}")


@pytest.mark.parametrize("alg", ["RS256", "ES512", "PS384", "EdDSA"])
@pytest.mark.parametrize("header", [
    {"typ": ...}, {"typ": "at+jwt"}, {"typ": "jwt"}, {"typ": "JOSE"}, {"typ": ""}, {"typ": 7},
    {"kid": ...}, {"kid": ""}, {"kid": None}, {"b64": True}, {"b64": None}, {"b64": "x"},
    {"crit": []}, {"crit": None}, {"crit": ["b64"]}, {"crit": ["b64"], "b64": True},
    {"x5c": []}, {"x5c": None}, {"jwk": None}, {"nonce": "7"}, {"KID": "nobody"}, {"x": "\0"},
    {"cty": "JWT", "jku": "https://evil.example/", "x5t": "AAAA", "enc": "x"}])
def test_what_else_is_in_the_header_matters_not(verify, alg, header):
    verify.takes(verify.token(ALGORITHMS[alg], alg, header))


# ---- what is refused ---------------------------------------------------------------------------

def hmac(verify, secret, header=None, alg="HS256"):
    key = jwk.JWK(kty="oct", k=b64(secret))
    return compact(header or {"alg": alg, "kid": "rsa"}, verify.claims(), key, alg)


def pem(verify):
    return verify.keys["rsa"].export_to_pem()


def unsecured(verify, alg, signature="AAAA"):
    parts = [b64(json.dumps(part).encode()) for part in ({"alg": alg}, verify.claims())]
    return ".".join([*parts, signature])


def with_claims(verify, text, **changes):
    """The good claims, and behind them the text as it stands."""
    return json.dumps(verify.claims(**changes)).encode()[:-1] + b"," + text + b"}"


def nested(depth, inner=""):
    return b'"x":' + b"[" * depth + inner.encode() + b"]" * depth


def beside(verify, text, **changes):
    """with_claims(), @ is the issuer."""
    text = text.replace("@", json.dumps(verify.fake.issuer)).encode()
    return verify.raw(payload=with_claims(verify, text, **changes))


def encrypted(verify, alg):
    """A good token inside a JWE, as OpenID Connect Core §10.2 has it."""
    key = verify.keys["other"] if alg != "dir" else jwk.JWK.generate(kty="oct", size=256)
    whole = jwe.JWE(verify.token(), {"alg": alg, "enc": "A256GCM", "cty": "JWT"}, recipient=key)
    return whole.serialize(compact=True)


def padded(token, part):
    parts = token.split(".")
    parts[part] += "="
    return ".".join(parts)


def in_the_middle(token, part, text):
    parts = token.split(".")
    parts[part] = parts[part][:8] + text + parts[part][8:]
    return ".".join(parts)


SOON = int(time.time()) + 3600
THREE_PARTS = ("token-invalid", "three base64url parts")
NO_HEADER = ("token-invalid", "its header is not a JSON object")
NO_PAYLOAD = ("token-invalid", "its payload is not a JSON object")

REFUSED = {
    # the algorithm
    **{f"alg {name}": ("token-unverifiable", f"signed with {name}",
                       lambda v, name=name: unsecured(v, name))
       for name in ("none", "None", "NONE", "nOnE", "HS256", "rs256", "eddsa", "ES256K", "RSA1_5")},
    "alg none without a signature": (*THREE_PARTS, lambda v: unsecured(v, "none", "")),
    "alg missing": ("token-invalid", "no alg", lambda v: v.token(header={"alg": ...},
                                                                 alg="RS256")),
    "alg a number": ("token-invalid", "no alg", lambda v: v.raw(b'{"alg":256}')),
    "alg null": ("token-invalid", "no alg", lambda v: v.raw(b'{"alg":null}')),
    "alg a list": ("token-invalid", "no alg", lambda v: v.raw(b'{"alg":["RS256"]}')),
    "ALG": ("token-invalid", "no alg", lambda v: v.raw(b'{"ALG":"RS256"}')),
    "alg twice": ("token-invalid", "two alg", lambda v: v.raw(b'{"alg":"none","alg":"RS256"}')),
    "alg twice the same": ("token-invalid", "two alg",
                           lambda v: v.raw(b'{"alg":"RS256","alg":"RS256"}')),
    "alg twice, once escaped": ("token-invalid", "two alg",
                                lambda v: v.raw(b'{"alg":"none","\\u0061lg":"RS256"}')),
    "the PEM of the public key as secret": ("token-unverifiable", "HS256, by a secret",
                                            lambda v: hmac(v, pem(v))),
    "the PEM as secret for HS512": ("token-unverifiable", "HS512, by a secret",
                                    lambda v: hmac(v, pem(v), alg="HS512")),
    "the PEM as secret, called RS256": (
        "token-signature", "alg RS256",
        lambda v: hmac(v, pem(v), {"alg": "RS256", "kid": "rsa"})),
    "the PEM as secret, called ES256": (
        "token-signature", "alg ES256",
        lambda v: hmac(v, v.keys["P-256"].export_to_pem(), {"alg": "ES256", "kid": "P-256"})),
    # the rest of the header
    "kid twice": ("token-invalid", "two kid",
                  lambda v: v.raw(b'{"alg":"RS256","kid":"other","kid":"rsa"}')),
    "typ twice": ("token-invalid", "two typ",
                  lambda v: v.raw(b'{"typ":"JWT","alg":"RS256","typ":"JWT"}')),
    "kid a number": ("token-invalid", "its kid is no string", lambda v: v.token(header={"kid": 7})),
    "crit": ("token-invalid", "crit", lambda v: v.token(header={"crit": ["exp"]})),
    "crit a string": ("token-invalid", "crit", lambda v: v.token(header={"crit": "b64"})),
    "crit with null": ("token-invalid", "crit", lambda v: v.token(header={"crit": [None]})),
    "crit b64, false": ("token-invalid", "b64",
                        lambda v: v.token(header={"crit": ["b64"], "b64": False})),
    "a name twice below": (
        "token-invalid", "its header has two a",
        lambda v: v.raw(b'{"alg":"RS256","kid":"rsa","x":[{"a":1,"a":2}]}')),
    "nonce of the header a number": ("token-invalid", "the nonce of its header is no string",
                                     lambda v: v.token(header={"nonce": 7})),
    **{f"x5c {name}": ("token-invalid", "the x5c of its header is no list of certificates",
                       lambda v, x5c=x5c: v.token(header={"x5c": x5c}))
       for name, x5c in {"no base64": ["*"], "no certificate": ["AAAA"], "a string": "AAAA",
                         "with null": [None], "an empty string": [""]}.items()},
    **{f"jwk {name}": ("token-invalid", "the jwk of its header is no public key",
                       lambda v, jwk=jwk: v.token(header={"jwk": jwk}))
       for name, jwk in {"symmetric": {"kty": "oct", "k": "AAAA"}, "empty": {}, "a string": "x",
                         "of a foreign type": {"kty": "x"},
                         "without an exponent": {"kty": "RSA", "n": "AQAB", "e": "AA"},
                         "with an exponent of 2^64": {"kty": "RSA", "n": "AQAB",
                                                      "e": "AQAAAAAAAAAA"}}.items()},
    "jwk private": ("token-invalid", "the jwk of its header is no public key",
                    lambda v: v.token(header={"jwk": v.keys["rsa"].export(as_dict=True)})),
    "b64 false": ("token-invalid", "b64", lambda v: v.token(header={"b64": False})),
    "header a list": (*NO_HEADER, lambda v: v.raw(b'["RS256"]')),
    "header not JSON": (*NO_HEADER, lambda v: v.raw(b"alg: RS256")),
    "header with text behind it": (*NO_HEADER, lambda v: v.raw(b'{"alg":"RS256"}{}')),
    "NUL in alg": ("token-unverifiable", "it is signed with RS256\ufffd",
                   lambda v: v.raw(b'{"alg":"RS256\\u0000"}')),
    "NUL in kid": ("token-signature", 'no RS256 key named "rsa\ufffdx"',
                   lambda v: v.raw(b'{"alg":"RS256","kid":"rsa\\u0000x"}')),
    "a raw NUL behind the header": (*NO_HEADER, lambda v: v.raw(b'{"alg":"RS256"}\0')),
    "a name twice but for broken UTF-8": (
        "token-invalid", "its header has two a\ufffd",
        lambda v: v.raw(b'{"alg":"RS256","kid":"rsa","a\xff":1,"a\xfe":2}')),
    "a line feed in kid": (*NO_HEADER, lambda v: v.raw(b'{"alg":"RS256","kid":"rsa\n"}')),
    # keys
    "kid unknown": ("token-signature", 'no RS256 key named "nobody"',
                    lambda v: v.token(header={"kid": "nobody"})),
    "kid of another key": ("token-signature", 'no RS256 key named "P-256"',
                           lambda v: v.token(header={"kid": "P-256"})),
    "a key not published": ("token-signature", 'no RS256 key named "other"',
                            lambda v: v.token("other", "RS256")),
    "a key not published, under the kid of one that is": (
        "token-signature", 'alg RS256, kid "rsa"',
        lambda v: v.token("other", "RS256", {"kid": "rsa"})),
    "a key not published, without kid": ("token-signature", 'alg RS256, kid ""',
                                         lambda v: v.token("other", "RS256", {"kid": ...})),
    "its own key in the header": (
        "token-signature", "alg RS256",
        lambda v: v.token("other", "RS256", {"kid": "rsa", "jwk": public(v.keys["other"])})),
    # base64url
    **{f"part {i} padded": (*THREE_PARTS, lambda v, i=i: padded(v.token(), i)) for i in range(3)},
    **{f"{name} in part {i}": (*THREE_PARTS,
                               lambda v, i=i, text=text: in_the_middle(v.token(), i, text))
       for i in range(3) for name, text in (
           ("a blank", " "), ("a line feed", "\n"), ("a plus", "+"), ("a slash", "/"),
           ("a star", "*"), ("a letter of another alphabet", "é"))},
    "a part of one character more than fours": (
        *THREE_PARTS, lambda v: v.token() + "A" * ((1 - len(v.token().split(".")[2])) % 4)),
    "no signature": (*THREE_PARTS, lambda v: v.token().rpartition(".")[0] + "."),
    "two parts": (*THREE_PARTS, lambda v: v.token().rpartition(".")[0]),
    "four parts": (*THREE_PARTS, lambda v: v.token() + ".AAAA"),
    "five parts": (*THREE_PARTS, lambda v: v.token() + ".AAAA.AAAA"),
    "over 128 KiB": ("token-too-long", "and 131072 at most",
                     lambda v: v.token(x="x" * 96 * 1024)),
    "encrypted": ("token-encrypted", "five parts of a JWE", lambda v: encrypted(v, "RSA-OAEP")),
    "encrypted with a key of its own": (
        "token-encrypted", "five parts of a JWE", lambda v: encrypted(v, "dir")),
    # the payload
    "payload a list": (*NO_PAYLOAD, lambda v: v.raw(payload=b"[]")),
    "payload with text behind it": (
        *NO_PAYLOAD, lambda v: v.raw(payload=json.dumps(v.claims()).encode() + b"x")),
    "payload with a byte order mark": (
        *NO_PAYLOAD, lambda v: v.raw(payload=b"\xef\xbb\xbf" + json.dumps(v.claims()).encode())),
    "NUL in iss": ("issuer-mismatch", "\ufffd.evil.example/",
                   lambda v: v.token(iss=v.fake.issuer + "\0.evil.example/")),
    "NUL in aud": ("token-audience", 'got "client\ufffdx"', lambda v: v.token(aud="client\0x")),
    "NUL in a list of aud": ("token-audience", 'got ["x","client\ufffdx"]',
                             lambda v: v.token(aud=["x", "client\0x"])),
    "nested deeper than Go reads": (
        *NO_PAYLOAD, lambda v: v.raw(payload=with_claims(v, nested(10000)))),
    "nested deep, and wrongly": (
        *NO_PAYLOAD, lambda v: v.raw(payload=with_claims(v, nested(2000, "1,")))),
    "nested deep, and wrongly closed": (
        *NO_PAYLOAD, lambda v: v.raw(payload=with_claims(v, nested(2000).replace(b"]", b"}", 1)))),
    "a raw NUL": (*NO_PAYLOAD, lambda v: v.raw(payload=with_claims(v, b'"x":"a\0b"'))),
    "a raw line feed": (*NO_PAYLOAD, lambda v: v.raw(payload=with_claims(v, b'"x":"a\nb"'))),
    "a raw tab": (*NO_PAYLOAD, lambda v: v.raw(payload=with_claims(v, b'"x":"a\tb"'))),
    "a number of C": (*NO_PAYLOAD, lambda v: v.raw(payload=with_claims(v, b'"x":01'))),
    # claims
    "iss a list": ("issuer-mismatch", 'says ""', lambda v: v.token(iss=[v.fake.issuer])),
    "iss missing": ("issuer-mismatch", 'says ""', lambda v: v.token(iss=...)),
    "iss with broken UTF-8": (
        "issuer-mismatch", "the id_token says",
        lambda v: v.raw(payload=with_claims(v, b'"iss":"' + v.fake.issuer.encode() + b'\xff"'))),
    "iss without the slash": ("issuer-mismatch", "the id_token says",
                              lambda v: v.token(iss=v.fake.issuer[:-1])),
    "aud a number": ("token-audience", "got 7", lambda v: v.token(aud=7)),
    "aud null": ("token-audience", "got null", lambda v: v.token(aud=None)),
    "aud an object": ("token-audience", 'got {"client":1}', lambda v: v.token(aud={"client": 1})),
    "aud in a list of lists": ("token-audience", 'got [["client"]]',
                               lambda v: v.token(aud=[["client"]])),
    "aud a list with a number": ("token-invalid", "its aud holds what is no string",
                                 lambda v: v.token(aud=["client", 7])),
    "aud the last of two": ("token-audience", 'got "x"',
                            lambda v: v.raw(payload=with_claims(v, b'"aud":"x"'))),
    "exp null": ("token-invalid", "its exp is no date", lambda v: v.token(exp=None)),
    "exp true": ("token-invalid", "its exp is no date", lambda v: v.token(exp=True)),
    "exp a word": ("token-invalid", "its exp is no date", lambda v: v.token(exp="tomorrow")),
    "exp a number with a blank": ("token-invalid", "its exp is no date",
                                  lambda v: v.token(exp=" 1795507422")),
    "exp missing": ("token-invalid", "its exp is missing", lambda v: v.token(exp=...)),
    "exp past": ("token-expired", "s past", lambda v: v.token(exp=1, iat=...)),
    "exp beyond 64 bits": ("token-invalid", "its exp is no date", lambda v: v.token(exp=1e30)),
    "iat null": ("token-invalid", "its iat is no date", lambda v: v.token(iat=None)),
    "iat a word": ("token-invalid", "its iat is no date", lambda v: v.token(iat="yesterday")),
    "nbf a list": ("token-invalid", "its nbf is no date", lambda v: v.token(nbf=[])),
    "nbf later": ("token-invalid", "valid only in",
                  lambda v: v.token(nbf=int(time.time()) + 300)),
    "sub a number": ("token-invalid", "its sub is no string", lambda v: v.token(sub=7)),
    "nonce a number": ("token-invalid", "its nonce is no string", lambda v: v.token(nonce=7)),
    # in another spelling, which Go takes as well, the last of all
    "iss, and ISS another": ("issuer-mismatch", 'the API server takes its "ISS" for iss',
                             lambda v: beside(v, '"ISS":"x"')),
    "iss, and ISS a number": ("issuer-mismatch", 'takes its "ISS" for iss',
                              lambda v: beside(v, '"ISS":7')),
    "iss, and another with a long s": ("issuer-mismatch", 'takes its "i\u017fs" for iss',
                                       lambda v: beside(v, '"i\u017fs":"x"')),
    "ISS alone": ("issuer-mismatch", 'says ""; its "ISS" counts for the API server alone',
                  lambda v: beside(v, '"ISS":@', iss=...)),
    "exp, and EXP past": ("token-expired", "EXP is ", lambda v: beside(v, '"EXP":1000')),
    "exp past, and EXP not": ("token-expired", "exp is ",
                              lambda v: beside(v, f'"EXP":{SOON}', exp=1000, iat=...)),
    "EXP alone": ("token-invalid", 'its exp is missing; its "EXP" counts for the API server alone',
                  lambda v: beside(v, f'"EXP":{SOON}', exp=...)),
    "exp, and EXP null": ("token-invalid", "its EXP is no date",
                          lambda v: beside(v, '"EXP":null')),
    "exp, and EXP a word": ("token-invalid", "its EXP is no date",
                            lambda v: beside(v, '"EXP":"x"')),
    "aud another, and Aud not": (
        "token-audience", 'got "x"; its "Aud" counts for the API server alone',
        lambda v: beside(v, '"Aud":"client"', aud="x")),
    "aud, and Aud another": ("token-audience", 'the API server takes its "Aud" for aud',
                             lambda v: beside(v, '"Aud":"x"')),
    "aud, and Aud null": ("token-audience", 'takes its "Aud" for aud',
                          lambda v: beside(v, '"Aud":null')),
    "AUD alone": ("token-audience", 'got none; its "AUD" counts for the API server alone',
                  lambda v: beside(v, '"AUD":"client"', aud=...)),
    "NBF later": ("token-invalid", "(NBF)", lambda v: beside(v, f'"NBF":{SOON}')),
    "Sub a number": ("token-invalid", "its Sub is no string", lambda v: beside(v, '"Sub":7')),
    "IAT a word": ("token-invalid", "its IAT is no date", lambda v: beside(v, '"IAT":"x"')),
    "iat a word, and once more": (
        "token-invalid", "its iat is no date",
        lambda v: v.raw(payload=b'{"iat":"x",' + json.dumps(v.claims()).encode()[1:])),
    "Nonce a number": ("token-invalid", "its Nonce is no string",
                       lambda v: beside(v, '"Nonce":7')),
    "AT_HASH a list": ("token-invalid", "its AT_HASH is no string",
                       lambda v: beside(v, '"AT_HASH":[]')),
    # claims that are elsewhere
    "_claim_names a string": ("token-invalid", "its _claim_names is no object of strings",
                              lambda v: v.token(_claim_names="x")),
    "_claim_names without a source": ("token-invalid", "its _claim_sources lacks that of groups",
                                      lambda v: v.token(_claim_names={"groups": "s"})),
    "_claim_names of null": ("token-invalid", "its _claim_sources lacks that of groups",
                             lambda v: v.token(_claim_names={"groups": None})),
    "_claim_sources a number": ("token-invalid", "its _claim_sources is no object of objects",
                                lambda v: v.token(_claim_sources=7)),
    "a source whose endpoint is a number": (
        "token-invalid", "its _claim_sources is no object of objects",
        lambda v: v.token(_claim_sources={"s": {"endpoint": 7}})),
    "at_hash a list": ("token-invalid", "its at_hash is no string",
                       lambda v: v.token(at_hash=["x"])),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(verify, name):
    code, says, make = REFUSED[name]
    verify.refuses(make(verify), code, says)


@pytest.mark.parametrize("alg", ["none", "HS256", "HS384", "HS512", "ES256K"])
def test_what_is_not_supported_is_refused_though_the_job_allows_it(verify, alg):
    """The configuration takes none of these; the program does not rely on it."""
    verify.published.append({"kty": "oct", "kid": "rsa", "k": b64(pem(verify))})
    token = hmac(verify, pem(verify), alg=alg) if alg[0] == "H" else unsecured(verify, alg)
    verify.refuses(token, "token-unverifiable", f"signed with {alg}",
                   signing_algs=f"RS256 {alg}")


# ---- what kube-apiserver takes -----------------------------------------------------------------

def unused_bits_set(token, part):
    """Another last character that stands for the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    parts = token.split(".")
    assert len(parts[part]) % 4, "it has unused bits"
    parts[part] = parts[part][:-1] + alphabet[alphabet.index(parts[part][-1]) + 1]
    return ".".join(parts)


def with_rest(verify, part, **kwargs):
    """A token one part of which ends within a group of four characters."""
    for n in range(3):
        token = verify.token(header={"x": "x" * n}, x="x" * n, **kwargs)
        if len(token.split(".")[part]) % 4:
            return token


TAKEN = {
    "exp in a string": lambda v: v.token(exp=str(SOON)),
    "exp with a fraction": lambda v: v.token(exp=SOON + 0.5),
    "exp with an exponent": lambda v: v.raw(payload=with_claims(v, b'"exp":1.9e9', exp=...)),
    "exp beyond all sense": lambda v: v.token(exp=10**18),
    "exp in milliseconds": lambda v: v.token(exp=SOON * 1000),
    "iat missing": lambda v: v.token(iat=...),
    "iat tomorrow": lambda v: v.token(iat=SOON + 86400, exp=SOON + 2 * 86400),
    "iat behind exp": lambda v: v.token(iat=SOON + 86400),
    "iat beyond 64 bits": lambda v: v.token(iat=1e30),
    "exp of 63 bits": lambda v: v.token(exp=9 * 10**18),
    "nbf beyond 64 bits": lambda v: v.token(nbf=1e30),
    "nbf null": lambda v: v.token(nbf=None),
    "nbf in 30 s": lambda v: v.token(nbf=int(time.time()) + 30),
    "sub missing": lambda v: v.token(sub=...),
    "sub null": lambda v: v.token(sub=None),
    "aud a list with it": lambda v: v.token(aud=["x", "client"], azp="x"),
    "aud a list with null": lambda v: v.token(aud=["client", None]),
    "a number over 64 bits": lambda v: v.token(n=2 ** 70),
    "a number over all bounds": lambda v: v.raw(payload=with_claims(v, b'"n":1e400')),
    "half an emoji": lambda v: v.token(name="Anna \ud83d"),
    "broken UTF-8": lambda v: v.raw(payload=with_claims(v, b'"name":"J\xfcrgen"')),
    "white space around": lambda v: v.raw(b' \t\r\n{ "alg" : "RS256" }\n',
                                          b"\n" + json.dumps(v.claims(), indent=1).encode()),
    "a claim of depth": lambda v: v.token(x=[[[[{"x": [1, {"y": None}]}]]]]),
    "a claim of great depth": lambda v: v.raw(payload=with_claims(v, nested(2000))),
    "a claim with a NUL": lambda v: v.token(x="a\0b"),
    "a NUL in the name of a claim": lambda v: v.token(**{"iss\0x": "x"}),
    "a NUL in another audience": lambda v: v.token(aud=["x\0y", "client"]),
    "jti a number": lambda v: v.token(jti=7),
    "a claim elsewhere": lambda v: v.token(**scripted.ELSEWHERE),
    "ISS before iss": lambda v: v.raw(
        payload=b'{"ISS":"x",' + json.dumps(v.claims()).encode()[1:]),
    "ISS null behind iss": lambda v: beside(v, '"ISS":null'),
    "a source without endpoint": lambda v: v.token(
        _claim_names={"a": "s"}, _claim_sources={"s": {"JWT": "x"}, "t": None}),
    "unused bits in the signature": lambda v: unused_bits_set(v.token(), 2),
    "unused bits in that of EdDSA": lambda v: unused_bits_set(v.token("Ed25519"), 2),
    "unused bits in that of ES256": lambda v: unused_bits_set(v.token("P-256"), 2),
}


@pytest.mark.parametrize("name", TAKEN)
def test_it_is_taken(verify, name):
    fetch = verify.takes(TAKEN[name](verify))
    assert fetch.warnings == []


def test_a_long_token_is_taken_with_a_warning(verify):
    fetch = verify.takes(verify.token(x="x" * (95 * 1024)))
    assert fetch.warnings == ["token-long"]


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("alg", ["RS256", "PS256"])
def test_unused_bits_that_were_signed_are_taken(verify, part, alg):
    """They are part of what is signed, so the token is signed anew with them."""
    text = unused_bits_set(with_rest(verify, part, alg=alg), part).rpartition(".")[0]
    signature = jwa.JWA.signing_alg(alg).sign(verify.keys["rsa"], text.encode())
    verify.takes(f"{text}.{b64(signature)}")


def test_of_a_claim_given_twice_the_last_counts_with_a_warning(verify):
    fetch = verify.takes(verify.raw(payload=with_claims(verify, b'"aud":"client"', aud="x")))
    assert fetch.warnings == ["claim-twice"]
    assert fetch.result["warning-detail"] == b"aud"


def test_a_second_iss_of_null_leaves_the_first(verify):
    assert verify.takes(beside(verify, '"iss":null')).warnings == ["claim-twice"]


def test_of_a_claim_in_two_spellings_both_have_to_be_good_with_a_warning(verify):
    fetch = verify.takes(beside(verify, '"ISS":@'))
    assert fetch.warnings == ["claim-twice"]
    assert fetch.result["warning-detail"] == b"iss and ISS"


# ---- the published keys ------------------------------------------------------------------------

def others(verify):
    return [k for k in verify.published if k["kid"] != "rsa"]


@pytest.mark.parametrize("changes", [
    {"use": None}, {"use": None, "alg": None}, {"alg": "RS256"},
    {"use": None, "key_ops": ["verify"]}, {"key_ops": ["sign", "verify"]},
    {"use": "enc"}, {"use": None, "key_ops": ["encrypt"]}, {"key_ops": []}, {"key_ops": 7},
    {"alg": "RS384"}, {"alg": "PS256"}, {"alg": "RSA-OAEP"},
    {"x5c": [], "x5t": "", "foreign": {"a": 1}}])
def test_a_key_that_says_more_or_less_is_used(verify, changes):
    """By alg, use and key_ops kube-apiserver passes over none."""
    verify.published = [*others(verify), public(verify.keys["rsa"], **changes)]
    assert verify.takes(verify.token()).warnings == []


@pytest.mark.parametrize("changes", [
    {"kid": "another"}, {"kid": "RSA"}, {"kid": ""}, {"kty": "EC"}, {"kty": "rsa"},
    {"n": None}, {"e": None}, {"n": "*"}])
def test_a_key_for_something_else_is_not(verify, changes):
    verify.published = [*others(verify), public(verify.keys["rsa"], **changes)]
    verify.refuses(verify.token(), "token-signature", 'no RS256 key named "rsa"')


@pytest.mark.parametrize("curve, changes", [
    ("Ed25519", {"crv": "X25519"}), ("Ed25519", {"crv": "Ed448"}), ("Ed448", {"crv": "Ed25519"}),
    ("Ed25519", {"kty": "EC"}), ("P-256", {"crv": "P-384"}), ("P-256", {"crv": "secp256k1"}),
    ("P-256", {"y": None}), ("P-521", {"kty": "OKP"})])
def test_a_key_whose_curve_is_another_is_not(verify, curve, changes):
    verify.published = [k for k in verify.published if k["kid"] != curve]
    verify.published.append(public(verify.keys[curve], **changes))
    verify.refuses(verify.token(curve), "token-signature",
                   f'no {NATURAL[curve]} key named "{curve}"')


def test_a_coordinate_without_its_leading_zero_is_no_key(verify):
    while True:
        key = jwk.JWK.generate(kty="EC", crv="P-256", kid="short")
        x = base64.urlsafe_b64decode(key.export_public(as_dict=True)["x"] + "==")
        if x[0] == 0:
            break
    verify.keys = {**verify.keys, "short": key}
    verify.published.append(public(key))
    verify.takes(verify.token("short", "ES256"))
    verify.published[-1] = public(key, x=b64(x[1:]))
    verify.refuses(verify.token("short", "ES256"), "token-signature", "no ES256 key")


def test_the_same_modulus_may_be_there_for_each_algorithm(verify):
    verify.published = [public(verify.keys["rsa"], kid=f"for-{a}", alg=a) for a in RSA]
    for alg in RSA:
        verify.takes(verify.token("rsa", alg, {"kid": f"for-{alg}"}))
        verify.takes(verify.token("rsa", alg, {"kid": ...}))
    verify.takes(verify.token("rsa", "PS256", {"kid": "for-RS256"}))


def test_of_keys_with_one_name_each_is_tried(verify):
    verify.published = [public(verify.keys["other"], kid="rsa"), public(verify.keys["P-256"]),
                        public(verify.keys["rsa"])]
    verify.takes(verify.token())


def test_keys_without_names_are_all_tried(verify):
    verify.published = [public(k, kid=None, use=None) for n, k in verify.keys.items()
                        if n != "secp256k1"]
    for alg, kind in ALGORITHMS.items():
        verify.takes(verify.token(kind, alg))
        verify.takes(verify.token(kind, alg, {"kid": ...}))


def test_a_key_without_a_name_is_none_to_the_api_server_where_the_token_names_one(verify):
    verify.published = [public(verify.keys["rsa"], kid=None)]
    assert verify.takes(verify.token(header={"kid": ...})).warnings == []
    fetch = verify.takes(verify.token())
    assert fetch.warnings == ["keys-unreadable"]
    assert fetch.result["warning-detail"] == (
        b'the token names key "rsa", and the key that signed it has no kid')
    verify.published.append(public(verify.keys["rsa"]))
    assert verify.takes(verify.token()).warnings == []


def test_of_very_many_keys_the_last_is_found(verify):
    verify.published = [public(verify.keys["other"], kid=str(i)) for i in range(199)]
    verify.published.append(public(verify.keys["rsa"]))
    assert verify.takes(verify.token()).warnings == []


def good_x5c(key, **changes):
    """A JWK with a certificate of that key, or of another."""
    der = certificate(key)
    return public(key, kid="2", **{"x5c": [base64.b64encode(der).decode()], **changes})


def certificate(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    private = serialization.load_pem_private_key(key.export_to_pem(True, None), None)
    start = datetime.datetime(2026, 1, 1)
    return (x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(7)
            .public_key(private.public_key()).not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(900)).sign(private, hashes.SHA256())
            .public_bytes(serialization.Encoding.DER))


def with_private(key, *names):
    """What is published, and these members of the private part."""
    whole = key.export(as_dict=True)
    return {**public(key), **{name: whole[name] for name in names}}


def more(key, name, times):
    """The member, and so many times what it is modulo of: it serves as well."""
    whole = {k: int.from_bytes(base64.urlsafe_b64decode(v + "=="), "big")
             for k, v in key.export(as_dict=True).items() if k in ("d", "qi", "p", "q")}
    modulus = whole["p"] if name == "qi" else (whole["p"] - 1) * (whole["q"] - 1)
    number = whole[name] + times * modulus
    return b64(number.to_bytes(number.bit_length() // 8 + 1, "big").lstrip(b"\0"))


# Verdicts of the token authenticator of Kubernetes 1.36 on a token whose own key is good.
SPOILS = {
    "a foreign kty": ('kty "x" is not one of its', lambda k: {"kty": "x"}),
    "no kty": ('kty "" is not one of its', lambda k: {}),
    "null": ("it is no object", lambda k: None),
    "a string": ("it is no object", lambda k: "x"),
    "kty in other case": ('kty "rsa" is not one of its', lambda k: public(k["other"], kty="rsa")),
    "RSA without n": ("it has no n", lambda k: public(k["other"], n=None)),
    "n a number": ("its n is not base64url without padding", lambda k: public(k["other"], n=7)),
    "n padded": ("its n is not base64url without padding",
                 lambda k: public(k["other"], n="AAA=")),
    "k bad, in a key of RSA": ("its k is not base64url without padding",
                               lambda k: public(k["other"], k="*")),
    "kid a number": ("its kid is no string", lambda k: public(k["other"], kid=7)),
    "alg a number": ("its alg is no string", lambda k: public(k["other"], alg=7)),
    "crv a number": ("its crv is no string", lambda k: public(k["other"], crv=7)),
    "x5u": ("it has an x5u", lambda k: public(k["other"], x5u="https://x/")),
    "X25519": ('curve "X25519" is not one of its', lambda k: public(k["Ed25519"], crv="X25519")),
    "Ed448": ('curve "Ed448" is not one of its', lambda k: public(k["Ed448"])),
    "Ed25519 without x": ("it has no x", lambda k: public(k["Ed25519"], x=None)),
    "secp256k1": ('curve "secp256k1" is not one of its', lambda k: public(k["secp256k1"])),
    "a point off its curve": ("its point is not on its curve",
                              lambda k: public(k["P-256"], y=b64(b"\1" * 32))),
    "a short coordinate": ("its x is not of the curve's length",
                           lambda k: public(k["P-256"], x="AAAA")),
    "a broken x5c": ("its x5c is no list of certificates",
                     lambda k: public(k["other"], x5c=["AAAA"])),
    "x5c of another key": ("its x5c certifies another key",
                           lambda k: good_x5c(k["rsa"], n=public(k["other"])["n"])),
    "x5t of a wrong length": ("its x5t is no thumbprint", lambda k: public(k["other"], x5t="AAAA")),
    "x5t padded": ("its x5t is no thumbprint",
                   lambda k: public(k["other"], x5t=b64(b"x" * 20) + "=")),
    "x5t of another certificate": ("its x5t is not that of its x5c",
                                   lambda k: good_x5c(k["other"], x5t=b64(b"x" * 20))),
    "x5t#S256 of a wrong length": ("its x5t#S256 is no thumbprint",
                                   lambda k: public(k["other"], **{"x5t#S256": "AAAA"})),
    "oct without k": ("it has no k", lambda k: {"kty": "oct"}),
    "oct with x5c": ("its x5c certifies another key",
                     lambda k: {"kty": "oct", "k": "AAAA", "x5c": good_x5c(k["other"])["x5c"]}),
    "half a private key": ("it has no p", lambda k: with_private(k["other"], "d")),
    "a private key that is none": ("its private part is none",
                                   lambda k: {**with_private(k["other"], "d", "p", "q"),
                                              "p": "AAAA"}),
    "a private key with another e": ("its private part is none",
                                     lambda k: {**with_private(k["other"], "d", "p", "q"),
                                                "e": "Aw"}),
    **{f"a private key with another {name}": (
        "its private part is none",
        lambda k, name=name: {**k["other"].export(as_dict=True), name: "AAAA"})
       for name in ("dp", "dq", "qi")},
    "a private key with d over n": (
        "its private part is none",
        lambda k: {**with_private(k["other"], "p", "q"), "d": more(k["other"], "d", 2)}),
    "a private key with qi over p": (
        "its private part is none",
        lambda k: {**k["other"].export(as_dict=True), "qi": more(k["other"], "qi", 1)}),
    "an EC key with a short d": ("its d is not of the curve's length",
                                 lambda k: {**with_private(k["P-256"], "d"), "d": "AAAA"}),
}


@pytest.mark.parametrize("name", SPOILS)
def test_a_key_that_the_api_server_cannot_read_spoils_the_set_for_it(verify, name):
    """The token is good, and served; the next one, with the keys that are kept, says so too."""
    why, make = SPOILS[name]
    verify.published = [public(verify.keys["rsa"]), make(verify.keys)]
    fetch = verify.takes(verify.token())
    assert fetch.warnings == ["keys-unreadable"], fetch.warnings
    detail = fetch.result["warning-detail"].decode()
    assert detail.startswith("key 2 of its set") and detail.endswith(": " + why), detail
    assert fetch(signing_algs=ALL, allow_http_loopback=1) == "token"
    assert fetch.paths == ["/oauth/token"] and fetch.warnings == ["keys-unreadable"]
    assert fetch.result["warning-detail"].decode() == detail


HARMLESS = {
    "oct": lambda k: {"kty": "oct", "k": "AAAA"},
    "RSA with an empty n": lambda k: {"kty": "RSA", "n": "", "e": "AQAB"},
    "RSA of few bits": lambda k: {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
    "RSA with e = 1": lambda k: public(k["other"], e="AQ"),
    "n with a line end": lambda k: public(k["other"], n="AAAA\nAAAA"),
    "a short Ed25519": lambda k: {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
    "kid null": lambda k: {**public(k["other"]), "kid": None},
    "x5u null": lambda k: {**public(k["other"]), "x5u": None},
    "good x5c": lambda k: good_x5c(k["other"]),
    "x5c of two lines": lambda k: good_x5c(k["other"], x5c=[
        base64.encodebytes(certificate(k["other"])).decode()]),
    "x5t alone": lambda k: public(k["other"], x5t=b64(b"x" * 20)),
    "x5t that fits": lambda k: good_x5c(
        k["other"], x5t=b64(hashlib.sha1(certificate(k["other"])).digest())),
    "x5t in hexadecimal": lambda k: good_x5c(
        k["other"], x5t=b64(hashlib.sha1(certificate(k["other"])).hexdigest().encode())),
    "x5t#S256 that fits": lambda k: good_x5c(
        k["other"], **{"x5t#S256": b64(hashlib.sha256(certificate(k["other"])).digest())}),
    "a private key": lambda k: with_private(k["other"], "d", "p", "q"),
    "a whole private key": lambda k: k["other"].export(as_dict=True),
    "y with a line end": lambda k: public(k["P-256"], y=public(k["P-256"])["y"] + "\n"),
    "a private key with another dp alone": lambda k: {**with_private(k["other"], "d", "p", "q"),
                                                      "dp": "AAAA"},
    "a private key of EC": lambda k: with_private(k["P-256"], "d"),
    "p and q without d": lambda k: with_private(k["other"], "p", "q"),
    "NUL in kid": lambda k: public(k["other"], kid="a\0b"),
    "key_ops a string": lambda k: public(k["other"], key_ops="x"),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_key_that_the_api_server_reads_spoils_nothing(verify, name):
    verify.published = [public(verify.keys["rsa"]), HARMLESS[name](verify.keys)]
    assert verify.takes(verify.token()).warnings == []


@pytest.mark.parametrize("make, why", [
    (lambda k: public(k, e="AQ"), "its e is no odd number from 3 to 2147483647"),
    (lambda k: public(k, e="Ag"), "its e is no odd number from 3 to 2147483647"),
    (lambda k: public(k, e=b64(b"\1\0\0\0\1")), "its e is no odd number from 3 to 2147483647"),
    (lambda k: public(k, n="AQAB"), "it has fewer than 1024 bits"),
    (lambda k: k.export(as_dict=True), "its private part is published, with which anybody signs")])
@pytest.mark.parametrize("alone", [True, False])
def test_a_key_with_which_anybody_signs_is_no_key(verify, make, why, alone):
    verify.published = [*([] if alone else others(verify)), make(verify.keys["rsa"])]
    verify.refuses(verify.token(), "key-unsafe", f'key "rsa": {why}')
    verify.published.append(public(verify.keys["rsa"]))
    if "private" not in why:
        verify.takes(verify.token())


def test_a_key_whose_private_part_is_published_as_another_verifies_nothing(verify):
    """The API server takes what it signs, so it is served; but who signed it nobody knows."""
    private = {**verify.keys["rsa"].export(as_dict=True), "kid": "other"}
    verify.published = [public(verify.keys["rsa"]), private, public(verify.keys["P-256"])]
    fetch = verify(verify.token())
    for _ in range(2):  # it is not kept: the next job finds that out, too
        assert (fetch.result["outcome"], fetch.result["verified"]) == (b"token", b"0")
        assert fetch.warnings == ["key-unsafe"]
        assert fetch.result["warning-detail"] == (
            b'key "rsa": its private part is published as another')
        fetch(signing_algs=ALL, allow_http_loopback=1)
    assert verify.takes(verify.token("P-256")).warnings == []


def forged_without_a_key(verify, header):
    """By e = 1 what is signed is the padded digest itself."""
    text = ".".join(b64(json.dumps(p).encode()) for p in (header, verify.claims()))
    digest = (bytes.fromhex("3031300d060960864801650304020105000420")
              + hashlib.sha256(text.encode()).digest())
    return f"{text}." + b64(b"\0\1" + b"\xff" * (253 - len(digest)) + b"\0" + digest)


def test_what_is_forged_without_any_key_is_refused(verify):
    verify.published = [public(verify.keys["rsa"], e="AQ")]
    for header in {"alg": "RS256", "kid": "rsa"}, {"alg": "RS256"}:
        verify.refuses(forged_without_a_key(verify, header), "key-unsafe",
                       'key "rsa": its e is no odd number')
    # R the base point, S one: by the neutral point that is good for any text
    verify.published = [public(verify.keys["Ed25519"], x=b64(b"\1" + bytes(31)))]
    text = verify.token("Ed25519").rpartition(".")[0]
    forged = b64(b"\x58" + b"\x66" * 31 + b"\1" + bytes(31))
    verify.refuses(f"{text}.{forged}", "key-unsafe",
                   'key "Ed25519": it is a point of small order')


NO_SET, NO_KEY = "the answer is not a JWK Set", "its set holds no RSA, EC or OKP key for signatures"


@pytest.mark.parametrize("body, why", [
    (b'{"keys":[]}', NO_KEY), (b'{"keys":[{"kty":"oct","k":"AAAA","kid":"rsa"}]}', NO_KEY),
    (b'{"keys":[{"kty":"OKP","crv":"X25519","x":"AAAA"},null]}', NO_KEY),
    (b'{"keys":[{"kty":"RSA","n":"","e":"AQAB","kid":"rsa"}]}', NO_KEY),
    (b"{}", NO_SET), (b"[]", NO_SET), (b"<html>", NO_SET), (b"", NO_SET)])
def test_a_set_without_a_usable_key_verifies_nothing_and_is_told(verify, body, why):
    """Served, since it came from the token endpoint; but what the API server has it cannot use."""
    verify.fake.answers = {KEYS: (200, {}, body),
                           "/oauth/token": json_answer({"id_token": verify.token()})}
    fetch = Fetch(verify.fake)
    for _ in range(2):
        assert fetch(signing_algs=ALL, allow_http_loopback=1) == "token"
        assert (fetch.result["verified"], fetch.warnings) == (b"0", ["keys-unreadable"])
        assert fetch.result["warning-detail"].decode() == why
    by_hand = verify.fake.base + KEYS  # which the API server knows not
    assert fetch(signing_algs=ALL, allow_http_loopback=1, jwks_uri=by_hand) == "token"
    assert (fetch.result["verified"], fetch.warnings) == (b"0", ["not-verified"])


def test_a_set_with_a_byte_order_mark_is_told(verify):
    body = b"\xef\xbb\xbf" + json.dumps({"keys": verify.published}).encode()
    verify.fake.answers = {KEYS: (200, {}, body),
                           "/oauth/token": json_answer({"id_token": verify.token()})}
    fetch = Fetch(verify.fake)
    assert fetch(signing_algs=ALL, allow_http_loopback=1) == "token"
    assert (fetch.result["verified"], fetch.warnings) == (b"1", ["keys-unreadable"])
    assert fetch.result["warning-detail"] == b"its set begins with a byte order mark"


DISCOVERY = "/.well-known/openid-configuration"
MARK = b"\xef\xbb\xbf"
DOCUMENTS = {  # as Go's encoding/json and go-oidc read them
    "a byte order mark": (MARK, {}, "it begins with a byte order mark"),
    "a number": (b"", {"userinfo_endpoint": 5}, "its userinfo_endpoint is no text"),
    "a list": (b"", {"Authorization_Endpoint": []}, "its Authorization_Endpoint is no text"),
    "another issuer": (b"", {"ISSUER": "https://other/"},
                       "its ISSUER, taken for issuer, is another"),
    "nothing": (b"", {"userinfo_endpoint": None, "ISSUER": None, "scopes_supported": 5}, None),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_discovery_document_that_the_api_server_cannot_read_is_told(verify, name):
    """The token is served; by the next job, too, which has the endpoints from the one before."""
    before, members, why = DOCUMENTS[name]
    body = before + json.dumps({**verify.fake.discovery(), **members}).encode()
    verify.fake.answers = {DISCOVERY: (200, {}, body),
                           KEYS: json_answer({"keys": verify.published}),
                           "/oauth/token": json_answer({"id_token": verify.token()})}
    fetch = Fetch(verify.fake)
    for _ in range(2):
        assert fetch(signing_algs=ALL, allow_http_loopback=1) == "token"
        assert fetch.result["verified"] == b"1"
        assert fetch.warnings == ([] if why is None else ["discovery-unreadable"])
        assert fetch.result.get("warning-detail") == (None if why is None else why.encode())
    assert fetch.paths == ["/oauth/token"]


def test_a_byte_order_mark_before_the_token_endpoint_s_answer_is_passed_over(verify):
    """Which no API server reads (RFC 8259, section 8.1)."""
    answer = json.dumps({"id_token": verify.token()}).encode()
    verify.fake.answers = {KEYS: json_answer({"keys": verify.published}),
                           "/oauth/token": (200, {"Content-Type": "application/json"},
                                            MARK + answer)}
    fetch = Fetch(verify.fake)
    assert fetch(signing_algs=ALL, allow_http_loopback=1) == "token" and fetch.warnings == []


@pytest.mark.parametrize("members", [
    '{"KEYS":%s}', '{"keys":[],"keys":%s}', '{"keys":[],"Keys":%s}'])
def test_the_keys_are_found_as_go_finds_them(verify, members):
    keys = members % json.dumps([public(verify.keys["rsa"])])
    token = verify.token()
    verify.fake.answers = {KEYS: (200, {}, keys.encode()),
                           "/oauth/token": json_answer({"id_token": token})}
    fetch = Fetch(verify.fake)
    assert fetch(signing_algs=ALL, allow_http_loopback=1) == "token"
    assert fetch.result["verified"] == b"1"


@pytest.mark.parametrize("size", [1024, 3072, 4096])
def test_rsa_keys_of_other_sizes_are_used(verify, size):
    """1024 bits are too few by RFC 7518 §3.3; but Go, and so kube-apiserver, takes them."""
    verify.keys = {**verify.keys, "sized": jwk.JWK.generate(kty="RSA", size=size, kid="sized")}
    verify.published.append(public(verify.keys["sized"]))
    for alg in ("RS256", "PS256"):
        verify.takes(verify.token("sized", alg))


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_is_kept_of_the_keys_serves_the_next_job(verify, alg):
    verify.published.insert(0, public(verify.keys["other"], kid="first"))
    fetch = verify.takes(verify.token(ALGORITHMS[alg], alg))
    job = {"signing_algs": ALL, "allow_http_loopback": 1}
    assert fetch(**job) == "token" and fetch.result["verified"] == b"1"
    assert fetch.paths == ["/oauth/token"]
    verify.fake.answers["/oauth/token"] = json_answer({"id_token": verify.token("other", "RS256")})
    assert fetch(**job) == "doubtful" and fetch.paths == ["/oauth/token", KEYS]
    assert fetch.result["detail"] == b'the provider publishes no RS256 key named "other"'


# ---- from a real provider, through the daemon --------------------------------------------------

REAL = [("oidc-es256", "ES256"), ("oidc-ps256", "PS256"), ("oidc-eddsa", "EdDSA")]


@pytest.mark.parametrize("instance, alg", REAL)
def test_a_token_of_a_real_provider_is_served(provider, home, daemon, instance, alg):
    home.configure(provider.profile("p", instance=instance, extra=f"signing-algs = RS256 {alg}"))
    daemon.start()
    r = home.run("get")
    assert r.returncode == 0, r.stderr
    head = json.loads(base64.urlsafe_b64decode(r.stdout.split(".")[0] + "=="))
    assert head["alg"] == alg
    status = home.status("p")
    assert status["verified"] is True and status["warnings"] == []


@pytest.mark.parametrize("instance, alg", REAL)
def test_it_is_not_served_where_it_is_not_allowed(provider, home, daemon, instance, alg):
    home.configure(provider.profile("p", instance=instance))
    daemon.start()
    r = home.run("get")
    assert r.returncode == 8 and r.stdout == ""
    assert f"signed with {alg}; signing-algs allows RS256" in r.stderr
