"""The durable event log: what happened, in order, for whoever wants to react.

An event is written in the same transaction as the change it tells of and passed on after the COMMIT. Nobody polls: a
reader follows the live tail, and comes back with the offset it saw last.
"""

from memroos.events.queries import Stretch, list_events, read_stretch
from memroos.events.rules import Filter, Row, frame, position_frame, reset_frame
from memroos.events.service import Feed, Listener, Log, Notifier, expire, publish

__all__ = [
    "publish",
    "expire",
    "list_events",
    "read_stretch",
    "Stretch",
    "Log",
    "Notifier",
    "Listener",
    "Feed",
    "Filter",
    "Row",
    "frame",
    "position_frame",
    "reset_frame",
]
