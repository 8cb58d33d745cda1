"""A hub on loopback: serves the files of a folder as the repository `org/name`, in the way of the Hugging Face hub.

serve.py FOLDER [--meet]: prints its address. `tokenizer.json` lies on a second host, as large files do. With `--meet`,
the second half of what both tollgate and another program want is held back until both have asked for it.
"""

import hashlib
import http.server
import json
import pathlib
import re
import sys
import threading

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = "tokenizer.json"
FILES = {path.name: path.read_bytes() for path in pathlib.Path(sys.argv[1]).iterdir()}
MEET = "--meet" in sys.argv[2:]

askers = {name: set() for name in FILES}
met = {name: threading.Event() for name in FILES}
# Tollgate asks for these and no others.
for name in set(FILES) - {"config.json", "tokenizer_config.json", "special_tokens_map.json", LARGE}:
    met[name].set()


def blob(name):
    """The name of a file's content: large ones have another than git gives."""
    content = FILES[name]
    if name == LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def leaf(name):
    told = {"type": "file", "path": name, "size": len(FILES[name]), "oid": blob(name)}
    if name == LARGE:
        told["lfs"] = {"oid": blob(name), "size": len(FILES[name]), "pointerSize": 134}
    return told


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        if re.fullmatch(r"/api/models/org/name(/revision/(main|%s))?" % COMMIT, path):
            siblings = [{"rfilename": name} for name in FILES]
            self.tell({"id": "org/name", "modelId": "org/name", "sha": COMMIT, "private": False, "tags": [],
                       "siblings": siblings})
        elif path == f"/api/models/org/name/tree/{COMMIT}":
            self.tell([leaf(name) for name in FILES])
        elif found := re.fullmatch(r"/org/name/resolve/(main|%s)/([^/]+)" % COMMIT, path):
            self.resolve(found[2])
        else:
            self.answer(404, {"X-Error-Code": "RepoNotFound"})

    def resolve(self, name):
        if name not in FILES:
            return self.answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        askers[name].add(self.headers.get("User-Agent", "").startswith("tollgate/"))
        if len(askers[name]) == 2:
            met[name].set()
        if name == LARGE:
            size = str(len(FILES[name]))
            return self.answer(302, {"Location": f"{cdn}/{blob(name)}", "X-Repo-Commit": COMMIT, "X-Linked-Size": size,
                                     "X-Linked-Etag": f'"{blob(name)}"', "ETag": '"of-the-pointer"'})
        self.send_file(name, {"X-Repo-Commit": COMMIT, "ETag": f'"{blob(name)}"'})

    def send_file(self, name, fields):
        content, status = FILES[name], 200
        if found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            begun = int(found[1])
            fields |= {"Content-Range": f"bytes {begun}-{len(content) - 1}/{len(content)}"}
            content, status = content[begun:], 206
        self.answer(status, fields, content, met[name] if MEET else None)

    def tell(self, what):
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(what).encode())

    def answer(self, status, fields, content=b"", event=None):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        half = len(content) // 2
        self.wfile.write(content[:half])
        if event:
            event.wait()
        self.wfile.write(content[half:])


class Cdn(Hub):
    def do_GET(self):
        if self.path == f"/{blob(LARGE)}":
            self.send_file(LARGE, {"ETag": '"of-the-cdn"'})
        else:
            self.answer(404, {})


def listen(kind):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "http://127.0.0.1:%d" % server.server_port


cdn = listen(Cdn)
print(listen(Hub), flush=True)
threading.Event().wait()
