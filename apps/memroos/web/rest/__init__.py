"""REST: JSON in, JSON out, one verb for each route."""

from memroos.web.rest.agent_context import AgentContextController, LeaseController
from memroos.web.rest.agents import AgentController, CallerController
from memroos.web.rest.approvals import ApprovalController
from memroos.web.rest.audit import AuditController
from memroos.web.rest.card_keys import CardKeyController
from memroos.web.rest.catalog import CatalogController
from memroos.web.rest.decisions import DecisionController
from memroos.web.rest.events import EventController
from memroos.web.rest.heartbeat import HeartbeatController
from memroos.web.rest.keys import KeyController
from memroos.web.rest.memory import AgentMemoryController, MemoryController, RecallController
from memroos.web.rest.memory_items import MemoryItemController, MemoryScopeController
from memroos.web.rest.memory_upkeep import MemoryInventoryController, MemoryUpkeepController
from memroos.web.rest.openapi import OpenApiController
from memroos.web.rest.operations import OperationsController
from memroos.web.rest.policies import PolicyController
from memroos.web.rest.problems import ProblemController
from memroos.web.rest.push_notifications import PushNotificationController
from memroos.web.rest.recollection import MemoryTraceController, RecollectionController
from memroos.web.rest.remote_agents import RemoteAgentController
from memroos.web.rest.tasks import TaskController, WorkController
from memroos.web.rest.workspaces import WorkspaceController

CONTROLLERS = (
    AgentController,
    CallerController,
    RemoteAgentController,
    HeartbeatController,
    KeyController,
    CardKeyController,
    CatalogController,
    WorkspaceController,
    AuditController,
    EventController,
    ApprovalController,
    DecisionController,
    OperationsController,
    PolicyController,
    OpenApiController,
    ProblemController,
    TaskController,
    WorkController,
    PushNotificationController,
    AgentContextController,
    LeaseController,
    AgentMemoryController,
    MemoryController,
    RecallController,
    MemoryItemController,
    MemoryScopeController,
    MemoryUpkeepController,
    MemoryInventoryController,
    RecollectionController,
    MemoryTraceController,
)
"""Everything that is served, one controller per resource."""

__all__ = ["CONTROLLERS"]
