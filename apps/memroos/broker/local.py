"""Agents that live inside the kernel's process."""

from collections.abc import AsyncIterator

from memroos_contracts.broker import Artifact, Report, TaskState, Work


class EchoAgent:
    """Answers with what it was sent: for first steps, tests and measurements."""

    async def run(self, work: Work) -> AsyncIterator[Report]:
        """Say that it works, return the message's parts as an artifact, and end."""
        yield Report(state=TaskState.WORKING)
        yield Report(artifact=Artifact(artifact_id="echo", name="echo", parts=work.message.parts), last_chunk=True)
        yield Report(state=TaskState.COMPLETED)
