"""The loops of the broker: deliveries to agents inside the process and to remote ones, and what time does to tasks."""

from memroos.broker.worker.line import Terms
from memroos.broker.worker.local import ATTEMPTS, REPORTS_AT_ONCE, LocalDeliveries
from memroos.broker.worker.remote import RemoteDeliveries
from memroos.broker.worker.sweep import SWEEP_MOST, SWEEP_S, sweep, sweep_step
from memroos.broker.worker.waiting import wait_any

__all__ = [
    "ATTEMPTS",
    "REPORTS_AT_ONCE",
    "SWEEP_MOST",
    "SWEEP_S",
    "LocalDeliveries",
    "RemoteDeliveries",
    "Terms",
    "sweep",
    "sweep_step",
    "wait_any",
]
