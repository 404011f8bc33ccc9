"""The API does what its description says: schemathesis makes requests of `/openapi.json` and judges answers.

It sends the examples, finds the edges of what is described, draws at random what is allowed and what is not,
and follows the links from one operation to the next, so that sessions are made, changed, looked at and ended.
It asks a real server, over HTTP; of media there is none.
"""

import string
import unicodedata
from typing import Any

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import CHECKS
from schemathesis.engine import events, from_schema
from tests.web.served import ENDPOINT
from tests.web.threaded import serving_in_thread

from whipway.config import Settings, Token
from whipway.config.tree import AuthSettings
from whipway.streams.access.admission import make_admission
from whipway.streams.access.tokens import make_token
from whipway.web.openapi_inputs import EXAMPLE_FRAGMENT, EXAMPLE_OFFER, FRAGMENT_FORMAT, OFFER_FORMAT

SESSION = f"{ENDPOINT}/{{session_id}}"
TOKEN, TOKEN_HASH = make_token(bytes)
LIMITS = {"posts_per_minute": 0, "patches_per_minute": 0, "deletes_per_minute": 0, "sessions_per_address": 0}
EVERYWHERE = ["0.0.0.0/0", "::/0"]
"""Nothing is sent there: no client ever gets to the point where RTMP begins."""
SETTINGS = Settings.model_validate(
    {
        "limits": LIMITS,
        "session": {"on_conflict": "takeover", "max_sessions": 10_000},
        "egress": {"allow": EVERYWHERE},
    }
)
"""What a request leads to must not depend on those before it: no rates, and no stream is ever busy."""

CONFIG: dict[str, Any] = {
    "seed": 9725,
    "generation": {"deterministic": True, "max-examples": 12, "database": "none", "no-shrink": True},
    "phases": {"stateful": {"generation": {"max-examples": 60}}},
    "cache": {"enabled": False},
    "checks": {
        # Statuses that a valid request may get, besides the usual ones. RFC 9725, section 4.3.1: 412 for an
        # entity tag that does not match, however well-formed it is. 410 for a session that has ended.
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "3xx", "401", "403", "404", "409", "410", "412"]
        },
        # An invalid request may be for a session that has ended, or for a stream that it publishes already.
        "negative_data_rejection": {
            "expected-statuses": ["400", "401", "403", "404", "405", "410", "412", "413", "415", "422", "428"]
        },
        # RFC 9725, section 4.3.1: 428 where If-Match is missing.
        "missing_required_header": {"expected-statuses": ["401", "428"]},
    },
    "operations": [
        # By intent: what became of a session can be read for a while after its end.
        {"include-operation-id": name, "checks": {"use_after_free": {"enabled": False}}}
        for name in ("getSessionStatus", "listSinks", "getSink", "getInputs", "getQuality")
    ]
    + [
        # 404 is also said of an input or a layer that the session does not have.
        {"include-operation-id": name, "checks": {"ensure_resource_availability": {"enabled": False}}}
        for name in ("selectInput", "setQuality", "getThumbnail")
    ],
}
PUBLISH = f"POST {ENDPOINT}"
UPDATE_ICE, END = f"PATCH {SESSION}", f"DELETE {SESSION}"
CHECK, STATUS = f"GET {SESSION}", f"GET {SESSION}/status"
ADD, LIST = f"POST {SESSION}/sink", f"GET {SESSION}/sink"
SINK, REMOVE = f"GET {SESSION}/sink/{{sink_id}}", f"DELETE {SESSION}/sink/{{sink_id}}"
METADATA = f"POST {SESSION}/metadata"
INPUTS, SELECT = f"GET {SESSION}/input", f"PUT {SESSION}/input"
THUMBNAIL = f"GET {SESSION}/input/{{mid}}/thumbnail"
QUALITY, SET_QUALITY = f"GET {SESSION}/quality", f"PUT {SESSION}/quality"
KEYFRAME = f"POST {SESSION}/keyframe"
CONTROLS = {INPUTS, SELECT, THUMBNAIL, QUALITY, SET_QUALITY, KEYFRAME}
GUARDED = {PUBLISH, CHECK, UPDATE_ICE, END, STATUS, ADD, LIST, SINK, REMOVE, METADATA} | CONTROLS
ANSWERS = {
    (f"GET {ENDPOINT}", 204),
    (f"GET {ENDPOINT}/status.json", 200),
    (PUBLISH, 201),
    (PUBLISH, 400),
    (PUBLISH, 415),
    (UPDATE_ICE, 404),
    (CHECK, 404),
    (END, 404),
    (STATUS, 404),
    (ADD, 400),
    (ADD, 404),
    (LIST, 404),
    (SINK, 404),
    (REMOVE, 404),
    (METADATA, 404),
    *((control, 404) for control in CONTROLS),
}
"""What must have come, or the run has missed a part of the API."""
OF_LIVE_SESSIONS = {
    (UPDATE_ICE, 200),
    (UPDATE_ICE, 204),
    (UPDATE_ICE, 412),
    (CHECK, 204),
    (END, 200),
    (ADD, 201),
    (LIST, 200),
    (SINK, 200),
    (REMOVE, 200),
    (METADATA, 204),
    (INPUTS, 200),
    (SELECT, 200),
    (THUMBNAIL, 204),
    (QUALITY, 200),
    (SET_QUALITY, 200),
    (KEYFRAME, 204),
}
"""Some of these, too. Which ones is drawn, and what is drawn depends on the modules that are loaded."""
PHASES = {"examples", "coverage", "fuzzing", "stateful"}

