"""What a caller saw, in a form in which two ways to the same agent can be compared.

Task and context ids are numbered in the order in which they appear: each broker gives its own. Times and the brokers'
own metadata are left out, and of a task's metadata what came with an event: the SDK adds that to its task, and the
protocol does not ask for it. Everything else stays: kinds, states, texts, message ids, artifacts with their chunks,
metadata, history.
"""

from typing import Any

_GIVEN = {"id": "task", "taskId": "task", "contextId": "context"}


class Names:
    """The ids of one story, numbered."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def told(self, value: Any) -> Any:
        """Return a body, an event or a list of them in comparable form."""
        if isinstance(value, list):
            return [self.told(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "id" in value and "metadata" in value:
            own = {key: one for key, one in value["metadata"].items() if not key.startswith("event.")}
            value = {**value, "metadata": own}
        found = {name: self._member(name, one) for name, one in value.items() if name != "timestamp"}
        return {name: one for name, one in found.items() if one not in ("", [], {}, None)}

    def _member(self, name: str, value: Any) -> Any:
        if name == "metadata":
            return {key: one for key, one in value.items() if key != "memroos"}
        if name in ("data", "parts"):
            return value
        if name in _GIVEN and isinstance(value, str):
            return self._numbered(_GIVEN[name], value)
        if name == "referenceTaskIds":
            return [self._numbered("task", one) for one in value]
        return self.told(value)

    def _numbered(self, kind: str, value: str) -> str:
        before = sum(1 for known, _ in self._known if known == kind)
        return self._known.setdefault((kind, value), f"{kind} {before + 1}")
