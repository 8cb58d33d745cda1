#!/usr/bin/env bash
# Calls the API with curl and prints what it saw, one JSON line per case.
set -euo pipefail

base=${OPENAI_BASE_URL:-https://api.openai.com/v1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

report() { # case, path, curl arguments...
    local version
    version=$(curl --silent --show-error --no-buffer --max-time 60 --output "$work/body" --dump-header "$work/head" \
        --write-out '%{http_version}' --header "authorization: Bearer $OPENAI_API_KEY" "${@:3}" "$base/$2")
    python3 - "$1" "$version" "$work" <<'PYTHON'
import json, sys

case, version, work = sys.argv[1:]
raw = open(f"{work}/head", newline="").read().replace("\r\n", "\n")
# The head of the proxy's own answer to CONNECT comes first.
status, *fields = raw.rstrip("\n").split("\n\n")[-1].split("\n")
own = {"date", "alt-svc", "x-tollgate-id", "connection", "keep-alive", "transfer-encoding"}
if "custom" in case or "duplicate" in case:
    # Cookies of another host than the one that the client asked do not belong to the client.
    own.add("set-cookie")
pairs = [field.split(": ", 1) for field in fields]
headers = sorted([name.lower(), value] for name, value in pairs if name.lower() not in own)
body = open(f"{work}/body", encoding="utf-8", newline="").read()
result = {"status": int(status.split()[1]), "headers": headers, "body": body}
print(json.dumps({"case": case, "version": version, "result": result}, sort_keys=True))
PYTHON
}

json() { # model, further members
    printf '{"model":"%s","messages":[{"role":"user","content":"one two three four five"}]%s}' "$1" "${2:-}"
}
post=(--header 'content-type: application/json' --data-binary)

report 'chat' chat/completions "${post[@]}" "$(json gpt-4o)"
report 'chat with blanks' chat/completions "${post[@]}" "$(json gpt-4o ' , "max_tokens" :  2 ')"
report 'streamed chat' chat/completions "${post[@]}" "$(json gpt-4o ',"stream":true')"
report 'streamed chat with usage' chat/completions "${post[@]}" \
    "$(json gpt-4o ',"stream":true,"stream_options":{"include_usage":true}')"
report 'streamed chat with CRLF' chat/completions --header 'x-standin-fault: crlf' "${post[@]}" \
    "$(json gpt-4o ',"stream":true')"
report 'chat with a duplicate' chat/completions "${post[@]}" "$(json gpt-4.1)"
report 'streamed chat with a custom model' chat/completions "${post[@]}" "$(json local/chat ',"stream":true')"
json gpt-4o | gzip -n >"$work/request.gz"
report 'compressed both ways' chat/completions --compressed --header 'x-standin-fault: gzip' \
    --header 'content-encoding: gzip' "${post[@]}" "@$work/request.gz"
printf '{"model":"gpt-4o","messages":[{"role":"user","content":"%s"}]}' "$(yes coin | head -n 300000 | tr '\n' ' ')" \
    >"$work/large.json"
report 'chat of a megabyte' chat/completions "${post[@]}" "@$work/large.json"
report 'chunked upload' chat/completions --header 'transfer-encoding: chunked' "${post[@]}" "$(json gpt-4o)"
report 'response as a stream' responses "${post[@]}" '{"model":"gpt-4o","input":"one two","stream":true}'
report 'one model' models/gpt-4o
report 'unknown path' nothing/here "${post[@]}" '{}'
report 'no such model' chat/completions "${post[@]}" "$(json no-such-model)"
report 'page of the network in front' chat/completions --header 'x-standin-fault: html-error' "${post[@]}" "$(json gpt-4o)"
