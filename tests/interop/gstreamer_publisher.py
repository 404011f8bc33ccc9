"""A WHIP client made of GStreamer's webrtcbin: H.264 and Opus, flash and beep.

    /usr/bin/python3 gstreamer_publisher.py WHIP_URL ENCODER VIDEO_FRAMES

ENCODER is x264enc or openh264enc. It sends that many pictures with as much sound, deletes its session, and
prints as JSON what went into webrtcbin. GStreamer's Python modules belong to the system's interpreter, so
this script runs in that one and imports nothing of the project.
"""

import json
import sys
import threading
import urllib.error
import urllib.request
from http import HTTPStatus

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402 - the versions come first

FRAME_RATE = 25
FLASH_FRAMES = 3
AUDIO_PACKETS_A_SECOND = 50
SMPTE, WHITE = 0, 3
"""Patterns of videotestsrc."""
HTTP_TIMEOUT = 10
SETTLE_MS = 500
"""Between the last packet and the end of the stream, which may overtake it within webrtcbin."""
BYE_MS = 50
"""From there to DELETE."""

ENCODERS = {
    "x264enc": "x264enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max=50",
    "openh264enc": "openh264enc bitrate=800000 gop-size=50 complexity=low rate-control=bitrate",
}
PIPELINE = """
webrtcbin name=webrtc bundle-policy=max-bundle
videotestsrc name=picture is-live=true !
    video/x-raw,width=640,height=360,framerate={rate}/1 !
    {encoder} ! h264parse name=video config-interval=-1 !
    rtph264pay pt=96 mtu=1200 ! webrtc.
audiotestsrc is-live=true samplesperbuffer=960 wave=ticks freq=1000 volume=0.5
    tick-interval=1000000000 sine-periods-per-tick=120 ! audio/x-raw,rate=48000,channels=2 !
    opusenc name=audio ! rtpopuspay pt=97 ! webrtc.
"""


class Publisher:
    """One run, from the offer to DELETE. Methods beginning with `_on` are called by GStreamer's threads."""

    def __init__(self, url: str, encoder: str, frames: int) -> None:
        self.sent = {"video": 0, "audio": 0}
        self.failure = ""
        self._url = url
        self._session_url = ""
        packets = frames * AUDIO_PACKETS_A_SECOND // FRAME_RATE
        self._wanted = {"video": frames, "audio": packets}
        self._pipeline = Gst.parse_launch(PIPELINE.format(encoder=ENCODERS[encoder], rate=FRAME_RATE))
        self._loop = GLib.MainLoop()
        self._ending = threading.Lock()
        self._ice: Gst.Object | None = None
        self.was_deleted = False
        """The server took the DELETE: nothing had ended the session before."""

    def run(self) -> None:
        webrtc = self._pipeline.get_by_name("webrtc")
        for index in range(2):
            transceiver = webrtc.emit("get-transceiver", index)
            transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
            # Repeat what is asked for; by default it keeps nothing.
            transceiver.set_property("do-nack", True)
        webrtc.connect("on-negotiation-needed", self._on_negotiation_needed)
        for kind in self.sent:
            pad = self._pipeline.get_by_name(kind).get_static_pad("src")
            pad.add_probe(Gst.PadProbeType.BUFFER, self._on_packet, kind)
        picture = self._pipeline.get_by_name("picture")
        picture.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, self._on_picture, picture)
        bus = self._pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self._on_error)
        self._pipeline.set_state(Gst.State.PLAYING)
        self._loop.run()
        if self._session_url:
            self._delete()
        self._pipeline.set_state(Gst.State.NULL)

    def _delete(self) -> None:
        try:
            request(self._session_url, "DELETE")
            self.was_deleted = True
        except urllib.error.HTTPError as error:
            # At the end of the stream rtpbin says BYE, which ends a session as well.
            if error.code != HTTPStatus.GONE:
                raise

    def _on_picture(self, pad: Gst.Pad, info: Gst.PadProbeInfo, source: Gst.Element) -> Gst.PadProbeReturn:
        following = info.get_buffer().offset + 1
        flash = following % FRAME_RATE < FLASH_FRAMES
        source.set_property("pattern", WHITE if flash else SMPTE)
        return Gst.PadProbeReturn.OK

    def _on_packet(self, pad: Gst.Pad, info: Gst.PadProbeInfo, kind: str) -> Gst.PadProbeReturn:
        if self.sent[kind] == self._wanted[kind]:
            return Gst.PadProbeReturn.DROP
        self.sent[kind] += 1
        complete = all(self.sent[one] >= count for one, count in self._wanted.items())
        if complete and self._ending.acquire(blocking=False):
            GLib.timeout_add(SETTLE_MS, self._end)
        return Gst.PadProbeReturn.OK

    def _end(self) -> bool:
        self._pipeline.send_event(Gst.Event.new_eos())
        GLib.timeout_add(BYE_MS, self._loop.quit)
        return GLib.SOURCE_REMOVE

    def _on_negotiation_needed(self, webrtc: Gst.Element) -> None:
        # webrtcbin leaves loopback out when it gathers, and a machine may have nothing else. Python's wrapper
        # takes over the one reference that webrtcbin has, so it must stay.
        self._ice = webrtc.get_property("ice-agent")
        self._ice.emit("add-local-ip-address", "127.0.0.1")
        webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self._on_offer, webrtc))

    def _on_offer(self, promise: Gst.Promise, webrtc: Gst.Element) -> None:
        reply = promise.get_reply()  # What it holds goes with it.
        offer = reply.get_value("offer")
        webrtc.emit("set-local-description", offer, None)
        # Asking for an answer takes a while, and this thread is webrtcbin's own.
        threading.Thread(target=self._exchange, args=(webrtc, offer.sdp.as_text())).start()

    def _exchange(self, webrtc: Gst.Element, offer: str) -> None:
        try:
            text, self._session_url = request(self._url, "POST", offer)
        except OSError as error:
            self._fail(str(error))
            return
        _, message = GstSdp.SDPMessage.new_from_text(text)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        webrtc.emit("set-remote-description", answer, None)

    def _on_error(self, bus: Gst.Bus, message: Gst.Message) -> None:
        self._fail(str(message.parse_error()))

    def _fail(self, what: str) -> None:
        self.failure = what
        self._loop.quit()


def request(url: str, method: str, offer: str = "") -> tuple[str, str]:
    """Speak WHIP; return the body and the Location. Raises OSError, also for an error status."""
    headers = {"Content-Type": "application/sdp"} if offer else {}
    asked = urllib.request.Request(url, offer.encode() or None, headers, method=method)
    with urllib.request.urlopen(asked, timeout=HTTP_TIMEOUT) as response:
        return response.read().decode(), response.headers.get("Location", "")


def main() -> int:
    Gst.init(None)
    publisher = Publisher(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    publisher.run()
    print(json.dumps({**publisher.sent, "deleted": publisher.was_deleted}))  # noqa: T201 - that is its output
    print(publisher.failure, file=sys.stderr)  # noqa: T201
    return 1 if publisher.failure else 0


if __name__ == "__main__":
    sys.exit(main())
