"""Measurements: `python -m tests.bench [name ...]`.

Every bench prints a table and writes `bench-results/<name>.json`. What counts is the ratio to a reference that is
measured in the same run on the same machine; a bench in which a request went wrong fails.
"""
