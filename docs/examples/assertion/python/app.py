"""An app behind Secondgate that believes the assertion and nothing else.

    pip install -r requirements.txt
    APP_ORIGIN=https://app.example.com python3 app.py
"""

import json
import os
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt


class Keys:
    """The gateway's public keys, by ID.

    They are kept for five minutes. One that is not among them has the app look again,
    every ten seconds at most, because a new key signs at once.
    """

    def __init__(self, url):
        self.url = url
        self.lock = threading.Lock()
        self.keys = {}
        self.loaded = None

    def find(self, kid):
        with self.lock:
            age = float("inf") if self.loaded is None else time.monotonic() - self.loaded
            if age > 300 or (kid not in self.keys and age > 10):
                self.keys = self.load()
                self.loaded = time.monotonic()
            return self.keys[kid]

    def load(self):
        with urllib.request.urlopen(self.url, timeout=5) as answer:
            document = json.loads(answer.read(1 << 16))
        keys = {}
        for k in document["keys"]:
            if k.get("kid") and k.get("alg") in ("EdDSA", "ES256"):
                keys[k["kid"]] = (k["alg"], jwt.PyJWK(k, k["alg"]).key)
        return keys


class Verifier:
    """Checks assertions for one app."""

    def __init__(self, origin, issuer, keys):
        self.origin, self.issuer, self.keys = origin, issuer, keys

    def verify(self, token):
        """Takes the header's value and returns the claims, or raises."""
        header = jwt.get_unverified_header(token)
        # Another kind of token of the same issuer is no assertion.
        if header.get("typ") != "mfa-assertion+jwt":
            raise jwt.InvalidTokenError("another kind of token")
        if "crit" in header:
            raise jwt.InvalidTokenError("it asks for something that is not understood")
        if not isinstance(header.get("kid"), str):
            raise jwt.InvalidTokenError("no key is named")
        # The key says which algorithm, never the token.
        algorithm, key = self.keys.find(header["kid"])
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=self.issuer,
            audience=self.origin,
            leeway=10,
            options={"require": ["iss", "aud", "sub", "iat", "nbf", "exp"]},
        )
        if not claims["sub"]:
            raise jwt.InvalidTokenError("nobody's")
        return claims


class App(BaseHTTPRequestHandler):
    verifier = None

    def do_GET(self):
        try:
            lines = self.headers.get_all("Mfa-Assertion") or []
            if len(lines) != 1:
                raise jwt.InvalidTokenError("no assertion")
            user = self.verifier.verify(lines[0])
            status, text = 200, "hello %s (%s), by %s\n" % (user["preferred_username"], user["sub"], " ".join(user.get("amr", [])))
        except Exception as err:  # whatever it is, it is no permission
            print("refused:", repr(err), file=sys.stderr)
            status, text = 401, "not believed\n"
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def main():
    origin = os.environ.get("APP_ORIGIN")
    if not origin:
        sys.exit("APP_ORIGIN is missing: the address of this app as browsers see it")
    issuer = os.environ.get("ASSERTION_ISSUER") or origin
    App.verifier = Verifier(origin, issuer, Keys(os.environ.get("JWKS_URL") or issuer + "/.mfa/jwks.json"))
    host, port = (os.environ.get("LISTEN") or "127.0.0.1:3000").rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), App)
    print("listening on http://%s:%d" % server.server_address[:2], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
