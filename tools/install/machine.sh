#!/usr/bin/env bash
# Benchpump on a machine of its own: install, upgrade, roll back, uninstall, status, prepare.
# ./install.sh calls it; so does the copy in /opt/benchpump/current.
#
# A release is built beside the one that runs. What systemd and the others read are links into
# /opt/benchpump/current, so renaming that one link switches code, units and rules at once: whatever cuts
# an upgrade short leaves the old version or the new one, whole.
set -Eeuo pipefail
source=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd -P)

top=/opt/benchpump records=/var/lib/benchpump guard_records=/var/lib/pump-guard
configuration=/etc/benchpump/benchpump.toml pumpctl=/usr/local/bin/pumpctl
made=$top/made
dry_run='' yes='' from='' headless='' bench='' user=${SUDO_USER:-} with_records='' reboot_needed='' kiosk='' factory=''

# shellcheck source=tools/install/steps.sh
. "$source/tools/install/steps.sh"
# shellcheck source=tools/install/boot.sh
. "$source/tools/install/boot.sh"
# shellcheck source=tools/install/packages.sh
. "$source/tools/install/packages.sh"
# shellcheck source=tools/install/release.sh
. "$source/tools/install/release.sh"

usage() {
  cat <<'TEXT'
  sudo ./install.sh [install] [--dry-run] [--yes] [--from DIR] [--headless] [--bench] [--user NAME]
        install on this machine, or upgrade it; given twice, the second changes nothing
        --dry-run    print every command and every difference of a file, and change nothing
        --yes        ask nothing
        --from DIR   use no network, but the folder that `prepare` made
        --headless   no touchscreen
        --bench      a machine without a pump: the simulated bench (for lessons and tests)
        --user NAME  who may work the pump (without it: who calls sudo)
  sudo ./install.sh rollback             switch back to the release before
  sudo ./install.sh uninstall [--records]
        take everything away again; the records of what was delivered stay, unless --records
  ./install.sh status                    what is installed, what runs
  sudo ./install.sh prepare DIR          bring into DIR what --from needs; on a machine of the same kind
TEXT
}

# --- What kind of machine this is -----------------------------------------------------------------

is_a_pi() { grep -qa '^Raspberry Pi' /proc/device-tree/model 2>/dev/null; }

need_root() { [[ $EUID -eq 0 ]] || fail 3 "this changes the system, which only root may: sudo ./install.sh $*"; }

need_this_system() {
  command -v apt-get >/dev/null && [[ -d /run/systemd/system ]] ||
    fail 3 "installation needs Raspberry Pi OS or Debian, with systemd. Elsewhere: ./install.sh demo"
  [[ $(getconf LONG_BIT) == 64 ]] || fail 3 "this is a 32-bit system: take the 64-bit Raspberry Pi OS."
}

look_round() { # the pin factory and whether there is a touchscreen; the configuration decides, if there is one
  local known=''
  [[ ! -f $configuration ]] || known=$(sed -n 's/^factory *= *"\([a-z]*\)".*/\1/p' "$configuration")
  if [[ -n $known ]]; then
    factory=$known
    [[ -z $bench || $factory == bench ]] ||
      fail 1 "$configuration says pins.factory = \"$factory\", and --bench the simulated bench: change the file."
  elif [[ -n $bench ]]; then
    factory=bench
  elif is_a_pi; then
    factory=lgpio
  else
    fail 3 "this is no Raspberry Pi. For the simulated bench on this machine: sudo ./install.sh --bench"
  fi
  # The touchscreen is one of the release's programs; --headless leaves it out, and is remembered.
  if [[ -n $headless || -f $made/headless ]] || ! grep -q '^pump-ui = ' "$source/pyproject.toml"; then
    kiosk=''
  else
    kiosk=1
  fi
}

services() { # in the order of their start
  [[ $factory != bench ]] || echo bench-sim
  printf '%s\n' pump-guard pumpd pump-keeper
  [[ -z $kiosk ]] || echo pump-ui
}

is_up() { systemctl -q is-active "$1.service" 2>/dev/null; }

refuse_while_delivering() {
  local said state
  is_up pumpd || return 0
  said=$("$top/current/venv/bin/pumpctl" status --json 2>/dev/null) ||
    fail 1 "pumpd runs and does not answer, so nobody knows whether it delivers: look with pumpctl status."
  state=$(python3 -c 'import json, sys
found = json.load(sys.stdin)
print("delivering" if found["delivering"] else found["state"])' <<<"$said")
  case $state in
    delivering | running) fail 1 "the pump is $state: suspend it first (pumpctl suspend)." ;;
  esac
}

# --- install ----------------------------------------------------------------------------------------

