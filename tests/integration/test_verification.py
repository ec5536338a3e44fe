"""Which id_tokens kubetoken-fetch takes. They are signed by jwcrypto, which shares no code with
what verifies them; what is wrong with each is named, by the code and in words."""
import base64
import json
import time

import pytest
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
        self.published = [public(k) for n, k in keys.items() if n not in ("other", "secp256k1")]

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
    verify.takes(verify.token("Ed448"), signing_algs="EdDSA")


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
    {"kid": ...}, {"kid": ""}, {"kid": None}, {"b64": True},
    {"cty": "JWT", "jku": "https://evil.example/", "x5t": "AAAA", "jwk": {"kty": "oct"}}])
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
    "crit empty": ("token-invalid", "crit", lambda v: v.token(header={"crit": []})),
    "crit b64": ("token-invalid", "crit",
                 lambda v: v.token(header={"crit": ["b64"], "b64": False})),
    "b64 false": ("token-invalid", "b64", lambda v: v.token(header={"b64": False})),
    "header a list": (*NO_HEADER, lambda v: v.raw(b'["RS256"]')),
    "header not JSON": (*NO_HEADER, lambda v: v.raw(b"alg: RS256")),
    "header with text behind it": (*NO_HEADER, lambda v: v.raw(b'{"alg":"RS256"}{}')),
    "NUL in alg": (*NO_HEADER, lambda v: v.raw(b'{"alg":"RS256\\u0000"}')),
    "NUL in kid": (*NO_HEADER, lambda v: v.raw(b'{"alg":"RS256","kid":"rsa\\u0000x"}')),
    "a raw NUL behind the header": (*NO_HEADER, lambda v: v.raw(b'{"alg":"RS256"}\0')),
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
    "NUL in iss": (*NO_PAYLOAD, lambda v: v.token(iss=v.fake.issuer + "\0.evil.example/")),
    "NUL in aud": (*NO_PAYLOAD, lambda v: v.token(aud="client\0x")),
    "NUL in a list of aud": (*NO_PAYLOAD, lambda v: v.token(aud=["x", "client\0x"])),
    "NUL in the name of a claim": (*NO_PAYLOAD, lambda v: v.token(**{"iss\0x": "x"})),
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
    "iat null": ("token-invalid", "its iat is no date", lambda v: v.token(iat=None)),
    "iat a word": ("token-invalid", "its iat is no date", lambda v: v.token(iat="yesterday")),
    "nbf a list": ("token-invalid", "its nbf is no date", lambda v: v.token(nbf=[])),
    "nbf later": ("token-invalid", "valid only in",
                  lambda v: v.token(nbf=int(time.time()) + 300)),
    "sub a number": ("token-invalid", "its sub is no string", lambda v: v.token(sub=7)),
    "nonce a number": ("token-invalid", "its nonce is no string", lambda v: v.token(nonce=7)),
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


SOON = int(time.time()) + 3600

TAKEN = {
    "exp in a string": lambda v: v.token(exp=str(SOON)),
    "exp with a fraction": lambda v: v.token(exp=SOON + 0.5),
    "exp with an exponent": lambda v: v.raw(payload=with_claims(v, b'"exp":1.9e9', exp=...)),
    "exp beyond all sense": lambda v: v.token(exp=10**18),
    "exp in milliseconds": lambda v: v.token(exp=SOON * 1000),
    "iat missing": lambda v: v.token(iat=...),
    "iat tomorrow": lambda v: v.token(iat=SOON + 86400, exp=SOON + 2 * 86400),
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


# ---- the published keys ------------------------------------------------------------------------

def others(verify):
    return [k for k in verify.published if k["kid"] != "rsa"]


@pytest.mark.parametrize("changes", [
    {"use": None}, {"use": None, "alg": None, "kid": None}, {"alg": "RS256"},
    {"use": None, "key_ops": ["verify"]}, {"key_ops": ["sign", "verify"]},
    {"x5c": ["AAAA"], "x5t": "AAAA", "foreign": {"a": 1}}])
def test_a_key_that_says_more_or_less_is_used(verify, changes):
    verify.published = [*others(verify), public(verify.keys["rsa"], **changes)]
    verify.takes(verify.token())


@pytest.mark.parametrize("changes", [
    {"use": "enc"}, {"use": None, "key_ops": ["encrypt"]}, {"key_ops": []}, {"alg": "RS384"},
    {"alg": "PS256"}, {"alg": "RSA-OAEP"}, {"kid": "another"}, {"kty": "EC"}, {"kty": "rsa"},
    {"n": None}, {"e": None}, {"n": "AQAB"}, {"n": "*"}])
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
    verify.refuses(verify.token("rsa", "PS256", {"kid": "for-RS256"}), "token-signature",
                   'no PS256 key named "for-RS256"')


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


@pytest.mark.parametrize("size", [1024, 3072, 4096])
def test_rsa_keys_of_other_sizes_are_used(verify, size):
    """1024 bits are too few by RFC 7518 §3.3; but Go, and so kube-apiserver, takes them."""
    verify.keys = {**verify.keys, "sized": jwk.JWK.generate(kty="RSA", size=size, kid="sized")}
    verify.published.append(public(verify.keys["sized"]))
    for alg in ("RS256", "PS256"):
        verify.takes(verify.token("sized", alg))


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_is_kept_of_the_keys_serves_the_next_job(verify, alg):
    verify.published.insert(0, public(verify.keys["other"], kid=None, key_ops=["encrypt"]))
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
