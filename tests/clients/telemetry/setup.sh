#!/usr/bin/env bash
# Installs the readers of metrics and spans; run by ../setup.sh.
set -euo pipefail

venv=$TOLLGATE_CLIENTS_HOME/telemetry
wanted='prometheus-client==0.26.0 opentelemetry-proto==1.45.2'
[ "$(cat "$venv/.wanted" 2>/dev/null)" = "$wanted" ] && exit
rm -rf "$venv"
python3 -m venv "$venv"
# shellcheck disable=SC2086
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check $wanted
echo "$wanted" >"$venv/.wanted"
