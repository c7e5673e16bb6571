"""The access table: roles x routes x objects.

One row for each route that is served, mounted A2A routes included. The guards, the docs page and the matrix test are
made from it; a route without a row stops the start. What a role may do with an object it reaches is policy's to say
(`governance`); this table says which roles come through the door at all, and how far they see.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from memroos_contracts.errors import Denied
from memroos_contracts.identity import Actor, Role


class Reach(StrEnum):
    """Which objects a role can find through a route. All others do not exist for it."""

    OWN = "own"
    """Only what it owns or is addressed to."""
    WORKSPACE = "workspace"
    """Everything in its workspace."""


class Row(msgspec.Struct, frozen=True):
    """Who may use one route."""

    operation: str
    """The route's operation id."""
    method: str
    path: str
    roles: Mapping[Role, Reach] = {}
    """A role that is not named gets 403."""
    object: str = ""
    """The kind of object that the path names; empty where it names none."""
    public: bool = False
    """Whether it answers without a key."""


class AccessTableIncomplete(RuntimeError):
    """A route is served that the access table does not know, or the other way round."""


OPERATOR, AUDITOR, VIEWER, AGENT, SERVICE = Role.OPERATOR, Role.AUDITOR, Role.VIEWER, Role.AGENT, Role.SERVICE
OWN, WORKSPACE = Reach.OWN, Reach.WORKSPACE

_OPERATORS = {OPERATOR: WORKSPACE}
_READERS = {OPERATOR: WORKSPACE, AUDITOR: WORKSPACE, VIEWER: WORKSPACE}
_EVIDENCE = {OPERATOR: WORKSPACE, AUDITOR: WORKSPACE}
_CALLERS = {OPERATOR: WORKSPACE, AGENT: OWN, SERVICE: OWN}
_WORKERS = {AGENT: OWN}
_EVERYBODY = {OPERATOR: WORKSPACE, AUDITOR: WORKSPACE, VIEWER: WORKSPACE, AGENT: OWN, SERVICE: OWN}


