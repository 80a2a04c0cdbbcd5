#!/usr/bin/env bash
# The tests run against a real Mosquitto and a real Chromium. Installs them where that is possible; with CI=true a
# missing one is an error.
set -euo pipefail
missing() { ! { command -v mosquitto && command -v mosquitto_pub && command -v chromium; } >/dev/null 2>&1; }
missing || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing mosquitto and chromium …"
  export DEBIAN_FRONTEND=noninteractive
  # the package would start a broker of its own on port 1883; the tests start theirs on free ports
  apt-get update -qq >/dev/null
  RUNLEVEL=1 apt-get install -y -qq --no-install-recommends mosquitto mosquitto-clients chromium >/dev/null 2>&1 || true
fi
if missing; then
  echo "mosquitto or chromium is missing (Debian: apt-get install mosquitto mosquitto-clients chromium)." >&2
  [ "${CI:-}" = true ] && exit 1
  echo "The tests that need them will be skipped." >&2
fi
