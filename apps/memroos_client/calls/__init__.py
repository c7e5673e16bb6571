"""Functions that build calls, one module for each resource, named as at the call site: `agents.create(...)`."""
