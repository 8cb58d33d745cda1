#!/usr/bin/env bash
# serve.sh SERVER PORT [BEHIND]: becomes that server on 127.0.0.1, in the foreground; the one process is the server.
#
# BEHIND is the port of the Basaran that LiteLLM stands before.
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
    litellm)
        # `tiny` is another provider's, wrapped; `canned` answers by itself, in small pieces; so it does under a name of OpenAI's.
        cat >litellm.yaml <<CONFIG
model_list:
  - model_name: tiny
    litellm_params: {model: text-completion-openai/tiny, api_base: "http://127.0.0.1:$3/v1", api_key: none}
  - model_name: canned
    litellm_params: {model: openai/canned, api_key: none, mock_response: "The toll is four coins 🎈."}
  - model_name: text-curie-001
    litellm_params: {model: openai/canned, api_key: none, mock_response: "The toll is four coins 🎈."}
CONFIG
        # The key that the tests' clients hold; without the second one it would fetch a table of prices.
        export LITELLM_MASTER_KEY=sk-litellm LITELLM_LOCAL_MODEL_COST_MAP=True
        exec "$home/litellm/bin/litellm" --config litellm.yaml --host 127.0.0.1 --port "$port"
        ;;
    llama-cpp)
        exec "$home/llama-cpp/bin/python" -m llama_cpp.server --model "$home/tiny/tiny.gguf" --model_alias tiny \
            --n_ctx 256 --n_threads 1 --host 127.0.0.1 --port "$port"
        ;;
    *)
        echo "no such server: $server" >&2
        exit 2
        ;;
esac
