"""How the kernel stands."""

from memroos_client.call import Call, path
from memroos_contracts.operations import OperationsView


def get() -> Call[OperationsView]:
    """Get counts and figures of the running kernel."""
    return Call(method="GET", path=path("operations"), returns=OperationsView)
