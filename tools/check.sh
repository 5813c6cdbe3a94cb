#!/usr/bin/env bash
# What every change must pass: `./install.sh test` makes the virtual environment and then runs this.
#
#   tools/check.sh [--full] [PYTEST ARGUMENTS]
#
# Every stage runs, also after one that failed, so that one run shows all there is to mend.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"

pytest=(pytest --no-header -rfEs) full=''
if [[ ${1-} == --full ]]; then
  # --fail-not-run and the profile "full" are ours: tests/conftest.py.
  pytest+=(-m 'not hardware and not emulated_pi' --hypothesis-profile=full --fail-not-run)
  shift
  full=1
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# What the tools remember, apart for each user; for one who may not write here, until the end.
caches=.venv/cache-$UID
mkdir -p "$caches" 2>/dev/null || caches=$scratch
export RUFF_CACHE_DIR=$caches/ruff MYPY_CACHE_DIR=$caches/mypy
export HYPOTHESIS_STORAGE_DIRECTORY=$caches/hypothesis
pytest+=(-o "cache_dir=$caches/pytest")

now_ms() { echo $((${EPOCHREALTIME//[!0-9]/} / 1000)); }
seconds() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }

table='' began_ms=$(now_ms) failed=() results=0
stage() { # stage NAME COMMAND...
  local name=$1 stage_ms status=0 result=ok note=''
  shift
  stage_ms=$(now_ms)
  printf '== %s\n' "$name"
  "$@" || status=$?
  if [[ $status -ne 0 ]]; then
    result=FAILED
    failed+=("$name")
  fi
  [[ ! -s $scratch/note ]] || note=$(<"$scratch/note")
  rm -f "$scratch/note"
  table+=$(printf '%-11s %8s  %-6s  %s' "$name" "$(seconds $(($(now_ms) - stage_ms)))" "$result" "$note")$'\n'
}

# Every file that says by its name or its first line that it is a shell script.
shell_scripts() {
  local file line
  find . \( -name .git -o -name '.venv*' -o -name '.*_cache' \) -prune -o -type f -size -1000k -print |
    while read -r file; do
      line=''
      [[ $file == *.sh ]] || read -r line <"$file" || true
      [[ $file != *.sh && ! $line =~ ^#!.*[/\ ](ba)?sh ]] || printf '%s\0' "$file"
    done 2>/dev/null
}
shell() { shell_scripts | xargs -0 shellcheck; }

tests() { # tests PYTEST ARGUMENTS...
  local status=0
  results=$((results + 1))
  "${pytest[@]}" --junitxml="$scratch/$results.xml" "$@" 2>&1 | tee "$scratch/out" || status=$?
  tail -n 1 "$scratch/out" | sed -E 's/\x1b\[[0-9;]*m//g; s/=//g; s/ in [0-9.]+s.*//; s/^ *//; s/ *$//' >"$scratch/note"
  cat "$scratch/note" >>"$scratch/closing"
  case $status in
    0) touch "$scratch/some_ran" ;;
    5) status=0 ;; # none in this folder is meant
  esac
  return "$status"
}

closing_line() { # the sum of pytest's own closing lines, in pytest's words
  tr ',' '\n' <"$scratch/closing" | awk -v took="$(seconds $(($(now_ms) - began_ms)))" '
    $1 + 0 > 0 {
      sub(/s$/, "", $2); if (!($2 in count)) order[++words] = $2; count[$2] += $1
    }
    END {
      for (i = 1; i <= words; i++) {
        word = order[i]; plural = (word ~ /^(error|warning)$/ && count[word] > 1) ? "s" : ""
        said = said (i > 1 ? ", " : "") count[word] " " word plural
      }
      print "======== " (words ? said : "no tests ran") " in " took "s ========"
    }'
}

stage format ruff format --check --output-format concise .
stage lint ruff check .
stage types mypy
stage contracts lint-imports --no-logo --cache-dir "$caches/contracts"
stage 'dead code' vulture
stage shell shell

# The real programs have the computer to themselves: two of their tests side by side would measure
# each other's lateness. Tests that are named by their path run one by one as well.
named=''
for word; do
  [[ ! -e ${word%%::*} ]] || named=1
done
if [[ -n $named ]]; then
  stage tests tests "$@"
else
  # An idle worker takes what the other has yet to do: single tests of --full take minutes.
  stage tests tests -n 2 --dist worksteal --ignore=tests/system --ignore=tests/ui --ignore=tests/vm \
    --ignore=tests/emulated_pi "$@"
  # One window a process, so no workers inside; a window beside busy tests would measure lateness.
  [[ ! -d tests/ui ]] || stage touchscreen tests "$@" tests/ui
  if [[ -n $full && $# -eq 0 ]]; then
    # Hundreds of kills measure bounds, not lateness, and mostly wait: two pumps are killed side by side.
    stage kills tests -n 2 --dist worksteal tests/system -k kill_9
    stage programs tests tests/system -k 'not kill_9'
  else
    [[ ! -d tests/system ]] || stage programs tests "$@" tests/system
  fi
fi

# Which requirement is proved by which test: only where all of them ran.
safety_case() {
  local stamp status=0 words=()
  if [[ -n $full ]]; then
    stamp="Of $(date -u +%F), at $(git describe --always --dirty 2>/dev/null || echo 'no commit'), \`test --full\`:"
    [[ ! -w docs/safety-case.md ]] || words=(--write docs/safety-case.md --stamp "$stamp")
    words+=(--fail-not-run)
  fi
  python tools/safety_case.py "${words[@]}" "$scratch"/*.xml | tee "$scratch/said" || status=$?
  tail -n 1 "$scratch/said" >"$scratch/note"
  return "$status"
}
if [[ $# -eq 0 ]]; then
  stage 'safety case' safety_case
fi

if [[ ! -e $scratch/some_ran ]] && [[ ! " ${failed[*]} " =~ \ (tests|touchscreen|kills|programs)\  ]]; then
  echo 'No test is meant by these words.'
  failed+=(tests)
fi

printf '\n%-11s %8s\n%s' stage seconds "$table"
if [[ ${#failed[@]} -eq 0 ]]; then
  echo 'All is well.'
else
  printf 'FAILED: %s\n' "${failed[*]}"
fi
closing_line
[[ ${#failed[@]} -eq 0 ]]
