// Calls the API with the openai library for Node and prints what it saw, one JSON line per case.
//
// Node 20 ignores HTTPS_PROXY by itself. So where that is set, undici's fetch with its proxy dispatcher takes the place
// of Node's own, as a preloaded module would do it for a program that nobody changes.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.TOLLGATE_CLIENTS_HOME}/`);
const { OpenAI, APIError, toFile } = require("openai");
const undici = require("undici");

if (process.env.HTTPS_PROXY) {
  undici.install();
  undici.setGlobalDispatcher(new undici.EnvHttpProxyAgent());
}
const client = new OpenAI({ maxRetries: 0 });

const chat = {
  model: "gpt-4o",
  messages: [
    { role: "system", content: "You count the coins." },
    { role: "user", content: "How many are in the box? 日本 naïve 🎈" },
  ],
};
const tools = [{ type: "function", function: { name: "count_coins", parameters: { type: "object", properties: {} } } }];

async function report(name, call) {
  let result;
  try {
    result = await call();
  } catch (error) {
    if (!(error instanceof APIError) || error.status === undefined) throw error;
    const { status, code, param, type, requestID, message } = error;
    result = { error: error.constructor.name, status, code, param, type, requestID, message };
  }
  console.log(JSON.stringify({ case: name, result }));
}

async function whole(promise) {
  const { data, request_id } = await promise.withResponse();
  return { object: data, request_id };
}

async function chunks(promise) {
  const all = [];
  for await (const chunk of await promise) all.push(chunk);
  return all;
}

const complete = (members, options) => client.chat.completions.create({ ...chat, ...members }, options);
const fault = (words) => ({ headers: { "x-standin-fault": words } });

await report("chat", () => whole(complete({})));
await report("chat with two choices", () => whole(complete({ n: 2, max_tokens: 3 })));
await report("chat with a tool", () => whole(complete({ tools })));
for (const coding of ["gzip", "br"]) await report(`chat in ${coding}`, () => whole(complete({}, fault(coding))));
await report("chat with a duplicate", () => whole(complete({ model: "gpt-4.1" })));
await report("chat with a custom model", () => whole(complete({ model: "local/chat" })));
await report("streamed chat", () => chunks(complete({ stream: true })));
const stream_options = { include_usage: true };
await report("streamed chat with usage", () => chunks(complete({ stream: true, stream_options })));
await report("streamed chat with a custom model", () => chunks(complete({ stream: true, model: "local/chat" })));
const input = "How many coins?";
await report("response", () => whole(client.responses.create({ model: "gpt-4o", input })));
await report("streamed response", () => chunks(client.responses.create({ model: "gpt-4o", input, stream: true })));
const legacy = { prompt: "The toll is", max_tokens: 5 };
await report("completion", () => whole(client.completions.create({ model: "gpt-3.5-turbo-instruct", ...legacy })));
const dolly = { model: "databricks/dolly-v2-3b", ...legacy };
await report("completion with a custom model", () => whole(client.completions.create(dolly)));
await report("streamed completion", () => chunks(client.completions.create({ ...dolly, stream: true })));
const texts = { model: "text-embedding-3-small", input: ["one two", "three"] };
await report("embeddings", () => whole(client.embeddings.create(texts)));
await report("models", () => chunks(client.models.list()));
await report("upload", async () => {
  const file = await toFile(Buffer.from('{"a":1}\n'.repeat(3)), "lines.jsonl");
  return whole(client.files.create({ file, purpose: "batch" }));
});
await report("no such model", () => whole(complete({ model: "no-such-model" })));
for (const status of [400, 401, 429, 500]) {
  await report(`status ${status}`, () => whole(complete({}, fault(`status=${status}`))));
}
