"""A hub on loopback for one repository, org/name: serve.py FOLDER prints its address and serves until its input ends."""

import hashlib
import json
import pathlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FOLDER = pathlib.Path(sys.argv[1])
FILES = sorted(FOLDER.iterdir())
JSON = {"Content-Type": "application/json"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def etag(name, content):
    if name == "tokenizer.json":
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(file):
    content = file.read_bytes()
    tag = etag(file.name, content)
    about = {"type": "file", "path": file.name, "size": len(content), "oid": tag}
    if len(tag) == 64:
        about["lfs"] = {"oid": tag, "size": len(content), "pointerSize": 130}
    return about


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    at_cdn = False

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, whole):
        path = self.path.split("?")[0]
        if path.startswith("/api/models/org/name/tree/"):
            return self.send(200, json.dumps([entry(file) for file in FILES]).encode(), JSON, whole)
        if path.startswith("/api/models/org/name"):
            siblings = [{"rfilename": file.name} for file in FILES]
            about = {"id": "org/name", "modelId": "org/name", "sha": COMMIT, "siblings": siblings}
            return self.send(200, json.dumps(about).encode(), JSON, whole)
        name = path.rsplit("/", 1)[-1]
        file = FOLDER / name
        if not file.is_file():
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        content = file.read_bytes()
        tag, about = etag(name, content), {"X-Repo-Commit": COMMIT}
        if name == "tokenizer.json" and not self.at_cdn:
            elsewhere = f"http://127.0.0.1:{CDN.server_port}/{name}"
            about |= {"Location": elsewhere, "X-Linked-Etag": f'"{tag}"', "X-Linked-Size": str(len(content))}
            return self.send(302, b"", about)
        about |= {"ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
        status, asked = 200, self.headers.get("Range")
        if asked:
            start = int(asked.removeprefix("bytes=").split("-")[0])
            about["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            status, content = 206, content[start:]
        self.send(status, content, about, whole)

    def send(self, status, body, fields, whole=True):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if whole:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Elsewhere(Answer):
    at_cdn = True


CDN = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
HUB = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
for server in (CDN, HUB):
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{HUB.server_port}", flush=True)
sys.stdin.read()
