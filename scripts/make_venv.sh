#!/bin/sh
# Make the virtual environment from the pinned requirements; called by the Makefile.
# Usage: make_venv.sh runtime|dev   (runtime: enough for the demo; dev: tests, lint and docs too)
# Environment: VENV (the folder), PYTHON (the interpreter it is made from).
set -eu

tell() {
    printf 'gennaker: %s\n' "$*" >&2
    exit 1
}

kind=$1
venv=${VENV:-.venv}
python=${PYTHON:-python3}

command -v git >/dev/null ||
    tell "git is missing; install it: apt-get install git"
command -v "$python" >/dev/null ||
    tell "$python is missing; install Python 3.11 or newer: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    tell "$("$python" --version) is too old; Gennaker needs Python 3.11 or newer: install it and say 'make PYTHON=python3.11'"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    tell "$python cannot make virtual environments; install them: apt-get install python3-venv"

# Half an environment, left by an interrupted call, is made anew; a whole one is brought up to date.
[ -x "$venv/bin/pip" ] || "$python" -m venv --clear "$venv"

set -- --requirement requirements/runtime.txt --requirement requirements/build.txt
[ "$kind" = dev ] && set -- "$@" --requirement requirements/dev.txt
echo "installing the $kind requirements into $venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes "$@"
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
