"""Open streams: they end with their key, also with one that ended just before they were opened."""

import pytest
from tests.actors import AGENT, KERNEL

from memroos.web.streams import Streams
from memroos_contracts.errors import Unauthenticated
from memroos_contracts.identity import KeyId
from memroos_kit.limits import StreamSlots
from memroos_kit.stopping import Stopping


def test_a_stream_ends_with_its_key() -> None:
    streams = Streams(StreamSlots(per_key=2), Stopping())
    assert AGENT.key is not None

    with streams.open(AGENT) as ended:
        streams.end_key(KeyId("key_other"))
        before = ended.is_set()
        streams.end_key(AGENT.key)

        assert (before, ended.is_set()) == (False, True)


def test_a_key_that_was_revoked_while_its_request_was_on_the_way_opens_no_stream() -> None:
    slots = StreamSlots(per_key=2)
    streams = Streams(slots, Stopping(), admits=lambda _: False)

    with pytest.raises(Unauthenticated), streams.open(AGENT):
        pass

    assert slots.total() == 0


def test_who_waited_with_a_key_that_was_revoked_meanwhile_gets_nothing() -> None:
    valid = {AGENT.key}
    streams = Streams(StreamSlots(per_key=2), Stopping(), admits=lambda key: key in valid)
    streams.demand_admitted(AGENT)
    streams.demand_admitted(KERNEL)  # has no key

    valid.clear()

    with pytest.raises(Unauthenticated):
        streams.demand_admitted(AGENT)
