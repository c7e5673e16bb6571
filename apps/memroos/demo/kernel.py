"""The kernel as the demo calls it: a restart in between only takes time."""

import time
from typing import TypeVar

from a2a.client import A2AClientError

from memroos.demo.stage import Stage
from memroos_client import Call, Client, ClientError, ProblemError
from memroos_client.retry import is_passing

T = TypeVar("T")

PATIENCE_S = 60.0
"""How long the kernel may be gone, or an agent be silent, before the story ends."""
PAUSE_S = 0.2


class Kernel:
    """Runs calls, each until it is answered.

    Args:
        client: does not repeat by itself.
        stage: where an absence is mentioned.
    """

    def __init__(self, client: Client, stage: Stage) -> None:
        self.url = client.url
        self.patience_s = PATIENCE_S
        self._client = client
        self._stage = stage
        self._away = False

    def run(self, call: Call[T]) -> T:
        """Return the answer to a call that may be sent twice.

        Raises:
            ClientError: the kernel refuses, or stays away.
        """
        until = time.monotonic() + self.patience_s
        while True:
            try:
                answer = self._client.run(call)
            except ClientError as error:
                if not is_passing(error) or time.monotonic() >= until:
                    raise
                self.away(error)
                time.sleep(PAUSE_S)
            else:
                self.back()
                return answer

    def away(self, error: ClientError | A2AClientError) -> None:
        """Mention, once, that the kernel is not there."""
        if not self._away and not (isinstance(error, ProblemError) and error.status == 503):
            self._stage.say("   ... the kernel does not answer; waiting for it")
            self._away = True

    def back(self) -> None:
        """Mention that it is there again."""
        if self._away:
            self._stage.say("   ... it is back; going on where we were")
            self._away = False
