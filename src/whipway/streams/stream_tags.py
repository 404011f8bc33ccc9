"""Tags: words by which people group streams."""

from collections.abc import Iterable

from whipway.streams.store.tables import MAX_TAG_CHARACTERS

MAX_TAGS = 50
"""Of one stream."""


class TagRefused(ValueError):
    """A tag, or so many of them, cannot be kept. The message is a sentence for whoever sent them."""


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Each tag once, in the order of their first places. Raises TagRefused."""
    unique = tuple(dict.fromkeys(tags))
    if len(unique) > MAX_TAGS:
        raise TagRefused(f"A stream has at most {MAX_TAGS} tags")
    for tag in unique:
        if not 0 < len(tag) <= MAX_TAG_CHARACTERS:
            raise TagRefused(f"A tag has between 1 and {MAX_TAG_CHARACTERS} characters")
        if not tag.isprintable():
            raise TagRefused("A tag holds a character that cannot be printed")
    return unique
