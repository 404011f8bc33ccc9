import re
import textwrap
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whipway.streams.webhooks.webhook_signing import SECRET_BYTES, make_secret, sign, signed_headers

# The example in the tests of the reference libraries (standard-webhooks, Apache License 2.0).
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_reference_libraries_make_the_same_signature() -> None:
    assert sign(SECRET, ID, 1614265330, BODY) == SIGNATURE


def test_the_headers() -> None:
    assert signed_headers(SECRET, ID.removeprefix("msg_"), 1614265330, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_a_secret_is_random_bytes_in_base64() -> None:
    asked: list[int] = []

    def random(number: int) -> bytes:
        asked.append(number)
        return b"\xff" * number

    secret = make_secret(random)
    assert asked == [SECRET_BYTES]
    assert b64decode(secret.removeprefix("whsec_"), validate=True) == b"\xff" * SECRET_BYTES


def test_the_receiver_in_the_documentation_verifies_what_is_sent() -> None:
    text = (Path(__file__).parents[4] / "docs" / "webhooks.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    receiver: dict[str, Any] = {}
    exec(textwrap.dedent(code), receiver)  # noqa: S102 - our own page
    is_genuine, now = receiver["is_genuine"], int(datetime.now(UTC).timestamp())
    headers = signed_headers(SECRET, "abc", now, BODY)
    assert is_genuine(headers, BODY, SECRET)
    assert is_genuine(
        headers | {"webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}, BODY, SECRET
    )
    assert not is_genuine(headers, BODY + b" ", SECRET)
    assert not is_genuine(signed_headers(SECRET, "abc", now - 1000, BODY), BODY, SECRET)
