#!/usr/bin/env bash
# `./install.sh test --fresh`: both commands of the README in a bare Debian 12, as a new user gives
# them: once as root, once as an ordinary user; then the touchscreen in a bare Debian 13 with the Kivy
# that apt brings there, as on a Raspberry Pi. What is tested is HEAD, not the working tree.
#
#   tools/fresh.sh [root] [builder] [kivy]   one part alone
#
# The bare systems are made by mmdebstrap and kept for two weeks. Everything runs in mount and process
# namespaces of its own, so that whatever ends this script ends the programs and the mounts in it.
set -Eeuo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=tools/bare.sh
. "$root/tools/bare.sh"

fail() { # fail STATUS LINE...
  local status=$1
  shift
  printf 'test --fresh: %s\n' "$@" >&2
  exit "$status"
}

if [[ ${1-} != --inside ]]; then
  [[ $EUID -eq 0 ]] || fail 3 "it makes and enters a bare system, which only root can: sudo ./install.sh test --fresh"
  unshare --mount --pid true 2>/dev/null || fail 3 "this computer gives root no namespaces (unshare)."
  exec unshare --mount --pid --fork --kill-child=TERM --mount-proc --propagation private \
    bash "${BASH_SOURCE[0]}" --inside "$@"
fi
shift
[[ $# -gt 0 ]] || set -- root builder kivy
for part; do
  [[ $part =~ ^(root|builder|kivy)$ ]] || fail 2 "$part is none of root, builder and kivy."
done

# --- The bare system ------------------------------------------------------------------------------

work=''
tidy_up() {
  [[ -n $work ]] || return 0
  leave_systems
  rm -rf --one-file-system "$work"
}
trap tidy_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

bare_system() { # bare_system SUITE: prints its archive, which is made now if it is missing or old
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/benchpump suite=$1 archive
  local -a settings=()
  mkdir -p "$cache"
  archive=$cache/$suite-minbase-$(uname -m).tar
  if [[ -z $(find "$archive" -mtime -14 2>/dev/null) ]]; then
    need_mmdebstrap
    mapfile -t settings < <(mmdebstrap_settings)
    mmdebstrap --quiet --format=tar --variant=minbase "${settings[@]}" "$suite" "$archive.new" >&2
    mv "$archive.new" "$archive"
  fi
  printf '%s\n' "$archive"
}

make_system() { # make_system NAME SUITE: unpack, mount, and put an export of HEAD into both homes
  local system=$work/$1 user archive
  archive=$(bare_system "$2")
  mkdir -p "$system"
  tar -xpf "$archive" --numeric-owner -C "$system"

  mount_system "$system"
  hand_over "$system"

  enter "$system" root useradd --create-home --shell /bin/bash builder
  for user in root builder; do
    enter "$system" "$user" mkdir benchpump
    git -C "$root" -c safe.directory="$root" archive HEAD | enter "$system" "$user" tar -x -C benchpump
  done
}

# --- What a new user does -------------------------------------------------------------------------

table='' failed=0
step() { # step USER WHAT COMMAND...
  local user=$1 what=$2 began=$SECONDS result=ok
  shift 2
  printf '== %s: %s\n' "$user" "$what"
  # In the background, because a trap waits for a command in the foreground to end.
  ("$@" 2>&1 </dev/null | sed -u "s/^/$user| /") &
  wait $! || result=FAILED
  table+=$(printf '%-8s  %-44s %5d s  %s' "$user" "$what" $((SECONDS - began)) "$result")$'\n'
  [[ $result == ok ]] || failed=1
}

# Where python3 is missing, an ordinary user is told one line for root, and status 3. That very line,
# given by root, has to be enough.
told_one_line() { # told_one_line SYSTEM
  local system=$1 said status=0 line
  said=$(enter "$system" builder benchpump/install.sh test 2>&1) || status=$?
  printf '%s\n' "$said"
  [[ $status -eq 3 ]] || {
    echo "ended with status $status in place of 3"
    return 1
  }
  line=$(grep -o 'apt-get install .*' <<<"$said") || {
    echo 'named no line for root'
    return 1
  }
  enter "$system" root apt-get update -qq
  enter "$system" root env DEBIAN_FRONTEND=noninteractive bash -c "$line -y -qq" >/dev/null
}

as_new_user() { # as_new_user USER
  local user=$1 system=$work/$1
  make_system "$user" bookworm
  [[ $user == root ]] || step "$user" 'is told one line for root, which is enough' told_one_line "$system"
  step "$user" './install.sh test' enter "$system" "$user" benchpump/install.sh test
  step "$user" './install.sh demo, and a bolus of 2.5 U' \
    enter "$system" "$user" benchpump/.venv/bin/python benchpump/tools/first_bolus.py
  leave_systems
  rm -rf --one-file-system "$system"
}

with_apts_kivy() {
  local system=$work/kivy
  make_system kivy trixie
  step root "./install.sh test --apt-kivy" enter "$system" root benchpump/install.sh test --apt-kivy
  leave_systems
  rm -rf --one-file-system "$system"
}

git -C "$root" -c safe.directory="$root" rev-parse --short HEAD >/dev/null 2>&1 ||
  fail 3 "$root is no git checkout; it is HEAD that is tested."
[[ -z $(git -C "$root" -c safe.directory="$root" status --porcelain) ]] ||
  echo 'What is not committed is not in this test.'

find_network
work=$(mktemp -d "${TMPDIR:-/var/tmp}/benchpump-fresh.XXXXXX")
chmod 755 "$work"

for part; do
  case $part in
    kivy) with_apts_kivy ;;
    *) as_new_user "$part" ;;
  esac
done

printf '\n%s' "$table"
[[ $failed -eq 0 ]] || fail 1 "a new user would not get what the README promises."
echo 'Fresh: all is well.'
