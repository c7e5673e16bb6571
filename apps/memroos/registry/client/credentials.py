"""What the kernel shows to a remote agent."""

import msgspec

from memroos.registry import rules
from memroos.registry.queries import Due, Remote
from memroos_contracts.registry import Credential
from memroos_kit.sealing import Sealer


def headers_of(remote: Remote, sealer: Sealer) -> dict[str, str]:
    """Return the headers that carry an agent's credential to its interface; none where it has no credential.

    A credential goes only where it was given for: none is shown to an interface on another server.

    Raises:
        SealBroken: the credential cannot be read with this machine's key.
    """
    allowed = remote.credential_origin in ("", rules.origin(remote.interface_url))
    if remote.credential is None or not allowed:
        return {}
    return headers(open_credential(remote.credential, remote.agent.id, sealer))


def card_headers(due: Due, sealer: Sealer) -> dict[str, str]:
    """Return the headers for an agent's card, where that asks for the credential and lies on the agent's own server."""
    if due.credential is None or due.credential_origin not in ("", rules.origin(due.card_url)):
        return {}
    return headers(open_credential(due.credential, due.agent_id, sealer))


def open_credential(sealed: bytes, agent_id: str, sealer: Sealer) -> Credential:
    """Decrypt a credential."""
    return msgspec.json.decode(sealer.open(sealed, bound_to=agent_id), type=Credential)


def headers(credential: Credential) -> dict[str, str]:
    """Return a credential as headers."""
    if credential.header:
        return {credential.header: credential.value}
    value = f"{credential.scheme} {credential.value}" if credential.scheme else credential.value
    return {"Authorization": value}
