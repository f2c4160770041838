#!/usr/bin/env bash
# Make the virtual environment given as first argument from requirements.lock; quick when it is there already.
set -euo pipefail
venv=$1 python=${PYTHON:-python3}
say() { printf '%s\n' "$*" >&2; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  { say "mediaplane needs Python 3.11 or newer; $python is $("$python" -V 2>&1). Try: make PYTHON=python3.12"; exit 1; }

if [[ ! -x $venv/bin/python ]]; then
  say "making $venv …"
  # Debian's python3 may come without ensurepip: then the system's pip (or uv) fills the environment from outside.
  "$python" -m venv "$venv" 2>/dev/null || { rm -rf "$venv"; "$python" -m venv --without-pip "$venv"; }
fi

uv=$(command -v uv || true)
if [[ -z $uv ]]; then
  uv=$venv/bin/uv
  if [[ ! -x $uv ]]; then
    say "installing uv …"
    if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
      "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
    else
      "$python" -m pip --python "$venv/bin/python" install --quiet --disable-pip-version-check uv ||
        { say "there is neither uv nor pip: install python3-venv or uv, then run make again"; exit 1; }
    fi
  fi
fi

# Compiled now: uv leaves it to the first import, and children of workers, which write nothing, would do it every time.
install() { "$uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" "$@"; }
say "installing the locked packages …"
# uv trusts the authorities it brings; a network with one of its own needs the system's, which the second try takes.
install --require-hashes -r requirements.lock 2>/dev/null ||
  UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 install --require-hashes -r requirements.lock
install --no-deps --no-build-isolation --editable .
