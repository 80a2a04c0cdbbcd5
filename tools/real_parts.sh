#!/usr/bin/env bash
# The tests run against a real Mosquitto. Installs it where that is possible; with CI=true its absence is an error.
set -euo pipefail
command -v mosquitto >/dev/null && command -v mosquitto_pub >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing mosquitto …"
  export DEBIAN_FRONTEND=noninteractive
  # the package would start a broker of its own on port 1883; the tests start theirs on free ports
  apt-get update -qq >/dev/null
  RUNLEVEL=1 apt-get install -y -qq --no-install-recommends mosquitto mosquitto-clients >/dev/null 2>&1 || true
fi
if ! command -v mosquitto >/dev/null || ! command -v mosquitto_pub >/dev/null; then
  echo "mosquitto is missing (Debian: apt-get install mosquitto mosquitto-clients)." >&2
  [ "${CI:-}" = true ] && exit 1
  echo "The tests that need it will be skipped." >&2
fi
