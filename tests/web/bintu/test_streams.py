"""Streams and the organisation, by every route, on both databases."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from json import dumps
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.web.bintu.api import (
    ORGANISATION,
    STREAM,
    UNKNOWN,
    assert_denied,
    assert_refused,
    assert_unknown,
    client,
    create,
    state,
    succeeded,
)
from tests.web.served import BASE, Served, serving
from tests.web.v1.api import on_both, published

from whipway.config import Settings
from whipway.streams.records import Role
from whipway.streams.store.tables import MAX_TAG_CHARACTERS

pytestmark = [pytest.mark.anyio, on_both]

TIMES = ("created_at", "updated_at", "live_at", "ended_at", "locked_at", "deleted_at")
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """Of an administrator."""
    async with await client(served) as http:
        yield http


async def ids(http: httpx.AsyncClient, query: str = "") -> list[str]:
    found = succeeded(await http.get(f"{STREAM}?{query}"))
    assert isinstance(found, list)
    return [each["id"] for each in found]


# Create, get


async def test_a_new_stream(served: Served, http: httpx.AsyncClient) -> None:
    stream = succeeded(await http.post(STREAM, json={"tags": ["b", "a", "b"]}))
    assert UUID(stream["id"]).version == 4
    assert (stream["state"], stream["type"], stream["reason"]) == ("created", "live", None)
    assert stream["tags"] == ["b", "a"]
    assert [name for name in TIMES if stream[name]] == ["created_at", "updated_at"]
    assert stream["created_at"].endswith("Z") and datetime.fromisoformat(stream["created_at"])
    name = stream["ingest"]["rtmp"]["streamname"]
    organisation = succeeded(await http.get(ORGANISATION))
    assert re.fullmatch(organisation["hash"] + r"-[1-9A-Za-z]{10}", name)
    rtmp = {"url": served.gateway.stream_url, "streamname": name}
    whip = f"{BASE}/p/webrtc?stream_name={name}&stream_url={served.gateway.stream_url}"
    assert stream["ingest"] == {"rtmp": rtmp, "whip": {"url": whip}}
    assert stream["playout"] == {
        "rtmp": [{**rtmp, "type": "live"}],
        "flv": [{"url": f"{BASE}/live/{name}.flv", "type": "live"}],
        "hls": [],
        "web": [],
    }
    assert succeeded(await http.get(f"{STREAM}/{stream['id']}?asset_limit=5")) == stream
    assert (await http.head(f"{STREAM}/{stream['id']}")).status_code == 200


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (None, {}),
        (None, JSON),
        (b" \n", JSON),
        (b"{}", {"Content-Type": "text/plain;charset=UTF-8"}),
        (b'{"tags": null, "type": null}', {}),
        (
            b'{"type": "low-latency", "webrtc": true, "transcodes": [{"profile": "vtrans2-640x360x400x25"}]}',
            JSON,
        ),
        (b'{"type": "wowza", "processing": [[{"id": "recording"}]], "tags": []}', {"Content-Type": "x"}),
    ],
)
async def test_what_clients_send_to_create(
    http: httpx.AsyncClient, content: bytes | None, headers: dict[str, str]
) -> None:
    stream = succeeded(await http.post(STREAM, content=content, headers=headers))
    assert (stream["state"], stream["tags"], stream["type"]) == ("created", [], "live")


async def test_types_that_there_are_not(http: httpx.AsyncClient) -> None:
    answer = await http.post(STREAM, json={"type": "vod"})
    assert_refused(answer, 400, 3002, "Stream Type is not available", stream_type="vod")
    for kind in (5, True, ["live"], {"live": 1}):
        answer = await http.post(STREAM, json={"type": kind})
        assert_refused(answer, 400, 1004, "Wrong Data Type", parameter="type", type="string")
    assert await ids(http) == []


# Lists


async def test_the_newest_come_first(http: httpx.AsyncClient) -> None:
    made = [(await create(http))["id"] for _ in range(6)]
    in_order = await ids(http)
    assert sorted(in_order) == sorted(made)
    times = [each["created_at"] for each in succeeded(await http.get(STREAM))]
    assert times == sorted(times, reverse=True)
    assert await ids(http, "quantity=4") == in_order[:4]
    assert await ids(http, "quantity=4&offset=4") == in_order[4:]
    assert await ids(http, "quantity=0") == []
    assert await ids(http, "quantity=999999999&unknown=1") == in_order
    assert await ids(http, "offset=999999999") == []


async def test_fifty_unless_more_are_asked_for(served: Served, http: httpx.AsyncClient) -> None:
    for _ in range(52):
        await served.services.streams.create()
    assert len(await ids(http)) == 50
    assert len(await ids(http, "quantity=500")) == 52


async def test_lists_by_state_and_tags(served: Served, http: httpx.AsyncClient) -> None:
    new, over, locked, gone = [await create(http, "every", tag) for tag in ("a", "b c", "ü&=", "a")]
    with published(served, over["ingest"]["rtmp"]["streamname"]):
        await http.put(f"{STREAM}/{locked['id']}/lock")
        await http.delete(f"{STREAM}/{gone['id']}")
        while await state(http, over) != "live":
            pass
        assert await ids(http, "state=live") == await ids(http, "state=live&tags[]=every") == [over["id"]]
    while await state(http, over) != "ended":
        pass
    assert await ids(http, "state=live") == await ids(http, "state=ended&tags[]=a") == []
    assert await ids(http, "state=ended") == await ids(http, "tags[]=b%20c") == [over["id"]]
    assert await ids(http, "state=created") == await ids(http, "tags[]=a") == [new["id"]]
    assert await ids(http, "state=locked") == await ids(http, "tags%5B%5D=%C3%BC%26%3D") == [locked["id"]]
    everything = await ids(http, "tags[]=every")
    assert len(everything) == 3
    assert await ids(http) == await ids(http, "state=all") == await ids(http, "state=") == everything
    assert await ids(http, "tags[]=a&tags[]=every&tags[]=a") == [new["id"]]
    assert await ids(http, "tags[]=a&tags[]=b+c") == []


async def test_what_a_list_cannot_be_asked(http: httpx.AsyncClient) -> None:
    for word in ("deleted", "LIVE", "live,ended"):
        answer = await http.get(f"{STREAM}?state={word}")
        assert_refused(answer, 400, 9400, "Value not possible", parameter="state")
    for name in ("quantity", "offset"):
        for number in ("", "-1", "1.5", "x", "%D9%A1", "1" * 10, "1" * 5000, "1%00"):
            answer = await http.get(f"{STREAM}?{name}={number}")
            assert_refused(answer, 400, 1004, "Wrong Data Type", parameter=name, type="integer")
    for query in ("tags[]=%00", f"tags[]={'a' * (MAX_TAG_CHARACTERS + 1)}", "&".join(["tags[]=a"] * 51)):
        answer = await http.get(f"{STREAM}?{query}")
        assert_refused(answer, 400, 9400, "Value not possible", parameter="tags")


# Tags, push URL


async def test_tags_are_replaced(http: httpx.AsyncClient) -> None:
    stream = await create(http, "old")
    path = f"{STREAM}/{stream['id']}/tag"
    changed = succeeded(await http.put(path, json={"tags": ["new", "title:A Title"]}))
    assert changed["tags"] == ["new", "title:A Title"]
    assert changed | {"tags": ["old"], "updated_at": stream["updated_at"]} == stream
    assert changed["updated_at"] >= stream["updated_at"]
    for body in (b'{"tags": []}', b'{"tags": null}', b""):
        await http.put(path, json={"tags": ["again"]})
        assert succeeded(await http.put(path, content=body))["tags"] == []


async def test_tags_that_cannot_be_kept(http: httpx.AsyncClient) -> None:
    stream = await create(http, "old")
    path = f"{STREAM}/{stream['id']}/tag"
    for body in ({}, {"tag": ["a"]}):
        answer = await http.put(path, json=body)
        assert_refused(answer, 400, 1002, "Parameter required", required_parameter="tags")
    for tags in ("a", 0, False, "", {}, {"a": "b"}, [1], ["a", None], [["a"]]):
        for answer in (
            await http.put(path, content=dumps({"tags": tags})),
            await http.post(STREAM, content=dumps({"tags": tags})),
        ):
            assert_refused(answer, 400, 1004, "Wrong Data Type", parameter="tags", type="array of strings")
    for tags in (
        [""],
        ["\0"],
        ["a\nb"],
        ["\ud800"],
        ["a" * (MAX_TAG_CHARACTERS + 1)],
        [*map(str, range(51))],
    ):
        for answer in (
            await http.put(path, content=dumps({"tags": tags})),
            await http.post(STREAM, content=dumps({"tags": tags})),
        ):
            assert_refused(answer, 400, 9400, "Value not possible", parameter="tags")
    assert [each["tags"] for each in succeeded(await http.get(STREAM))] == [["old"]]


async def test_the_longest_tags_of_all(http: httpx.AsyncClient) -> None:
    tags = [chr(0x1F600 + number) * MAX_TAG_CHARACTERS for number in range(50)]
    stream = succeeded(await http.post(STREAM, json={"tags": tags}))
    assert stream["tags"] == tags
    assert await ids(http, f"tags[]={tags[7]}") == [stream["id"]]


async def test_a_push_url(http: httpx.AsyncClient) -> None:
    stream = await create(http)
    assert stream["push_url"] is None
    path = f"{STREAM}/{stream['id']}/push_url"
    set_ = succeeded(await http.put(path, json={"url": "rtmp://public.example/live/KEY-of-them"}))
    assert set_["push_url"] == "rtmp://public.example:1935/live/****"
    assert succeeded(await http.get(f"{STREAM}/{stream['id']}")) == set_
    for nothing in (None, ""):
        await http.put(path, json={"url": "rtmp://user:password@public.example/live/x?y"})
        assert succeeded(await http.put(path, json={"url": nothing}))["push_url"] is None


async def test_push_urls_that_are_none(http: httpx.AsyncClient) -> None:
    stream = await create(http)
    path = f"{STREAM}/{stream['id']}/push_url"
    for body in (b"", b"{}", b'{"push_url": "rtmp://public.example/live/x"}'):
        answer = await http.put(path, content=body)
        assert_refused(answer, 400, 1002, "Parameter required", required_parameter="url")
    for value in (5, True, [], {"url": "x"}):
        answer = await http.put(path, content=dumps({"url": value}))
        assert_refused(answer, 400, 1004, "Wrong Data Type", parameter="url", type="string")
    odd: list[str] = [
        "x",
        "https://public.example/live/x",
        "rtmp://public.example/live",
        "rtmp://public.example/live/\0",
        "rtmp://public.example/\ud800/x",
        "rtmp://\ud800/live/x",
        "rtmp://public.example/live/" + "x" * 5000,
        "rtmp://private.example/live/x",
    ]
    for value in odd:
        answer = await http.put(path, content=dumps({"url": value}))
        assert_refused(answer, 400, 9400, "Value not possible", parameter="url")
    assert succeeded(await http.get(f"{STREAM}/{stream['id']}"))["push_url"] is None


# Names


async def test_names_that_are_taken(http: httpx.AsyncClient) -> None:
    stream = await create(http)
    name = stream["ingest"]["rtmp"]["streamname"]

    async def validate(**members: Any) -> Any:
        return succeeded(await http.post(f"{STREAM}/validate", json=members))

    assert await validate(streamname=name) == {"streamname": name, "taken": True, "valid": False}
    assert (await validate(name=name))["taken"]
    assert await validate(streamname="no-one") == {"streamname": "no-one", "taken": False, "valid": True}
    # Case counts.
    assert not (await validate(streamname=name.swapcase()))["taken"]
    await http.delete(f"{STREAM}/{stream['id']}")
    assert (await validate(streamname=name))["taken"]


async def test_names_that_no_stream_can_have(http: httpx.AsyncClient) -> None:
    path = f"{STREAM}/validate"
    for content in (b"", b"{}", b'{"streamname": null}', b'{"id": "x"}'):
        answer = await http.post(path, content=content)
        assert_refused(answer, 400, 1002, "Parameter required", required_parameter="streamname")
    for value in (1, ["x"], {}, False):
        answer = await http.post(path, json={"streamname": value})
        assert_refused(answer, 400, 1004, "Wrong Data Type", parameter="streamname", type="string")
    for name in ("", "\0", "a\0b", "\ud800", "x" * 513):
        answer = await http.post(path, content=dumps({"streamname": name}))
        assert_refused(answer, 400, 9400, "Value not possible", parameter="streamname")


# States


async def test_lock_unlock_delete(http: httpx.AsyncClient) -> None:
    stream = await create(http, "a")
    path = f"{STREAM}/{stream['id']}"
    locked = succeeded(await http.put(f"{path}/lock"))
    assert (locked["state"], locked["reason"]) == ("locked", "locked") and locked["locked_at"]
    again = succeeded(await http.put(f"{path}/lock"))
    assert (again["state"], again["locked_at"]) == ("locked", locked["locked_at"])
    assert succeeded(await http.put(f"{path}/stop"))["state"] == "locked"
    for _ in range(2):
        assert succeeded(await http.put(f"{path}/unlock"))["state"] == "created"
    assert succeeded(await http.put(f"{path}/stop"))["state"] == "created"
    deleted = await http.delete(path)
    assert succeeded(deleted) == {"id": stream["id"], "state": "deleted"}
    assert_unknown(await http.delete(path), stream["id"])
    assert await ids(http) == []


async def test_streams_that_there_are_not(http: httpx.AsyncClient) -> None:
    deleted = await create(http)
    await http.delete(f"{STREAM}/{deleted['id']}")
    for path in (UNKNOWN, f"{STREAM}/{deleted['id']}"):
        stream_id = path.rpartition("/")[2]
        for action, body in (
            ("stop", None),
            ("lock", None),
            ("unlock", None),
            ("tag", {"tags": []}),
            ("push_url", {"url": None}),
        ):
            assert_unknown(await http.put(f"{path}/{action}", json=body), stream_id)
        assert_unknown(await http.get(path), stream_id)
        assert_unknown(await http.delete(path), stream_id)
        async with httpx.AsyncClient(transport=http._transport, base_url=BASE) as stranger:
            assert_unknown(await stranger.get(path), stream_id)


# Organisation


async def test_the_organisation(served: Served, http: httpx.AsyncClient) -> None:
    found = succeeded(await http.get(ORGANISATION))
    assert found.keys() == {"id", "name", "hash", "created_at", "webhook"}
    assert UUID(found["id"]) and found["webhook"] is None
    url = "https://user:password@hooks.example/publish?key=1"
    changed = succeeded(await http.put(f"{ORGANISATION}/webhook", json={"webhook": url}))
    assert changed == found | {"webhook": url} == succeeded(await http.get(ORGANISATION))
    async with await client(served, Role.USER) as user:
        assert succeeded(await user.get(ORGANISATION)).keys() == found.keys() - {"webhook"}
        assert_denied(await user.put(f"{ORGANISATION}/webhook", json={"webhook": None}))
    for nothing in (None, ""):
        await http.put(f"{ORGANISATION}/webhook", json={"webhook": url})
        assert succeeded(await http.put(f"{ORGANISATION}/webhook", json={"webhook": nothing})) == found


async def test_webhooks_that_are_none(http: httpx.AsyncClient) -> None:
    path = f"{ORGANISATION}/webhook"
    for content in (b"", b"{}", b'{"url": "https://hooks.example"}'):
        answer = await http.put(path, content=content)
        assert_refused(answer, 400, 1002, "Parameter required", required_parameter="webhook")
    for value in (1, ["https://hooks.example"], {}):
        answer = await http.put(path, json={"webhook": value})
        assert_refused(answer, 400, 1004, "Wrong Data Type", parameter="webhook", type="string")
    for url in (
        "x",
        "ftp://hooks.example",
        "https://",
        "https://a b",
        "https://h/\0",
        "\ud800",
        "https://h/" * 999,
    ):
        answer = await http.put(path, content=dumps({"webhook": url}))
        assert_refused(answer, 400, 9400, "Value not possible", parameter="webhook")
    assert succeeded(await http.get(ORGANISATION))["webhook"] is None


async def test_a_restart_loses_nothing(served: Served, http: httpx.AsyncClient) -> None:
    live, locked = await create(http, "a"), await create(http)
    await http.put(f"{STREAM}/{locked['id']}/lock")
    with published(served, live["ingest"]["rtmp"]["streamname"]):
        while await state(http, live) != "live":
            pass
        before = {each["id"]: each for each in succeeded(await http.get(STREAM))}
        url = served.services.settings.database.url.get_secret_value()
        # Another process, which begins while this one is as good as dead.
        async with serving(Settings.model_validate({"database": {"url": url}})) as next_one:
            async with next_one.client(headers=dict(http.headers)) as again:
                after = {each["id"]: each for each in succeeded(await again.get(STREAM))}
    assert after[live["id"]]["state"] == "ended" and after[live["id"]]["reason"] == "restart"
    assert after[live["id"]]["tags"] == ["a"] and after[live["id"]]["ended_at"]
    assert after[locked["id"]]["state"] == "locked"
    assert after.keys() == before.keys()
