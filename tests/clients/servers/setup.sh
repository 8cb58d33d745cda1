#!/usr/bin/env bash
# Installs the servers that custom models are tested with into $TOLLGATE_CLIENTS_HOME; run by ../setup.sh.
#
# A second run finds everything and does nothing. llama-cpp-python is compiled: some four minutes on two cores, once,
# since pip keeps what it has built. TOLLGATE_LLAMA_CPP=0 leaves it out; where it is left out or cannot be built, the
# test that needs it says so, and the replies recorded from it stand in (tests/fixtures/servers/llama-cpp-python).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
home=$TOLLGATE_CLIENTS_HOME
# The system's own interpreter, since torch comes as a package of the system: PyPI's is made for graphics cards.
python=/usr/bin/python3

environment() { # name, flags of venv, requirement...
    local venv=$home/$1 wanted="${*:3}"
    [ "$(cat "$venv/.wanted" 2>/dev/null)" = "$wanted" ] && return
    rm -rf "$venv"
    # Called in a condition too, where a failure does not end the script.
    # shellcheck disable=SC2086
    $python -m venv $2 "$venv" || return
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${@:3}" || return
    echo "$wanted" >"$venv/.wanted"
}

environment basaran --system-site-packages 'transformers==4.35.2' 'accelerate==0.20.3' flask flask-cors waitress jinja2 \
    safetensors 'numpy<2'
[ -e "$home/basaran/.basaran" ] || {
    "$home/basaran/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps basaran==0.21.1 gguf==0.17.1
    touch "$home/basaran/.basaran"
}
environment closedai "" closedai==0.0.3 'openai<1'
environment openlm "" openlm==0.0.5
# What its proxy imports, and no more: `litellm[proxy]` takes 741 MB, this 526.
environment litellm "" litellm==1.110.2 apscheduler backoff cryptography expression fastapi fastapi-sso mcp orjson pyjwt \
    python-multipart redis rich semver soundfile uvicorn uvloop 'websockets<16'
if [ ! -e "$home/tiny/.made" ]; then
    "$home/basaran/bin/python" "$here/model.py" "$home/tiny"
    touch "$home/tiny/.made"
fi

llama_cpp() {
    # For any machine of this kind, since pip keeps the result; unoptimized, since the model is tiny.
    local flags="-DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DGGML_LLAMAFILE=OFF -DGGML_CPU_REPACK=OFF -DLLAVA_BUILD=OFF"
    flags="$flags -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF"
    flags="$flags -DCMAKE_CXX_FLAGS_RELEASE=-O0 -DCMAKE_C_FLAGS_RELEASE=-O1"
    CMAKE_ARGS="$flags -DCMAKE_PROJECT_llama.cpp_INCLUDE=$here/llama-cpp.cmake" \
        environment llama-cpp "" 'llama-cpp-python[server]==0.3.36'
}
if [ "${TOLLGATE_LLAMA_CPP:-1}" = 0 ]; then
    echo "llama-cpp-python is left out: TOLLGATE_LLAMA_CPP=0" >&2
elif ! llama_cpp; then
    rm -rf "$home/llama-cpp"
    echo "WARNING: llama-cpp-python could not be built here; its test will be skipped, its recorded replies stand in" >&2
fi
