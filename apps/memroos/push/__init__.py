"""Push notifications: what happens to a task, sent to whoever asked for it (A2A 1.0, 3.1.7 to 3.1.10 and 4.3).

The task's log is the queue. A configuration says where to, and up to which generation the other side has taken it;
delivery is at least once, in order, signed, and survives restarts on both sides.
"""

from memroos.push.errors import NothingToReplay, TooManyPushConfigs
from memroos.push.queries import PushFilter, get_config, get_named_config, list_configs, list_tries
from memroos.push.rules import V0_3, V1_0
from memroos.push.service import (
    Plan,
    Terms,
    create_config,
    delete_config,
    delete_named_config,
    replay_config,
    send_with_config,
)
from memroos.push.worker import Encode, PushDeliveries

__all__ = [
    "V0_3",
    "V1_0",
    "Encode",
    "NothingToReplay",
    "Plan",
    "PushDeliveries",
    "PushFilter",
    "Terms",
    "TooManyPushConfigs",
    "create_config",
    "delete_config",
    "delete_named_config",
    "get_config",
    "get_named_config",
    "list_configs",
    "list_tries",
    "replay_config",
    "send_with_config",
]
