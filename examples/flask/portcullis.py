"""All that an application needs to take a token back: one call to the gateway's control port."""

import json
import os
import urllib.request


def bearer(request):
    """The token of a request that has passed `jwt_required`."""
    return request.headers["Authorization"].split()[1]


def revoke(token, reason="logged out"):
    """Returns once the token is refused everywhere behind this gateway; raises when it is not."""
    credential = open(os.environ["PORTCULLIS_SECRET_FILE"]).read().strip()
    call = urllib.request.Request(
        os.environ.get("PORTCULLIS_CONTROL", "http://127.0.0.1:9901") + "/v1/revocations",
        data=json.dumps({"token": token, "reason": reason}).encode(),
        headers={"Authorization": "Bearer " + credential, "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(call, timeout=5):
        pass
