#!/usr/bin/env bash
# Makes $VENV from requirements/dev.txt (versions and hashes) and puts this tree into it.
set -euo pipefail
PYTHON=${PYTHON:-python3} VENV=${VENV:-.venv}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Lifeline needs Python 3.11 or newer; $PYTHON is $("$PYTHON" --version)." >&2
  exit 1
}
if [ ! -x "$VENV/bin/python" ]; then
  echo "making $VENV …"
  # Debian ships venv apart from Python; virtualenv from the package index does as well.
  "$PYTHON" -m venv "$VENV" 2>/dev/null || {
    rm -rf "$VENV"
    "$PYTHON" -m pip install --quiet --user --break-system-packages virtualenv 2>/dev/null \
      || "$PYTHON" -m pip install --quiet --user virtualenv
    "$PYTHON" -m virtualenv --quiet "$VENV"
  }
fi
echo "installing the locked requirements …"
pip() { "$VENV/bin/python" -m pip --disable-pip-version-check install --quiet "$@"; }
# uv takes a third of pip's time; where it cannot be had, or cannot reach the index that pip is configured for, pip does it
uv=$VENV/uv.txt
sed -n '/^uv==/,/[^\\]$/p' requirements/dev.txt >"$uv"
{ pip --require-hashes -r "$uv" &&
  "$VENV/bin/uv" pip install --quiet --no-progress --compile-bytecode --python "$VENV/bin/python" \
    --require-hashes -r requirements/dev.txt; } 2>/dev/null || pip --require-hashes -r requirements/dev.txt
pip --no-deps --no-build-isolation --editable .
