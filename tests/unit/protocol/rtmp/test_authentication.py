"""Challenges of both schemes; the vectors are what ffmpeg 9 answers to them, its random part given."""

from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.protocol.rtmp.authentication import (
    MAX_DESCRIPTION_CHARACTERS,
    MAX_QUESTIONS,
    MAX_VALUE_CHARACTERS,
    MEMORY_SECONDS,
    Authenticator,
    is_about_authentication,
)

NOW = 100.0
USER, PASSWORD = "bob", "Secret-1"
ADOBE, LLNW = "adobe", "llnw"
SALTED = "salt=c2FsdA==&challenge=YWJjZA=="


def ask(scheme: str) -> str:
    return f"[ AccessManager.Reject ] : [ code=403 need auth; authmod={scheme} ] : "


def challenge(scheme: str, values: str) -> str:
    return f"[ AccessManager.Reject ] : [ authmod={scheme} ] : ?reason=needauth&user=bob&{values}"


def reject(reason: str, scheme: str = ADOBE) -> str:
    return f"[ AccessManager.Reject ] : [ authmod={scheme} ] : ?reason={reason}&opaque=b3A="


def authenticator(
    cnonce: str = "00000000", user: str | None = USER, password: str | None = PASSWORD
) -> Authenticator:
    return Authenticator(user, password, lambda size: bytes.fromhex(cnonce)[:size])


def test_nothing_is_said_before_the_server_asks() -> None:
    assert authenticator().query("live", NOW) == ""


@pytest.mark.parametrize(
    ("scheme", "app", "values", "cnonce", "answer"),
    [
        (
            ADOBE,
            "live",
            f"{SALTED}&opaque=b3BhcQ==",
            "343fbeaa",
            "challenge=343fbeaa&response=INYP6c45GGI+aIfavlERwQ==&opaque=b3BhcQ==",
        ),
        (ADOBE, "live/studio", SALTED, "2c27d80f", "challenge=2c27d80f&response=Wne4Gatm4gyHa/eXLxmVOg=="),
        (
            LLNW,
            "live",
            "nonce=0123456789abcdef",
            "a9d9916f",
            "nonce=0123456789abcdef&cnonce=a9d9916f&nc=00000001&response=27db798e2df33776bf9a2902174ed892",
        ),
        (
            LLNW,
            "live/studio?key=x/y",
            "nonce=0123456789abcdef",
            "59abea27",
            "nonce=0123456789abcdef&cnonce=59abea27&nc=00000001&response=83d3ff95f7e83108a7680438a41ee5fa",
        ),
    ],
)
def test_three_connections(scheme: str, app: str, values: str, cnonce: str, answer: str) -> None:
    machine = authenticator(cnonce)
    named = f"authmod={scheme}&user=bob"
    for description, query in ((ask(scheme), named), (challenge(scheme, values), f"{named}&{answer}")):
        assert is_about_authentication(description)
        assert machine.take_rejection(description, NOW)
        assert machine.refusal == ""
        assert machine.query(app, NOW) == query


def test_a_challenge_may_come_first() -> None:
    machine = authenticator("343fbeaa")
    assert machine.take_rejection(challenge(ADOBE, SALTED), NOW)
    assert machine.query("live", NOW).startswith("authmod=adobe&user=bob&challenge=343fbeaa&response=")


def test_a_connection_that_broke_is_no_answer() -> None:
    """Over and over: the password may be right all the same."""
    machine = authenticator()
    for _ in range(MAX_QUESTIONS + 1):
        assert machine.query("live", NOW) == ""
        assert machine.take_rejection(ask(ADOBE), NOW)
        assert machine.query("live", NOW) == "authmod=adobe&user=bob"
        assert machine.take_rejection(challenge(ADOBE, SALTED), NOW)
        assert "&response=" in machine.query("live", NOW)


def test_a_late_answer_is_not_given() -> None:
    machine = authenticator()
    for late, begins_anew in ((MEMORY_SECONDS - 0.1, False), (MEMORY_SECONDS, True)):
        machine.take_rejection(challenge(ADOBE, SALTED), NOW)
        assert (machine.query("live", NOW + late) == "") is begins_anew


def test_after_a_connect_was_accepted_the_next_begins_anew() -> None:
    machine = authenticator()
    for _ in range(MAX_QUESTIONS):
        assert machine.take_rejection(ask(ADOBE), NOW)
        assert machine.take_rejection(challenge(ADOBE, SALTED), NOW)
        machine.forget()
        assert machine.query("live", NOW) == ""


def test_text_behind_a_challenge_is_none_of_its_values() -> None:
    machine, plain = authenticator(), authenticator()
    assert machine.take_rejection(challenge(ADOBE, f"{SALTED} ] in 5 ms"), NOW)
    assert plain.take_rejection(challenge(ADOBE, SALTED), NOW)
    assert machine.query("live", NOW) == plain.query("live", NOW)


