"""Makes a container in Azurite, which takes signed requests only. Usage: container.py HOST:PORT NAME

The account and its key are those that every such emulator has, as its makers publish them."""

import base64, hashlib, hmac, http.client, sys
from email.utils import formatdate

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

address, name = sys.argv[1:]
date, version = formatdate(usegmt=True), "2021-08-06"
path = f"/{ACCOUNT}/{name}"
headers = f"x-ms-date:{date}\nx-ms-version:{version}"
signed = "PUT" + "\n" * 12 + f"{headers}\n/{ACCOUNT}{path}\nrestype:container"
mac = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
connection = http.client.HTTPConnection(address)
connection.request("PUT", f"{path}?restype=container", headers={
    "x-ms-date": date, "x-ms-version": version, "Content-Length": "0",
    "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}",
})
answer = connection.getresponse()
sys.exit(0 if answer.status == 201 else f"{answer.status}: {answer.read().decode()}")
