"""Extensions of the protocol (A2A 1.0, section 4.6): which of those that a caller asks for take effect.

The kernel brings extensions to the agent that is addressed and back; which there are is for the agent's own card to
say, and so is which of them a caller must ask for.
"""

from collections.abc import Set

import msgspec
from a2a.utils import errors as sdk


class _Extension(msgspec.Struct, frozen=True):
    uri: str = ""
    required: bool = False


class _Capabilities(msgspec.Struct, frozen=True):
    extensions: tuple[_Extension, ...] = ()


class _Card(msgspec.Struct, frozen=True):
    capabilities: _Capabilities = _Capabilities()


def settle(card: bytes, requested: Set[str]) -> tuple[str, ...]:
    """Return the extensions that take effect, in the order of the agent's card.

    Args:
        card: the agent's own card as JSON; empty where it has none.
        requested: what the caller asks for; what the agent does not know is left out, as the protocol has it.

    Raises:
        ExtensionSupportRequiredError: the agent demands one that the caller does not ask for.
    """
    declared = _declared(card)
    missing = [extension.uri for extension in declared if extension.required and extension.uri not in requested]
    if missing:
        raise sdk.ExtensionSupportRequiredError(
            message=f"This agent needs callers that ask for {', '.join(missing)} in A2A-Extensions.",
            data={"extensions": ", ".join(missing)},
        )
    return tuple(extension.uri for extension in declared if extension.uri in requested)


def _declared(card: bytes) -> tuple[_Extension, ...]:
    if not card:
        return ()
    try:
        declared = msgspec.json.decode(card, type=_Card).capabilities.extensions
    except msgspec.MsgspecError:  # of another shape there than the protocol's: then it declares nothing
        return ()
    return tuple(extension for extension in declared if extension.uri)