def test_what_would_end_a_user_name_is_quoted() -> None:
    machine = authenticator(user="b&o#b? 1%ü+@x=\ud800")
    assert machine.take_rejection(ask(ADOBE), NOW)
    assert machine.query("live", NOW) == "authmod=adobe&user=b%26o%23b%3F%201%25%C3%BC+@x=%3F"
    assert machine.take_rejection(challenge(ADOBE, SALTED), NOW)
    assert "&response=" in machine.query("live", NOW)


# No.


NOT_UNDERSTOOD = "the server asks for the password in a way that is not understood"
WRONG = "the server does not accept the user name and password"


@pytest.mark.parametrize(
    ("description", "refusal"),
    [
        (reject("authfailed"), WRONG),
        (reject("authfail", LLNW), WRONG),
        (reject("nosuchuser"), "the server does not know the user name"),
        (ask("red5"), NOT_UNDERSTOOD),
        (challenge("red5", SALTED), NOT_UNDERSTOOD),
        ("?reason=needauth&nonce=1", NOT_UNDERSTOOD),
        ("authmod=adobe ?reason=needauth", NOT_UNDERSTOOD),
        (challenge(ADOBE, "salt=c2FsdA=="), NOT_UNDERSTOOD),
        (challenge(ADOBE, "challenge=YWJjZA==&opaque=b3A="), NOT_UNDERSTOOD),
        (challenge(ADOBE, "salt=&challenge=YWJjZA=="), NOT_UNDERSTOOD),
        (challenge(LLNW, SALTED), NOT_UNDERSTOOD),
        (challenge(LLNW, "nonce"), NOT_UNDERSTOOD),
        (challenge(LLNW, f"nonce={'1' * (MAX_VALUE_CHARACTERS + 1)}"), NOT_UNDERSTOOD),
        (challenge(LLNW, "nonce=ü"), NOT_UNDERSTOOD),
    ],
)
def test_final_rejections(description: str, refusal: str) -> None:
    machine = authenticator()
    assert is_about_authentication(description)
    assert not machine.take_rejection(description, NOW)
    assert machine.refusal == refusal
    assert machine.query("live", NOW) == ""


@pytest.mark.parametrize("description", [ask(ADOBE), challenge(LLNW, "nonce=1"), reject("authfailed")])
def test_without_a_user_every_rejection_is_final(description: str) -> None:
    machine = authenticator(user=None, password=None)
    assert not machine.take_rejection(description, NOW)
    assert machine.refusal == "the server wants a user name and a password"


def test_a_user_may_have_an_empty_password() -> None:
    none, empty = authenticator(password=None), authenticator(password="")
    assert none.take_rejection(challenge(LLNW, "nonce=1"), NOW)
    assert empty.take_rejection(challenge(LLNW, "nonce=1"), NOW)
    assert none.query("live", NOW) == empty.query("live", NOW) != ""


def test_the_same_question_again_means_no() -> None:
    machine = authenticator()
    assert machine.take_rejection(ask(ADOBE), NOW)
    assert not machine.take_rejection(ask(ADOBE), NOW)
    assert machine.refusal == WRONG


def test_the_server_may_change_its_mind_about_the_scheme() -> None:
    machine = authenticator()
    assert machine.take_rejection(ask(ADOBE), NOW)
    assert machine.take_rejection(ask(LLNW), NOW)
    assert machine.query("live", NOW) == "authmod=llnw&user=bob"


@pytest.mark.parametrize(
    "questions",
    [
        [challenge(ADOBE, SALTED)],
        [ask(ADOBE), ask(LLNW)],
        [ask(LLNW), challenge(LLNW, "nonce=1"), challenge(LLNW, "nonce=2"), challenge(LLNW, "nonce=3")],
    ],
)
def test_questions_without_end_are_a_no(questions: list[str]) -> None:
    machine = authenticator()
    asked = cycle(questions)
    for _ in range(MAX_QUESTIONS):
        assert machine.take_rejection(next(asked), NOW)
    assert not machine.take_rejection(next(asked), NOW)
    assert machine.refusal == WRONG


@pytest.mark.parametrize(
    "description",
    [
        "",
        "No such application.",
        "app live?authmod=adobe&user=bob&challenge=00&response=abc= is not here",
        "you need auth",
        "?reason=unknown",
        "x" * MAX_DESCRIPTION_CHARACTERS + ask(ADOBE),
    ],
)
def test_rejections_for_other_reasons(description: str) -> None:
    assert not is_about_authentication(description)


PIECES = [
    ask(ADOBE),
    challenge(ADOBE, SALTED),
    challenge(LLNW, "nonce=1"),
    "?reason=needauth",
    "&",
    "&salt=",
    "authmod=",
    "need auth",
    "&nonce=\0",
]


@given(st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=9)).map("".join), max_size=6))
def test_any_descriptions(descriptions: list[str]) -> None:
    machine = authenticator()
    for description in descriptions:
        is_about_authentication(description)
        goes_on = machine.take_rejection(description, NOW)
        query = machine.query("live", NOW)
        assert goes_on is bool(query) is not bool(machine.refusal)
        # It stands behind "?" in the name of an application.
        assert query.isascii()
        assert query.isprintable()
        assert " " not in query
        assert len(query) <= 4 * MAX_VALUE_CHARACTERS