write_configuration() { # once; afterwards it is the machine's own
  local example=$source/docs/benchpump.example.toml names='"pump-ui", "pump-keeper"' workers='"pump-ui"'
  [[ ! -e $configuration ]] || return 0
  if [[ -f $records/benchpump.toml.kept ]]; then
    put "$configuration" 644 <"$records/benchpump.toml.kept"
    return
  fi
  if [[ -n $user && $user != root ]]; then
    names+=", \"$user\"" workers+=", \"$user\""
  fi
  local -a edits=(
    -e "s/^observe = .*/observe = [$names]/" -e "s/^operate = .*/operate = [$workers]/"
    -e "s/^settings = .*/settings = [$workers]/" -e 's/^report = .*/report = ["pump-keeper"]/'
  )
  [[ $factory != bench ]] || edits+=(
    -e 's/^factory = "lgpio"/factory = "bench"/' -e 's/^signals = "person"/signals = "feedback"/'
    -e 's/^kind = "none"/kind = "bench"/' -e "s/^bench = .*/bench = [$workers]/"
    -e 's/^name = .*/name = "Simulated bench"/' -e 's/^realtime = "required"/realtime = "wanted"/'
  )
  put "$configuration" 644 < <(sed "${edits[@]}" "$example")
}

files_of_the_system() { # TARGET in the release, and the place that it is linked from
  local name
  for name in bench-sim pump-guard pumpd pumpd-down pump-keeper pump-ui; do
    echo "systemd/$name.service /etc/systemd/system/$name.service"
  done
  while read -r name; do
    echo "systemd/$name.service /etc/systemd/system/multi-user.target.wants/$name.service"
  done < <(services)
  echo "systemd/sysusers.conf /etc/sysusers.d/benchpump.conf"
  echo "systemd/tmpfiles.conf /etc/tmpfiles.d/benchpump.conf"
  echo "systemd/journald.conf /etc/systemd/journald.conf.d/50-benchpump.conf"
  echo "systemd/manager.conf /etc/systemd/system.conf.d/50-benchpump.conf"
  echo "systemd/udev.rules /etc/udev/rules.d/99-benchpump.rules"
  [[ ! -d /etc/polkit-1/rules.d ]] || echo "systemd/polkit.rules /etc/polkit-1/rules.d/50-benchpump.rules"
  [[ -z $kiosk ]] || echo "systemd/sysctl.conf /etc/sysctl.d/50-benchpump.conf"
}

