import pytest
from tests.unit.relay.sinks.wire import AAC

from whipway.relay.sinks.sound_choice import AudioChoice, SoundChoice
from whipway.relay.tags import OPUS, AudioFormat


@pytest.mark.parametrize(
    ("choice", "audio"), [(AudioChoice.AAC, AAC), (AudioChoice.OPUS, OPUS), (AudioChoice.AUTO, OPUS)]
)
def test_the_format_before_anything_is_known(choice: AudioChoice, audio: AudioFormat) -> None:
    sound = SoundChoice(choice, AAC.bitrate)
    assert sound.format == audio
    assert set(sound.formats) == {AAC, OPUS}
    assert not sound.learn(None)


@pytest.mark.parametrize("choice", [AudioChoice.AAC, AudioChoice.OPUS])
@pytest.mark.parametrize("takes", [True, False])
def test_a_plain_choice_does_not_change(choice: AudioChoice, takes: bool) -> None:
    sound = SoundChoice(choice, AAC.bitrate)
    before = sound.format
    assert not sound.learn(takes)
    assert sound.format == before


def test_an_automatic_choice_follows_the_server_and_remembers() -> None:
    sound = SoundChoice(AudioChoice.AUTO, AAC.bitrate)
    assert not sound.learn(True)
    assert sound.learn(False)
    assert sound.format == AAC
    assert not sound.learn(False)
    assert not sound.learn(None)
    assert sound.format == AAC
    assert sound.learn(True)
    assert sound.format == OPUS


def test_it_describes_itself() -> None:
    sound = SoundChoice(AudioChoice.AUTO, 96_000)
    assert sound.describe() == {"choice": "auto", "codec": "opus", "bitrate": None}
    sound.learn(False)
    assert sound.describe() == {"choice": "auto", "codec": "aac", "bitrate": 96_000}
