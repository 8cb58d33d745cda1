#!/usr/bin/env bash
# serve.sh SERVER PORT: becomes that server on 127.0.0.1, in the foreground; the one process is the server.
set -euo pipefail

home=$TOLLGATE_CLIENTS_HOME
server=$1 port=$2

export PYTHONUNBUFFERED=1 DO_NOT_TRACK=1 HF_HUB_OFFLINE=1
case $server in
    basaran)
        export MODEL=$home/tiny/hub MODEL_LOCAL_FILES_ONLY=true SERVER_MODEL_NAME=tiny HOST=127.0.0.1 PORT=$port
        exec "$home/basaran/bin/python" -m basaran
        ;;
    closedai) exec "$home/closedai/bin/closedai" --host 127.0.0.1 --port "$port" ;;
    llama-cpp)
        exec "$home/llama-cpp/bin/python" -m llama_cpp.server --model "$home/tiny/tiny.gguf" --model_alias tiny \
            --n_ctx 256 --n_threads 1 --host 127.0.0.1 --port "$port"
        ;;
    *)
        echo "no such server: $server" >&2
        exit 2
        ;;
esac
