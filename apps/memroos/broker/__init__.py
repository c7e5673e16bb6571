"""A2A tasks: accept, route, deliver, and keep a log that every stream is read from.

A task belongs to the principal that sent it and to the agent that got it. Each change has a generation; a stream is the
log from a generation on, then the live tail, so a restart, a second stream and a second reader see the same.
Facts: A2A 1.0, section 4 (operations) and 4.1 (data model).
"""

from memroos.broker.errors import (
    AgentNotAvailable,
    BrokenChunk,
    ContextMismatch,
    NoRoute,
    TaskClosed,
    TaskNotCancelable,
    TaskNotLeased,
)
from memroos.broker.local import EchoAgent
from memroos.broker.models import DDL
from memroos.broker.queries import (
    DetailPage,
    TaskFilter,
    count_tasks,
    detail,
    find_task,
    get_task,
    list_events,
    list_states,
    list_tasks,
    see_task,
    sees_only_its_own,
)
from memroos.broker.rules import is_final, text_of, waits_for_caller
from memroos.broker.service import (
    Send,
    add_artifact,
    answer_hold,
    ask_caller,
    cancel_task,
    claim_task,
    complete_task,
    extend_lease,
    fail_dead_letter,
    fail_overdue,
    fail_task,
    read_detail,
    read_details,
    read_task,
    report_progress,
    send_message,
)
from memroos.broker.tails import Tails, Tasks
from memroos.broker.worker import LocalDeliveries, RemoteDeliveries, Terms, sweep, sweep_step

__all__ = [
    "DDL",
    "DetailPage",
    "AgentNotAvailable",
    "BrokenChunk",
    "ContextMismatch",
    "EchoAgent",
    "LocalDeliveries",
    "NoRoute",
    "RemoteDeliveries",
    "Send",
    "Tails",
    "Terms",
    "TaskClosed",
    "Tasks",
    "TaskFilter",
    "TaskNotCancelable",
    "TaskNotLeased",
    "add_artifact",
    "answer_hold",
    "ask_caller",
    "cancel_task",
    "claim_task",
    "complete_task",
    "count_tasks",
    "detail",
    "extend_lease",
    "fail_dead_letter",
    "fail_overdue",
    "fail_task",
    "find_task",
    "get_task",
    "is_final",
    "list_events",
    "list_states",
    "list_tasks",
    "read_detail",
    "read_details",
    "read_task",
    "report_progress",
    "see_task",
    "sees_only_its_own",
    "send_message",
    "sweep",
    "sweep_step",
    "text_of",
    "waits_for_caller",
]
