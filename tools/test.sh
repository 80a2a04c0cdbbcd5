#!/usr/bin/env bash
# Builds the wheel and runs the whole suite against it, in an environment and a folder where the tree is not: a flat
# layout hides files that are missing from the wheel from every test that runs in the tree.
#
#   .venv/wheel/dist   the wheel          .venv/wheel/env    it, installed; dependencies come from .venv
#   .venv/wheel/tree   tests and docs     .venv/wheel/numba  compiled kernels, kept from run to run
#
# Arguments go to pytest. Without any, the whole of it, laid out for two cores: style, types and floors beside the
# compilation of the kernels and of the tests (which every worker would do for itself); the demo (a minute, most of it
# waiting) beside the unit tests, which run on four processes as they wait for disks and brokers a part of their time
# (not sorted by their number in a file: the slow ones are few in theirs and would all come last; tests/conftest.py puts
# those first); and alone, in the end, what is held against the clock.
set -euo pipefail
unset PYTHONDONTWRITEBYTECODE # what is not kept is compiled again by each of the hundreds of processes of the tests
root=$PWD python=$PWD/${VENV:-.venv}/bin/python work=$PWD/${VENV:-.venv}/wheel
site() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

rm -rf "$work/dist" "$work/tree"
mkdir -p "$work/tree"
"$python" -m build --no-isolation --wheel --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }

if [ ! -x "$work/env/bin/python" ]; then
  "$python" -m venv --without-pip "$work/env" 2>/dev/null || "$python" -m virtualenv --quiet --no-pip "$work/env"
fi
env=$work/env/bin/python target=$(site "$work/env/bin/python")
rm -rf "$work/dependencies" && mkdir "$work/dependencies"
for entry in "$(site "$python")"/*; do
  case $(basename "$entry") in
    lifeline_engine* | __editable__* | _lifeline_engine* | _virtualenv*) ;;
    *) ln -s "$entry" "$work/dependencies/" ;;
  esac
done
echo "$work/dependencies" >"$target/dependencies.pth"
"$python" -m pip --python "$env" --quiet --disable-pip-version-check install --no-deps --no-index --force-reinstall "$work"/dist/*.whl
# same times as in the tree, so that kernels are compiled again only when their source has changed
for package in lifeline ingest rules simulators benchmarks; do
  (cd "$target" && find "$package" -name '*.py' -exec touch -r "$root/{}" {} \;)
done
(cd "$target" && "$env" -m compileall -q lifeline ingest rules simulators benchmarks)

cp -r tests docs README.md CHANGELOG.md Makefile pyproject.toml requirements "$work/tree/"
cd "$work/tree"
export LIFELINE_TREE=$root NUMBA_CACHE_DIR=$work/numba
"$env" -c "import lifeline; assert lifeline.__file__.startswith('$target'), lifeline.__file__"
if [ $# -gt 0 ]; then
  exec "$env" -m pytest -p no:cacheprovider "$@"
fi

part() { printf '%s: %d min %02d s so far\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }
aside=$work/aside.log
beside() { ("$@") >"$aside" 2>&1 & }
joined() { wait $! && cat "$aside" || { cat "$aside"; exit 1; }; }
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
demo=tests/e2e/test_demo.py fleet=tests/e2e/test_fleet_over_mosquitto.py

beside make --no-print-directory -C "$root" check
"$env" -m lifeline.cli warm
"$env" -m pytest -q -p no:cacheprovider --collect-only tests >"$work/collect.log" || { tail -40 "$work/collect.log"; exit 1; }
joined
part "style, types, floors; kernels and tests compiled"
beside "$env" -m pytest -q -p no:cacheprovider -s $demo
"$env" -m pytest -q -p no:cacheprovider -n 4 --dist loadfile --no-loadscope-reorder --durations 15 --ignore tests/e2e tests
joined
part "unit tests and the demo"
"$env" -m pytest -q -p no:cacheprovider -n 2 --dist loadfile --durations 5 --ignore $demo --ignore $fleet tests/e2e
"$env" -m pytest -q -p no:cacheprovider -s --durations 5 $fleet
part "all of it"
