"""The filter language: checked, compiled to parameterised SQL, and evaluated by a plain reference.

What has no value (missing, null, empty text) equals nothing, differs from nothing and is neither less nor greater than
anything; only `exists` and `not` see it. A number never equals a flag, and 1 equals 1.0. Text is compared as it is,
except that `contains` takes ASCII letters in either case. The label's tags, and nothing else, are several values of
one field: one of them is enough.
"""

from memroos_memory.filters.checking import check
from memroos_memory.filters.reference import matches
from memroos_memory.filters.sql import CompiledFilter, compile  # noqa: A004 - `filters.compile` is what it does

__all__ = ["CompiledFilter", "check", "compile", "matches"]
