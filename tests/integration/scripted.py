"""A provider that says what a test tells it to, for shapes and faults that no real one produces
on command. It records every request that it saw."""
import base64
import functools
import http.server
import json
import pathlib
import socket
import ssl
import sys
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
        return self.sign_text(json.dumps({k: v for k, v in claims.items() if v is not None}), head)

    def sign_text(self, payload, header=None):
        """A payload as it stands."""
        head = header or {"alg": "RS256", "typ": "JWT", "kid": self.kid}
        text = ".".join(b64(part.encode()) for part in (
            json.dumps({k: v for k, v in head.items() if v is not None}), payload))
        signature = self.private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{b64(signature)}"


@functools.lru_cache(maxsize=None)
def shared_key():
    """That of every provider, made once a run, since RSA keys take a while. A test that is about
    another key makes one."""
    return Key()


# Claims that say where the groups are. The API server takes no name without a source.
ELSEWHERE = {"_claim_names": {"groups": "src1"},
             "_claim_sources": {"src1": {"endpoint": "https://groups.example.com/"}}}


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.at = time.monotonic()

    @property
    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True,
                                           strict_parsing=True))


def shake_hands(connection):
    """Where that fails, the alert has to arrive: closed at once, the connection would be reset by
    what the peer has sent meanwhile."""
    try:
        connection.do_handshake()
        return True
    except ssl.SSLError:
        connection.shutdown(socket.SHUT_WR)
        while socket.socket.recv(connection, 4096):
            pass
        return False


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    context = None  # of TLS; for each connection anew, so that a test may change it

    def __init__(self, host, handler, port=0):
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), handler)

    def get_request(self):
        connection, peer = super().get_request()
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True,
                                                  do_handshake_on_connect=False)
        return connection, peer

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # who hangs up is no news
            super().handle_error(request, client_address)


