#!/usr/bin/env bash
# The tests run against a real Mosquitto, a real PostgreSQL and a real Chromium; the crash suite needs strace and mkfs.ext4.
# Installs them where that is possible; with CI=true a missing one is an error.
set -euo pipefail
packages=(mosquitto mosquitto-clients postgresql chromium strace e2fsprogs xfsprogs)
# Debian keeps PostgreSQL's server programs off the PATH, in a folder for each version
postgres() { command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
missing() {
  ! { command -v mosquitto && command -v mosquitto_pub && command -v chromium && postgres &&
    command -v strace && PATH=$PATH:/usr/sbin:/sbin command -v mkfs.ext4; } >/dev/null 2>&1
}
missing || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing ${packages[*]} …"
  export DEBIAN_FRONTEND=noninteractive
  # the packages would start a broker on port 1883 and a cluster on port 5432; the tests start theirs on free ports
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
  fi
  apt-get update -qq >/dev/null
  RUNLEVEL=1 apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold "${packages[@]}" \
    >/dev/null 2>&1 || true
fi
if missing; then
  echo "mosquitto, postgresql, chromium, strace or mkfs.ext4 is missing (Debian: apt-get install ${packages[*]})." >&2
  [ "${CI:-}" = true ] && exit 1
  echo "The tests that need them will be skipped." >&2
fi
