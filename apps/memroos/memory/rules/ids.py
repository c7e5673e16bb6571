"""What an id tells."""


def is_event(memory_id: str) -> bool:
    """Answer whether something remembered is an event, which the kernel has, and not what was learned from events."""
    return memory_id.startswith("mem_")
