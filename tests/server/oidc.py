"""Log-in through identity providers, against providers that run here: two of our own, which can be made to lie in one
way at a time, and one that others wrote (oidc-provider-mock).

Every lie is told in a flow that succeeds without it, so that what refuses it is what the test is about.

    ENCLAVE_BIN=target/debug/enclave pytest tests/server/oidc.py
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit, urlunsplit

import httpx
import oidc_provider_mock
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

BINARY = os.environ.get("ENCLAVE_BIN")
pytestmark = pytest.mark.skipif(BINARY is None, reason="ENCLAVE_BIN names no binary")

COOKIE = "__Host-enclave-oidc"
CLIENT = "enclave at the city"
JSON = {"Accept": "application/json"}


# --- A provider that can lie -----------------------------------------------------------------------------------------


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


def signed(claims: dict[str, Any], key: RSAKey) -> str:
    return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": key.kid}, claims, key)


def unsigned(claims: dict[str, Any], key: RSAKey) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT", "kid": key.kid}, claims)]
    return ".".join([*map(base64url, parts), ""])


class Provider:
    """Authorization code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636), RS256, RFC 9207."""

    def __init__(self) -> None:
        self.secret = secrets.token_urlsafe(24) + " +/%"
        self.key = new_key("first")
        #: Who sits at the browser.
        self.sub = "nobody"
        #: What the ID token says, before it is signed; and how it is signed.
        self.lie: Callable[[dict[str, Any]], object] = lambda claims: None
        self.sign: Callable[[dict[str, Any], RSAKey], str] = signed
        #: Everything that must be in no log.
        self.told: set[str] = {self.secret}
        self.discovered = 0
        self.codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.get(self)

            def do_POST(self) -> None:
                provider.post(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def truthful(self) -> None:
        self.lie, self.sign = lambda claims: None, signed

    def get(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path
        if path == "/.well-known/openid-configuration":
            self.discovered += 1
            answer(request, 200, self.metadata())
        elif path == "/jwks":
            answer(request, 200, KeySet([self.key]).as_dict(private=False))
        elif path == "/authorize":
            self.authorize(request, dict(parse_qsl(urlsplit(request.path).query)))
        else:
            answer(request, 404, {})

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def authorize(self, request: BaseHTTPRequestHandler, asked: dict[str, str]) -> None:
        same = {"response_type": "code", "client_id": CLIENT, "code_challenge_method": "S256"}
        if same.items() - asked.items() or "openid" not in asked.get("scope", "").split():
            return answer(request, 400, {"error": "invalid_request"})
        code = secrets.token_urlsafe(24)
        self.told |= {code, asked["state"], asked["nonce"]}
        self.codes[code] = asked | {"sub": self.sub}
        back = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
        request.send_response(302)
        request.send_header("Location", f"{asked['redirect_uri']}?{back}")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def post(self, request: BaseHTTPRequestHandler) -> None:
        sent = dict(parse_qsl(request.rfile.read(int(request.headers["Content-Length"])).decode()))
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        client, _, secret = base64.b64decode(credentials).decode().partition(":")
        if scheme != "Basic" or (unquote_plus(client), unquote_plus(secret)) != (CLIENT, self.secret):
            return answer(request, 401, {"error": "invalid_client"})
        asked = self.codes.pop(sent.get("code", ""), None)
        proof = base64url(hashlib.sha256(sent.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or sent.get("grant_type") != "authorization_code"
            or sent.get("redirect_uri") != asked["redirect_uri"]
            or proof != asked["code_challenge"]
        ):
            return answer(request, 400, {"error": "invalid_grant"})
        access, now = secrets.token_urlsafe(24), int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": asked["sub"],
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": asked["nonce"],
            "at_hash": base64url(hashlib.sha256(access.encode()).digest()[:16]),
        }
        self.lie(claims)
        token = self.sign(claims, self.key)
        self.told |= {access, token, sent["code_verifier"]}
        answer(request, 200, {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": token})


def answer(request: BaseHTTPRequestHandler, status: int, body: Any) -> None:
    data = json.dumps(body).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)


# --- An enclave that trusts it ---------------------------------------------------------------------------------------


class Enclave:
    """A home of its own, served on ports that the system picks."""

    def __init__(self, folder: Path, providers: dict[str, tuple[str, str, str]]) -> None:
        self.folder, self.people = folder, 0
        self.run("init")
        self.run("people", "add", "s1", "--name", "Sato", "--role", "steward")
        lines = ['http = "127.0.0.1:0"', 'flight = "127.0.0.1:0"', "[limits]", "log_ins_per_minute = 100000"]
        for name, (issuer, client, secret) in providers.items():
            file = folder / f"{name}.secret"
            # As an editor leaves it.
            file.write_text(secret + "\n")
            fields = {"name": name, "issuer": issuer, "client_id": client, "client_secret_file": str(file)}
            lines += ["[[providers]]", *(f"{key} = {json.dumps(value)}" for key, value in fields.items())]
        (folder / "serve.toml").write_text("\n".join(lines) + "\n")
        command = [os.path.abspath(BINARY or ""), "serve", "--config", "serve.toml"]
        self.process = subprocess.Popen(
            command, cwd=folder, env=self.environment(), stderr=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.process.stderr is not None
        self.lines: list[str] = []
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("serving "):
                break
        else:
            pytest.fail("the enclave is not served:\n" + "".join(self.lines))
        self.url = self.lines[-1].split()[1]
        stderr = self.process.stderr
        threading.Thread(target=lambda: self.lines.extend(stderr), daemon=True).start()
        self.trust = ssl.create_default_context(cafile=folder / "home" / "tls" / "certificate.pem")

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ENCLAVE_")}
        return kept | {"ENCLAVE_HOME": str(self.folder / "home")}

    def run(self, *arguments: str) -> str:
        command = [os.path.abspath(BINARY or ""), *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def invite(self) -> tuple[str, str]:
        """A new person, and an invitation."""
        self.people += 1
        person = f"p{self.people}"
        self.run("--as", "s1", "people", "add", person, "--name", person, "--role", "practitioner")
        return person, self.invite_again(person)

    def invite_again(self, person: str) -> str:
        return self.run("--as", "s1", "people", "invite", person).strip().rpartition("/join/")[2]

    def browser(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.trust, trust_env=False, timeout=30)


@pytest.fixture(scope="module")
def one() -> Provider:
    return Provider()


@pytest.fixture(scope="module")
def two() -> Provider:
    return Provider()


@pytest.fixture(scope="module")
def others() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def enclave(
    tmp_path_factory: pytest.TempPathFactory, one: Provider, two: Provider, others: str
) -> Iterator[Enclave]:
    providers = {
        "one": (one.issuer, CLIENT, one.secret),
        "two": (two.issuer, CLIENT, two.secret),
        "others": (others, "enclave", "any"),
    }
    enclave = Enclave(tmp_path_factory.mktemp("oidc"), providers)
    yield enclave
    enclave.process.terminate()
    assert enclave.process.wait(60) == 0


@pytest.fixture(autouse=True)
def honest(one: Provider, two: Provider) -> None:
    one.truthful()
    two.truthful()


# --- Somebody with a browser -----------------------------------------------------------------------------------------


def begin(browser: httpx.Client, provider: str, invitation: str | None = None) -> str:
    """Where the enclave sends the browser."""
    query = {} if invitation is None else {"invitation": invitation}
    begun = browser.get(f"/oidc/{provider}/login", params=query)
    assert begun.status_code == 303, begun.text
    return begun.headers["location"]


def at_provider(address: str) -> str:
    """Where the provider sends the browser back."""
    back = httpx.get(address, trust_env=False)
    assert back.status_code == 302, back.text
    return back.headers["location"]


def flow(browser: httpx.Client, provider: str, invitation: str | None = None) -> httpx.Response:
    return browser.get(at_provider(begin(browser, provider, invitation)), headers=JSON)


def changed(address: str, **values: str | None) -> str:
    """The address with other parameters; `None` takes one away."""
    parts = urlsplit(address)
    query = {key: value[0] for key, value in parse_qs(parts.query).items()} | values
    kept = {key: value for key, value in query.items() if value is not None}
    return urlunsplit(parts._replace(query=urlencode(kept)))


def is_let_in(response: httpx.Response, person: str) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    session = response.json()
    assert person in session["people"], session
    return session


def is_refused(response: httpx.Response) -> None:
    """In the same words whatever it was."""
    assert response.status_code == 401, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "this log-in did not succeed: begin it again, or ask a steward for an invitation",
        "code": "wrong",
    }


def joined(enclave: Enclave, provider: Provider, name: str = "one") -> str:
    """Somebody new who has logged in once, and sits at the provider's browser now."""
    person, invitation = enclave.invite()
    provider.sub = f"sub-{secrets.token_hex(6)}"
    with enclave.browser() as browser:
        is_let_in(flow(browser, name, invitation), person)
    return person


