#!/bin/sh
# Resolve requirements/*.in and pyproject.toml into pinned and hashed requirements/*.txt; `make pins`.
# One result for every Python from 3.11 on and every platform; no index address is written.
set -eu
cd "$(dirname "$0")/../requirements"
uv="../${VENV:-.venv}/bin/uv"

pin() { # pin INPUT OUTPUT
    "$uv" pip compile --quiet --upgrade --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-header "$1" --output-file "$2"
}
# In this order: the later ones are constrained by the first.
pin ../pyproject.toml runtime.txt
pin build.in build.txt
pin dev.in dev.txt
pin go.in go.txt
