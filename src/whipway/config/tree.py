"""The settings tree: every key with its type, its default and its meaning."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, HttpUrl, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from whipway.config.fields import (
    AudioBitrate,
    BaseUrl,
    DatabaseUrl,
    DrainSeconds,
    IceUrl,
    IpAddress,
    Key,
    Network,
    Origin,
    Port,
    Rate,
    RtmpBaseUrl,
    Seconds,
    SessionCount,
    Text,
    Visible,
    VisibleSecret,
    WorkerCount,
    WorkerLoad,
    no_boolean,
    read_json,
    split_commas,
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpSettings(_Section):
    """The HTTP server: WHIP endpoint and page."""

    host: str = "127.0.0.1"
    port: Port = 8080
    public_url: BaseUrl | None = None
    """What clients see when a proxy stands in front of this server; Location is made from it."""
    trusted_proxies: Annotated[list[Network], BeforeValidator(split_commas), Field(max_length=64)] = []
    """Proxies whose forwarded headers are believed."""
    forwarded_headers: Literal["x-forwarded", "forwarded"] = "x-forwarded"
    """Which ones they write: X-Forwarded-For, -Proto and -Host, or Forwarded (RFC 7239). A proxy lets the
    other kind through as its client wrote it, so that only one can be believed."""
    cors_origins: Annotated[list[Origin], BeforeValidator(split_commas), Field(max_length=256)] = ["*"]
    """Origins whose pages may publish to this server and read its answers."""
    redirect_url: BaseUrl | None = None
    """Where publishers are sent (307) while this server is full or stopping: the same paths, another node."""


class TlsSettings(_Section):
    """HTTPS without a proxy: both files, in PEM, or none."""

    cert: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise PydanticCustomError("tls", "cert and key belong together: set both")
        return self


class MediaSettings(_Section):
    """The UDP and TCP ports that carry ICE, DTLS and SRTP."""

    host: IpAddress = IPv4Address("127.0.0.1")
    port: Port = 8200
    """Of the first media worker; the next ones have the next ports. 0: each has any free one."""
    public_addresses: Annotated[list[IpAddress], BeforeValidator(split_commas), Field(max_length=8)] = []
    """Announced as ICE candidates. Empty: `host`, or this machine's own address when `host` is a wildcard."""
    public_port: Port = 0
    """Announced with them, where a NAT or a container maps another port to `port`, and the next ones to the
    next ones. 0: the real ones."""
    tcp: bool = True
    """ICE over TCP (RFC 6544) on the same port number, for clients whose UDP is blocked."""


class IceServer(_Section):
    """A STUN or TURN server that clients are told of."""

    urls: Annotated[list[IceUrl], BeforeValidator(split_commas), Field(min_length=1, max_length=8)]
    username: Visible | None = None
    credential: VisibleSecret | None = None
    """With `username`: one pair for all clients."""
    secret: SecretStr | None = None
    """Shared with the TURN server: each client gets a pair of its own that expires."""
    lifetime: Annotated[int, BeforeValidator(no_boolean), Field(ge=60, le=2_592_000)] = 86_400
    """Seconds for which a pair made with `secret` is good."""

    @model_validator(mode="after")
    def _credentials_fit(self) -> Self:
        has_pair = self.username is not None and self.credential is not None
        if (self.username is None) != (self.credential is None) or (has_pair and self.secret is not None):
            raise PydanticCustomError("ice", "should have username and credential, or secret alone")
        if any(url.startswith("turn") for url in self.urls) != (has_pair or self.secret is not None):
            raise PydanticCustomError("ice", "turn: needs username and credential, or secret; stun: has none")
        return self


class IceSettings(_Section):
    """Servers that help clients out of their networks; this one needs none."""

    servers: Annotated[list[IceServer], BeforeValidator(read_json), Field(max_length=16)] = []


