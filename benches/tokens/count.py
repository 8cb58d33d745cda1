"""Counts texts by Python's tiktoken and tokenizers, and takes the time: one JSON object a line.

count.py TEXTS [TOKENIZER]: a folder of NUMBER.txt, and a tokenizer.json.
"""

import json
import pathlib
import sys
import time

import tiktoken
from tokenizers import Tokenizer

engines = [("tiktoken", tiktoken.get_encoding("o200k_base").encode_ordinary)]
if len(sys.argv) > 2:
    tokenizer = Tokenizer.from_file(sys.argv[2])
    tokenizer.encode_special_tokens = True
    engines.append(("tokenizers", lambda text: tokenizer.encode(text, add_special_tokens=False).ids))
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.txt"), key=lambda path: int(path.stem)):
    text = path.read_bytes().decode()
    for engine, count in engines:
        nanos = []
        for _ in range(2):
            begun = time.perf_counter_ns()
            tokens = len(count(text))
            nanos.append(time.perf_counter_ns() - begun)
        print(json.dumps({"engine": engine, "text": int(path.stem), "tokens": tokens, "nanos": nanos}))
