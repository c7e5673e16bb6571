"""Memory's loops: `handover` brings the log to the memory service, `upkeep` tidies up."""

from memroos.memory.worker.handover import HandOver, HandOverStanding
from memroos.memory.worker.upkeep import reconcile
from memroos.memory.worker.upkeep import run as tidy_up

__all__ = ["HandOver", "HandOverStanding", "reconcile", "tidy_up"]
