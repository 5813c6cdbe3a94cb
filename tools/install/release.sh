# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # machine.sh sets what is read here, and reads what is set
# Releases: each whole in a folder of its own, `current` names the one that runs. Sourced by machine.sh.

parts=(appliance drivers ui systemd docs requirements tools pyproject.toml install.sh README.md CHANGELOG.md LICENSE)

parts_of() { # parts_of TREE: every file of a release, sorted, relative to TREE
  (cd "$1" && find "${parts[@]}" -type f ! -path '*/__pycache__/*' ! -path '*.egg-info/*' ! -path '*/.*' | LC_ALL=C sort)
}

checksums() { # checksums TREE
  (cd "$1" && parts_of . | xargs -d '\n' sha256sum)
}

release_name() { # the version and what it is made of: the same sources and pins on the same Python are the same release
  local version digest
  version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$source/appliance/__init__.py")
  digest=$({ checksums "$source" && lock_name && echo "$factory" && { python3 --version 2>/dev/null || echo "no Python yet"; }; } | sha256sum)
  printf '%s-%s\n' "$version" "${digest:0:8}"
}

is_whole() { # is_whole RELEASE: complete, and every file as it was written
  local folder=$top/releases/$1
  [[ -f $folder/complete ]] && (cd "$folder" && sha256sum --quiet --strict -c checksums >/dev/null 2>&1)
}

current_release() { basename "$(readlink "$top/current" 2>/dev/null || true)"; }

other_releases() { # whole ones that are not running, the newest first
  local folder
  [[ -d $top/releases ]] || return 0
  # shellcheck disable=SC2012 # names of ours: a version and eight digits
  ls -1t "$top/releases" | while read -r folder; do
    [[ $folder == "$(current_release)" || ! -f $top/releases/$folder/complete ]] || printf '%s\n' "$folder"
  done
}

make_release() { # make_release NAME: beside the one that runs, which it does not touch
  local name=$1 folder=$top/releases/$1 lock
  local -a pip index=()
  is_whole "$name" && return 0
  lock=$(lock_name)
  step "Release $name in $folder, with the packages locked in requirements/$lock.txt"
  run rm -rf "$folder"
  folders "$top/releases"
  run mkdir -p "$folder"
  if [[ -n $dry_run ]]; then
    printf '    copy: %s\n' "${parts[*]}"
  else
    (cd "$source" && parts_of . | tar -c --no-recursion --owner=0 --group=0 --mode='go-w,a+rX' -T -) | tar -x -C "$folder"
    checksums "$folder" >"$folder/checksums"
  fi
  local -a venv=(python3 -m venv)
  # apt's lgpio and RPi.GPIO are seen through it.
  [[ $factory == bench || ($lock == machine-lgpio && $factory == lgpio) ]] || venv+=(--system-site-packages)
  run "${venv[@]}" "$folder/venv" || fail 1 "the virtual environment could not be made."
  pip=("$folder/venv/bin/python" -m pip --disable-pip-version-check --no-input)
  [[ -z $from ]] || index=(--no-index --find-links "$from/wheels")
  run "${pip[@]}" install "${index[@]}" --no-compile --require-hashes -r "$folder/requirements/$lock.txt" ||
    fail 3 "the Python packages could not be installed. Is there a network? Without one: --from DIR."
  run "${pip[@]}" install --no-index --no-build-isolation --no-deps -e "$folder" ||
    fail 1 "Benchpump itself could not be installed."
  # The programs' users cannot write here, so what Python compiles is made now: every module of ours, and
  # what they import of others. Two thirds of the packages' lines are nothing that they import.
  run "$folder/venv/bin/python" -m compileall -q -x '/(tests?|testing|pip|setuptools|pygments|docutils)/' \
    "$folder"/venv/lib/python3.*/site-packages ||
    fail 1 "not every package could be compiled."
  run "$folder/venv/bin/python" -m compileall -q "$folder/appliance" "$folder/drivers" "$folder/ui" ||
    fail 1 "not every module could be compiled."
  [[ -n $dry_run ]] || {
    sync -f "$folder"
    touch "$folder/complete"
    sync -f "$folder"
    is_whole "$name" || fail 1 "$folder was written and does not read back the same: the disk?"
  }
}

switch_to() { # switch_to NAME: the one rename
  local name=$1
  [[ $(current_release) != "$name" ]] || return 0
  step "Release $name is now the one that runs"
  run ln -sfn "releases/$name" "$top/current.new"
  run mv -fT "$top/current.new" "$top/current"
  [[ -n $dry_run ]] || sync -f "$top"
}

drop_half_releases() { # what a cut installation left
  local folder
  [[ -d $top/releases ]] || return 0
  for folder in "$top/releases"/*/; do
    folder=${folder%/}
    [[ -d $folder && ! -f $folder/complete && ${folder##*/} != "$(current_release)" ]] || continue
    step "Remove $folder: its installation did not come to its end"
    run rm -rf "$folder"
  done
}

drop_old_releases() { # beside the one that runs, two stay to go back to
  local folder kept=0
  while read -r folder; do
    kept=$((kept + 1))
    [[ $kept -gt 2 ]] || continue
    step "Remove the old release $folder"
    run rm -rf "$top/releases/$folder"
  done < <(other_releases)
}
