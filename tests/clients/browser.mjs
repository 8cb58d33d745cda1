// Opens a page in Chromium that calls the API from another origin, and prints what the page saw, one JSON line per case.
//
// HTTPS_PROXY: the proxy to use; TOLLGATE_PAC: the script that says so; TOLLGATE_CA: a PEM file to trust; TOLLGATE_RESOLVE: where api.openai.com is, without a proxy.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(`${process.env.TOLLGATE_CLIENTS_HOME}/`);
const { chromium } = require("playwright-core");

// CORS is granted under the real name only, so a direct call uses that too.
const given = process.env.TOLLGATE_RESOLVE ? undefined : process.env.OPENAI_BASE_URL;
const base = given ?? "https://api.openai.com/v1";
const home = mkdtempSync(join(tmpdir(), "tollgate-browser-"));

// What the page does: everything below runs in the browser.
async function visit({ base, cases }) {
  const seen = [];
  for (const { name, document, headers } of cases) {
    try {
      const response = await fetch(`${base}/chat/completions`, {
        method: "POST",
        headers: { authorization: "Bearer sk-client", "content-type": "application/json", ...headers },
        body: JSON.stringify(document),
      });
      const body = await response.text();
      const readable = [...response.headers].filter(([header]) => header !== "content-length");
      seen.push({ case: name, result: { status: response.status, readable, body } });
    } catch (error) {
      seen.push({ case: name, result: { error: String(error) } });
    }
  }
  return seen;
}

function trust(file) {
  const database = join(home, ".pki", "nssdb");
  mkdirSync(database, { recursive: true });
  execFileSync("certutil", ["-N", "-d", `sql:${database}`, "--empty-password"]);
  execFileSync("certutil", ["-A", "-d", `sql:${database}`, "-t", "C,,", "-n", "trusted", "-i", file]);
}

async function open(page) {
  const args = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"];
  if (process.env.HTTPS_PROXY) args.push(`--proxy-server=${process.env.HTTPS_PROXY}`);
  if (process.env.TOLLGATE_PAC) args.push(`--proxy-pac-url=${process.env.TOLLGATE_PAC}`);
  if (process.env.TOLLGATE_RESOLVE) {
    args.push(`--host-resolver-rules=MAP api.openai.com:443 ${process.env.TOLLGATE_RESOLVE}`);
  }
  // The proxy variables are taken away: the browser shall have its setting alone.
  const { PATH } = process.env;
  const options = { executablePath: "/usr/bin/chromium", headless: true, chromiumSandbox: false, args, env: { PATH, HOME: home } };
  const context = await chromium.launchPersistentContext(join(home, "profile"), options);
  const tab = await context.newPage();
  await tab.goto(page);
  return { context, tab };
}

const server = createServer((_, response) => {
  response.writeHead(200, { "content-type": "text/html" });
  response.end("<!doctype html><title>A page of another origin</title>");
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
trust(process.env.TOLLGATE_CA);

const messages = [{ role: "user", content: "How many coins are in the box? 日本" }];
const cases = [
  { name: "streamed chat with a custom model", document: { model: "local/chat", messages, stream: true } },
  { name: "streamed chat", document: { model: "gpt-4o", messages, stream: true } },
  { name: "chat", document: { model: "gpt-4o", messages } },
  { name: "no such model", document: { model: "no-such-model", messages } },
  { name: "status 429", document: { model: "gpt-4o", messages }, headers: { "x-standin-fault": "status=429" } },
];
try {
  const { context, tab } = await open(`http://127.0.0.1:${server.address().port}/`);
  for (const line of await tab.evaluate(visit, { base, cases })) console.log(JSON.stringify(line));
  await context.close();
} finally {
  server.close();
  rmSync(home, { recursive: true, force: true });
}
