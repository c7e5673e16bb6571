"""A program built with the A2A SDK of protocol version 0.3; it runs in an environment of its own.

It talks to a kernel as any program of that time would, and writes what it saw as one JSON document. What it needs comes
as arguments: the address, a key, the binding, and the skill of an agent that asks back when a text begins with "ask"
and does nothing when it begins with "wait".
"""

# mypy: ignore-errors
# It is checked against another version of the SDK than the one that it imports.

import asyncio
import json
import sys
from uuid import uuid4

import grpc
import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientError
from a2a.types import (
    Message,
    Part,
    PushNotificationConfig,
    Role,
    TaskIdParams,
    TaskPushNotificationConfig,
    TaskQueryParams,
    TextPart,
)

MISSING = "task_01ARZ3NDEKTSV4RRFFQ69G5FAV"


def with_key(details, key):
    return details._replace(metadata=[*(details.metadata or ()), ("authorization", f"Bearer {key}")])


class Bearer(grpc.aio.UnaryUnaryClientInterceptor):
    """Shows the key with every call that has one answer."""

    def __init__(self, key):
        self.key = key

    async def intercept_unary_unary(self, continuation, client_call_details, request):
        return await continuation(with_key(client_call_details, self.key), request)


class StreamBearer(grpc.aio.UnaryStreamClientInterceptor):
    """Shows the key with every call that has a stream of answers."""

    def __init__(self, key):
        self.key = key

    async def intercept_unary_stream(self, continuation, client_call_details, request):
        return await continuation(with_key(client_call_details, self.key), request)


def said(text, skill="", **words):
    metadata = {"memroos.skill": skill} if skill else None
    part = Part(root=TextPart(text=text))
    return Message(role=Role.user, parts=[part], message_id=str(uuid4()), metadata=metadata, **words)


def texts(parts):
    return [part.root.text for part in parts or []]


def of(task):
    return {
        "state": task.status.state.value,
        "history": [texts(message.parts) for message in task.history or []],
        "artifacts": [texts(artifact.parts) for artifact in task.artifacts or []],
    }


async def last_of(items):
    last = None
    async for item in items:
        last = item
    return last[0]


async def refusal(attempt):
    try:
        await attempt
    except A2AClientError as error:
        return str(error)
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name} {error.details()}"
    return "nothing was refused"


async def tell(url, key, binding, skill, hook):
    """Return what was seen."""
    headers = {"Authorization": f"Bearer {key}"}
    seen = {}
    async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        seen["card"] = {"version": card.protocol_version, "streaming": card.capabilities.streaming}

        def make(**options):
            def channel(address):
                return grpc.aio.insecure_channel(address, interceptors=[Bearer(key), StreamBearer(key)])

            config = ClientConfig(
                httpx_client=http,
                grpc_channel_factory=channel,
                supported_transports=[binding],
                use_client_preference=True,
                **options,
            )
            return ClientFactory(config).create(card)

        waiting, streaming = make(streaming=False), make(streaming=True)
        polling = make(streaming=False, polling=True)

        done = await last_of(waiting.send_message(said("hello", "echo")))
        seen["send"] = of(done)
        seen["get"] = of(await waiting.get_task(TaskQueryParams(id=done.id)))
        seen["newest"] = of(await waiting.get_task(TaskQueryParams(id=done.id, history_length=1)))

        items = [item async for item in streaming.send_message(said("work", skill))]
        updates = ["task" if update is None else update.kind for _, update in items]
        seen["stream"] = {"updates": updates, **of(items[-1][0])}

        asked = await last_of(streaming.send_message(said("ask me", skill)))
        follow_up = said("the answer", task_id=asked.id, context_id=asked.context_id)
        answered = await last_of(streaming.send_message(follow_up))
        seen["turns"] = [of(asked)["state"], of(answered)["state"], asked.id == answered.id]

        held = await last_of(polling.send_message(said("wait", skill)))
        follower = streaming.resubscribe(TaskIdParams(id=held.id))
        first, _ = await anext(follower)
        config = PushNotificationConfig(id="mine", url=hook)
        await waiting.set_task_callback(TaskPushNotificationConfig(task_id=held.id, push_notification_config=config))
        canceled = await waiting.cancel_task(TaskIdParams(id=held.id))
        rest = [update.status.state.value async for _, update in follower if update is not None]
        seen["cancel"] = [of(first)["state"], of(canceled)["state"], rest]

        seen["missing"] = await refusal(waiting.get_task(TaskQueryParams(id=MISSING)))
        seen["final"] = await refusal(last_of(waiting.send_message(said("more", task_id=done.id))))
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(tell(*sys.argv[1:]))))
