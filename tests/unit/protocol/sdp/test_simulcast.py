"""What is read of the layers of a video, and which of them are taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.sdp.simulcast import (
    MAX_LAYERS,
    Rid,
    RidDirection,
    Simulcast,
    answer_layers,
    parse_rid,
    parse_simulcast,
)

SEND, RECV = RidDirection.SEND, RidDirection.RECV


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h send", Rid("h", SEND)),
        ("h recv", Rid("h", RECV)),
        ("A_9-z  send", Rid("A_9-z", SEND)),
        ("x" * 255 + " send", Rid("x" * 255, SEND)),
        ("h send pt=96", Rid("h", SEND, (96,))),
        ("h send pt=97,96,97", Rid("h", SEND, (97, 96))),
        # RFC 8851, 6.2.2: a sender may restrict itself by what nobody else knows.
        ("h send pt=96;max-width=1280;max-height=720", Rid("h", SEND, (96,))),
        ("h send max-br=1000;flag;x=a b", Rid("h", SEND)),
    ],
)
def test_rid(text: str, expected: Rid) -> None:
    assert parse_rid(text) == expected
    assert parse_rid(expected.serialize()) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "h both",
        "h sendrecv",
        "h Send",
        "h.1 send",
        "é send",
        "x" * 256 + " send",
        "h send \x00",
        "h send pt=",
        "h send pt=x",
        "h send pt=128",
        "h send pt=96,",
        "h send pt=" + ",".join(["96"] * 128 + ["x"]),
        # It could not be decoded by itself.
        "h send pt=96;depend=l",
    ],
)
def test_a_rid_that_is_of_no_use(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_rid(text)
    assert caught.value.reason is DropReason.SDP_MALFORMED


def test_what_a_rid_is_limited_to_is_bounded() -> None:
    with pytest.raises(ParseError):
        parse_rid("h send pt=" + ",".join(str(number % 128) for number in range(130)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 8853, 5.1 and 6.2: streams, alternatives, pauses, both directions.
        ("send 1;2", Simulcast(send=(("1",), ("2",)))),
        ("recv 1", Simulcast(recv=(("1",),))),
        ("send 1,2,3;~4,~5 recv 6;~7,~8", Simulcast((("1", "2", "3"), ("4", "5")), (("6",), ("7", "8")))),
        ("recv 1;2  send 4", Simulcast((("4",),), (("1",), ("2",)))),
        ("send h;h", Simulcast(send=(("h",), ("h",)))),
    ],
)
def test_simulcast(text: str, expected: Simulcast) -> None:
    assert parse_simulcast(text) == expected
    assert parse_simulcast(expected.serialize()) == expected


def test_without_layers_there_is_nothing_to_write() -> None:
    assert Simulcast().serialize() == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "send",
        "send ",
        "h;l",
        "send h;",
        "send ;h",
        "send h,,l",
        "send ~",
        "send ~~h",
        "send h l",
        "send h send l",
        "recv h recv l",
        "send h recv l send x",
        # As drafts of RFC 8853 had it.
        "send rid=h;l",
        "send h recv " + "x" * 256,
    ],
)
def test_a_simulcast_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_simulcast(text)
    assert caught.value.reason is DropReason.SDP_MALFORMED


@given(st.text("send recv~,;=pt019h \x00é", max_size=40) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_rid, parse_simulcast):
        try:
            value = parse(text)
        except ParseError as error:
            assert error.reason is DropReason.SDP_MALFORMED
        else:
            assert parse(value.serialize()) == value


def layers(simulcast: str, *rids: str, accepted: tuple[int, ...] = (96,)) -> list[str]:
    answered = answer_layers([parse_rid(rid) for rid in rids], parse_simulcast(simulcast), accepted)
    return [rid.serialize() for rid in answered]


def test_layers_are_taken_in_the_order_of_the_offer() -> None:
    assert layers("send h;m;l", "l send", "m send", "h send") == ["h recv", "m recv", "l recv"]


def test_a_layer_that_is_paused_is_taken_like_the_others() -> None:
    assert layers("send h;~l", "h send", "l send") == ["h recv", "l recv"]


def test_of_alternatives_the_first_that_can_be_received() -> None:
    rids = ("1 send pt=98", "2 send pt=96", "3 send")
    assert layers("send 1,2,3", *rids) == ["2 recv pt=96"]
    assert layers("send 3,2;1,2", *rids) == ["3 recv", "2 recv pt=96"]


def test_a_layer_is_taken_once() -> None:
    assert layers("send h;h;l,h", "h send", "l send") == ["h recv", "l recv"]
    assert layers("send h;h,l;l", "h send", "l send") == ["h recv", "l recv"]


def test_the_first_layers_are_taken() -> None:
    names = "abcdef"
    assert layers(f"send {';'.join(names)}", *(f"{name} send" for name in names)) == [
        f"{name} recv" for name in names[:MAX_LAYERS]
    ]
    # Those of no use do not count.
    assert layers("send x;y;a;b;c;d", *(f"{name} send" for name in names))[-1] == "d recv"


@pytest.mark.parametrize(
    "rids",
    [
        (),
        ("l send",),
        ("h recv",),
        ("h send pt=97,98",),
        # RFC 8851, 6.2.2: of two with the same id neither is used.
        ("h send", "h send pt=96"),
        ("h send", "h recv"),
    ],
)
def test_layers_that_are_not_taken(rids: tuple[str, ...]) -> None:
    assert layers("send h", *rids) == []


def test_payload_types_that_are_not_taken_are_left_out() -> None:
    assert layers("send h", "h send pt=100,99,98,97,96", accepted=(96, 98, 102)) == ["h recv pt=98,96"]


def test_layers_that_would_be_received_are_nothing_here() -> None:
    assert layers("recv h", "h send", "l recv") == []
