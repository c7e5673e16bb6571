"""Evaluations of recall: what they measure, what they are compared with, and those that were kept."""

from memroos_memory.evals.store import keep, list_evals

__all__ = ["keep", "list_evals"]
