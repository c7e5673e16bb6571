"""The lexical index: which words stand where, and how well an item answers a question by its words alone.

Words are written with the items, in the same transaction; every scope has a vocabulary and statistics of its own.
"""

from memroos_memory.lexical.postings import Postings as Postings
from memroos_memory.lexical.scoring import Weighed as Weighed
from memroos_memory.lexical.scoring import rows_in as rows_in
from memroos_memory.lexical.scoring import score as score
from memroos_memory.lexical.scoring import turns_of as turns_of
from memroos_memory.lexical.table import KINDS as KINDS
from memroos_memory.lexical.table import Table as Table
from memroos_memory.lexical.table import mark_of as mark_of
from memroos_memory.lexical.writing import add as add
from memroos_memory.lexical.writing import meta_of as meta_of
from memroos_memory.lexical.writing import remove as remove
