"""What happens to tasks: `calls` for those who send them, `work` for those who do them, `log` for both."""

from memroos.broker.service.calls import (
    Send,
    answer_hold,
    cancel_task,
    fail_overdue,
    read_detail,
    read_details,
    read_task,
    send_message,
)
from memroos.broker.service.work import (
    add_artifact,
    ask_caller,
    claim_task,
    complete_task,
    count_restart,
    drop_local,
    extend_lease,
    fail_dead_letter,
    fail_task,
    report_local,
    report_progress,
)

__all__ = [
    "Send",
    "add_artifact",
    "answer_hold",
    "ask_caller",
    "cancel_task",
    "claim_task",
    "complete_task",
    "count_restart",
    "drop_local",
    "extend_lease",
    "fail_dead_letter",
    "fail_overdue",
    "fail_task",
    "read_detail",
    "read_details",
    "read_task",
    "report_local",
    "report_progress",
    "send_message",
]