class RtmpSettings(_Section):
    """The embedded RTMP origin."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 1935
    http_flv: Literal["auto", "on", "off"] = "auto"
    """Plays streams at /live/NAME.flv of the HTTP server as well, to everybody who reaches that one. auto:
    unless those could not play by RTMP, because `host` is a loopback address and that of HTTP is not."""


class Token(_Section):
    """A static bearer token, of which only the hash is known here; `whipway token` makes both."""

    hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    streams: Annotated[list[Text], BeforeValidator(split_commas), Field(min_length=1, max_length=256)]
    """Names of streams it may publish; `*` stands for any characters."""


class AuthSettings(_Section):
    """Who may publish."""

    enabled: Literal["auto", "on", "off"] = "auto"
    """auto: on when a way to authenticate is set up, or when others than this machine can publish.
    On with no way set up, a token is made at the start and printed."""
    tokens: Annotated[list[Token], BeforeValidator(read_json), Field(max_length=10_000)] = []
    jwt_secret: Key | None = None
    """Shared with who issues JSON Web Tokens (HS256)."""
    jwks: Text | None = None
    """A file or URL with the public keys (RFC 7517) of who issues JSON Web Tokens (RS256, ES256)."""
    jwt_issuer: Text | None = None
    jwt_audience: Text | None = None
    callback: HttpUrl | None = None
    """Asked before each publish, in the way of on_publish of RTMP servers."""

    @property
    def is_configured(self) -> bool:
        """Whether there is any way to authenticate."""
        return bool(self.tokens or self.jwt_secret or self.jwks or self.callback)


class EgressSettings(_Section):
    """Where streams may be sent."""

    allow: Annotated[list[Text], BeforeValidator(split_commas), Field(max_length=1024)] = []
    """Hosts (`rtmp.example.com`, `*.example.com`), addresses, networks, or `public` for all public addresses.
    Empty: `public`. The embedded origin is always allowed."""


class SinkSettings(_Section):
    """How streams are sent to RTMP servers."""

    audio: Literal["aac", "opus", "auto"] = "aac"
    """What a sink gets that asks for nothing else. opus: as it came (Enhanced RTMP); auto: Opus where the
    server says that it takes it, else AAC."""
    audio_bitrate: AudioBitrate = 128_000
    """Of AAC, in bits a second, where the publisher asks for nothing else."""
    silent_audio: bool = False
    """Sends silence, as AAC, with streams whose publisher offered no audio: some services want a track."""
    give_up_after: Annotated[float, BeforeValidator(no_boolean), Field(ge=0, le=86_400)] = 0.0
    """Seconds without success after which a sink is not tried again; 0: it is tried for ever."""
    insecure_tls: Annotated[list[Text], BeforeValidator(split_commas), Field(max_length=256)] = []
    """Hosts whose certificates are not checked (`test.host`, `*.example.com`, IP addresses). For tests."""
    max_per_session: Annotated[int, BeforeValidator(no_boolean), Field(ge=1, le=100)] = 16
    filler: Literal["none", "freeze"] = "none"
    """What a sink gets while the publisher sends no picture, where it asks for nothing else. freeze: the last
    key frame, once a second."""


class InputSettings(_Section):
    """What a session may receive."""

    max_video: Annotated[int, BeforeValidator(no_boolean), Field(ge=1, le=8)] = 4
    """Video sections of an offer, of which one at a time is on air. 1: as RFC 9725, section 4.4.2 has it."""


class QualitySettings(_Section):
    """How the bitrate of a publisher's video follows what the sinks take."""

    policy: Literal["follow-slowest", "follow-primary", "off"] = "follow-slowest"
    """Which sink is followed: the slowest, or the first. off: pictures are dropped in front of a slow one."""
    min_video_bitrate: Annotated[int, BeforeValidator(no_boolean), Field(ge=50_000, le=100_000_000)] = 150_000
    """Bits a second, below which no sink brings it."""


class DatabaseSettings(_Section):
    """Where streams, keys and webhooks are kept."""

    url: DatabaseUrl = SecretStr("sqlite:///whipway.db")
    """sqlite:///FILE, from the folder that the server is started in (sqlite:////… from the root), or
    postgresql://USER:PASSWORD@HOST/DATABASE, which several servers may share."""


