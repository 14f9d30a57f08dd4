"""Passkeys against a running enclave, with an authenticator in software.

Written from the public texts alone: WebAuthn level 3 sections 5.8.1, 6.1, 6.5 and 7, RFC 9052 and 9053 (COSE keys). The
log-in has no second factor when this begins. It is left with none, unless it is a steward's or a board member's, whose
last one stays. The server is to be started with `--set limits.log_ins_per_minute=1000`; without it, this waits.

    ENCLAVE_URL=https://localhost:8443 ENCLAVE_CERTIFICATE=certificate.pem ENCLAVE_LOGIN=… ENCLAVE_PASSWORD=… \\
        pytest tests/server/passkeys.py
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import cbor2
import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

pytestmark = pytest.mark.skipif("ENCLAVE_URL" not in os.environ, reason="needs a running enclave: set ENCLAVE_URL")

USER_PRESENT, USER_VERIFIED, ATTESTED = 0x01, 0x04, 0x40
ES256 = -7
Options = dict[str, Any]


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class Authenticator:
    """One passkey, in its owner's hands or in somebody else's."""

    def __init__(self) -> None:
        self.key = new_key()
        self.credential = os.urandom(32)
        self.counter = 0

    def create(self, options: Options, **altered: Any) -> Options:
        """What `navigator.credentials.create` gives."""
        public = options["publicKey"]
        assert ES256 in [parameter["alg"] for parameter in public["pubKeyCredParams"]]
        numbers = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        cose = cbor2.dumps({1: 2, 3: ES256, -1: 1, -2: x, -3: y})
        attested = bytes(16) + len(self.credential).to_bytes(2, "big") + self.credential + cose
        flags = altered.get("flags", USER_PRESENT | USER_VERIFIED) | ATTESTED
        data = authenticator_data(altered.get("rp_id", public["rp"]["id"]), flags, 0) + attested
        client = client_data("webauthn.create", public["challenge"], public["rp"]["id"], altered)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self.given({"attestationObject": encoded(attestation), "clientDataJSON": encoded(client)})

    def get(self, options: Options, **altered: Any) -> Options:
        """What `navigator.credentials.get` gives; where nothing is altered, the counter goes on."""
        public = options["publicKey"]
        allowed = [credential["id"] for credential in public["allowCredentials"]]
        if not altered:
            assert encoded(self.credential) in allowed
            self.counter += 1
        counter = altered.get("counter", self.counter + bool(altered))
        flags = altered.get("flags", USER_PRESENT | USER_VERIFIED)
        data = authenticator_data(altered.get("rp_id", public["rpId"]), flags, counter)
        client = client_data("webauthn.get", public["challenge"], public["rpId"], altered)
        signed = altered.get("key", self.key).sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        signed = altered.get("signature", bytes)(signed)
        parts = {"authenticatorData": data, "clientDataJSON": client, "signature": signed}
        return self.given({name: encoded(part) for name, part in parts.items()})

    def given(self, response: Options) -> Options:
        name = encoded(self.credential)
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}


def authenticator_data(rp_id: str, flags: int, counter: int) -> bytes:
    return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + counter.to_bytes(4, "big")


def client_data(kind: str, challenge: str, host: str, altered: Options) -> bytes:
    url = httpx.URL(os.environ["ENCLAVE_URL"])
    origin = altered.get("origin", f"{url.scheme}://{host}" + (f":{url.port}" if url.port else ""))
    challenge = altered.get("challenge", challenge)
    kind = altered.get("type", kind)
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()


class Served:
    """The enclave, as whoever holds the token."""

    def __init__(self) -> None:
        context = ssl.create_default_context(cafile=os.environ.get("ENCLAVE_CERTIFICATE"))
        # The certificate that `init` makes is its own issuer.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self.client = httpx.Client(base_url=os.environ["ENCLAVE_URL"], verify=context, timeout=60)
        self.login, self.password = os.environ["ENCLAVE_LOGIN"], os.environ["ENCLAVE_PASSWORD"]

    def send(self, method: str, path: str, token: str | None = None, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        while True:
            answer = self.client.request(method, f"/api/v1{path}", headers=headers, json=body)
            if answer.status_code != 429:
                return answer
            time.sleep(int(answer.headers["Retry-After"]))

    def begin(self, path: str, token: str | None = None, body: Any = None) -> tuple[str, Options]:
        begun = given(self.send("POST", path + "/begin", token, body), 201)
        return begun["state"], begun["options"]

    def begin_log_in(self) -> tuple[str, Options]:
        return self.begin("/sessions/passkey", None, {"login": self.login, "password": self.password})

    def finish(self, path: str, token: str | None, state: str, credential: Options, **more: Any) -> httpx.Response:
        return self.send("POST", path + "/finish", token, {"state": state, "credential": credential, **more})

    def log_in(self, passkey: Authenticator) -> str:
        state, options = self.begin_log_in()
        return given(self.finish(LOG_IN, None, state, passkey.get(options)), 201)["token"]

    def step_up(self, token: str, passkey: Authenticator) -> None:
        state, options = self.begin(STEP_UP, token)
        given(self.finish(STEP_UP, token, state, passkey.get(options)), 204)


ENROL, STEP_UP, LOG_IN = "/factors/passkeys", "/sessions/current/step-up/passkey", "/sessions/passkey"


def given(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def refused(answer: httpx.Response, status: int, code: str) -> Any:
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = given(answer, status)
    assert problem["code"] == code, problem
    return problem


@pytest.fixture(scope="module")
def served() -> Served:
    return Served()


@pytest.fixture(scope="module")
def first(served: Served) -> str:
    """A session by password, from before there was a passkey."""
    answer = served.send("POST", "/sessions", None, {"login": served.login, "password": served.password})
    return given(answer, 201)["token"]


@pytest.fixture(scope="module")
def passkey(served: Served, first: str) -> Iterator[Authenticator]:
    """The one that is enrolled, after every false attempt at it was refused."""
    passkey = Authenticator()
    for altered in (
        {"origin": "https://enclave.example"},
        {"origin": "https://localhost.example"},
        {"rp_id": "enclave.example"},
        {"challenge": encoded(os.urandom(32))},
        {"type": "webauthn.get"},
        {"flags": USER_PRESENT},
    ):
        state, options = served.begin(ENROL, first)
        credential = passkey.create(options, **altered)
        refused(served.finish(ENROL, first, state, credential, label="blue key"), 422, "passkey")
        # Used up, also by what is refused.
        refused(served.finish(ENROL, first, state, passkey.create(options), label="blue key"), 409, "ceremony")
    for label in ("", " ", "x" * 65, "two\nlines"):
        state, options = served.begin(ENROL, first)
        refused(served.finish(ENROL, first, state, passkey.create(options), label=label), 422, "invalid")
    assert given(served.send("GET", ENROL, first), 200) == []

    state, options = served.begin(ENROL, first)
    given(served.finish(ENROL, first, state, passkey.create(options), label="blue key"), 201)
    yield passkey

    token = served.log_in(passkey)
    for listed in given(served.send("GET", ENROL, token), 200):
        served.step_up(token, passkey)
        assert served.send("DELETE", f"{ENROL}/{listed['id']}", token).status_code in (204, 409)


def test_a_passkey_is_listed_without_its_key(served: Served, first: str, passkey: Authenticator) -> None:
    (listed,) = given(served.send("GET", ENROL, first), 200)
    assert listed["label"] == "blue key"
    assert listed.keys() <= {"id", "label", "created", "used"}


def test_a_session_alone_changes_no_second_factor(served: Served, first: str, passkey: Authenticator) -> None:
    (listed,) = given(served.send("GET", ENROL, first), 200)
    refused(served.send("POST", ENROL + "/begin", first), 403, "step-up")
    refused(served.send("DELETE", f"{ENROL}/{listed['id']}", first), 403, "step-up")
    served.step_up(first, passkey)
    served.begin(ENROL, first)
    assert "used" in given(served.send("GET", ENROL, first), 200)[0]


def test_from_then_on_a_password_alone_is_not_enough(served: Served, passkey: Authenticator) -> None:
    right = {"login": served.login, "password": served.password}
    alone = refused(served.send("POST", "/sessions", None, right), 401, "wrong")
    assert refused(served.send("POST", "/sessions", None, {**right, "code": "123456"}), 401, "wrong") == alone
    for wrong in ({**right, "password": "another one, long enough"}, {**right, "login": "nobody-of-this-name"}):
        assert refused(served.send("POST", LOG_IN + "/begin", None, wrong), 401, "wrong") == alone
    token = served.log_in(passkey)
    assert given(served.send("GET", "/sessions/current", token), 200)["login"] == served.login


#: What is altered in a signature, each with the passkey as it is now.
ALTERED: dict[str, Callable[[Authenticator], Options]] = {
    "other origin": lambda _: {"origin": "https://enclave.example"},
    "origin that ends alike": lambda _: {"origin": "https://evil-localhost"},
    "other rp id": lambda _: {"rp_id": "enclave.example"},
    "other challenge": lambda _: {"challenge": encoded(os.urandom(32))},
    "signature of an enrolment": lambda _: {"type": "webauthn.create"},
    "key of somebody else": lambda _: {"key": new_key()},
    "signature changed": lambda _: {"signature": lambda signed: signed[:-1] + bytes([signed[-1] ^ 1])},
    "signature of noughts": lambda _: {"signature": lambda signed: bytes(len(signed))},
    "counter as before": lambda passkey: {"counter": passkey.counter},
    "counter gone back": lambda passkey: {"counter": passkey.counter - 1},
    "counter at nothing": lambda _: {"counter": 0},
    "user not verified": lambda _: {"flags": USER_PRESENT},
    "user not present": lambda _: {"flags": USER_VERIFIED},
}


@pytest.mark.parametrize("altered", ALTERED)
def test_an_altered_signature_is_refused(served: Served, passkey: Authenticator, altered: str) -> None:
    # Where nothing is altered, both go through; that also ends the count of wrong ones.
    token = served.log_in(passkey)
    served.step_up(token, passkey)
    state, options = served.begin(STEP_UP, token)
    credential = passkey.get(options, **ALTERED[altered](passkey))
    refused(served.finish(STEP_UP, token, state, credential), 403, "denied")
    refused(served.finish(STEP_UP, token, state, passkey.get(options)), 409, "ceremony")
    served.step_up(token, passkey)
    state, options = served.begin_log_in()
    credential = passkey.get(options, **ALTERED[altered](passkey))
    refused(served.finish(LOG_IN, None, state, credential), 401, "wrong")
    refused(served.finish(LOG_IN, None, state, passkey.get(options)), 401, "wrong")


def test_another_passkey_is_refused(served: Served, passkey: Authenticator) -> None:
    token, stranger = served.log_in(passkey), Authenticator()
    state, options = served.begin(STEP_UP, token)
    refused(served.finish(STEP_UP, token, state, stranger.get(options, stranger=True)), 403, "denied")
    # Under the name of one that is enrolled.
    stranger.credential = passkey.credential
    state, options = served.begin_log_in()
    refused(served.finish(LOG_IN, None, state, stranger.get(options, stranger=True)), 401, "wrong")
    served.step_up(served.log_in(passkey), passkey)


def test_a_state_is_good_once_and_for_what_it_was_begun(served: Served, passkey: Authenticator) -> None:
    token, other = served.log_in(passkey), served.log_in(passkey)
    state, options = served.begin(STEP_UP, token)
    credential = passkey.get(options)
    given(served.finish(STEP_UP, token, state, credential), 204)
    refused(served.finish(STEP_UP, token, state, credential), 409, "ceremony")
    # Of another session, for another end, of nobody.
    state, options = served.begin(STEP_UP, token)
    refused(served.finish(STEP_UP, other, state, passkey.get(options)), 409, "ceremony")
    state, options = served.begin(STEP_UP, token)
    refused(served.finish(LOG_IN, None, state, passkey.get(options)), 401, "wrong")
    state, options = served.begin_log_in()
    refused(served.finish(STEP_UP, token, state, passkey.get(options)), 409, "ceremony")
    refused(served.finish(STEP_UP, token, "0" * 32, passkey.get(options)), 409, "ceremony")
    state, options = served.begin_log_in()
    credential = passkey.get(options)
    given(served.finish(LOG_IN, None, state, credential), 201)
    refused(served.finish(LOG_IN, None, state, credential), 401, "wrong")


def test_of_two_copies_only_one_signs(served: Served, passkey: Authenticator) -> None:
    """Two ceremonies were begun with the same counter, and the authenticator was copied in between."""
    token = served.log_in(passkey)
    (state, options), (later, options_of_copy) = served.begin(STEP_UP, token), served.begin(STEP_UP, token)
    copy = Authenticator()
    copy.key, copy.credential, copy.counter = passkey.key, passkey.credential, passkey.counter
    given(served.finish(STEP_UP, token, state, passkey.get(options)), 204)
    refused(served.finish(STEP_UP, token, later, copy.get(options_of_copy)), 403, "denied")
    served.step_up(served.log_in(passkey), passkey)


def test_one_is_enrolled_once_and_removed_when_another_stays(served: Served, passkey: Authenticator) -> None:
    token = served.log_in(passkey)
    state, options = served.begin(ENROL, token)
    excluded = [credential["id"] for credential in options["publicKey"]["excludeCredentials"]]
    assert encoded(passkey.credential) in excluded
    refused(served.finish(ENROL, token, state, passkey.create(options), label="again"), 422, "passkey")
    second = Authenticator()
    state, options = served.begin(ENROL, token)
    enrolled = given(served.finish(ENROL, token, state, second.create(options), label="red key"), 201)
    served.step_up(served.log_in(second), second)
    given(served.send("DELETE", f"{ENROL}/{enrolled['id']}", token), 204)
    # What was shown may have been the one that is gone; and that one signs no more.
    refused(served.send("DELETE", f"{ENROL}/{enrolled['id']}", token), 403, "step-up")
    state, options = served.begin(STEP_UP, token)
    refused(served.finish(STEP_UP, token, state, second.get(options, removed=True)), 403, "denied")
    served.step_up(served.log_in(passkey), passkey)
    refused(served.send("DELETE", f"{ENROL}/{enrolled['id']}", token), 404, "not-found")


def test_a_token_is_no_session(served: Served, passkey: Authenticator) -> None:
    session = served.log_in(passkey)
    wanted = {"label": "passkeys", "scopes": ["read"], "days": 1}
    token = given(served.send("POST", "/tokens", session, wanted), 201)
    closed = (("POST", ENROL + "/begin"), ("GET", ENROL), ("DELETE", ENROL + "/1"), ("POST", STEP_UP + "/begin"))
    for method, path in closed:
        refused(served.send(method, path, token["token"]), 403, "denied")
        assert served.send(method, path).status_code == 401
    given(served.send("DELETE", f"/tokens/{token['id']}", session), 204)
