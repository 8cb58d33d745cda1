#!/usr/bin/env bash
# Installs the servers that custom models are tested with into $TOLLGATE_CLIENTS_HOME; run by ../setup.sh.
#
# A second run finds everything and does nothing. llama-cpp-python is compiled (nine minutes on two cores), so that it
# is there only where TOLLGATE_LLAMA_CPP is set or was once; its tests say so where it is not.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
home=$TOLLGATE_CLIENTS_HOME
# The system's own interpreter, since torch comes as a package of the system: PyPI's is made for graphics cards.
python=/usr/bin/python3

environment() { # name, flags of venv, install command...
    local venv=$home/$1 wanted="${*:3}"
    [ "$(cat "$venv/.wanted" 2>/dev/null)" = "$wanted" ] && return
    rm -rf "$venv"
    # shellcheck disable=SC2086
    $python -m venv $2 "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${@:3}"
    echo "$wanted" >"$venv/.wanted"
}

environment basaran --system-site-packages 'transformers==4.35.2' 'accelerate==0.20.3' flask flask-cors waitress jinja2 \
    safetensors 'numpy<2'
[ -e "$home/basaran/.basaran" ] || {
    "$home/basaran/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps basaran==0.21.1 gguf==0.17.1
    touch "$home/basaran/.basaran"
}
environment closedai "" closedai==0.0.3 'openai<1'
if [ ! -e "$home/tiny/.made" ]; then
    "$home/basaran/bin/python" "$here/model.py" "$home/tiny"
    touch "$home/tiny/.made"
fi

if [ -n "${TOLLGATE_LLAMA_CPP:-}" ]; then
    off="-DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DGGML_LLAMAFILE=OFF -DGGML_CPU_REPACK=OFF -DLLAVA_BUILD=OFF"
    off="$off -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF"
    CMAKE_ARGS="$off -DLLAMA_CURL=OFF -DCMAKE_CXX_FLAGS_RELEASE=-O1 -DCMAKE_C_FLAGS_RELEASE=-O1" \
        environment llama-cpp "" 'llama-cpp-python[server]==0.3.36'
fi
