// Makes one call for a chat completion by the library that is named, and prints the answer.
import { createRequire } from "node:module";

const require = createRequire(process.env.NODE_PATH + "/");
const base = process.env.BASE;
const body = { model: "gpt-4o", messages: [{ role: "user", content: "hi" }] };
const init = {
  method: "POST",
  headers: { authorization: "Bearer sk-client", "content-type": "application/json" },
  body: JSON.stringify(body),
};
if (process.argv[2] === "openai") {
  const { OpenAI } = require("openai");
  const answer = await new OpenAI({ baseURL: base, maxRetries: 0 }).chat.completions.create(body);
  console.log(JSON.stringify(answer));
} else {
  console.log(await (await fetch(base + "/chat/completions", init)).text());
}
