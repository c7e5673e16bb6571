"""Why a story ends early."""


class Stopped(Exception):
    """The story cannot go on; the message says why."""


class ResearcherOutOfReach(Stopped):
    """The kernel may not call an agent on this machine."""