class StreamSettings(_Section):
    """Streams, as the API and the dashboard have them."""

    require_known: bool = False
    """WHIP and RTMP refuse to publish names that were not created before. Locked and deleted ones are refused
    in any case."""
    rtmp_url: RtmpBaseUrl | None = None
    """Where streams are published by RTMP and played, up to the application; by default the embedded origin.
    What the API and the dashboard name as ingest, and as `stream_url` in WHIP URLs."""
    node: Annotated[str, Field(max_length=256)] = ""
    """What this server is called among those that share a database; "": the host's name."""


class BintuSettings(_Section):
    """The bintu API, which is at /bintu in any case."""

    host: str = "127.0.0.1"
    port: Port = 0
    """An own listener, at whose root the bintu API is; 0: none."""


class MetricsSettings(_Section):
    """Prometheus metrics, at /metrics."""

    access: Literal["auto", "open", "key"] = "auto"
    """Who may read them. key: who has an API key (Authorization: Bearer); auto: everybody where HTTP can be
    reached from this machine alone, else who has a key."""


class LimitSettings(_Section):
    """Requests a minute from one client's address, and its sessions."""

    posts_per_minute: Rate = 120
    """Of sessions, of sinks, and of RTMP publishers at the embedded origin."""
    patches_per_minute: Rate = 1200
    """Changes of a session: ICE, by PATCH, metadata, inputs, quality, and key frames asked for."""
    deletes_per_minute: Rate = 240
    sessions_per_address: Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=100_000)] = 200
    """0 sets no limit beyond `session.max_sessions`."""


class SessionSettings(_Section):
    """Limits of WHIP sessions."""

    setup_timeout: Seconds = 10.0
    """Seconds a client may take from its POST to the end of the DTLS handshake."""
    silence_timeout: Seconds = 5.0
    """Seconds an established client may be silent before its session is ended."""
    takeover_after: Seconds = 2.0
    """Seconds of silence after which a client whose media broke off gives way to the next publisher, as does
    one that never came. No less than `silence_timeout`, it says nothing: by then the session is over."""
    drain_timeout: DrainSeconds = 0.0
    """Seconds for which sessions may go on when the server is asked to stop (SIGTERM, Ctrl-C); new ones are
    refused meanwhile, or redirected. A second signal ends it."""
    video_silence: Seconds = 2.0
    """Seconds without a packet of the picture on air, after which it is taken to be muted: sinks with
    `filler` get it, and it goes on with a key frame."""
    max_sessions: SessionCount = 1000
    max_worker_load: WorkerLoad = 0.9
    """Part of a core that a media worker may use before it is given no more sessions. When all do, new ones
    are refused (503) or redirected. 0 sets no limit."""
    on_conflict: Literal["refuse", "takeover"] = "refuse"
    """What a second publisher of a live stream gets: 409, or the stream. A silent one always gives way."""


class LogSettings(_Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class Settings(_Section):
    """The whole tree; `load_settings` builds it."""

    workers: WorkerCount = "auto"
    """Processes that carry media, "auto": one for each core. Each has a UDP and a TCP port of its own: the
    first one `media.port`, the others those that follow. 0: the server's own process does it all."""
    http: HttpSettings = HttpSettings()
    tls: TlsSettings = TlsSettings()
    media: MediaSettings = MediaSettings()
    ice: IceSettings = IceSettings()
    rtmp: RtmpSettings = RtmpSettings()
    egress: EgressSettings = EgressSettings()
    sink: SinkSettings = SinkSettings()
    inputs: InputSettings = InputSettings()
    quality: QualitySettings = QualitySettings()
    auth: AuthSettings = AuthSettings()
    database: DatabaseSettings = DatabaseSettings()
    streams: StreamSettings = StreamSettings()
    bintu: BintuSettings = BintuSettings()
    metrics: MetricsSettings = MetricsSettings()
    session: SessionSettings = SessionSettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()
