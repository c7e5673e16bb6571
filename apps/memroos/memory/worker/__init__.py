"""Memory's loops: `handover` brings the log to the memory service, `upkeep` tidies up,
`looking_back` finds out whether reminders helped."""

from memroos.memory.worker.handover import HandOver, HandOverStanding
from memroos.memory.worker.looking_back import LookingBack
from memroos.memory.worker.upkeep import reconcile
from memroos.memory.worker.upkeep import run as tidy_up

__all__ = ["HandOver", "HandOverStanding", "LookingBack", "reconcile", "tidy_up"]
