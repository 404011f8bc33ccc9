"""The ids that paths of the API hold, and what those paths begin with."""

from starlette.convertors import StringConvertor, register_url_convertor  # codespell:ignore convertors

from whipway.web.v1.openapi_shapes import ID_PATTERN

STREAM = "/streams/{stream_id:id}"
"""Behind `/v1`."""


class _Id(StringConvertor):
    """What may stand in a path for anything that has an id: more than any id really is."""

    regex = ID_PATTERN


register_url_convertor("id", _Id())
