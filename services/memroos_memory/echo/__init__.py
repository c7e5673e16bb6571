"""What was handed out to whom, so that it is not learned from them again."""

from memroos_memory.echo.guard import EchoMarks, echoes, forget

__all__ = ["EchoMarks", "echoes", "forget"]
