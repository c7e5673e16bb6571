"""Which version of the protocol a call is in (A2A 1.0, section 3.6).

A caller says it in the header `A2A-Version`, in the query parameter of that name, or in gRPC metadata. Who says nothing
speaks 0.3. Major and minor decide; a patch changes nothing on the wire.
"""

import re
from collections.abc import Sequence

from a2a.utils import errors as sdk

HEADER = "a2a-version"
V0_3 = "0.3"
V1_0 = "1.0"
SERVED = (V1_0, V0_3)

_VERSION = re.compile(r"(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})(\.\d{1,9})?")


def negotiate(*said: Sequence[str]) -> str:
    """Return the version of a call, without its patch.

    Args:
        said: what the caller said in each place where it may say it; the first place that says something counts.

    Raises:
        VersionNotSupportedError: it is not served here, or is no version.
    """
    for values in said:
        wanted = ",".join(value.strip() for value in values)
        if not wanted.strip(","):
            continue
        found = _VERSION.fullmatch(wanted)
        version = f"{found[1]}.{found[2]}" if found else ""
        if version not in SERVED:
            raise sdk.VersionNotSupportedError(
                message=f"A2A {wanted[:64]!r} is not spoken here; say {' or '.join(SERVED)}.",
                data={"served": ", ".join(SERVED)},
            )
        return version
    return V0_3


def demand(version: str, served: str) -> None:
    """Refuse a call to an operation of another version than the call is in.

    Raises:
        VersionNotSupportedError: they differ.
    """
    if version != served:
        raise sdk.VersionNotSupportedError(
            message=f"This is an operation of A2A {served}, and the request is in {version}"
            f"{', which is what a missing A2A-Version means' if version == V0_3 else ''}.",
            data={"served": ", ".join(SERVED)},
        )
