"""Push notification configurations and notifications in the words of the protocol."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from a2a.server.context import ServerCallContext
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import ParseDict

from memroos.web.a2a import push
from memroos_contracts.broker import (
    Artifact,
    EventKind,
    Message,
    MessageRole,
    Part,
    TaskDetail,
    TaskEvent,
    TaskState,
    TaskView,
)
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.governance import INTERNAL
from memroos_contracts.identity import AgentId, ContextId, TaskId, WorkspaceId
from memroos_contracts.push import NewPushConfig, PushConfigView, PushId, PushState

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SAID = Message("m-1", MessageRole.AGENT, [Part(text="hello")], context_id="ctx_1", task_id="task_1")
TASK = TaskView(
    id=TaskId("task_1"),
    workspace_id=WorkspaceId("default"),
    context_id=ContextId("ctx_1"),
    owner="agent:agt_1",
    agent_id=AgentId("agt_2"),
    agent="worker",
    state=TaskState.WORKING,
    generation=3,
    skill="",
    purpose="",
    route_reason="",
    label=INTERNAL,
    approval_id=None,
    created_at=NOW,
    status_at=NOW,
    deadline_at=None,
)
DETAIL = TaskDetail(TASK, history=[SAID], artifacts=[])
STATUS = TaskEvent(3, EventKind.STATUS, NOW, state=TaskState.WORKING, message=SAID)
ARTIFACT = TaskEvent(4, EventKind.ARTIFACT, NOW, artifact=Artifact("a", [Part(text="x")]), append=True)
VIEW = PushConfigView(
    id=PushId("push_1"),
    config_id="mine",
    task_id=TaskId("task_1"),
    workspace_id=WorkspaceId("default"),
    owner="agent:agt_1",
    url="https://hook.example",
    has_token=True,
    scheme="Bearer",
    has_credentials=True,
    version="1.0",
    state=PushState.ACTIVE,
    delivered_generation=2,
    failures=0,
    last_status=None,
    last_error="",
    last_try_at=None,
    next_try_at=None,
    created_at=NOW,
)


def test_what_the_caller_wants_is_understood() -> None:
    proto = pb.TaskPushNotificationConfig(id="mine", task_id="task_1", url="https://hook.example", token="t")
    proto.authentication.scheme, proto.authentication.credentials = "Bearer", "c"

    assert push.config_from(proto) == NewPushConfig("https://hook.example", "mine", "t", "Bearer", "c")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (pb.TaskPushNotificationConfig(), "url"),
        (pb.TaskPushNotificationConfig(url="u" * 2001), "url"),
        (pb.TaskPushNotificationConfig(url="u", id="i" * 201), "id"),
        (pb.TaskPushNotificationConfig(url="u", token="t" * 4097), "token"),
        (pb.TaskPushNotificationConfig(url="u", authentication={"scheme": "s" * 65}), "scheme"),
    ],
)
def test_what_is_missing_or_too_long_is_named(config: pb.TaskPushNotificationConfig, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        push.config_from(config)

    fields = refused.value.facts["fields"]
    assert isinstance(fields, dict)
    assert list(fields) == [field]


def test_what_is_shown_of_a_configuration_holds_no_secret() -> None:
    shown = push.config_to(VIEW)

    assert shown == ParseDict(
        {
            "id": "mine",
            "taskId": "task_1",
            "url": "https://hook.example",
            "authentication": {"scheme": "Bearer"},
        },
        pb.TaskPushNotificationConfig(),
    )


@pytest.mark.parametrize(("said", "version"), [("1.0", "1.0"), ("0.3", "0.3"), ("", "0.3"), (None, "0.3")])
def test_notifications_are_written_in_the_version_of_the_call(said: str | None, version: str) -> None:
    headers = {} if said is None else {"a2a-version": said}

    assert push.version_of(ServerCallContext(state={"headers": headers})) == version


@pytest.mark.parametrize(
    ("content", "kind"),
    [(DETAIL, "task"), (STATUS, "statusUpdate"), (ARTIFACT, "artifactUpdate"), (SAID, "message")],
)
def test_a_notification_is_a_stream_response(content: Any, kind: str) -> None:
    body = msgspec.json.decode(push.encode(TASK, content, "1.0"))

    response = ParseDict(body, pb.StreamResponse())
    assert list(body) == [kind]
    if kind == "statusUpdate":
        assert response.status_update.status.state == pb.TASK_STATE_WORKING
        assert response.status_update.task_id == "task_1"
    if kind == "artifactUpdate":
        assert response.artifact_update.append is True


def test_in_0_3_a_notification_is_the_task() -> None:
    body = msgspec.json.decode(push.encode(TASK, DETAIL, "0.3"))

    assert (body["kind"], body["id"], body["contextId"], body["status"]["state"]) == (
        "task",
        "task_1",
        "ctx_1",
        "working",
    )
    assert body["history"][0]["messageId"] == "m-1"


def test_in_0_3_a_task_that_is_one_message_is_sent_as_that() -> None:
    body = msgspec.json.decode(push.encode(TASK, SAID, "0.3"))

    assert (body["kind"], body["messageId"], body["role"]) == ("message", "m-1", "agent")
