#!/bin/sh
# Build the wheel, and from it the images `ecompulse` (slim: jobs in process) and `ecompulse-spark` (driver and executors).
#   ./build.sh                                  both, of this machine's architecture
#   ./build.sh --push REGISTRY/shop             tagged REGISTRY/shop/ecompulse:VERSION, and pushed
#   ./build.sh --wheel                          the wheel only
# Further arguments go to the engine: ./build.sh -- --build-arg INDEX=https://packages.example/simple --platform linux/arm64
# ENGINE names it: docker (default), podman, or any other that has `build` and `push`.
set -eu
cd "$(dirname "$0")"
engine=${ENGINE:-docker}
push=
wheel_only=
while [ $# -gt 0 ]; do
    case "$1" in
    --push) push=${2:?--push: which registry?}; shift 2 ;;
    --wheel) wheel_only=yes; shift ;;
    --) shift; break ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "build.sh: $1: no such option; see --help" >&2; exit 2 ;;
    esac
done

python=${PYTHON:-python3}
[ ! -x .venv/bin/python ] || python=.venv/bin/python
PYTHON=$python; export PYTHON UV_PYTHON_DOWNLOADS=never
uv=$(./scripts/find-uv)
version=$(sed -n 's/^    version="\(.*\)",$/\1/p' setup.py)
rm -f dist/ecompulse-*.whl
"$uv" build -q --wheel --python "$python" --out-dir dist .
echo "build.sh: $(ls dist/ecompulse-*.whl)"
[ -z "$wheel_only" ] || exit 0

command -v "$engine" >/dev/null 2>&1 || { echo "build.sh: there is no $engine; ENGINE=podman names another" >&2; exit 2; }
for target in slim spark; do
    name=ecompulse
    [ "$target" = slim ] || name=ecompulse-spark
    tag=${push:+$push/}$name:$version
    "$engine" build --target "$target" --tag "$tag" "$@" .
    [ -z "$push" ] || "$engine" push "$tag"
    echo "build.sh: $tag"
done
