"""What happens to messages: `sending`, `leases` and `upkeep`; `changes` for all of them."""

from memroos.bus.service.changes import Event, subject
from memroos.bus.service.leases import ack, extend, nack, read_message, receive, release
from memroos.bus.service.sending import reply, send
from memroos.bus.service.upkeep import cancel_for_task, forget_settled, recover_expired, requeue

__all__ = [
    "Event", "ack", "cancel_for_task", "extend", "forget_settled", "nack", "read_message", "receive",
    "recover_expired", "release", "reply", "requeue", "send", "subject",
]  # fmt: skip
