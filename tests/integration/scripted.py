"""A provider that says what a test tells it to, for shapes and faults that no real one produces
on command. It records every request that it saw."""
import base64
import http.server
import json
import ssl
import threading
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import apiserver


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """An RSA key and the JWK that is published of it."""

    def __init__(self, kid="key-1"):
        self.kid = kid
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwk(self, **changes):
        n = self.private.public_key().public_numbers()
        whole = {"kty": "RSA", "kid": self.kid, "alg": "RS256", "use": "sig",
                 "n": b64(n.n.to_bytes(256, "big")), "e": b64(n.e.to_bytes(3, "big"))}
        whole.update(changes)
        return {k: v for k, v in whole.items() if v is not None}

    def sign(self, claims, header=None):
        head = {"alg": "RS256", "typ": "JWT", "kid": self.kid, **(header or {})}
        text = ".".join(b64(json.dumps({k: v for k, v in part.items() if v is not None}).encode())
                        for part in (head, claims))
        signature = self.private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{b64(signature)}"


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @property
    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True,
                                           strict_parsing=True))


class Provider:
    """Shaped as Auth0 by default: issuer with a final slash, /oauth/token. Change the
    attributes, or set `answers[path]` to (status, headers, body) or to a function of the
    request that returns it."""

    def __init__(self, folder, issuer_path="/"):
        self.key = Key()
        self.requests = []
        self.answers = {}
        self.claims = {}
        self.lifetime = 3600
        self.clock = time.time  # that of Date and of the claims
        tls = apiserver.make_tls_files(str(folder), "provider")
        self.ca_file = tls.ca
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.cert, tls.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        self.base = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.issuer = self.base + issuer_path
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def grants(self):
        return [r for r in self.requests if r.path == "/oauth/token"]

    def discovery(self):
        return {"issuer": self.issuer, "token_endpoint": self.base + "/oauth/token",
                "jwks_uri": self.base + "/.well-known/jwks.json",
                "token_endpoint_auth_methods_supported": ["client_secret_basic",
                                                          "client_secret_post"]}

    def id_token(self, **claims):
        now = int(self.clock())
        whole = {"iss": self.issuer, "aud": "client", "sub": "auth0|1", "iat": now,
                 "exp": now + self.lifetime, "email": "someone@example.com",
                 "email_verified": True, **self.claims, **claims}
        return self.key.sign({k: v for k, v in whole.items() if v is not None})

    def token(self, **members):
        return {"access_token": "opaque", "id_token": self.id_token(), "token_type": "Bearer",
                "scope": "openid profile email", "expires_in": 86400, **members}

    def default_answer(self, path):
        if path == self.issuer[len(self.base):].rstrip("/") + "/.well-known/openid-configuration":
            return json_answer(self.discovery())
        if path == "/.well-known/jwks.json":
            return json_answer({"keys": [self.key.jwk()]})
        if path == "/oauth/token":
            return json_answer(self.token())
        return 404, {}, b"not here"

    def answer(self, request):
        answer = self.answers.get(request.path) or self.default_answer(request.path)
        return answer(request) if callable(answer) else answer

    def _handler(provider):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def serve(self):
                length = int(self.headers.get("Content-Length", 0))
                request = Request(self.command, self.path, self.headers, self.rfile.read(length))
                provider.requests.append(request)
                status, headers, body = provider.answer(request)
                self.send_response_only(status)
                if "Date" not in headers:
                    self.send_header("Date", self.date_time_string(int(provider.clock())))
                for name, value in headers.items():
                    if value is not None:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = serve

            def log_message(self, *args):
                pass

        return Handler


def json_answer(value, status=200, **headers):
    return status, {"Content-Type": "application/json", **headers}, json.dumps(value).encode()
