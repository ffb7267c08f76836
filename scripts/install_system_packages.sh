#!/bin/sh
# Install the Debian packages of the real parts that are missing, when root; called by `make test`.
# What cannot be had is named here; the tests that need it then skip, and say the same.
set -eu

missing=
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null || missing="$missing $2"
}
need git git
need dockerd docker.io
need docker-registry docker-registry
# Debian keeps the server's programs out of PATH.
if ! command -v postgres >/dev/null && ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
    missing="$missing postgresql"
fi
# A busybox linked to libraries would not run alone in an image.
if ! command -v busybox >/dev/null || ldd "$(command -v busybox)" >/dev/null 2>&1; then
    missing="$missing busybox-static"
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing for some tests:$missing (as root on Debian or Ubuntu: apt-get install$missing)"
    exit 0
fi
echo "installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
{ apt-get update -q && apt-get install -q -y --no-install-recommends $missing; } </dev/null >/dev/null ||
    echo "could not install:$missing; the tests that need them will be skipped"
