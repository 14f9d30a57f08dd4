"""The Flight SQL port, through ADBC: questions as SQL, their options as headers of the calls."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import pyarrow as pa

from enclave_client.errors import from_flight
from enclave_client.http import TIMEOUT


class Flight:
    """Connections to one address as one log-in. The first is made when it is needed."""

    def __init__(
        self,
        uri: str,
        token: str,
        certificate: str | os.PathLike[str] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        #: Such as ``grpc+tls://localhost:8444``.
        self.uri = uri
        self._token = token
        self._certificate = certificate
        #: Seconds for each call.
        self._timeout = timeout
        self._own: Any = None
        self._lock = threading.Lock()

    def connect(self, headers: Mapping[str, str] | None = None) -> Any:
        """A new ADBC connection (DB-API 2.0), which the caller closes; ``headers`` are options of all its questions."""
        options = adbc_driver_flightsql.DatabaseOptions
        given = {options.AUTHORIZATION_HEADER.value: f"Bearer {self._token}"}
        # The driver itself waits for ever.
        for limit in (options.TIMEOUT_QUERY, options.TIMEOUT_FETCH, options.TIMEOUT_UPDATE):
            given[limit.value] = str(self._timeout)
        if self._certificate is not None:
            # Between certificates a file may say in any script whose they are.
            given[options.TLS_ROOT_CERTS.value] = Path(self._certificate).read_text(encoding="utf-8")
        try:
            # The enclave has no transactions, and says so: each question stands by itself.
            return adbc_driver_flightsql.dbapi.connect(
                self.uri, db_kwargs=given, conn_kwargs=dict(headers or {}), autocommit=True
            )
        except adbc_driver_manager.Error as error:
            raise from_flight(error) from error

    def ask(self, sql: str, headers: Mapping[str, str]) -> pa.Table:
        """The answer's table, with what it is in the metadata of its schema."""
        with self._lock:
            if self._own is None:
                self._own = self.connect()
        try:
            with self._own.cursor(adbc_stmt_kwargs=dict(headers)) as cursor:
                cursor.execute(sql)
                return cursor.fetch_arrow_table()
        except adbc_driver_manager.Error as error:
            raise from_flight(error) from error

    def close(self) -> None:
        """Closes the connection of ``ask``."""
        with self._lock:
            own, self._own = self._own, None
        if own is not None:
            own.close()
