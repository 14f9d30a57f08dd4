"""Asks a research data enclave in SQL and gives tables in which every number has its interval.

Deliberately absent: raw rows, which no enclave gives; and trust in the server where a receipt can be checked.

    import enclave_client

    with enclave_client.connect("https://localhost:8443", login="…", password="…") as enclave:
        answer = enclave.ask("SELECT cltype, AVG(math) AS math FROM results GROUP BY cltype", rho=0.02)
        answer.plot()
"""

from enclave_client.answer import Answer, Balance, Charged, Column, Preview
from enclave_client.digest import table_sha256
from enclave_client.enclave import Enclave, connect
from enclave_client.errors import (
    Busy,
    EnclaveError,
    Exhausted,
    NotVerified,
    Refused,
    Unauthenticated,
    Waiting,
)
from enclave_client.notes import LogKey
from enclave_client.papers import Asked, Budget, Item, Memorandum
from enclave_client.receipt import Verified, verify_receipt

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Asked",
    "Balance",
    "Budget",
    "Busy",
    "Charged",
    "Column",
    "Enclave",
    "EnclaveError",
    "Exhausted",
    "Item",
    "LogKey",
    "Memorandum",
    "NotVerified",
    "Preview",
    "Refused",
    "Unauthenticated",
    "Verified",
    "Waiting",
    "connect",
    "table_sha256",
    "verify_receipt",
]
