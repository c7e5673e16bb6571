"""Where the suite is judged by the specification instead of by its own words, and why.

The suite is a draft and some of it is older than the protocol it tests. Each row names one test, what takes the place
of its step's words, and the sentence of the specification, version 1.0, that says so. A test without a row runs as it
is written.
"""

from typing import Any, NamedTuple


class Deviation(NamedTuple):
    """One step that is asked for what the specification says.

    Attributes:
        test: the test's id.
        step: the step's id.
        instead: the step's words that are replaced.
        section: where the specification says it.
        sentence: what it says there.
    """

    test: str
    step: str
    instead: dict[str, Any]
    section: str
    sentence: str


_NO_PUSH = {"expect_error": {"code": "PushNotificationNotSupportedError"}}
_NO_PUSH_SENTENCE = (
    "If AgentCard.capabilities.pushNotifications is false or not present, operations related to push notification "
    "configuration MUST return PushNotificationNotSupportedError."
)


def _part(**fields: Any) -> dict[str, Any]:
    return {
        "assertions": [{"source": "{{send.response}}", "any": {"path": "task.artifacts[*].parts[*]", "match": fields}}]
    }


DEVIATIONS = (
    Deviation("CORE-CAP-001", "set-config", _NO_PUSH, "3.3.4", _NO_PUSH_SENTENCE),
    Deviation("PUSH-CFG-004", "set-config", _NO_PUSH, "3.3.4", _NO_PUSH_SENTENCE),
    Deviation(
        "CARD-DISC-002",
        "step-1",
        {
            "expect": {
                "status": 200,
                "body": {
                    "supportedInterfaces": {
                        "type": "array",
                        "count_gte": 1,
                        "items": {
                            "url": {"type": "string"},
                            "protocolBinding": {"one_of": ["JSONRPC", "GRPC", "HTTP+JSON"]},
                            "protocolVersion": {"type": "string"},
                        },
                    }
                },
            }
        },
        "4.4.6",
        "The core protocol bindings officially supported are JSONRPC, GRPC and HTTP+JSON.",
    ),
    Deviation(
        "CORE-ERR-007",
        "get-missing-structured",
        {"expect_error": {"code": "TaskNotFoundError", "data": {"type": "array", "count_gte": 1}}},
        "9.5",
        "The data field is an array of objects, each with an @type key.",
    ),
    Deviation(
        "REST-PD-001",
        "get-missing-problem",
        {
            "expect": {
                "status": 404,
                "body": {
                    "error": {
                        "code": 404,
                        "status": "NOT_FOUND",
                        "message": {"matches": "."},
                        "details": {"count_gte": 1},
                    }
                },
            }
        },
        "11.6",
        "Error responses are the JSON representation of google.rpc.Status.",
    ),
    Deviation(
        "CORE-CTX-001",
        "send",
        {
            "params": {
                "contextId": "a context that no server takes " * 10,
                "message": {"role": "ROLE_USER", "parts": [{"text": "tck-complete-task reject client context id"}]},
            }
        },
        "3.4.1",
        "Agents accept client-provided contextId values if validations pass; this one is longer than any we take.",
    ),
    Deviation(
        "VER-NEG-002",
        "send-without-version",
        {"expect": {"status": 200, "body": {"error": {"code": {"one_of": [-32601, -32009]}}}}},
        "3.6.2",
        "Agents MUST interpret an empty value as version 0.3, which knows no SendMessage.",
    ),
    Deviation(
        "SEC-AUTH-006",
        "get-agent-card-without-auth",
        {"expect": {"status": 401, "body": {"title": {"type": "string"}}}},
        "7.4",
        "A server rejects a request without credentials with the binding's own challenge, HTTP 401 here.",
    ),
    Deviation(
        "DM-FMT-003",
        "send",
        {
            "expect": {
                "status": 200,
                "body": {
                    "message": {"role": "ROLE_AGENT", "taskId": {"absent": True}, "contextId": {"matches": "."}},
                },
            }
        },
        "3.4.1",
        "The generated contextId MUST be included in the response (either Task or Message).",
    ),
    Deviation(
        "DM-ART-003",
        "send",
        _part(raw={"type": "string"}, filename={"type": "string"}, mediaType={"type": "string"}),
        "4.1.6",
        "A Part holds exactly one of text, raw, url and data, beside filename, mediaType and metadata.",
    ),
    Deviation(
        "DM-ART-004",
        "send",
        _part(url={"type": "string"}, filename={"type": "string"}),
        "4.1.6",
        "A Part holds exactly one of text, raw, url and data, beside filename, mediaType and metadata.",
    ),
)

NO_SERVER_TESTS = {
    "SEC-PUSH-002": "asks whether the receiver of a notification checks it; the steps that prepare it run all the same",
}
"""Must-level tests of which a part is about a client; `client-parsing` is a suite of those, see `test_clients`."""


def patches(test: str) -> dict[str, dict[str, Any]]:
    """Return what takes the place of a test's words, by step."""
    return {row.step: row.instead for row in DEVIATIONS if row.test == test}