make_users() {
  local before after name
  local -a lacking=()
  for name in benchpump gpio; do
    getent group "$name" >/dev/null || lacking+=("$name")
  done
  for name in pumpd pump-guard pump-keeper pump-ui bench-sim; do
    getent passwd "$name" >/dev/null || lacking+=("$name")
  done
  if [[ ${#lacking[@]} -gt 0 ]]; then
    step "Users and groups: ${lacking[*]}"
    before=$(getent passwd | cut -d: -f1 | sort) after=$(getent group | cut -d: -f1 | sort)
    run systemd-sysusers "$source/systemd/sysusers.conf"
    while read -r name; do remember users "$name"; done < <(comm -13 <(echo "$before") <(getent passwd | cut -d: -f1 | sort))
    while read -r name; do remember groups "$name"; done < <(comm -13 <(echo "$after") <(getent group | cut -d: -f1 | sort))
  fi
  if [[ -n $user && $user != root ]] && ! id -nG "$user" | tr ' ' '\n' | grep -qx benchpump; then
    step "User $user may work the pump (group benchpump; from the next login on)"
    run gpasswd -a "$user" benchpump
  fi
}

give_records() { # records that an uninstallation kept, to the users of this installation
  local place owner
  while read -r place owner; do
    [[ -d $place && $(stat -c %U "$place") != "$owner" ]] || continue
    step "The records in $place belong to $owner"
    run chown -R "$owner:$owner" "$place"
    run chmod "$([[ $owner == pumpd ]] && echo 2750 || echo 700)" "$place"
  done <<<"$records pumpd
$guard_records pump-guard"
}

keep_a_copy_of_the_ledger() { # keep_a_copy_of_the_ledger NAME: pumpd is stopped
  local copy=$records/before-$1.db
  [[ -f $records/ledger.db && ! -e $copy ]] || return 0
  step "A copy of the ledger: $copy"
  # By SQLite itself, as pumpd's own user: what stands in the -wal is part of it.
  run setpriv --reuid=pumpd --regid=pumpd --clear-groups python3 -c \
    'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("VACUUM INTO ?", sys.argv[2:])' \
    "$records/ledger.db" "$copy" ||
    fail 1 "the ledger could not be copied, so nothing is changed."
}

stop_services() { # the screen first, what holds the truth last
  local -a running=()
  local name
  for name in pump-ui pump-keeper pumpd pump-guard bench-sim; do
    ! is_up "$name" || running+=("$name.service")
  done
  [[ ${#running[@]} -gt 0 ]] || return 0
  step "Stop ${running[*]}"
  for name in "${running[@]}"; do
    run systemctl stop "$name" || say "$name did not stop in its time; systemd has ended it."
  done
}

start_services() { # 1 where the pump does not come up; housekeeper and screen have the time they need
  local name
  while read -r name; do
    is_up "$name" && continue
    step "Start $name"
    case $name in
      pump-keeper | pump-ui) run systemctl start --no-block "$name.service" ;;
      *) run systemctl start "$name.service" || return 1 ;;
    esac
  done < <(services)
}

settle() { # have the system read what the links lead to
  local target place
  while read -r target place; do
    [[ -n $dry_run || -e $top/current/$target ]] || { # this release has no such file
      run rm -f "$place"
      continue
    }
    link "$top/current/$target" "$place"
  done < <(files_of_the_system)
  link "$top/current/venv/bin/pumpctl" "$pumpctl"
}

reread() {
  run systemd-tmpfiles --create "$top/current/systemd/tmpfiles.conf"
  run systemctl daemon-reexec # the hardware watchdog's time is read at no other moment
  run systemctl try-restart systemd-journald.service
  ! is_up systemd-udevd || run udevadm control --reload
  [[ ! -e /dev/gpiochip0 ]] || run udevadm trigger --subsystem-match=gpio
  [[ -z $kiosk ]] || run sysctl -q -p "$top/current/systemd/sysctl.conf"
  run systemctl reset-failed pumpd.service 2>/dev/null || true
}

bring_up() { # bring_up NAME: switch, reread, start; 1 where the pump does not come up
  switch_to "$1"
  settle
  reread
  start_services
}

install_() {
  local name before changed
  need_root install
  need_this_system
  look_round
  [[ -z $user ]] || getent passwd "$user" >/dev/null || fail 1 "there is no user $user on this machine."
  refuse_while_delivering
  say "Benchpump: BENCH use only, water or test fluid, never on a person."
  agree "Install on $(hostname)?" || fail 1 "nothing was changed."
  [[ -n $dry_run ]] || folders "$top"
  [[ -z $headless || -f $made/headless ]] || { step "No touchscreen on this machine" && remember headless yes; }
  bring_packages
  drop_half_releases
  name=$(release_name)
  make_release "$name"
  make_users
  give_records
  write_configuration
  if [[ -z $dry_run ]] && ! "$top/releases/$name/venv/bin/pumpctl" check-config "$configuration" >/dev/null; then
    "$top/releases/$name/venv/bin/pumpctl" check-config "$configuration" >&2 || true
    fail 1 "the new release cannot work with $configuration; the release that runs goes on."
  fi
  boot
  before=$(current_release)
  if [[ $before != "$name" ]]; then
    stop_services
    [[ -z $before ]] || keep_a_copy_of_the_ledger "$name"
    if ! bring_up "$name"; then
      explain_why
      [[ -n $before ]] || fail 1 "the pump did not come up; the lines above say why."
      stop_services
      bring_up "$before" || true
      fail 1 "release $name did not come up: back to $before."
    fi
  else
    changed=$changes
    settle
    [[ $changes -eq $changed ]] || reread
    start_services || { explain_why && fail 1 "the pump did not come up; the lines above say why."; }
  fi
  drop_old_releases
  finish
}

boot() {
  local file
  file=$(boot_file /)
  [[ -n $file && $factory != bench ]] || return 0
  boot_configure "$file" "$([[ -f $configuration ]] && echo "$configuration" || echo "$source/docs/benchpump.example.toml")"
}

explain_why() {
  [[ -n $dry_run ]] || {
    systemctl --no-pager --lines=15 status pump-guard.service pumpd.service 2>&1 | sed 's/^/    /' >&2 || true
    ! [[ -s /run/benchpump/pumpd.why ]] || sed 's/^/    /' /run/benchpump/pumpd.why >&2
  }
}

finish() {
  if [[ $changes -eq 0 ]]; then
    say "Nothing to change: release $(current_release) is installed and runs."
  elif [[ -n $dry_run ]]; then
    say "Nothing was changed; that were $changes changes."
  else
    say "Done: release $(current_release). Try: pumpctl status"
    [[ -z $user || $user == root ]] || say "($user has to log in once more, to be of the group benchpump.)"
  fi
  [[ -z $reboot_needed ]] || say "The boot configuration takes effect at the next start: sudo reboot"
}

# --- The other verbs --------------------------------------------------------------------------------

need_installation() { [[ -n $(current_release) ]] || fail 1 "Benchpump is not installed on this machine."; }

rollback() {
  local name before
  need_root rollback
  need_this_system
  need_installation
  look_round
  refuse_while_delivering
  name=$(other_releases | head -n 1)
  [[ -n $name ]] || fail 1 "there is no other release to go back to."
  is_whole "$name" || fail 1 "release $name is not as it was written: the disk? Install again."
  agree "Go back from $(current_release) to $name?" || fail 1 "nothing was changed."
  before=$(current_release)
  stop_services
  keep_a_copy_of_the_ledger "$name"
  bring_up "$name" || {
    explain_why
    stop_services
    bring_up "$before" || true
    fail 1 "release $name did not come up (a newer ledger?): again at $before."
  }
  run touch "$top/releases/$before" # the next roll back leads here again
  finish
}

uninstall() {
  local place name file
  need_root uninstall
  need_this_system
  [[ -d $top ]] || fail 1 "Benchpump is not installed on this machine."
  look_round
  refuse_while_delivering
  agree "Take Benchpump off this machine$([[ -z $with_records ]] || echo ', with all records of what it delivered')?" ||
    fail 1 "nothing was changed."
  stop_services
  file=$(boot_file /)
  [[ -z $file ]] || boot_restore "$file"
  if [[ -z $with_records && -d $records ]]; then
    step "The records stay in $records and $guard_records, for root alone"
    run cp "$configuration" "$records/benchpump.toml.kept"
    for place in "$records" "$guard_records"; do
      [[ ! -d $place ]] || { run chown -R root:root "$place" && run chmod 700 "$place"; }
    done
  else
    step "Remove the records in $records and $guard_records"
    run rm -rf "$records" "$guard_records"
  fi
  step "Remove files, links and folders"
  while read -r place; do run rm -f "$place"; done < <(remembered files)
  run rm -rf /run/benchpump /var/lib/pump-keeper
  while read -r name; do
    step "Remove the user $name"
    run userdel "$name"
  done < <(remembered users)
  while read -r name; do
    ! getent group "$name" >/dev/null || { step "Remove the group $name" && run groupdel "$name"; }
  done < <(remembered groups)
  run systemctl daemon-reexec
  run systemctl try-restart systemd-journald.service
  ! is_up systemd-udevd || run udevadm control --reload
  run systemctl reset-failed
  remove_packages
  while read -r place; do
    [[ $place == "$top" ]] || run rmdir --ignore-fail-on-non-empty "$place"
  done < <(remembered folders)
  step "Remove $top"
  run rm -rf "$top"
  [[ -n $with_records ]] || say "The records: $records"
  [[ -z $reboot_needed ]] || say "The boot configuration takes effect at the next start."
}

status() {
  local name file
  if [[ -z $(current_release) ]]; then
    say "Benchpump is not installed on this machine: sudo ./install.sh"
    return
  fi
  look_round
  say "release     $(current_release)$(is_whole "$(current_release)" || echo ' (NOT as it was written)')"
  say "others      $(other_releases | tr '\n' ' ')"
  say "pins        $factory"
  while read -r name; do
    printf '%-11s %s\n' "$name" "$(systemctl is-active "$name.service" 2>/dev/null || true)"
  done < <(services)
  file=$(boot_file /)
  [[ -z $file ]] || say "boot        $(grep -qxF "$boot_begin" "$file" && echo "set in $file" || echo "not set in $file")"
  say "records     $records"
}

# --- Words ------------------------------------------------------------------------------------------

verb=install folder=''
case ${1-} in
  install | rollback | uninstall | status | prepare)
    verb=$1
    shift
    ;;
esac
while [[ $# -gt 0 ]]; do
  case $1 in
    --dry-run) dry_run=1 ;;
    --yes) yes=1 ;;
    --headless) headless=1 ;;
    --bench) bench=1 ;;
    --records) with_records=1 ;;
    --from | --user)
      [[ -n ${2-} ]] || fail 2 "$1 needs a word after it."
      if [[ $1 == --user ]]; then user=$2; else from=$(cd "$2" && pwd -P) || fail 2 "$2 is no folder."; fi
      shift
      ;;
    -h | --help)
      usage
      exit
      ;;
    -*) fail 2 "'$1' is none of its words:" "$(usage)" ;;
    *)
      [[ $verb == prepare && -z $folder ]] || fail 2 "'$1' is none of its words:" "$(usage)"
      folder=$1
      ;;
  esac
  shift
done
case $verb in
  install) install_ ;;
  prepare)
    [[ -n $folder ]] || fail 2 "prepare needs a folder."
    look_round
    prepare "$folder"
    ;;
  *) "$verb" ;;
esac
