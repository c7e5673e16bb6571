"""Why a story ends early."""


class Stopped(Exception):
    """The story cannot go on; the message says why."""
