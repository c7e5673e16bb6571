"""Switches of libraries that can only be set through the environment, and only before they are imported.

Importing this module sets them, unless the operator has.
"""

import os

PRESETS = {
    # Spans around every call of the A2A SDK cost an eighth of a request, also where nobody collects them.
    "OTEL_INSTRUMENTATION_A2A_SDK_ENABLED": "false",
    # numpy's linear algebra waits for its own threads by spinning: on a busy machine the vector of one question takes
    # 90 ms instead of 13 (p95 430 instead of 20), and a batch a third more processor time. We have threads of our own.
    "OPENBLAS_NUM_THREADS": "1",
}

for _name, _value in PRESETS.items():
    os.environ.setdefault(_name, _value)  # noqa: TID251 - it is the libraries that read it


def preset(**switches: str) -> None:
    """Set switches whose values are known only at run time; call before the library is imported."""
    os.environ.update(switches)  # noqa: TID251 - it is the libraries that read them
