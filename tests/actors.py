"""Who acts in tests: `from tests.actors import OPERATOR`."""

from memroos_contracts.identity import DEFAULT_WORKSPACE, Actor, AgentId, KeyId, Role, WorkspaceId, service_actor

OTHER_WORKSPACE = WorkspaceId("elsewhere")


def agent_actor(agent_id: str, workspace: WorkspaceId = DEFAULT_WORKSPACE) -> Actor:
    """Return the actor of an agent."""
    return Actor(
        role=Role.AGENT,
        id=agent_id,
        workspace=workspace,
        agent=AgentId(agent_id),
        key=KeyId(f"key_{agent_id.removeprefix('agt_')}"),
    )


OPERATOR = Actor(role=Role.OPERATOR, id="key_operator", key=KeyId("key_operator"))
AUDITOR = Actor(role=Role.AUDITOR, id="key_auditor", key=KeyId("key_auditor"))
VIEWER = Actor(role=Role.VIEWER, id="key_viewer", key=KeyId("key_viewer"))
KERNEL = service_actor("kernel")

AGENT = agent_actor("agt_01PLANNER")
OTHER_AGENT = agent_actor("agt_02WORKER")

STRANGER = Actor(role=Role.OPERATOR, id="key_stranger", workspace=OTHER_WORKSPACE, key=KeyId("key_stranger"))
STRANGE_AGENT = agent_actor("agt_09STRANGER", OTHER_WORKSPACE)
"""The last two live in another workspace: to them nothing of ours exists."""
