# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # machine.sh sets what is read here, and reads what is set
# Packages of the system, from apt or from a prepared folder, and which lock of Python's goes with them. Sourced by machine.sh.

has_package() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

apt_has() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }

wanted_packages() { # what this machine needs of Debian, one a line
  printf '%s\n' python3 python3-venv
  if [[ $factory != bench ]] && { has_package python3-lgpio || apt_has python3-lgpio; }; then
    echo python3-lgpio
  fi
  if [[ $factory == rpigpio ]] && ! has_package python3-rpi-lgpio; then # which is RPi.GPIO over lgpio, and excludes it
    echo python3-rpi.gpio
  fi
  if [[ -n $kiosk ]]; then
    printf '%s\n' polkitd udisks2 libgl1 libegl1 libgles2 libgl1-mesa-dri libgbm1 libdrm2 libudev1
    if apt_has libmtdev1t64 || has_package libmtdev1t64; then echo libmtdev1t64; else echo libmtdev1; fi
  fi
}

python_is_older() { # python_is_older VERSION: this machine's Python, or the one that is yet to be brought
  local version
  if command -v python3 >/dev/null; then
    version=$(python3 -c 'import platform; print(platform.python_version())')
  elif [[ -n $from ]]; then
    version=$(dpkg-deb -f "$from"/debs/python3_*.deb Version)
  else
    version=$(apt-cache policy python3 | sed -n 's/^ *Candidate: //p')
  fi
  dpkg --compare-versions "$version" lt "$1"
}

lock_name() { # where lgpio comes from decides the lock: apt's, or the wheel of an older Python
  if [[ $factory == bench ]] || has_package python3-lgpio || apt_has python3-lgpio; then
    echo machine
  elif python_is_older 3.13; then
    echo machine-lgpio
  else
    fail 3 "lgpio is neither in apt's lists nor, for this Python, on the package index: use Raspberry Pi OS."
  fi
}

missing_of() { # missing_of PACKAGE...
  local package
  for package; do
    has_package "$package" || printf '%s\n' "$package"
  done
}

all_packages() { dpkg-query -W -f '${Package}\n' | sort -u; }

bring_packages() {
  local -a missing debs=()
  local deb before after
  mapfile -t missing < <(wanted_packages | while read -r each; do missing_of "$each"; done)
  [[ ${#missing[@]} -gt 0 ]] || return 0
  step "System packages: ${missing[*]}"
  before=$(mktemp) after=$(mktemp)
  all_packages >"$before"
  export DEBIAN_FRONTEND=noninteractive
  if [[ -n $from ]]; then
    for deb in "$from"/debs/*.deb; do # only what is not here: nothing is put back to an older version
      has_package "$(dpkg-deb -f "$deb" Package)" || debs+=("$deb")
    done
    [[ ${#debs[@]} -gt 0 ]] || fail 3 "$from/debs has none of: ${missing[*]}. Prepare the folder on a machine of this kind."
    run apt-get install -y -qq --no-install-recommends "${debs[@]}" ||
      fail 3 "the packages in $from/debs do not fit this system: prepare the folder on a machine of this kind."
  elif ! run apt-get install -y -qq --no-install-recommends "${missing[@]}" 2>/dev/null; then
    run apt-get update -qq || fail 3 "apt-get update did not work: is there a network? Without one: --from DIR."
    run apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
      fail 3 "apt-get install did not work; the lines above say why."
  fi
  all_packages >"$after"
  while read -r each; do
    remember packages "$each"
  done < <(comm -13 "$before" "$after")
  rm -f "$before" "$after"
}

remove_packages() { # what was brought, but for what something else has come to need since
  local -a ours=()
  local others
  mapfile -t ours < <(remembered packages | while read -r each; do ! has_package "$each" || printf '%s\n' "$each"; done)
  [[ ${#ours[@]} -gt 0 ]] || return 0
  others=$(comm -13 <(printf '%s\n' "${ours[@]}" | sort -u) \
    <(LC_ALL=C apt-get -s purge "${ours[@]}" 2>/dev/null | awk '/^(Purg|Remv) /{ print $2 }' | sed 's/:.*//' | sort -u))
  if [[ -n $others ]]; then
    say "Packages stay, for others need them (${others//$'\n'/ }): ${ours[*]}"
    return
  fi
  step "Remove the packages that were brought: ${ours[*]}"
  DEBIAN_FRONTEND=noninteractive run apt-get purge -y -qq "${ours[@]}"
  if [[ " ${ours[*]} " == *' udisks2 '* && -d /var/lib/udisks2 ]]; then # which its own purge leaves behind
    run rmdir --ignore-fail-on-non-empty /var/lib/udisks2
  fi
}

# --- A folder for a machine without a network -----------------------------------------------------

prepare() { # prepare DIR: on a machine of the same kind (release, processor), with a network
  local folder=$1 lock
  local -a packages
  [[ $EUID -eq 0 ]] || fail 3 "apt brings packages for root alone: sudo ./install.sh prepare $folder"
  mkdir -p "$folder/debs/partial" "$folder/wheels"
  folder=$(cd "$folder" && pwd -P)
  run apt-get update -qq || fail 3 "apt-get update did not work: is there a network?"
  mapfile -t packages < <(wanted_packages)
  say "System packages, with all that they need: ${packages[*]}"
  # As for a system without any package, so that nothing is missing on a smaller one than this.
  run apt-get install -y -qq --no-install-recommends --download-only -o Dir::State::status=/dev/null \
    -o Dir::Cache::archives="$folder/debs" -o Debug::NoLocking=1 -o APT::Sandbox::User=root "${packages[@]}" ||
    fail 3 "apt-get could not download them; the lines above say why."
  rm -rf "$folder/debs/partial" "$folder/debs/lock"
  lock=$(lock_name)
  say "Python packages, as locked in requirements/$lock.txt"
  run python3 -m venv "$folder/venv" || fail 3 "python3 has no venv here: apt-get install python3-venv"
  run "$folder/venv/bin/python" -m pip --disable-pip-version-check download --quiet --only-binary :all: \
    --require-hashes --dest "$folder/wheels" -r "$source/requirements/$lock.txt" ||
    fail 3 "pip could not download them; the lines above say why."
  rm -rf "$folder/venv"
  say "Prepared: sudo ./install.sh --from $folder"
}
