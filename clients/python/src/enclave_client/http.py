"""The HTTP port: what is asked of it, with problem details turned into errors."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from enclave_client.errors import EnclaveError, from_problem

#: An answer as an Arrow file: the same table and metadata as on the Flight port.
ARROW = "application/vnd.apache.arrow.file"

#: Seconds that a question may take, where nothing else is said: longer than most rule sets allow.
TIMEOUT = 900.0


def client(url: str, certificate: str | os.PathLike[str] | None, timeout: float = TIMEOUT) -> httpx.Client:
    """A client of one server; ``certificate`` is a PEM file to trust, and then nothing else is.

    An answer has ``timeout`` seconds to come, everything else 30.
    """
    verify: ssl.SSLContext | bool = True
    if certificate is not None:
        verify = ssl.create_default_context(cafile=os.fspath(certificate))
        # One certificate is trusted by itself: rules for chains of authorities say nothing of it.
        verify.verify_flags &= ~ssl.VERIFY_X509_STRICT
    patience = httpx.Timeout(30.0, read=timeout)
    return httpx.Client(base_url=url, verify=verify, timeout=patience, follow_redirects=False)


class Http:
    """Calls to ``/api/v1``. Every method raises ``EnclaveError`` where the server says no."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def bearer(self, token: str) -> None:
        """From now on, as whoever the token is of."""
        self._client.headers["authorization"] = f"Bearer {token}"

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """JSON."""
        return _json(self.send("GET", path, params=params))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """JSON for JSON."""
        return _json(self.send("POST", path, body=body))

    def delete(self, path: str) -> None:
        """Nothing comes back."""
        self.send("DELETE", path)

    def text(self, path: str) -> str:
        """Plain text."""
        return self.send("GET", path, accept="text/plain, application/problem+json").text

    def arrow(self, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """An answer as an Arrow file."""
        method = "GET" if body is None else "POST"
        return self.send(method, path, body=body, accept=ARROW).content

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        accept: str = "application/json",
    ) -> httpx.Response:
        """One request."""
        try:
            response = self._client.request(
                method, f"/api/v1{path}", params=params, json=body, headers={"accept": accept}
            )
        except httpx.ReadTimeout as error:
            patience = self._client.timeout.read
            raise EnclaveError(f"no answer within {patience:g} s; it may be charged: ask again", "too-slow") from error
        except httpx.HTTPError as error:
            place = self._client.base_url
            raise EnclaveError(f"no answer from {place}: {error}", "unreachable") from error
        if response.is_success:
            return response
        raise from_problem(response.status_code, response.content, response.headers.get("retry-after"))

    def close(self) -> None:
        """Closes connections."""
        self._client.close()


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except json.JSONDecodeError as error:
        raise EnclaveError("the server sent something else than JSON", "form") from error
