#!/usr/bin/env bash
# Renew requirements/*.txt: every package with its exact version and the hashes of all its files, one
# lock for Python 3.11 to 3.13. Needs uv; ./install.sh needs only what this writes.
#
#   tools/lock.sh             keep the locked versions, add and remove what pyproject.toml asks for
#   tools/lock.sh --upgrade   take the newest versions that pyproject.toml allows
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v uv >/dev/null || {
  echo "tools/lock.sh: uv is not here; 'pip install uv' in any virtual environment brings it" >&2
  exit 1
}

lock() {
  local target=$1
  shift
  # The build back end is locked beside the packages, because installation runs without isolation.
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --no-config --no-emit-index-url --no-emit-find-links --custom-compile-command tools/lock.sh \
    --output-file "requirements/$target.txt" "$@" pyproject.toml requirements/build.in
}

lock test --extra ui --extra test --extra dev "$@"
# The same versions: base is a part of test. The demo opens the touchscreen, so base has it too.
lock base --extra ui --constraints requirements/test.txt "$@"
# What sudo ./install.sh takes: with serial ports and I2C, and with lgpio where apt has none.
lock machine --extra ui --extra instruments --constraints requirements/test.txt "$@"
lock machine-lgpio --extra ui --extra instruments --extra pi-lgpio --constraints requirements/machine.txt "$@"
