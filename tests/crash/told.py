"""What clients were told: the acknowledged writes, against which the database is held after every crash."""

from collections import Counter, defaultdict

import msgspec


class Deed(msgspec.Struct, frozen=True):
    """One thing that a client wants to be done once, however often it asks."""

    kind: str
    """Such as `task` or `message`."""
    name: str
    """The client's own name for it: a message id or an idempotency key."""


class Told(msgspec.Struct, frozen=True):
    """What the kernel acknowledged about a deed."""

    id: str
    cycle: int


class Ledger:
    """All acknowledgements of a drill."""

    def __init__(self) -> None:
        self.cycle = 0
        self.told: dict[Deed, Told] = {}
        self.again = 0
        """How often a deed was sent again and answered as before."""
        self.unanswered: Counter[str] = Counter()
        self.violations: list[str] = []
        self.ends: dict[str, dict[str, int]] = defaultdict(dict)
        """By kind of end (`completed`, `acked`, `reported`): what was brought there, and in which cycle."""
        self.heartbeats: dict[str, int] = {}

    def acknowledge(self, deed: Deed, id_: str) -> None:
        """Write down an answer; a second one has to be the same."""
        before = self.told.get(deed)
        if before is None:
            self.told[deed] = Told(id_, self.cycle)
            return
        self.again += 1
        if before.id != id_:
            self.violate(f"{deed.kind} {deed.name} was {before.id} in cycle {before.cycle} and is now {id_}")

    def end(self, kind: str, id_: str) -> None:
        """Write down that something was brought to its end."""
        self.ends[kind].setdefault(id_, self.cycle)

    def violate(self, what: str) -> None:
        """Write down what must not be."""
        self.violations.append(f"cycle {self.cycle}: {what}")

    def of(self, kind: str) -> dict[str, Told]:
        """Return what was told about one kind of deed, by name."""
        return {deed.name: told for deed, told in self.told.items() if deed.kind == kind}