ROWS: tuple[Row, ...] = (
    # process
    Row("getHealth", "GET", "/healthz", public=True),
    Row("getReadiness", "GET", "/readyz", public=True),
    Row("getMetrics", "GET", "/metrics", _READERS | {SERVICE: WORKSPACE}),
    Row("getOpenApi", "GET", "/api/openapi.json", _EVERYBODY),
    Row("getProblem", "GET", "/problems/{slug}", public=True),
    # registry
    Row("listWorkspaces", "GET", "/api/workspaces", _READERS),
    Row("createWorkspace", "POST", "/api/workspaces", _OPERATORS),
    Row("listAgents", "GET", "/api/agents", _READERS | {SERVICE: WORKSPACE}),
    Row("createAgent", "POST", "/api/agents", _OPERATORS),
    Row("getAgent", "GET", "/api/agents/{agent}", _READERS | {SERVICE: WORKSPACE, AGENT: OWN}, object="agent"),
    Row("updateAgent", "PATCH", "/api/agents/{agent}", _OPERATORS, object="agent"),
    Row("activateAgent", "POST", "/api/agents/{agent}/activate", _OPERATORS, object="agent"),
    Row("quarantineAgent", "POST", "/api/agents/{agent}/quarantine", _OPERATORS, object="agent"),
    Row("retireAgent", "POST", "/api/agents/{agent}/retire", _OPERATORS, object="agent"),
    Row("listAgentKeys", "GET", "/api/agents/{agent}/keys", _OPERATORS | {AUDITOR: WORKSPACE}, object="agent"),
    Row("createAgentKey", "POST", "/api/agents/{agent}/keys", _OPERATORS, object="agent"),
    Row("listRemoteAgents", "GET", "/api/remote-agents", _READERS),
    Row("addRemoteAgent", "POST", "/api/remote-agents", _OPERATORS),
    Row("getRemoteAgent", "GET", "/api/remote-agents/{agent}", _READERS, object="remote_agent"),
    Row("updateRemoteAgent", "PATCH", "/api/remote-agents/{agent}", _OPERATORS, object="remote_agent"),
    Row("removeRemoteAgent", "DELETE", "/api/remote-agents/{agent}", _OPERATORS, object="remote_agent"),
    Row("refreshRemoteAgent", "POST", "/api/remote-agents/{agent}/refresh", _OPERATORS, object="remote_agent"),
    Row("listAgentCards", "GET", "/api/remote-agents/{agent}/cards", _READERS, object="remote_agent"),
    Row("getAgentCard", "GET", "/api/remote-agents/{agent}/cards/{version}", _READERS, object="remote_agent"),
    Row("listKeys", "GET", "/api/keys", _OPERATORS | {AUDITOR: WORKSPACE}),
    Row("createKey", "POST", "/api/keys", _OPERATORS),
    Row("rotateKey", "POST", "/api/keys/{key}/rotate", _OPERATORS | {AGENT: OWN}, object="key"),
    Row("revokeKey", "DELETE", "/api/keys/{key}", _OPERATORS, object="key"),
    Row("sendHeartbeat", "POST", "/api/heartbeat", _WORKERS),
    Row("listAgentPeers", "GET", "/api/agent-peers", _READERS | {AGENT: WORKSPACE, SERVICE: WORKSPACE}),
    Row("whoAmI", "GET", "/api/whoami", _EVERYBODY),
    # governance
    Row("askDecision", "POST", "/api/decisions", {AGENT: OWN, SERVICE: OWN}),
    Row(
        "getDecision",
        "GET",
        "/api/decisions/{decision}",
        {OPERATOR: WORKSPACE, AUDITOR: WORKSPACE, AGENT: OWN, SERVICE: OWN},
        object="decision",
    ),
    Row("reportOutcome", "POST", "/api/decisions/{decision}/outcome", {AGENT: OWN, SERVICE: OWN}, object="decision"),
    Row("listApprovals", "GET", "/api/approvals", _EVERYBODY),
    Row("getApproval", "GET", "/api/approvals/{approval}", _EVERYBODY, object="approval"),
    Row("approveRequest", "POST", "/api/approvals/{approval}/approve", _OPERATORS, object="approval"),
    Row("rejectRequest", "POST", "/api/approvals/{approval}/reject", _OPERATORS, object="approval"),
    Row("listPolicies", "GET", "/api/policies", {OPERATOR: WORKSPACE, AUDITOR: WORKSPACE}),
    # bus
    Row("sendInboxMessage", "POST", "/api/agent-context", _CALLERS),
    Row("receiveInboxMessages", "POST", "/api/agent-context/receive", _WORKERS),
    Row("ackInboxMessage", "POST", "/api/agent-context/{message}/ack", _WORKERS, object="message"),
    Row("nackInboxMessage", "POST", "/api/agent-context/{message}/nack", _WORKERS, object="message"),
    Row("extendInboxLease", "POST", "/api/agent-context/{message}/extend", _WORKERS, object="message"),
    Row("releaseInboxMessage", "POST", "/api/agent-context/{message}/release", _WORKERS, object="message"),
    Row("replyToInboxMessage", "POST", "/api/agent-context/{message}/reply", _WORKERS, object="message"),
    Row("listInboxMessages", "GET", "/api/agent-context", _OPERATORS | _WORKERS),
    Row("listDeadLetters", "GET", "/api/agent-context/dead", _OPERATORS | _WORKERS),
    Row("readInboxMessage", "GET", "/api/agent-context/{message}", _OPERATORS | _WORKERS, object="message"),
    Row("requeueInboxMessage", "POST", "/api/agent-context/{message}/requeue", _OPERATORS | _WORKERS, object="message"),
    # memory
    Row("recallMemory", "POST", "/api/recall", _CALLERS | {AUDITOR: WORKSPACE}),
    Row("recallContext", "POST", "/api/recall/context", _CALLERS | {AUDITOR: WORKSPACE}),
    Row("writeAgentMemory", "POST", "/api/agent-memory", _CALLERS),
    Row("writeAgentMemories", "POST", "/api/agent-memory/batch", _CALLERS),
    Row("listAgentMemory", "GET", "/api/agent-memory", _CALLERS),
    Row("listMemoryEvents", "GET", "/api/memory", _CALLERS | {AUDITOR: WORKSPACE}),
    Row("readMemoryEvent", "GET", "/api/memory/{memory_id}", _CALLERS | {AUDITOR: WORKSPACE}, object="memory"),
    Row("deleteMemory", "DELETE", "/api/memory/{memory_id}", _CALLERS, object="memory"),
    Row("queryMemoryItems", "POST", "/api/memory/items/query", _CALLERS | {AUDITOR: WORKSPACE}),
    Row("getMemoryItem", "GET", "/api/memory/items/{memory_id}", _CALLERS | {AUDITOR: WORKSPACE}, object="memory_item"),
    Row(
        "getMemoryItemHistory",
        "GET",
        "/api/memory/items/{memory_id}/history",
        _CALLERS | {AUDITOR: WORKSPACE},
        object="memory_item",
    ),
    Row("updateMemoryItem", "PATCH", "/api/memory/items/{memory_id}", _CALLERS, object="memory_item"),
    Row("supersedeMemoryItem", "POST", "/api/memory/items/{memory_id}/supersede", _CALLERS, object="memory_item"),
    Row("listMemoryScopes", "GET", "/api/memory/scopes", _EVERYBODY),
    Row("rollbackMemoryScope", "POST", "/api/memory/scopes/{scope_id}/rollback", _CALLERS, object="memory_scope"),
    Row("listMemoryJobs", "GET", "/api/memory/jobs", _READERS),
    Row("getMemoryJob", "GET", "/api/memory/jobs/{job}", _READERS, object="memory_job"),
    Row("waitForMemoryJobs", "POST", "/api/memory/jobs/wait", _CALLERS),
    Row("replayMemoryDeadLetters", "POST", "/api/memory/dead-letters/replay", _OPERATORS),
    Row("reindexMemory", "POST", "/api/memory/reindex", _OPERATORS),
    Row("getMemoryStats", "GET", "/api/memory/stats", _EVERYBODY),
    Row("listMemoryInventory", "GET", "/api/memory-inventory", _EVERYBODY),
    Row("keepRecallEval", "POST", "/api/memory/evals", _OPERATORS),
    Row("listRecallEvals", "GET", "/api/memory/evals", _READERS),
    Row("listRecollectionPolicies", "GET", "/api/memory/recollection-policies", _READERS),
    Row("putRecollectionPolicy", "PUT", "/api/memory/recollection-policies", _OPERATORS),
    Row(
        "deleteRecollectionPolicy",
        "DELETE",
        "/api/memory/recollection-policies/{policy}",
        _OPERATORS,
        object="recollection_policy",
    ),
    Row("dryRunRecollectionPolicy", "POST", "/api/memory/recollection-policies/dry-run", _OPERATORS),
    Row("listMemoryTraces", "GET", "/api/memory/traces", _EVIDENCE),
    # tasks
    Row("a2aKernelCard", "GET", "/.well-known/agent-card.json", public=True),
    Row(
        "a2aAgentCard",
        "GET",
        "/a2a/agents/{agent}/.well-known/agent-card.json",
        _READERS | {AGENT: WORKSPACE, SERVICE: WORKSPACE},
        object="agent",
    ),
    Row(
        "a2aUpstreamCard",
        "GET",
        "/a2a/agents/{agent}/upstream-card.json",
        _READERS | {AGENT: WORKSPACE, SERVICE: WORKSPACE},
        object="agent",
    ),
    Row("a2aKeySet", "GET", "/.well-known/jwks.json", public=True),
    Row("a2aCatalog", "GET", "/.well-known/ai-catalog.json", public=True),
    Row("searchCatalog", "POST", "/api/catalog/search", _READERS | {AGENT: WORKSPACE, SERVICE: WORKSPACE}),
    Row("listCatalog", "GET", "/api/catalog/agents", _READERS | {AGENT: WORKSPACE, SERVICE: WORKSPACE}),
    Row("listCardKeys", "GET", "/api/card-keys", _OPERATORS | {AUDITOR: WORKSPACE}),
    Row("rotateCardKeys", "POST", "/api/card-keys/rotate", _OPERATORS),
    Row("a2aSendMessage", "POST", "/a2a/message:send", _CALLERS),
    Row("a2aSendStreamingMessage", "POST", "/a2a/message:stream", _CALLERS),
    Row("a2aGetTask", "GET", "/a2a/tasks/{task}", _CALLERS, object="task"),
    Row("a2aListTasks", "GET", "/a2a/tasks", _CALLERS),
    Row("a2aCancelTask", "POST", "/a2a/tasks/{task}:cancel", _CALLERS, object="task"),
    Row("a2aSubscribeToTask", "POST", "/a2a/tasks/{task}:subscribe", _CALLERS, object="task"),
    Row("a2aGetExtendedAgentCard", "GET", "/a2a/extendedAgentCard", _CALLERS),
    Row("a2aPushNotificationConfigs", "GET", "/a2a/tasks/{task}/pushNotificationConfigs", _CALLERS, object="task"),
    Row("sendTask", "POST", "/api/tasks", _CALLERS),
    Row("listTasks", "GET", "/api/tasks", _READERS | _CALLERS),
    Row("getTask", "GET", "/api/tasks/{task}", _READERS | _CALLERS, object="task"),
    Row("getTaskContent", "GET", "/api/tasks/{task}/content", _CALLERS | {AUDITOR: WORKSPACE}, object="task"),
    Row("followTask", "GET", "/api/tasks/{task}/events", _CALLERS, object="task"),
    Row("cancelTask", "POST", "/api/tasks/{task}/cancel", _CALLERS, object="task"),
    Row("claimTask", "POST", "/api/tasks/claim", _WORKERS),
    Row("extendTaskLease", "POST", "/api/tasks/{task}/heartbeat", _WORKERS, object="task"),
    Row("reportTaskProgress", "POST", "/api/tasks/{task}/progress", _WORKERS, object="task"),
    Row("addTaskArtifact", "POST", "/api/tasks/{task}/artifact", _WORKERS, object="task"),
    Row("completeTask", "POST", "/api/tasks/{task}/complete", _WORKERS, object="task"),
    Row("failTask", "POST", "/api/tasks/{task}/fail", _WORKERS, object="task"),
    Row("askTaskCaller", "POST", "/api/tasks/{task}/ask", _WORKERS, object="task"),
    # push notifications
    Row("createPushNotification", "POST", "/api/tasks/{task}/push-notifications", _CALLERS, object="task"),
    Row("listPushNotifications", "GET", "/api/push-notifications", _CALLERS | {AUDITOR: WORKSPACE}),
    Row(
        "getPushNotification",
        "GET",
        "/api/push-notifications/{notification}",
        _CALLERS | {AUDITOR: WORKSPACE},
        object="push",
    ),
    Row(
        "listPushNotificationTries",
        "GET",
        "/api/push-notifications/{notification}/tries",
        _CALLERS | {AUDITOR: WORKSPACE},
        object="push",
    ),
    Row("replayPushNotification", "POST", "/api/push-notifications/{notification}/replay", _CALLERS, object="push"),
    Row("deletePushNotification", "DELETE", "/api/push-notifications/{notification}", _CALLERS, object="push"),
    # audit and events
    Row("listAuditEvents", "GET", "/api/audit", _EVIDENCE),
    Row("getAuditHead", "GET", "/api/audit/head", _READERS),
    Row("getAuditKey", "GET", "/api/audit/key", _READERS),
    Row("proveAuditInclusion", "GET", "/api/audit/proofs/inclusion", _EVIDENCE),
    Row("proveAuditConsistency", "GET", "/api/audit/proofs/consistency", _EVIDENCE),
    Row("listAuditByDecision", "GET", "/api/audit/decisions/{decision}", _EVIDENCE),
    Row("getAuditEvent", "GET", "/api/audit/{event}", _EVIDENCE, object="audit_event"),
    Row("streamEvents", "GET", "/api/events", _EVERYBODY),
    Row("listEvents", "GET", "/api/events/log", _EVERYBODY),
    # operations
    Row("getOperations", "GET", "/api/operations", _READERS),
)


