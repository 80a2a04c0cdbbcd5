#!/usr/bin/env bash
# Builds the wheel and runs its own tests against it, in an environment and a folder where the tree is not.
# A flat layout hides files that are missing from the wheel from every test that runs in the tree.
set -euo pipefail
python=$(realpath -s "$1") root=$PWD work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m build --no-isolation --wheel --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
"$python" -m venv --without-pip "$work/venv" 2>/dev/null || "$python" -m virtualenv --quiet --no-pip "$work/venv"
# its dependencies come from the environment that the locked requirements made; the tree does not
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
target=$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$work/site"
for entry in "$site"/*; do
  case $(basename "$entry") in
    *lifeline_engine* | __editable__* | _virtualenv*) ;;
    *) ln -s "$entry" "$work/site/" ;;
  esac
done
echo "$work/site" >"$target/dependencies.pth"
"$python" -m pip --python "$work/venv/bin/python" install --quiet --no-deps --no-index "$work"/dist/*.whl
cp -r "$root/tests/wheel" "$work/tests"
cd "$work"
WHEEL_UNDER_TEST="$target" venv/bin/python -m pytest -q -p no:cacheprovider tests
