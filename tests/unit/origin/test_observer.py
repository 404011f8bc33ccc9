"""Who watches the origin hears of every publisher, once of each thing."""

import pytest
from tests.peers.rtmp_client import AUDIO_HEADER, HOST, VIDEO_HEADER
from tests.peers.waiting import until
from tests.unit.origin.running import OWN_PASS, serving

from whipway.origin.observer import Publishing

pytestmark = pytest.mark.anyio


class Watcher:
    def __init__(self) -> None:
        self.heard: list[tuple[str, Publishing]] = []

    @property
    def words(self) -> list[str]:
        return [f"{word} {publishing.app}/{publishing.name}" for word, publishing in self.heard]

    def publish_began(self, publishing: Publishing) -> None:
        self.heard.append(("began", publishing))

    def first_frame(self, publishing: Publishing) -> None:
        self.heard.append(("frame", publishing))

    def publish_over(self, publishing: Publishing) -> None:
        self.heard.append(("over", publishing))


async def test_a_publisher_is_told_of_from_begin_to_end() -> None:
    watcher = Watcher()
    async with serving(observer=watcher) as origin:
        publisher = await origin.publisher("one?key=1")
        assert watcher.words == ["began live/one"]
        [(_, publishing)] = watcher.heard
        assert (publishing.query, publishing.client, publishing.is_own) == ("key=1", HOST, False)
        publisher.start()
        await until(lambda: publishing.bytes_in >= len(VIDEO_HEADER) + len(AUDIO_HEADER))
        assert watcher.words == ["began live/one"]  # Headers are no frames.
        player = await origin.player()
        publisher.video(0, keyframe=True)
        publisher.video(40)
        await until(lambda: len(player.messages) >= 5)
        assert watcher.words == ["began live/one", "frame live/one"]
        assert 0 < publishing.bytes_out < publishing.bytes_in
        await publisher.close()
        await until(lambda: len(watcher.heard) == 3)
    assert watcher.words[-1] == "over live/one"
    assert {id(publishing) for _, publishing in watcher.heard} == {id(publishing)}


async def test_own_sinks_are_told_of_as_such_and_who_is_refused_is_not() -> None:
    watcher = Watcher()
    async with serving(own_pass=OWN_PASS, observer=watcher) as origin:
        await origin.own_sink("one")
        [(word, publishing)] = watcher.heard
        assert (word, publishing.is_own) == ("began", True)
        with pytest.raises(AssertionError):
            await origin.publisher("one")
        assert len(watcher.heard) == 1
    assert watcher.words == ["began live/one", "over live/one"]