def by_operation(rows: Iterable[Row] = ROWS) -> dict[str, Row]:
    """Return the table keyed by operation id.

    Raises:
        AccessTableIncomplete: two rows have one operation id.
    """
    table: dict[str, Row] = {}
    for row in rows:
        if row.operation in table:
            raise AccessTableIncomplete(f"two rows in the access table for {row.operation}")
        table[row.operation] = row
    return table


_TABLE = by_operation()
_METHODS = Row("", "OPTIONS", "", public=True)
"""The web framework answers OPTIONS by itself, without an operation id: which methods an address takes is no secret."""


def row(operation: str) -> Row:
    """Return the row of an operation."""
    return _TABLE[operation] if operation else _METHODS


def demand(operation: str, actor: Actor) -> Row:
    """Return the row of an operation if the actor's role comes through that door.

    Raises:
        Denied: it does not.
    """
    found = row(operation)
    if not found.public and actor.role not in found.roles:
        raise Denied(f"This is not for the role {actor.role}.", action=operation)
    return found


def demand_complete(operations: Iterable[str]) -> None:
    """Stop the start unless the table and what is served agree.

    Raises:
        AccessTableIncomplete: a route has no row, or a row no route.
    """
    served = set(operations)
    listed = set(_TABLE)
    if served != listed:
        raise AccessTableIncomplete(
            f"without a row: {sorted(served - listed)}; without a route: {sorted(listed - served)}"
        )
