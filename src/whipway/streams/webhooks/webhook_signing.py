"""How events are signed, so that their receiver knows who sent them: Standard Webhooks 1.0.0.

The signature is an HMAC-SHA256. Libraries that verify it exist for most languages (standardwebhooks.com).
Left out: asymmetric signatures, and a second signature while a secret is being replaced; who wants another
secret makes another webhook.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256

SECRET_PREFIX = "whsec_"  # noqa: S105 - what all secrets begin with
SECRET_BYTES = 32
"""The specification wants 24 to 64."""
ID_PREFIX = "msg_"


def make_secret(random: Callable[[int], bytes]) -> str:
    """A new secret, as its receiver is shown it; `random` makes so many bytes."""
    return SECRET_PREFIX + b64encode(random(SECRET_BYTES)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of one try. `timestamp`: Unix seconds, of this try; `secret` as `make_secret` made it."""
    # "Signature scheme": the signed content is {msg_id}.{timestamp}.{payload}. No id may hold a full stop.
    content = b".".join((message_id.encode(), str(timestamp).encode(), body))
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    return "v1," + b64encode(hmac.digest(key, content, sha256)).decode()


def signed_headers(secret: str, delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one try ("Webhook headers"); the id stays the same on each of them."""
    message_id = ID_PREFIX + delivery_id
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, message_id, timestamp, body),
    }
