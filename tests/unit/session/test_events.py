"""The words of the API, and that events are values."""

from dataclasses import FrozenInstanceError

import pytest

from whipway.session.events import Connected, Ended, EndReason


def test_reasons_are_words_of_the_api():
    assert sorted(reason.value for reason in EndReason) == [
        "client_closed",
        "deleted",
        "dtls_failed",
        "internal_error",
        "replaced",
        "setup_timeout",
        "shutdown",
        "silence",
        "sink_failed",
    ]
    assert f"{EndReason.DELETED}" == "deleted"


def test_events_are_values():
    assert Ended(EndReason.SILENCE) == Ended(EndReason.SILENCE, "")
    assert Connected("SRTP_AEAD_AES_128_GCM") != Connected("SRTP_AES128_CM_SHA1_80")
    with pytest.raises(FrozenInstanceError):
        Ended(EndReason.SILENCE).reason = EndReason.DELETED
