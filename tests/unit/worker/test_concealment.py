from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.worker.concealment import MAX_ARGUMENTS, MAX_REMEMBERED, MIN_CHARACTERS, make_concealer


def conceal(text: str, name: str = "one", url: str = "rtmp://127.0.0.1/live") -> str:
    return make_concealer(name, parse_rtmp_url(url))(text)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Stream live/one?key=S3CRET is busy", "Stream live/one?… is busy"),
        ("'one?key=S3CRET&room=a'", "'one?…"),
        ("wrong key=S3CRET", "wrong key=…"),
        ("wrong key s3cret", "wrong key …"),
        ("wrong key S3CRET, S3CRET", "wrong key …, …"),
        ("no room 'a b c d'", "no room '…'"),
        ("no room 'a+b+c+d'", "no room '…'"),
        ("no room a", "no room a"),
        ("the server closed the connection", "the server closed the connection"),
    ],
)
def test_arguments_of_the_name(words: str, told: str) -> None:
    assert conceal(words, "one?key=S3CRET&room=a+b+c+d&n=a&empty=") == told


def test_an_argument_without_a_name() -> None:
    assert conceal("passcode S3CRET is wrong", "one?S3CRET") == "passcode … is wrong"


def test_arguments_of_the_application() -> None:
    url = "rtmp://127.0.0.1/live?key=S3CRET"
    assert conceal("no application live?key=S3CRET", url=url) == "no application live?…"
    assert conceal("not with S3CRET", url=url) == "not with …"


@pytest.mark.parametrize("length", range(9, 18))
def test_a_secret_that_was_cut_to_a_length(length: int) -> None:
    secret = "0123456789abcdefgh"
    assert conceal(f"wrong key {secret[:length]}", f"one?key={secret}") == "wrong key …"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("one?key=publishers", "publisher is not allowed to publish"),
        ("one?publisher=bob", "publisher bob is not allowed"),
        ("one?mode=live", "application live: no such stream"),
        ("one?access_key=S3CRET", "access_key wrong"),
        ("my-church-sunday", "my-church-saturday is busy"),
    ],
)
def test_words_that_are_no_secrets_stay(name: str, words: str) -> None:
    assert conceal(words, name, "rtmp://rtmp.example/live") == words


def test_a_value_as_the_server_writes_it() -> None:
    assert conceal("no key a%2Fb%2Fcdef here", "one?key=a/b/cdef") == "no key … here"


def test_a_key_in_the_path_of_the_url() -> None:
    url = "rtmp://rtmp.example/live/abcd-efgh-ijkl-mnop"
    assert conceal("no application live/abcd-efgh-ijkl-mnop", url=url) == "no application live/abcd-efg…"


LONG = "live_12345_abcdefghijkl"


@pytest.mark.parametrize(
    ("name", "words", "told"),
    [
        (LONG, f"Stream live/{LONG} is busy", "Stream live/live_123… is busy"),
        (f"/{LONG}/?a", f"{LONG}, {LONG}", "live_123…, live_123…"),
        (f"team/{LONG}", f"team/{LONG} is busy", "team/liv… is busy"),
        (f"team/{LONG}", f"{LONG} is busy", "live_123… is busy"),
        (LONG, f"Stream {LONG[:15]}", "Stream live_123…"),
        ("one", "Stream live/one is busy", "Stream live/one is busy"),
    ],
)
def test_names_that_go_to_another_machine(name: str, words: str, told: str) -> None:
    assert conceal(words, name, "rtmp://rtmp.example/live") == told
    # Here they are no secrets.
    if "?" not in name:
        assert conceal(words, name, "rtmp://localhost/live") == words


@given(st.text("ab?&=+%4 /", max_size=40), st.text("ab?&=+%4 /…", max_size=60))
def test_any_text_is_concealed(name: str, words: str) -> None:
    assert isinstance(conceal(words, name, "rtmp://rtmp.example/live"), str)


SENT_ELSEWHERE = "rtmp://bob%40home:S3CR%2FET%20x@rtmp.example/live"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("wrong password S3CR/ET x", "wrong password …"),
        ("wrong password S3CR%2FET%20x", "wrong password …"),
        ("wrong password s3cr%2fet%20X", "wrong password …"),
        ("wrong password S3CR%2FET+x", "wrong password …"),
        ("no such user bob@home", "no such user …"),
        ("no such user bob%40home", "no such user …"),
        ("Basic Ym9iQGhvbWU6UzNDUi9FVCB4 refused", "Basic … refused"),
        ("rtmp://bob%40home:S3CR%2FET%20x@rtmp.example/live", "rtmp://…:…@rtmp.example/live"),
        ("bob is at home", "bob is at home"),
    ],
)
@pytest.mark.parametrize("url", [SENT_ELSEWHERE, SENT_ELSEWHERE.replace("rtmp.example", "localhost")])
def test_user_and_password_of_the_url(url: str, words: str, told: str) -> None:
    assert conceal(words, url=url).replace("localhost", "rtmp.example") == told


