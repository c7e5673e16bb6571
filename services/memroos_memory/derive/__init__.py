"""What can be learned from a text: facts, entities, dates; by rules, or by a model.

Rules would rather miss a fact than invent one: questions, suppositions and other people's words teach nothing.
"""

from memroos_memory.derive.dates import Span, spans
from memroos_memory.derive.extractor import Extractor, Turn
from memroos_memory.derive.facts import learn
from memroos_memory.derive.names import entities
from memroos_memory.derive.questions import asks_before

__all__ = [
    "Extractor",
    "Span",
    "Turn",
    "asks_before",
    "entities",
    "learn",
    "spans",
]
