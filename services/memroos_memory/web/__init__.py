"""The service's routes, for the kernel alone."""

from memroos_memory.web.entry import Entry
from memroos_memory.web.intake import Intake
from memroos_memory.web.routes import CONTROLLERS
from memroos_memory.web.standing import Standing

__all__ = ["CONTROLLERS", "Entry", "Intake", "Standing"]
