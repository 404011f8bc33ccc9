"""The API below `/v1` does what its description says: schemathesis asks as an administrator does.

As `tests/web/test_schemathesis.py`, which says more, does for WHIP. What never ends by itself is left out,
and so is what would close the door behind it or speak to servers elsewhere; the tests beside this one have
these.
"""

import json
import unicodedata
from typing import Any

import pytest
import schemathesis
from schemathesis.engine import from_schema
from tests.web.served import Served
from tests.web.test_schemathesis import SETTINGS, Report
from tests.web.threaded import serving_in_thread

ENDLESS = ["followEvents", "followSession", "followStream"]
ELSEWHERE = [
    "revokeKey",
    "createWebhook",
    "testWebhook",
    "changeOrganisation",
    "signIn",
    "signOut",
    "stopSession",
]
CONFIG: dict[str, Any] = {
    "seed": 9725,
    "generation": {"deterministic": True, "max-examples": 5, "database": "none", "no-shrink": True},
    "phases": {"stateful": {"generation": {"max-examples": 12}}},
    "cache": {"enabled": False},
    "checks": {
        # 404 for an id that nothing has, 409 for a sink where there are as many as there may be, 410 for a
        # session that has ended. 403: egress.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "403", "404", "409", "410"]},
        "negative_data_rejection": {
            "expected-statuses": ["400", "401", "403", "404", "405", "410", "413", "415", "422"]
        },
    },
    "operations": [
        # By intent: how a session was at last can be read for a while.
        {"include-operation-id": name, "checks": {"use_after_free": {"enabled": False}}}
        for name in (
            "getSession",
            "listSessionSinks",
            "getSessionSink",
            "getSessionInputs",
            "getSessionQuality",
        )
    ]
    + [
        # 404 is also said of an input, a layer, or a URL that there is not.
        {"include-operation-id": name, "checks": {"ensure_resource_availability": {"enabled": False}}}
        for name in (
            "selectSessionInput",
            "setSessionQuality",
            "getSessionThumbnail",
            "getStreamQrCode",
            "getSessionSink",
            "removeSessionSink",
        )
    ],
}
ANSWERS = {
    ("GET /v1/streams", 200),
    ("POST /v1/streams", 201),
    ("GET /v1/sessions", 200),
    ("GET /v1/workers", 200),
    ("GET /v1/sessions/{session_id}", 404),
    ("PUT /v1/sessions/{session_id}/quality", 404),
    ("GET /v1/streams/{stream_id}/figures", 404),
    ("GET /v1/streams/{stream_id}/preview", 404),
    ("GET /v1/streams/{stream_id}/qr.svg", 404),
}
"""What must have come, or the run has missed a part of the API."""
OF_LIVE_SESSIONS = {
    ("PUT /v1/sessions/{session_id}/quality", 200),
    ("PUT /v1/sessions/{session_id}/input", 200),
    ("POST /v1/sessions/{session_id}/keyframe", 204),
    ("POST /v1/sessions/{session_id}/metadata", 204),
    ("POST /v1/sessions/{session_id}/sinks", 201),
}
"""Some of these, too: which ones is drawn."""


class Stage:
    """What there is before anybody asks: a stream, and sessions."""

    key = ""

    async def prepare(self, served: Served) -> None:
        """Remember the key, too."""
        self.key = served.admin_key
        stream = (await served.admin.post("/v1/streams")).json()
        await served.session(stream["name"])
        # Of no stream here, so that nothing that is done to streams ends it.
        await served.session("one")


@schemathesis.hook
def filter_case(_: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Leave out characters that one version of Unicode knows, and another does not."""
    text = json.dumps([case.body, case.query], ensure_ascii=False, default=str)
    return "Cn" not in map(unicodedata.category, text)


@pytest.mark.timeout(240)
def test_the_api_does_what_it_says() -> None:
    stage, report = Stage(), Report()
    with serving_in_thread(stage.prepare, settings=SETTINGS) as url:
        auth = {"openapi": {"key": {"bearer": stage.key}}}
        schema = schemathesis.openapi.from_url(
            f"{url}/openapi.json", config=schemathesis.Config.from_dict({**CONFIG, "auth": auth})
        )
        schema = schema.include(path_regex="^/v1/").exclude(operation_id=[*ENDLESS, *ELSEWHERE])
        for event in from_schema(schema).execute():
            report.take(event)
    assert not report.findings, "\n\n".join(report.findings)
    assert report.answers >= ANSWERS, sorted(ANSWERS - report.answers)
    assert report.answers & OF_LIVE_SESSIONS
