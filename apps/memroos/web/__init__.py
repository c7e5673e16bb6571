"""The doors. They translate and never decide: every one of them calls the same verbs.

`access` is the one table of who may use which route; `auth` turns a key into an actor; `a2a` and `rest` know nothing
of each other.
"""