ICE_CHARACTERS = string.ascii_letters + string.digits + "+/"
CREDENTIALS = st.text(ICE_CHARACTERS, min_size=22, max_size=128).map(lambda drawn: (drawn, drawn * 2))
"""Two that differ do so in both parts, as those of an ICE restart must."""


def with_credentials(example: str) -> st.SearchStrategy[str]:
    """A text as it is, and with other ICE credentials."""
    drawn = CREDENTIALS.map(
        lambda pair: example.replace("EsAw", pair[0]).replace("P2uYro0UCOQ4zxjKXaWCBui1", pair[1])
    )
    return st.just(example) | drawn


schemathesis.openapi.format(OFFER_FORMAT, with_credentials(EXAMPLE_OFFER))
schemathesis.openapi.format(FRAGMENT_FORMAT, with_credentials(EXAMPLE_FRAGMENT))


@schemathesis.serializer("application/sdp", "text/plain", "application/trickle-ice-sdpfrag")
def as_text(_: schemathesis.SerializationContext, value: object) -> bytes:
    """A body as it is; what is no text but should be is sent as text, and refused."""
    return str(value).encode()


@schemathesis.hook
def filter_case(_: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Whether the description says all that decides about a request.

    Which characters a class such as `\\p{S}` of a pattern has depends on the version of Unicode; and metadata
    are described in words from the second level on.
    """
    name = case.query.get("stream_name")
    is_known = not isinstance(name, str) or "Cn" not in map(unicodedata.category, name)
    payload = case.body.get("payload") if isinstance(case.body, dict) else None
    return is_known and not (isinstance(payload, dict) and any(map(has_nameless, payload.values())))


def has_nameless(value: object) -> bool:
    """Whether this is or holds an object that has a member without a name."""
    if isinstance(value, dict):
        return "" in value or any(map(has_nameless, value.values()))
    return isinstance(value, list) and any(map(has_nameless, value))


class Report:
    """What a run did and what it found."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.answers: set[tuple[str, int]] = set()
        self.phases: set[str] = set()
        self.checks: set[str] = set()

    def take(self, event: events.EngineEvent) -> None:
        """Take notice of something that happened."""
        if isinstance(event, events.ScenarioFinished):
            self._take_scenario(event)
        elif isinstance(event, events.NonFatalError):
            self.findings.append(f"{event.label}: {event.info.message}")
        elif isinstance(event, events.FatalError):
            raise event.exception

    def _take_scenario(self, event: events.ScenarioFinished) -> None:
        record = event.recorder
        operations = {case_id: case.value.operation.label for case_id, case in record.cases.items()}
        for case_id, interaction in record.interactions.items():
            assert interaction.response is not None
            # Not by the operation's own name: it is asked with other methods, too.
            asked = f"{interaction.request.method} {record.cases[case_id].value.operation.path}"
            self.answers.add((asked, interaction.response.status_code))
            self.phases.add(event.phase.value)
        for case_id, checks in record.checks.items():
            for check in checks:
                self.checks.add(check.name)
                if found := check.failure_info:
                    self.findings.append(f"{operations[case_id]}: {found.failure}\n{found.code_sample}")


def examine(*, token: str | None = None) -> Report:
    """Run all phases over a server, which asks for a bearer token if there is one."""
    admission = None
    config = dict(CONFIG)
    if token is not None:
        config["auth"] = {"openapi": {"bearer": {"bearer": token}}}
        admission = make_admission(AuthSettings(tokens=[Token(hash=TOKEN_HASH, streams=["*"])]))
    options = {"settings": SETTINGS, "admission": admission}
    report = Report()
    with serving_in_thread(**options) as url:
        schema = schemathesis.openapi.from_url(
            f"{url}/openapi.json", config=schemathesis.Config.from_dict(config)
        )
        schema.validate()
        # What is below /v1 has a test of its own.
        schema = schema.exclude(path_regex="^/v1/")
        # By its name it takes `stream_name` for the name of something that another operation makes, and would
        # begin with the operations that need a session.
        schema.analysis.dependency_graph.operations[PUBLISH].inputs.clear()
        for event in from_schema(schema).execute():
            report.take(event)
    return report


@pytest.mark.parametrize("token", [None, TOKEN], ids=["open", "guarded"])
def test_the_api_does_what_it_says(token: str | None) -> None:
    report = examine(token=token)
    assert not report.findings, "\n\n".join(report.findings)
    # And it was really asked: in every way, for every operation, and with every check there is.
    assert report.phases == PHASES
    assert report.checks == set(CHECKS.get_all_names())
    assert report.answers >= ANSWERS
    assert report.answers & OF_LIVE_SESSIONS
    refused = {operation for operation, status in report.answers if status == 401}
    # A session is looked for before a token, and which operations have one that lives is drawn as well. That
    # each of them wants a token is what `test_strangers` is about.
    assert refused <= (GUARDED if token else set())
    assert token is None or (PUBLISH in refused and len(refused) >= len(GUARDED) // 2)
