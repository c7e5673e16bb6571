"""Switches of libraries that can only be set through the environment, and only before they are imported.

Importing this module sets them, unless the operator has.
"""

import os

PRESETS = {
    # Spans around every call of the A2A SDK cost an eighth of a request, also where nobody collects them.
    "OTEL_INSTRUMENTATION_A2A_SDK_ENABLED": "false",
}

for _name, _value in PRESETS.items():
    os.environ.setdefault(_name, _value)  # noqa: TID251 - it is the libraries that read it


def preset(**switches: str) -> None:
    """Set switches whose values are known only at run time; call before the library is imported."""
    os.environ.update(switches)  # noqa: TID251 - it is the libraries that read them


def for_child(**additions: str) -> dict[str, str]:
    """Return this process's environment for a child, with additions: it is handed on, not read."""
    return {**os.environ, **additions}  # noqa: TID251 - see above
