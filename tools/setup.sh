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
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
