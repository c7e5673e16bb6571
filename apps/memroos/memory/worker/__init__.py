"""Memory's loops: `handover` brings the log to the memory service, `upkeep` tidies up."""

from memroos.memory.worker.handover import HandOver, HandOverStanding

__all__ = ["HandOver", "HandOverStanding"]
