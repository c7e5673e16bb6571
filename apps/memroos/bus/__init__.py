"""The agent context bus: a durable inbox for each agent.

Delivery is at least once: a message is handed out under a lease with a fencing token, comes back when the lease ends
before its ack, and is a dead letter after enough attempts. Messages of one context come in the order of sending, one
at a time. Nothing polls: each change rings the inbox's doorbell, an event under `subject(agent)`, and `next_due` says
when something happens by itself.
"""

from memroos.bus.errors import (
    AuthorHasNoInbox,
    InboxFull,
    MessageCarriesTask,
    MessageNotDead,
    ReceiverRetired,
    SenderIsReceiver,
    StaleLease,
)
from memroos.bus.queries import (
    DeadTask,
    find_lease,
    inbox_stats,
    list_dead,
    list_dead_tasks,
    list_messages,
    next_due,
)
from memroos.bus.service import (
    Event,
    ack,
    cancel_for_task,
    extend,
    forget_settled,
    nack,
    read_message,
    receive,
    recover_expired,
    release,
    reply,
    requeue,
    send,
    subject,
)
from memroos.bus.worker import recover_forever

__all__ = [
    "send",
    "reply",
    "receive",
    "read_message",
    "ack",
    "nack",
    "release",
    "extend",
    "requeue",
    "cancel_for_task",
    "recover_expired",
    "forget_settled",
    "list_messages",
    "list_dead",
    "list_dead_tasks",
    "DeadTask",
    "find_lease",
    "inbox_stats",
    "next_due",
    "subject",
    "recover_forever",
    "Event",
    "AuthorHasNoInbox",
    "InboxFull",
    "MessageNotDead",
    "ReceiverRetired",
    "SenderIsReceiver",
    "MessageCarriesTask",
    "StaleLease",
]
