# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # machine.sh sets what is read here, and reads what is set
# How every step of the installation is taken: is it so? else make it so, and say it. With dry_run set
# it is said and not done. Sourced by machine.sh.

dry_run=${dry_run-} changes=0
made=${made-} # where what was made is remembered, one name a line; set by machine.sh

fail() { # fail STATUS LINE...
  local status=$1
  shift
  printf 'install.sh: %s\n' "$@" >&2
  exit "$status"
}

say() { printf '%s\n' "$*"; }

step() { # step WHAT: the change that the next commands make
  changes=$((changes + 1))
  if [[ -n $dry_run ]]; then say "would: $*"; else say "$*"; fi
}

run() { # run COMMAND...: shown in a dry run; its words are seen when it fails
  local said status=0
  if [[ -n $dry_run ]]; then
    printf '    %s\n' "$(printf '%q ' "$@")"
    return
  fi
  said=$(mktemp)
  "$@" >"$said" 2>&1 </dev/null || status=$?
  [[ $status -eq 0 ]] || {
    tail -n 30 "$said" | sed 's/^/    /' >&2
    printf 'install.sh: this command ended with status %s:\n    %s\n' "$status" "$(printf '%q ' "$@")" >&2
  }
  rm -f "$said"
  return "$status"
}

remember() { # remember KIND NAME: uninstall undoes what is remembered, and nothing else
  [[ -z $dry_run ]] || return 0
  mkdir -p "$made"
  grep -qxF -- "$2" "$made/$1" 2>/dev/null || printf '%s\n' "$2" >>"$made/$1"
}

remembered() { # remembered KIND: the newest first
  [[ ! -f $made/$1 ]] || tac "$made/$1"
}

folders() { # folders PATH: make it, and remember each that was not there
  local path=$1
  [[ ! -d $path ]] || return 0
  folders "$(dirname "$path")"
  run install -d -m 755 "$path"
  remember folders "$path"
}

put() { # put FILE MODE: what stands on the standard input; a difference is shown in a dry run
  local file=$1 mode=$2 fresh
  fresh=$(mktemp)
  cat >"$fresh"
  if ! cmp -s "$fresh" "$file" 2>/dev/null; then
    step "Write $file"
    if [[ -n $dry_run ]]; then
      diff -u --label "$file" --label "$file (new)" "$(readlink -e "$file" || echo /dev/null)" "$fresh" |
        sed 's/^/    /' || true
    else
      [[ -e $file ]] || remember files "$file"
      folders "$(dirname "$file")"
      install -m "$mode" "$fresh" "$file.new"
      sync -f "$file.new"
      mv -f "$file.new" "$file"
    fi
  fi
  rm -f "$fresh"
}

link() { # link TARGET PATH: in one rename; a file that somebody else made is left alone
  local target=$1 path=$2
  [[ $(readlink "$path" 2>/dev/null) != "$target" ]] || return 0
  [[ ! -e $path || -L $path ]] || fail 1 "$path is there already and is not ours: move it away, then try again."
  step "Link $path -> $target"
  [[ -L $path ]] || remember files "$path"
  folders "$(dirname "$path")"
  run ln -sfn "$target" "$path.new"
  run mv -fT "$path.new" "$path"
}

agree() { # agree QUESTION: yes from --yes, else from a person; without one it is no
  [[ -z ${yes-} && -z $dry_run ]] || return 0
  [[ -t 0 ]] || fail 2 "nobody is there to be asked: give --yes."
  local answer
  read -r -p "$1 [y/N] " answer
  [[ $answer == [yY]* ]]
}
