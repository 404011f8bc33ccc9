"""Whatever a server says when it rejects a connect: nothing raises, what is said next is short and can stand
in the name of an application, and there is an end to it."""

from fuzz.script import Script, block
from whipway.protocol.rtmp.authentication import (
    MAX_DESCRIPTION_CHARACTERS,
    MAX_QUESTIONS,
    Authenticator,
    is_about_authentication,
)

USER = "us&er"
MAX_QUERY_CHARACTERS = MAX_DESCRIPTION_CHARACTERS + 256
"""At most what the server said goes back, and what the client adds."""


def target(data: bytes) -> bool:
    """Descriptions, one after another."""
    script = Script(data)
    authenticator = Authenticator(USER, "password", lambda size: b"\x07" * size)
    questions = 0
    answered = False
    while script:
        description = script.block().decode(errors="replace")
        about = is_about_authentication(description)
        goes_on = authenticator.take_rejection(description, 0.0)
        query = authenticator.query("live", 0.0)
        assert goes_on is bool(query)
        assert goes_on is not bool(authenticator.refusal)
        assert len(query) <= MAX_QUERY_CHARACTERS
        assert all("!" <= character <= "~" for character in query)
        assert query.startswith("authmod=") or not query
        questions = questions + 1 if goes_on else 0
        assert questions <= MAX_QUESTIONS
        answered |= about and "&response=" in query
    return answered


def seeds() -> list[bytes]:
    asked = b"[ AccessManager.Reject ] : [ code=403 need auth; authmod=%s ] : "
    adobe = b"[ authmod=adobe ] : ?reason=needauth&user=us&salt=c2FsdA==&challenge=YWJj&opaque=YWJj"
    llnw = b"[ authmod=llnw ] : ?reason=needauth&user=us&nonce=0123456789abcdef"
    wrong = b"[ authmod=adobe ] : ?reason=authfailed&opaque=YWJj"
    return [
        block(asked % b"adobe") + block(adobe) + block(wrong),
        block(asked % b"llnw") + block(llnw),
        block(adobe) + block(adobe) + block(adobe),
    ]
