"""When each stream begins: spread over the interval of pictures, and over that of key frames."""

from math import ceil

from bench.speed.material import GROUP, PICTURE_INTERVAL


def first_start(stream: int, streams: int, origin: float, now: float) -> float:
    """When picture 0 of a stream is due, no earlier than `now`.

    Were all clocks alike, all pictures would come at once, and then none for 40 ms; and all key frames every
    two seconds.
    """
    phase = stream * PICTURE_INTERVAL / streams
    group = GROUP * PICTURE_INTERVAL
    place = origin + phase + stream * GROUP // streams * PICTURE_INTERVAL
    return place + max(0, ceil((now - place) / group)) * group
