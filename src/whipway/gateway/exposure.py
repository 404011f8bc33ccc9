"""Who can reach this server, as far as its settings tell: this machine alone, or others."""

from whipway.config import Settings
from whipway.protocol.rtmp.url import is_loopback_host


def is_exposed(settings: Settings) -> bool:
    """Tell whether others than this machine can publish, by HTTP or by RTMP."""
    return is_http_exposed(settings) or is_rtmp_exposed(settings)


def is_http_exposed(settings: Settings) -> bool:
    """Directly, or through a proxy."""
    http = settings.http
    return http.public_url is not None or bool(http.trusted_proxies) or not is_loopback_host(http.host)


def is_rtmp_exposed(settings: Settings) -> bool:
    """Whether others reach the embedded origin."""
    return settings.rtmp.enabled and not is_loopback_host(settings.rtmp.host)


def plays_by_http(settings: Settings) -> bool:
    """Tell whether streams can be had by HTTP-FLV: by default to nobody who could not play them by RTMP."""
    way = settings.rtmp.http_flv
    return way == "on" or (way == "auto" and (is_rtmp_exposed(settings) or not is_http_exposed(settings)))


def metrics_need_key(settings: Settings) -> bool:
    """Whether metrics are for holders of an API key."""
    access = settings.metrics.access
    return access == "key" or (access == "auto" and is_http_exposed(settings))


def exposure_notes(settings: Settings, *, asks_publishers: bool) -> list[str]:
    """What whoever starts this server should know, one line each."""
    notes = []
    http = settings.http
    is_direct = http.public_url is None and not http.trusted_proxies
    if is_direct and not is_loopback_host(http.host) and settings.tls.cert is None:
        notes.append("HTTP is not encrypted: tokens can be read on their way. Set tls.cert and tls.key")
    if is_exposed(settings) and not asks_publishers:
        notes.append("Whoever reaches this server may publish: auth.enabled is off")
    return notes


def for_url(host: str) -> str:
    """A host as a URL holds it; a wildcard is reached on loopback."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
