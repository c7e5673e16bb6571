"""The words all processes share: identities, views, ports and errors.

Sees nobody: no I/O, no database, no framework. Every view is a frozen msgspec struct, so the same class is the
JSON on the wire, the OpenAPI schema and the value a verb returns.
"""
