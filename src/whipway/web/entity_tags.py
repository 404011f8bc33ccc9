"""Entity tags (RFC 9110, sections 8.8.3 and 13.1.1): `If-Match` in, `ETag` out.

Inside of this server a tag has no quotes. Weak tags are left out of what a request names, because If-Match is
matched strongly. `"*"` stands for any, as `*` does: an example in RFC 9725, section 4.3.3 writes it so.
"""

import re
from collections.abc import Sequence

from whipway.web.problems import Problem, ProblemKind

MAX_FIELD_CHARACTERS = 1024
MAX_TAGS = 16
"""A client knows of one ICE session, or of two while it restarts."""
ANY = "*"

# entity-tag = [ weak ] opaque-tag; a comma may stand inside. RFC 9110, section 5.6.1.2 for elements that are
# empty. What a quantifier took it keeps ("*+"), so that there is one way to read a header.
_ELEMENT = re.compile(r'[ \t]*+(?:(?P<weak>W/)?+"(?P<tag>[!#-~\x80-\xff]*+)"[ \t]*+)?+(?:,|\Z)')


def parse_if_match(fields: Sequence[str]) -> list[str]:
    """The strong tags that all lines of an If-Match header name, without quotes; `*` matches any.

    Empty if only weak tags are named: nothing matches then. Raises Problem (428) for a header that is absent
    or names no tag, and Problem (400) for one that cannot be read.
    """
    field = ", ".join(fields)
    if not field.strip(" \t,"):
        # RFC 9725, section 4.3.1, with the status of RFC 6585, section 3.
        detail = "Send If-Match with the entity tag of the ICE session, or with *"
        raise Problem(ProblemKind.PRECONDITION_REQUIRED, detail)
    if len(field) > MAX_FIELD_CHARACTERS:
        raise _malformed(f"It is longer than {MAX_FIELD_CHARACTERS} characters")
    if field.strip(" \t") == ANY:
        return [ANY]
    return _parse_list(field)


def serialize_etag(tag: str) -> str:
    """A strong entity tag as ETag has it."""
    return f'"{tag}"'


def _parse_list(field: str) -> list[str]:
    tags = []
    count = position = 0
    while position < len(field):
        match = _ELEMENT.match(field, position)
        if match is None:
            raise _malformed('It is * or a list of entity tags in quotes, such as "xyzzy"')
        position = match.end()
        if match["tag"] is None:
            continue
        count += 1
        if count > MAX_TAGS:
            raise _malformed(f"It names more than {MAX_TAGS} entity tags")
        if match["weak"] is None:
            tags.append(match["tag"])
    return tags


def _malformed(detail: str) -> Problem:
    return Problem(ProblemKind.MALFORMED_IF_MATCH, detail)
