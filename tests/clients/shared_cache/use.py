"""Uses a cache of the hub's with Hugging Face's own library; what it found is printed as one JSON object.

use.py fetch: downloads all of `org/name`.
use.py read NAME...: without a network, what it gives for each file by each of its ways.
use.py count TEXT: tokens of the text in that file, by the tokenizer in the cache.
"""

import json
import pathlib
import sys

from huggingface_hub import __version__, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError

REPOSITORY = "org/name"


def content(path):
    return pathlib.Path(path).read_text() if path and pathlib.Path(path).is_file() else None


def read(name):
    try:
        downloaded = content(hf_hub_download(REPOSITORY, name, local_files_only=True))
    except LocalEntryNotFoundError:
        downloaded = None
    cached = try_to_load_from_cache(REPOSITORY, name)
    found = "file" if isinstance(cached, str) else "unknown" if cached is None else "absent"
    return {"downloaded": downloaded, "found": found, "cached": content(cached) if found == "file" else None,
            "snapshot": content(pathlib.Path(snapshot_download(REPOSITORY, local_files_only=True)) / name)}


match sys.argv[1:]:
    case ["fetch"]:
        told = {"folder": snapshot_download(REPOSITORY)}
    case ["read", *names]:
        told = {name: read(name) for name in names}
    case ["count", text]:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(hf_hub_download(REPOSITORY, "tokenizer.json", local_files_only=True))
        tokenizer.encode_special_tokens = True
        told = {"tokens": len(tokenizer.encode(pathlib.Path(text).read_text(), add_special_tokens=False).ids)}
print(json.dumps(told | {"version": __version__}))
