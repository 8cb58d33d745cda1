"""Counts texts by OpenAI's tiktoken and by Hugging Face's tokenizers: one JSON object a line.

count.py TOKENIZERS: a folder of NAME.json, each a tokenizer.json. tiktoken finds its files by TIKTOKEN_CACHE_DIR.
"""

import json
import pathlib
import random
import sys

import tiktoken
from tokenizers import Tokenizer

# Ranges of letters of many scripts, of marks, signs and pictures.
SCRIPTS = [(0x20, 0x7E), (0xC0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x5EA), (0x620, 0x64A), (0x900, 0x97F),
           (0xE01, 0xE3A), (0x3041, 0x3096), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x300, 0x36F), (0x2190, 0x21FF),
           (0x1F300, 0x1F64F)]
GOLDEN = ["hello world", "tiktoken is great!", "お誕生日おめでとう", "once upon a time", "<|endoftext|>", "👋🏽 naïve café",
          "   \n\n  x", "", "a" * 100_000, " " * 50_000, "\n" * 30_000, "日" * 30_000, "!?" * 20_000, "don't I'LL we've\r\n\r\n  1234567",
          "<|im_start|>user\nhi<|im_end|></s><s>[INST]"]


def mixed(seed, length):
    """Words of one script each, with white space and signs between them."""
    draw = random.Random(seed)
    text = []
    size = 0
    while size < length:
        low, high = draw.choice(SCRIPTS)
        word = "".join(chr(draw.randint(low, high)) for _ in range(draw.randint(1, 12)))
        text.append(word + draw.choice([" ", " ", " ", "\n", ", ", ". ", "  ", "\r\n", "\t", "'s ", "-", ""]))
        size += len(text[-1])
    return "".join(text)


def program(seed, length):
    """What looks like code and numbers."""
    draw = random.Random(seed)
    lines = []
    while sum(map(len, lines)) < length:
        name = "".join(draw.choice("abcdefghijklmnopqrstuvwxyzABC_") for _ in range(draw.randint(1, 14)))
        lines.append("    " * draw.randint(0, 4) + f"let {name} = {draw.random() * 10 ** draw.randint(0, 9)}; // {name}()\n")
    return "".join(lines)


def said(by, mode, text, tokens):
    print(json.dumps({"by": by, "mode": mode, "text": text, "tokens": tokens}))


texts = GOLDEN + [mixed(seed, 20_000) for seed in range(44)] + [program(seed, 20_000) for seed in range(8)]
for name in ("o200k_base", "cl100k_base", "p50k_base", "r50k_base"):
    encoding = tiktoken.get_encoding(name)
    for text in texts:
        said(name, "text", text, len(encoding.encode_ordinary(text)))
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
    tokenizer = Tokenizer.from_file(str(path))
    for text in [text[:20_000] for text in GOLDEN] + texts[len(GOLDEN):len(GOLDEN) + 6] + texts[-2:]:
        tokenizer.encode_special_tokens = True
        said(str(path), "text", text, len(tokenizer.encode(text, add_special_tokens=False).ids))
        tokenizer.encode_special_tokens = False
        said(str(path), "prompt", text, len(tokenizer.encode(text, add_special_tokens=True).ids))
        said(str(path), "rendered", text, len(tokenizer.encode(text, add_special_tokens=False).ids))
