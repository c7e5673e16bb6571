// A program built with the official JavaScript SDK of A2A. It talks to a kernel over one binding and writes what it saw
// as one JSON document. Arguments: the address, a key, the binding, and the skill of an agent that asks back when a text
// begins with "ask" and does nothing when it begins with "wait".

import { randomUUID } from "node:crypto";

import { ListTasksRequest, SendMessageRequest, StreamResponse, Task } from "@a2a-js/sdk";
import {
  ClientFactory,
  DefaultAgentCardResolver,
  JsonRpcTransportFactory,
  RestTransportFactory,
} from "@a2a-js/sdk/client";
import { GrpcTransportFactory } from "@a2a-js/sdk/client/grpc";

const [url, key, binding, skill] = process.argv.slice(2);
const transports = {
  JSONRPC: new JsonRpcTransportFactory(),
  "HTTP+JSON": new RestTransportFactory(),
  GRPC: new GrpcTransportFactory(),
};
const withKey = { serviceParameters: { Authorization: `Bearer ${key}` } };
const missing = "task_01ARZ3NDEKTSV4RRFFQ69G5FAV";

function said(text, words = {}, configuration = {}) {
  const { to, ...rest } = words;
  const metadata = to ? { "memroos.skill": to } : undefined;
  const message = { messageId: randomUUID(), role: "ROLE_USER", parts: [{ text }], metadata, ...rest };
  return SendMessageRequest.fromJSON({ message, configuration });
}

function of(task) {
  const { status, history = [], artifacts = [] } = Task.toJSON(task);
  const texts = (things) => things.map((thing) => thing.parts.map((part) => part.text));
  return { state: status.state, history: texts(history), artifacts: texts(artifacts) };
}

async function all(items) {
  const found = [];
  for await (const item of items) found.push(item.payload);
  return found;
}

async function refusal(attempt) {
  try {
    await attempt;
    return "nothing was refused";
  } catch (error) {
    return error.constructor.name;
  }
}

const factory = new ClientFactory({
  transports: [transports[binding]],
  preferredTransports: [binding],
  cardResolver: new DefaultAgentCardResolver(),
});
const client = await factory.createFromUrl(url);
const seen = { binding: client.transport.protocolName, version: client.protocolVersion };

const done = await client.sendMessage(said("hello", { to: "echo" }), withKey);
seen.send = of(done);
seen.get = of(await client.getTask({ tenant: "", id: done.id }, withKey));
seen.newest = of(await client.getTask({ tenant: "", id: done.id, historyLength: 0 }, withKey));
const listed = await client.listTasks(ListTasksRequest.fromJSON({ contextId: done.contextId }), withKey);
seen.list = listed.tasks.map((task) => task.id === done.id);

const streamed = await all(client.sendMessageStream(said("work", { to: skill }), withKey));
seen.stream = streamed.map((payload) => payload.$case);

const asked = await client.sendMessage(said("ask me", { to: skill }), withKey);
const answered = await client.sendMessage(said("the answer", { taskId: asked.id }), withKey);
seen.turns = [of(asked).state, of(answered).state, asked.id === answered.id];

const held = await client.sendMessage(said("wait", { to: skill }, { returnImmediately: true }), withKey);
const follower = client.resubscribeTask({ tenant: "", id: held.id }, withKey);
const first = (await follower.next()).value.payload;
const canceled = await client.cancelTask({ tenant: "", id: held.id }, withKey);
const rest = await all(follower);
const last = StreamResponse.toJSON({ payload: rest.at(-1) });
seen.cancel = [first.$case, of(canceled).state, last.statusUpdate.status.state];

seen.missing = await refusal(client.getTask({ tenant: "", id: missing }, withKey));
seen.final = await refusal(client.sendMessage(said("more", { taskId: done.id }), withKey));
seen.stranger = await refusal(client.getTask({ tenant: "", id: done.id }));

console.log(JSON.stringify(seen));
process.exit(0);
