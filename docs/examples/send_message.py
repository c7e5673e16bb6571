"""Sends a message to an agent over A2A, with the protocol's own SDK, and shows what happens until the task ends.

MEMROOS_URL=... MEMROOS_API_KEY=... python send_message.py AGENT TEXT
"""

import asyncio
import os
import sys
import uuid

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import Message, Part, Role, SendMessageRequest, TaskState


async def main(agent: str, text: str) -> None:
    """Find the agent by its card, send, and follow the stream."""
    url = f"{os.environ['MEMROOS_URL']}/a2a/agents/{agent}"
    headers = {"Authorization": f"Bearer {os.environ['MEMROOS_API_KEY']}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        client = ClientFactory(ClientConfig(httpx_client=http)).create(
            await A2ACardResolver(http, url).get_agent_card()
        )
        message = Message(message_id=str(uuid.uuid4()), role=Role.ROLE_USER, parts=[Part(text=text)])
        async for event in client.send_message(SendMessageRequest(message=message)):
            status = event.task.status if event.HasField("task") else event.status_update.status
            print(TaskState.Name(status.state), *(part.text for part in status.message.parts), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
