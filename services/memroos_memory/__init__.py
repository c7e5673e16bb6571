"""The memory service: what was said and what was learned from it, every version of it, and the ways to find it again.

`memory.db` is the truth. The lexical index, the vectors and the graph are derived from it and can be made anew.
"""

from memroos_kit import environment  # isort: skip  # before numpy is imported
from importlib.metadata import version

__all__ = ["__version__", "environment"]

__version__ = version("memroos")