def test_both_in_base64_with_padding() -> None:
    # printf alice:wonderland | base64
    assert conceal("Basic YWxpY2U6d29uZGVybGFuZA==.", url="rtmp://alice:wonderland@h/live") == "Basic …==."


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("user bob, password abc!", "user …, password …!"),
        ("bobby knows abcd", "bobby knows abcd"),
        ("(bob:abc)", "(…:…)"),
    ],
)
def test_short_ones_are_words_by_themselves(words: str, told: str) -> None:
    assert conceal(words, url="rtmp://bob:abc@rtmp.example/live") == told


def test_one_letter_is_no_secret() -> None:
    words = "a stream of x is on a server"
    assert conceal(words, url="rtmp://a:x@rtmp.example/live") == words


def test_a_user_without_a_password() -> None:
    assert conceal("alice: YWxpY2U6", url="rtmp://alice@rtmp.example/live") == "…: YWxpY2U6"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ?reason=needauth&user=bob"
            "&salt=abcd&challenge=efgh&opaque=efgh",
            "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ?…",
        ),
        (
            "[ code=403; authmod=adobe; user=bob; response=Zm9v ] denied",
            "[ code=403; authmod=adobe; user=…; response=… ] denied",
        ),
        (
            "authmod=llnw&user=bob&nonce=12&cnonce=34&nc=00000001",
            "authmod=llnw&user=…&nonce=…&cnonce=…&nc=00000001",
        ),
        ("no response from the user", "no response from the user"),
    ],
)
def test_what_a_challenge_makes_of_them(words: str, told: str) -> None:
    assert conceal(words, url="rtmp://bob:abcdefgh@rtmp.example/live") == told


@given(
    st.text("ab%/:@ é", min_size=1, max_size=20),
    st.text("ab%/:@ é", max_size=20),
    st.text("ab:@%é…", max_size=60),
)
def test_any_credentials_are_concealed(user: str, password: str, words: str) -> None:
    url = f"rtmp://{quote(user, safe='')}:{quote(password, safe='')}@rtmp.example/live"
    told = conceal(f"{words} {password} {words}", url=url)
    assert len(password) < MIN_CHARACTERS or password.lower() not in told.lower()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("no abcdefghij here", "no … here"),
        ("no ABCDEFGHIJ here", "no … here"),
        ("no abcdef, efghij here", "no …, … here"),
        ("no abcdefxefghij here", "no …x… here"),
    ],
)
def test_secrets_that_overlap(words: str, told: str) -> None:
    assert conceal(words, "one?a=abcdef&b=efghij") == told


def test_a_secret_in_another_is_no_other() -> None:
    url = "rtmp://rtmp.example/live"
    told = conceal("live_12345_abcdefghijkl here", "live_12345_abcdefghijkl?key=abcdefghijkl", url)
    assert told == "live_123… here"


@pytest.mark.parametrize("secret", ["\u0130stanbul", "\u039f\u0394\u039f\u03a3\u039f\u03a3", "Stra\u00dfen"])
@pytest.mark.parametrize("around", ["", "x", "\u0130", "\u03a3"])
def test_characters_with_odd_cases_keep_their_place(secret: str, around: str) -> None:
    """The lower case of one is two characters, that of another depends on what follows."""
    assert conceal(f"{around}{secret}{around} \u0130", f"one?key={secret}") == f"{around}…{around} \u0130"


def test_a_short_beginning_of_a_secret_is_a_word() -> None:
    assert conceal("wrong 01234567", "one?key=0123456789") == "wrong 01234567"
    assert conceal("012345678 is not the end", "one?key=0123456789") == "012345678 is not the end"


def test_the_longest_beginning_is_taken() -> None:
    name = "one?a=0123456789abc&b=6789abcdefghijk"
    assert conceal("wrong 0123456789abcdefgh", name) == "wrong …"
    assert conceal("at 012345678 there, 0123456789", "one?key=0123456789ab") == "at 012345678 there, …"


def test_arguments_that_are_looked_for_are_few_and_the_longest() -> None:
    short = [f"short-{number:03}" for number in range(MAX_ARGUMENTS)]
    name = f"one?{'&'.join(short)}&key=a-longer-one"
    told = conceal(f"not a-longer-one, nor {short[0]}, nor {short[-1]}", name)
    assert told == f"not …, nor …, nor {short[-1]}"
    # Wherever they stand behind a question mark, all of them go.
    assert conceal(name, name) == "one?…"


def test_what_was_seen_before_costs_nothing() -> None:
    function = make_concealer("one?key=S3CRET", parse_rtmp_url("rtmp://127.0.0.1/live"))
    for _ in range(3):
        assert function("wrong S3CRET") == "wrong …"
        assert function("") == ""
    assert function.cache_info().misses == 2  # type: ignore[attr-defined]
    for number in range(100):
        function(f"{number}")
    assert function.cache_info().currsize == MAX_REMEMBERED  # type: ignore[attr-defined]
