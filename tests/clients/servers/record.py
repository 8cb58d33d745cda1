"""Records what the real servers answer: record.py [SERVER...] writes tests/fixtures/servers/SERVER/CASE.{http,request.json}.

They are those that setup.sh has installed in $TOLLGATE_CLIENTS_HOME. What a client must see (CASE.expect.json) is
written by hand and stays.
"""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE.parent.parent / "fixtures/servers"
# Set anew by what plays them.
FRAMING = {"content-length", "transfer-encoding", "connection", "keep-alive"}

ASKED = "There are four coins"
CHAT = {"messages": [{"role": "user", "content": ASKED}], "max_tokens": 12, "temperature": 0}
TEXT = {"prompt": ASKED, "max_tokens": 12, "temperature": 0}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
TOO_LONG = {"prompt": "four coins, " * 200, "max_tokens": 12}
WRONG = {"temperature": "warm"}

# Folder: how it is started, where it says that it is up, where it answers, the key, and what it is asked.
SERVERS = {
    "basaran": ("basaran", "/v1/models", "/v1", None, {
        "completion": TEXT,
        "completion-two": TEXT | {"n": 2, "max_tokens": 6},
        "completion-stream": TEXT | STREAM,
        "completion-stream-error": TOO_LONG | STREAM,
        "error": TOO_LONG,
        "error-no-chat": CHAT,
    }),
    "closedai": ("closedai", "/models", "", None, {
        "chat": CHAT | {"model": "dummy"},
        "chat-stream": CHAT | STREAM | {"model": "dummy"},
        "completion": TEXT | {"model": "dummy"},
        "completion-stream": TEXT | STREAM | {"model": "dummy"},
        "error": CHAT | WRONG | {"model": "dummy"},
    }),
    "litellm": ("litellm", "/health/liveliness", "/v1", "sk-litellm", {
        "chat": CHAT,
        "chat-stream": CHAT | STREAM,
        "chat-stream-pieces": CHAT | STREAM | {"model": "canned"},
        "completion": TEXT,
        "completion-stream": TEXT | STREAM,
        "completion-stream-pieces": TEXT | STREAM | {"model": "canned"},
        "completion-stream-error": TOO_LONG | STREAM,
        "error": CHAT | {"model": "none-of-its"},
        "error-behind": TOO_LONG,
    }),
    "llama-cpp-python": ("llama-cpp", "/v1/models", "/v1", None, {
        "chat": CHAT,
        "chat-stream": CHAT | STREAM,
        "completion": TEXT,
        "completion-logprobs": TEXT | {"max_tokens": 2, "logprobs": 2},
        "completion-stream": TEXT | STREAM,
        "completion-stream-error": TOO_LONG | STREAM,
        "error": TOO_LONG,
    }),
}


def main():
    for folder in sys.argv[1:] or SERVERS:
        name, ready, prefix, key, cases = SERVERS[folder]
        with contextlib.ExitStack() as stack:
            behind = [stack.enter_context(running("basaran", "/v1/models"))] if name == "litellm" else []
            port = stack.enter_context(running(name, ready, *map(str, behind)))
            for case, asked in cases.items():
                record(FIXTURES / folder / case, port, prefix, key, asked)


def record(path, port, prefix, key, asked):
    body = {"model": "tiny"} | asked
    at = prefix + ("/chat/completions" if "messages" in body else "/completions")
    fields = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    status, head, reply = ask(port, "POST", at, json.dumps(body).encode(), fields)
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in head if name.lower() not in FRAMING), "", ""]
    recorded = "\r\n".join(lines).encode() + reply
    for secret in (os.environ["TOLLGATE_CLIENTS_HOME"], str(pathlib.Path.home()), str(HERE.parents[2]), key):
        assert not secret or secret.encode() not in recorded, f"{path.name} tells {secret}"
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".http").write_bytes(recorded)
    path.with_suffix(".request.json").write_text(json.dumps(body) + "\n")
    print(f"{path.parent.name}/{path.name}: {status}, {len(reply)} bytes")


def ask(port, method, at, body=None, fields={}):
    """Status line without its version, fields in their order, and the body without its chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, at, body, fields)
    reply = connection.getresponse()
    whole = reply.read()
    connection.close()
    return f"{reply.status} {reply.reason}", reply.getheaders(), whole


@contextlib.contextmanager
def running(name, ready, *more):
    """A server of that name, and its port; it ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as own:
        command = ["bash", str(HERE / "serve.sh"), name, str(port), *more]
        with open(f"{own}/server.log", "w") as log:
            environment = os.environ | {"HOME": own}
            server = subprocess.Popen(
                command, cwd=own, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        try:
            wait(server, port, ready, f"{own}/server.log")
            yield port
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def wait(server, port, ready, log):
    for _ in range(1200):
        assert server.poll() is None, pathlib.Path(log).read_text()
        with contextlib.suppress(OSError, http.client.HTTPException):
            if ask(port, "GET", ready)[0].startswith("200"):
                return
        time.sleep(0.1)
    raise TimeoutError(pathlib.Path(log).read_text())


main()