# --- Who is let in ---------------------------------------------------------------------------------------------------


def test_by_invitation_and_then_again(enclave: Enclave, one: Provider) -> None:
    person, invitation = enclave.invite()
    one.sub = "hanako@example.ac.jp"
    with enclave.browser() as browser:
        first = is_let_in(flow(browser, "one", invitation), person)
        assert first["login"].startswith("hanako@example.ac.jp+")
        assert COOKIE not in browser.cookies
        second = is_let_in(flow(browser, "one"), person)
        assert second["login"] == first["login"] and second["token"] != first["token"]
        bearer = {"Authorization": f"Bearer {second['token']}"}
        current = browser.get("/api/v1/sessions/current", headers=bearer)
        assert current.status_code == 200 and current.json()["people"] == [person]
        # An invitation is good once.
        is_refused(flow(browser, "one", invitation))


def test_one_log_in_for_one_more_person(enclave: Enclave, one: Provider) -> None:
    person = joined(enclave, one)
    another, invitation = enclave.invite()
    with enclave.browser() as browser:
        session = is_let_in(flow(browser, "one", invitation), another)
        assert set(session["people"]) == {person, another}
        assert is_let_in(flow(browser, "one"), person)["login"] == session["login"]


def test_a_browser_is_shown_a_page(enclave: Enclave, one: Provider) -> None:
    person = joined(enclave, one)
    with enclave.browser() as browser:
        back = at_provider(begin(browser, "one"))
        shown = browser.get(back, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert shown.status_code == 200 and shown.headers["content-type"].startswith("text/html")
    assert person in shown.text and "enclave-session-" in shown.text and "<script" not in shown.text
    assert shown.headers["cache-control"] == "no-store" and shown.headers["referrer-policy"] == "no-referrer"


def test_the_cookie_and_the_address(enclave: Enclave, one: Provider) -> None:
    with enclave.browser() as browser:
        begun = browser.get("/oidc/one/login")
    cookie = begun.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    parts = {part.strip() for part in cookie.split(";")[1:]}
    assert {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"} <= parts and not any("Domain" in part for part in parts)
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"] and asked["scope"] == ["openid"]
    assert asked["redirect_uri"] == [f"{enclave.url}/oidc/one/callback"]
    assert len(asked["state"][0]) >= 22 and len(asked["nonce"][0]) >= 22


def test_a_new_key_is_fetched_once(enclave: Enclave, one: Provider) -> None:
    person = joined(enclave, one)
    one.key = new_key("second")
    before = one.discovered
    with enclave.browser() as browser:
        is_let_in(flow(browser, "one"), person)
        is_let_in(flow(browser, "one"), person)
    assert one.discovered == before + 1


def test_a_provider_that_others_wrote(enclave: Enclave, others: str) -> None:
    person, invitation = enclave.invite()
    with enclave.browser() as browser:
        for taken in (invitation, None):
            address = begin(browser, "others", taken)
            back = httpx.post(address, data={"sub": "taro"}, trust_env=False)
            assert back.status_code == 302, back.text
            is_let_in(browser.get(back.headers["location"], headers=JSON), person)


# --- Who is not ------------------------------------------------------------------------------------------------------


def set_to(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda claims: claims.update(values)


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda claims: claims.pop(name)


LIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another nonce": set_to(nonce="another"),
    "no nonce": without("nonce"),
    "another audience": set_to(aud="another"),
    "one more audience": set_to(aud=[CLIENT, "another"]),
    "another party": set_to(azp="another"),
    "no audience": without("aud"),
    "expired": set_to(exp=int(time.time()) - 1),
    "no expiry": without("exp"),
    "another issuer": set_to(iss="https://idp.example.ac.jp"),
    "no issuer": without("iss"),
    "an issuer that is nearly the same": lambda claims: claims.update(iss=claims["iss"] + "/"),
    "another access token": set_to(at_hash=base64url(bytes(16))),
    "no subject": without("sub"),
    "an empty subject": set_to(sub=""),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_lie_in_the_token(enclave: Enclave, one: Provider, lie: Callable[[dict[str, Any]], object]) -> None:
    person = joined(enclave, one)
    one.lie = lie
    with enclave.browser() as browser:
        is_refused(flow(browser, "one"))
        one.truthful()
        is_let_in(flow(browser, "one"), person)


def by_another_key(claims: dict[str, Any], key: RSAKey) -> str:
    return signed(claims, new_key(str(key.kid)))


def by_an_unknown_key(claims: dict[str, Any], _: RSAKey) -> str:
    return signed(claims, new_key("unknown"))


def with_its_key_in_it(claims: dict[str, Any], key: RSAKey) -> str:
    own = new_key(str(key.kid))
    return jwt.encode({"alg": "RS256", "kid": own.kid, "jwk": own.as_dict(private=False)}, claims, own)


def changed_after(claims: dict[str, Any], key: RSAKey) -> str:
    head, _, signature = signed(claims | {"sub": "another"}, key).split(".")
    return ".".join([head, base64url(json.dumps(claims).encode()), signature])


def by_the_public_key(claims: dict[str, Any], key: RSAKey) -> str:
    """HS256 whose secret is the public key: what a verifier that believes `alg` would take."""
    return by_secret(claims, key.as_pem(private=False), key)


def by_secret(claims: dict[str, Any], secret: bytes, key: RSAKey) -> str:
    head = {"alg": "HS256", "typ": "JWT", "kid": key.kid}
    body = ".".join(base64url(json.dumps(part).encode()) for part in (head, claims))
    return f"{body}.{base64url(hmac.digest(secret, body.encode(), 'sha256'))}"


SIGNATURES = {
    "another key": by_another_key,
    "an unknown key": by_an_unknown_key,
    "a key in the header": with_its_key_in_it,
    "changed after": changed_after,
    "none": unsigned,
    "the public key as a secret": by_the_public_key,
}


@pytest.mark.parametrize("sign", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_a_signature_that_is_not_the_provider_s(
    enclave: Enclave, one: Provider, sign: Callable[[dict[str, Any], RSAKey], str]
) -> None:
    person = joined(enclave, one)
    one.sign = sign
    with enclave.browser() as browser:
        is_refused(flow(browser, "one"))
        one.truthful()
        is_let_in(flow(browser, "one"), person)


def test_the_client_s_secret_signs_nothing(enclave: Enclave, one: Provider) -> None:
    person = joined(enclave, one)
    one.sign = lambda claims, key: by_secret(claims, one.secret.encode(), key)
    with enclave.browser() as browser:
        is_refused(flow(browser, "one"))
        one.truthful()
        is_let_in(flow(browser, "one"), person)


def test_a_state_is_good_once(enclave: Enclave, one: Provider) -> None:
    person = joined(enclave, one)
    with enclave.browser() as browser:
        address = begin(browser, "one")
        cookie = browser.cookies[COOKIE]
        is_let_in(browser.get(at_provider(address), headers=JSON), person)
        # With a new code of the provider, and the cookie as it was.
        shown = JSON | {"Cookie": f"{COOKIE}={cookie}"}
        is_refused(httpx.get(at_provider(address), headers=shown, verify=enclave.trust, trust_env=False))


def test_a_state_without_its_cookie(enclave: Enclave, one: Provider) -> None:
    person = joined(enclave, one)
    with enclave.browser() as browser, enclave.browser() as another:
        # Somebody is given the address with which another would log in.
        is_refused(another.get(at_provider(begin(browser, "one")), headers=JSON))
        back = at_provider(begin(browser, "one"))
        begin(another, "one")
        is_refused(another.get(back, headers=JSON))
        is_let_in(flow(browser, "one"), person)


def test_a_state_that_nobody_began(enclave: Enclave, one: Provider) -> None:
    person = joined(enclave, one)
    others: list[dict[str, str | None]] = [{"state": "A" * 22}, {"state": None}, {"code": None}, {"code": "A" * 32}]
    for values in [*others, {"error": "access_denied"}]:
        with enclave.browser() as browser:
            is_refused(browser.get(changed(at_provider(begin(browser, "one")), **values), headers=JSON))
    with enclave.browser() as browser:
        is_refused(browser.get(at_provider(begin(browser, "one")) + "&state=twice", headers=JSON))
        is_let_in(flow(browser, "one"), person)


def test_no_provider_passes_for_another(enclave: Enclave, one: Provider, two: Provider) -> None:
    person = joined(enclave, one)
    two.sub = one.sub
    with enclave.browser() as browser:
        # The same subject of another issuer is somebody else.
        is_refused(flow(browser, "two"))
        # A code of one, brought to the address of the other, by whoever it says that it is from (RFC 9207).
        for issuer in (one.issuer, two.issuer, None):
            back = changed(at_provider(begin(browser, "one")), iss=issuer)
            is_refused(browser.get(back.replace("/oidc/one/", "/oidc/two/"), headers=JSON))
        for issuer in (two.issuer, None):
            is_refused(browser.get(changed(at_provider(begin(browser, "one")), iss=issuer), headers=JSON))
        # One provider's token says that it is the other's, even with the other's key known.
        two.lie = set_to(iss=one.issuer)
        is_refused(flow(browser, "two"))
        two.sign = lambda claims, _: signed(claims, one.key)
        is_refused(flow(browser, "two"))
        is_let_in(flow(browser, "one"), person)


def test_a_code_without_its_proof(enclave: Enclave, one: Provider) -> None:
    """A code that was begun elsewhere does not go with this browser's verifier."""
    person = joined(enclave, one)
    with enclave.browser() as browser, enclave.browser() as another:
        stolen = parse_qs(urlsplit(at_provider(begin(another, "one"))).query)["code"][0]
        is_refused(browser.get(changed(at_provider(begin(browser, "one")), code=stolen), headers=JSON))
        is_let_in(flow(browser, "one"), person)


def test_who_is_not_invited(enclave: Enclave, one: Provider) -> None:
    one.sub = "stranger"
    with enclave.browser() as browser:
        is_refused(flow(browser, "one"))
        is_refused(flow(browser, "one", "enclave-invitation-" + "0" * 64))
        is_refused(browser.get("/oidc/one/login", params={"invitation": "x" * 1000}))
        person, invitation = enclave.invite()
        is_let_in(flow(browser, "one", invitation), person)


def test_a_provider_that_is_not_configured(enclave: Enclave) -> None:
    with enclave.browser() as browser:
        for path in ("login", "callback"):
            missing = browser.get(f"/oidc/another/{path}")
            assert missing.status_code == 404 and missing.json()["code"] == "not-found"


def test_the_lines_tell_nothing_that_lets_in(enclave: Enclave, one: Provider, two: Provider) -> None:
    joined(enclave, one)
    one.lie = set_to(nonce="another")
    with enclave.browser() as browser:
        is_refused(flow(browser, "one"))
    time.sleep(0.5)
    lines = "".join(enclave.lines)
    assert "nobody is let in" in lines
    for told in one.told | two.told:
        assert told not in lines
    assert "enclave-invitation-" not in lines and "enclave-session-" not in lines
