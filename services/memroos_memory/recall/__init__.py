"""Recall: what answers a question, found in several ways at once, and why."""

from memroos_memory.recall.engine import Recall as Recall
from memroos_memory.recall.reranking import Reranker as Reranker
