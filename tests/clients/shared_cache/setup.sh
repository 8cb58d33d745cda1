#!/usr/bin/env bash
# Brings in Hugging Face's library for the hub as it was before it stopped to resume downloads; run by ../setup.sh.
#
# The one of today came with the templates.
set -euo pipefail

home=$TOLLGATE_CLIENTS_HOME/hub-0
if [ ! -e "$home/.made" ]; then
    rm -rf "$home"
    python3 -m venv "$home"
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check 'huggingface_hub==0.36.0'
    touch "$home/.made"
fi
for python in "$TOLLGATE_CLIENTS_HOME/templates/venv/bin/python" "$home/bin/python"; do
    "$python" -c 'import huggingface_hub; print("huggingface_hub", huggingface_hub.__version__)'
done
