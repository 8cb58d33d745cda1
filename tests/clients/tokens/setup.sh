#!/usr/bin/env bash
# Gives Python's tiktoken its files without a download of its own; run by ../setup.sh, after the templates.
set -euo pipefail

home=$TOLLGATE_CLIENTS_HOME
cache=$home/tiktoken
"$home/templates/venv/bin/python" -c 'import tiktoken' 2>/dev/null ||
    "$home/templates/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'tiktoken==0.14.0'
[ -e "$cache/.made" ] && exit
mkdir -p "$cache"
# The crate carries OpenAI's own files; their sums are checked below.
scratch=$(mktemp -d)
mkdir "$scratch/src"
touch "$scratch/src/lib.rs"
printf '[package]\nname = "files"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\ntiktoken-rs = "=0.12.1"\n[workspace]\n' \
    >"$scratch/Cargo.toml"
manifest=$(cd "$scratch" && cargo metadata --quiet --format-version 1 |
    python3 -c 'import json,sys; print(next(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "tiktoken-rs"))')
while read -r name sum; do
    file=$(dirname "$manifest")/assets/$name.tiktoken
    echo "$sum  $file" | sha256sum --quiet -c -
    address=https://openaipublic.blob.core.windows.net/encodings/$name.tiktoken
    cp "$file" "$cache/$(printf %s "$address" | sha1sum | cut -d' ' -f1)"
done <<'SUMS'
o200k_base 446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d
cl100k_base 223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7
p50k_base 94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069
r50k_base 306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930
SUMS
rm -rf "$scratch"
touch "$cache/.made"
