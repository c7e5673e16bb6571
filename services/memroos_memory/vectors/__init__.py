"""Vectors: the stored ones, which count, and the index in which they are searched."""
