"""What can go wrong with workspaces, agents and keys."""

from memroos_contracts.errors import ErrorKind, MemroosError


class CardRefused(MemroosError):
    """The agent's card cannot be taken.

    The detail says what is wrong with it. Let the agent's owner repair the card, or name another address.

    Facts:
        url: where the card is.
    """

    kind = ErrorKind.INVALID


class CardUnavailable(MemroosError):
    """The agent's card cannot be fetched.

    Nothing happened. Look whether the agent runs and the address is right, then repeat.

    Facts:
        url: where the card was looked for.
    """

    kind = ErrorKind.UNAVAILABLE


class WorkspaceNameTaken(MemroosError):
    """A workspace of this name exists already.

    Choose another name.

    Facts:
        name: the name that is taken.
    """

    kind = ErrorKind.CONFLICT


class AgentNameTaken(MemroosError):
    """An agent of this name exists already in this workspace.

    Choose another name. The name of a retired agent stays taken, so that nobody inherits its address.

    Facts:
        name: the name that is taken.
    """

    kind = ErrorKind.CONFLICT


class AgentChanged(MemroosError):
    """The agent has changed since you looked at it.

    Read it again, then decide whether your change still fits.

    Facts:
        agent: the agent's id.
        version: the version it has now.
    """

    kind = ErrorKind.CONFLICT


class AgentCannotMove(MemroosError):
    """An agent in this state cannot get to the state you asked for.

    Facts:
        agent: the agent's id.
        state: the state it is in.
        wanted: the state that was asked for.
    """

    kind = ErrorKind.CONFLICT


class AgentRetired(MemroosError):
    """The agent is retired and takes no more changes.

    Register a new agent.

    Facts:
        agent: the agent's id.
    """

    kind = ErrorKind.CONFLICT


class AgentKeyNeeded(MemroosError):
    """Only an agent can do this.

    Use an agent's key.
    """

    kind = ErrorKind.DENIED


class KeyNotActive(MemroosError):
    """The key does not open anything any more, or has been replaced already.

    Create a new key.

    Facts:
        key: the key's id.
        state: the state it is in.
        replaced_by: the key that took its place, if there is one.
    """

    kind = ErrorKind.CONFLICT


class ScopeTooWide(MemroosError):
    """A key cannot give away more than it may do itself.

    Ask for scopes within your own, or use a key with wider ones.

    Facts:
        scopes: what your key may do.
    """

    kind = ErrorKind.DENIED


class LastOperatorKey(MemroosError):
    """Without this key nobody could operate the workspace.

    Create another operator key first, then revoke this one with it.

    Facts:
        key: the key's id.
    """

    kind = ErrorKind.CONFLICT


class WeakKey(MemroosError):
    """The operator key is too easy to guess.

    Set a random one, or none at all: then the kernel makes one at its first start.
    """

    kind = ErrorKind.INVALID


class OperatorKeyRevoked(MemroosError):
    """The operator key in the settings was revoked, and there is no other.

    Set another key, or remove the key's file: then the kernel makes a new one at its next start.

    Facts:
        key: the key's id.
    """

    kind = ErrorKind.CONFLICT
