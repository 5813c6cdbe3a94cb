# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # machine.sh sets what is read here, and reads what is set
# The boot configuration of a Raspberry Pi: only between our marks, and with a copy before the first
# change. Sourced by machine.sh; every function takes the files it works on.

boot_begin='# BEGIN benchpump' boot_end='# END benchpump'

boot_file() { # boot_file ROOT: config.txt's place, or nothing where there is none
  local place
  for place in "$1/boot/firmware/config.txt" "$1/boot/config.txt"; do
    if [[ -f $place ]]; then
      printf '%s\n' "$place"
      return
    fi
  done
}

boot_lines() { # boot_lines ENABLE_N OTHER_PINS: what stands between the marks
  printf '%s\n' "$boot_begin" '[all]' \
    '# A program that dies lets go of its pins, and the resistors decide.' \
    'dtparam=strict_gpiod' \
    '# From power-on until the programs are there: ENABLE (active low) is pulled up, and everything else' \
    '# down, as the programs have it: what drives something is off, and a cut wire reads as a fault.' \
    "gpio=$1=ip,pu" "gpio=$2=ip,pd" "$boot_end"
}

boot_without() { # boot_without FILE: its text without what is between the marks
  local begins ends
  begins=$(grep -cxF "$boot_begin" "$1" || true)
  ends=$(grep -cxF "$boot_end" "$1" || true)
  [[ $begins -eq $ends && $begins -le 1 ]] ||
    fail 1 "$1: $begins lines '$boot_begin', and $ends lines '$boot_end': mend that by hand."
  sed "/^$boot_begin\$/,/^$boot_end\$/d" "$1"
}

boot_with() { # boot_with FILE LINES: its text with LINES between the marks, at its end
  boot_without "$1"
  [[ -z $(tail -c 1 "$1") ]] || echo
  printf '%s\n' "$2"
}

pins_of() { # pins_of CONFIGURATION: "ENABLE_N OTHER,..."; in a dry run Python may not be here yet
  awk '/^\[/ { pins = /^\[pins\]/ }
    pins && /^[a-z_]+ *= *[0-9]+ *(#.*)?$/ {
      split($0, word, / *= */)
      number = word[2] + 0
      if (word[1] == "enable_n") enable = number
      else others = others (others == "" ? "" : ",") number
      count++
    }
    END {
      if (enable == "" || count < 13) exit 1
      print enable, others
    }' "$1" || fail 1 "$1: a pin is missing in [pins], or not written as in docs/benchpump.example.toml: name = number"
}

boot_configure() { # boot_configure CONFIG_TXT CONFIGURATION
  local file=$1 enable others fresh
  read -r enable others < <(pins_of "$2")
  fresh=$(mktemp)
  boot_with "$file" "$(boot_lines "$enable" "$others")" >"$fresh"
  if ! cmp -s "$fresh" "$file"; then
    if [[ ! -e $file.before-benchpump ]]; then
      step "Keep a copy: $file.before-benchpump"
      run cp -p "$file" "$file.before-benchpump"
    fi
    put "$file" "$(stat -c %a "$file")" <"$fresh"
    reboot_needed=1
  fi
  rm -f "$fresh"
}

boot_restore() { # boot_restore CONFIG_TXT
  local file=$1 fresh
  grep -qxF "$boot_begin" "$file" || return 0
  fresh=$(mktemp)
  boot_without "$file" >"$fresh"
  put "$file" "$(stat -c %a "$file")" <"$fresh"
  rm -f "$fresh"
  reboot_needed=1
  if [[ -e $file.before-benchpump ]] && { [[ -n $dry_run ]] || cmp -s "$file" "$file.before-benchpump"; }; then
    step "Remove the copy $file.before-benchpump: the file is again as it was"
    run rm -f "$file.before-benchpump"
  elif [[ -e $file.before-benchpump ]]; then
    say "$file has changed beside ours since: the copy $file.before-benchpump stays."
  fi
}
