import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.worker.concealment import make_concealer


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
