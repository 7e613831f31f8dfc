#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# system-tools.sh base|test|lint: see that compilers, emulator, Python and browser are there.
#
# What is missing is installed from Debian when we are root or sudo asks for no password;
# otherwise the command to type is printed and the exit code is 1. Nothing is asked of apt when
# nothing is missing, so that a second call costs milliseconds.
set -eu

python=${PYTHON:-python3}

missing=""

need() { # need PACKAGES CHECK...: note the packages when the check fails
    packages=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $packages"
}

have() { command -v "$1"; }

fuzzer() {
    echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return d == 0 && n; }' |
        clang -fsanitize=fuzzer -x c -o /dev/null -
}

c_headers() { echo '#include <stdint.h>' | gcc -E -; }

newlib() { [ -f "$(arm-none-eabi-gcc -print-file-name=nano.specs)" ]; }

shared_library() { ldconfig -p | grep -q "$1"; }

python_with() { "$python" -c "$1"; }

case "${1:-}" in
base)
    need "gcc libc6-dev" c_headers
    need gcc-arm-none-eabi have arm-none-eabi-gcc
    need libnewlib-arm-none-eabi newlib
    need qemu-system-arm have qemu-system-arm
    need "python3 python3-venv" python_with 'import ensurepip, venv'
    need python3-dev python_with \
        'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")'
    ;;
test)
    need espeak-ng have espeak-ng
    need chromium have chromium
    need chromium-driver have chromedriver
    need libportaudio2 shared_library libportaudio.so.2
    need "clang libclang-rt-dev" fuzzer
    ;;
lint)
    need clang-format have clang-format
    need cppcheck have cppcheck
    ;;
*)
    echo "usage: $0 base|test|lint" >&2
    exit 2
    ;;
esac

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ]; then
        as_root="env"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root="sudo env"
    else
        as_root=""
    fi
    if [ -z "$as_root" ] || ! command -v apt-get >/dev/null; then
        echo "error: these are missing:$missing" >&2
        echo "hint:  sudo apt-get install --no-install-recommends$missing" >&2
        echo "       (or the packages of your system that hold the same), then make again" >&2
        exit 1
    fi
    echo "installing from Debian:$missing"
    apt="$as_root DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300"
    $apt update
    # shellcheck disable=SC2086 # the list is meant to be split
    $apt install --no-install-recommends -y $missing >/dev/null
fi

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: $("$python" --version) is too old; 3.11 or newer is needed" >&2
    echo "hint:  make PYTHON=/path/to/python3.11 ..." >&2
    exit 1
fi