class Provider:
    """Shaped as Auth0 by default: issuer with a final slash, /oauth/token. Change the
    attributes, or set `answers[path]` to (status, headers, body), to pieces of bytes that are
    sent as they are before the connection closes, or to a function of the request that returns
    either."""

    def __init__(self, folder, issuer_path="/", tls=True, host="127.0.0.1", name=None):
        self.folder = pathlib.Path(folder)
        self.key = shared_key()
        self.requests = []
        self.answers = {}
        self.claims = {}
        self.members = {}  # of every answer with a token
        self.tokens = []  # all that were made
        self.lifetime = 3600
        self.clock = time.time  # that of Date and of the claims
        self.closing = None  # "at once": after each answer, "when asked": at a second request
        self.hanging = threading.Event()  # set when hung requests may end
        self.placeholder = None
        self.server = _Server(host, self._handler())
        self.port = self.server.server_address[1]
        self.name = name or (f"[{host}]" if ":" in host else host)
        self.host = f"{self.name}:{self.port}"
        if tls:
            self.ca_file = self.folder / "provider-ca.pem"
            self.certify(names=(name or host,))
        self.base = f"http{'s' if tls else ''}://{self.host}"
        self.issuer = self.base + issuer_path
        self._serve()

    def _serve(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def certify(self, trusted=True, **kwargs):
        """Takes a new certificate, by an authority of its own."""
        files = apiserver.make_tls_files(self.folder, f"certificate-{time.monotonic_ns()}",
                                         **kwargs)
        if trusted:
            self.ca_file.write_bytes(files.ca.read_bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        self.server.context = context

    @property
    def context(self):
        return self.server.context

    def require_client_certificate(self, ca_file):
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_verify_locations(ca_file)

    def hang(self, path):
        """Requests for that path get no answer while the provider runs."""
        def answer(_):
            self.hanging.wait()
            return 500, {}, b""
        self.answers[path] = answer

    def drip(self):
        """An answer that never ends: a header, byte by byte."""
        yield b"HTTP/1.1 200 OK\r\nX: "
        while not self.hanging.wait(0.05):
            yield b"x"

    def refuse(self):
        """Nobody listens any more, and nobody else gets the port."""
        family, address = self.server.address_family, self.server.server_address
        self.stop()
        self.placeholder = socket.socket(family)
        self.placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.placeholder.bind(address)

    def listen_again(self):
        """After refuse(), at the same port."""
        former, self.server = self.server, _Server(
            self.server.server_address[0], self._handler(), self.port)
        self.server.context = former.context
        self.placeholder.close()
        self._serve()

    def stop(self):
        self.hanging.set()
        if self.server.fileno() >= 0:
            self.server.socket.shutdown(socket.SHUT_RDWR)  # its thread wakes at once
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        if self.placeholder:
            self.placeholder.close()

    def profile(self, name="p", password="password = canary-pw", user="someone", extra=""):
        """A [profile] section for this provider."""
        return (f"[profile {name}]\nissuer = {self.issuer}\nca-file = {self.ca_file}\n"
                f"client-id = client\nusername = {user}\n{password}\n{extra}\n")

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
                 "email_verified": True, "jti": str(len(self.tokens)), **self.claims, **claims}
        self.tokens.append(self.key.sign({k: v for k, v in whole.items() if v is not None}))
        return self.tokens[-1]

    def token(self, **members):
        return {"access_token": "opaque", "id_token": self.id_token(), "token_type": "Bearer",
                "scope": "openid profile email", "expires_in": 86400, **self.members,
                **members}

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
            disable_nagle_algorithm = True  # or a body waits 40 ms for the ACK of its head

            def handle(self):
                if isinstance(self.connection, ssl.SSLSocket) and not shake_hands(self.connection):
                    return
                super().handle()

            def serve(self):
                length = int(self.headers.get("Content-Length", 0))
                request = Request(self.command, self.path, self.headers, self.rfile.read(length))
                provider.requests.append(request)
                answer = provider.answer(request)
                if isinstance(answer, tuple):
                    self.respond(*answer)
                else:
                    self.send_pieces(answer)

            def respond(self, status, headers, body):
                self.send_response_only(status)
                if "Date" not in headers:
                    self.send_header("Date", self.date_time_string(int(provider.clock())))
                for name, value in headers.items():
                    if value is not None:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                if provider.closing:
                    self.close_connection = True
                if provider.closing == "when asked":
                    self.connection.recv(1)

            def send_pieces(self, pieces):
                self.close_connection = True
                for piece in pieces:
                    self.wfile.write(piece)
                if isinstance(self.connection, ssl.SSLSocket) and not provider.hanging.is_set():
                    self.connection.unwrap()  # TLS too says that this was all

            do_GET = do_POST = serve

            def log_message(self, *args):
                pass

        return Handler


def json_answer(value, status=200, **headers):
    return status, {"Content-Type": "application/json", **headers}, json.dumps(value).encode()


class Proxy:
    """An HTTP proxy for CONNECT; `seen` holds (target, user and password). It demands `login`
    ("user:password") if that is set, in the ways that `schemes` names, and answers each CONNECT
    with `status` if that is set. With a context (of TLS) it is one for https:// in its URL. `hosts`
    has addresses of names that it alone knows."""

    def __init__(self, login=None, schemes=("Basic realm=\"proxy\"",), status=None, context=None):
        self.seen, self.hosts = [], {}
        self.login, self.schemes, self.status, self.context = login, schemes, status, context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def stop(self):
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.thread.join()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _refuse(self, client, status):
        fields = "".join(f"Proxy-Authenticate: {s}\r\n" for s in self.schemes if status == 407)
        client.sendall(f"HTTP/1.1 {status} No\r\n{fields}Content-Length: 2\r\n\r\nno".encode())
        client.close()

    def _tunnel(self, client):
        if self.context:
            client = self.context.wrap_socket(client, server_side=True)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        lines = head.decode().split("\r\n")
        target = lines[0].split()[1]
        basic = [line.split()[2] for line in lines
                 if line.lower().startswith("proxy-authorization: basic ")]
        self.seen.append((target, base64.b64decode(basic[0]).decode() if basic else None))
        status = self.status or (407 if self.login not in (None, self.seen[-1][1]) else 200)
        if status != 200:
            self._refuse(client, status)
            return
        host, port = target.rsplit(":", 1)
        upstream = socket.create_connection((self.hosts.get(host, host), int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=self._copy, args=(upstream, client), daemon=True)
        back.start()
        self._copy(client, upstream)
        back.join()
        client.close()
        upstream.close()

    @staticmethod
    def _copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
