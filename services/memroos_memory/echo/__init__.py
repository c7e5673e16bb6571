"""What was handed out to whom, so that it is not learned from them again."""

from memroos_memory.echo.guard import EchoMarks, echoes, forget, mark
from memroos_memory.echo.sentences import marks, sentences

__all__ = ["EchoMarks", "echoes", "forget", "mark", "marks", "sentences"]
