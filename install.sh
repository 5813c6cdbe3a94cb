#!/usr/bin/env bash
# Benchpump, an insulin pump for the bench: one script for every machine. `./install.sh --help`.
#
# Every step asks "is it so?" before it makes it so, so each command may be given again at any time.
set -Eeuo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd -P)
venv=$root/.venv
apts_kivy='' # not empty: a virtual environment that sees apt's packages, and has no Kivy of its own
oldest=3.11 newest=3.13

usage() {
  cat <<END
Benchpump, an insulin pump for the bench: water and test fluid only, not a medical device.

  ./install.sh demo [--headless] [--speed N] [--dir DIR] [--first-start] [--panel P] [--language L]
        run the pump on this computer, on a simulated bench, with its touchscreen in a window; without a
        display the touchscreen is shown in pictures, in DIR/pictures
        --headless      no questions and no screen: print READY and stay until stopped
        --panel P       7-inch (800x480), 7-inch-portrait or 5-inch-portrait (720x1280)
        --language L    en or de; --light: light colours
        --speed N       let N seconds of therapy pass in one of ours
        --dir DIR       keep everything in DIR, and find it there again
        --first-start   a new pump with nothing set, in place of a loaded one

  ./install.sh test [--full] [--fresh] [PYTEST ARGUMENTS]
        what every change must pass: format, lint, types, import contracts, tests
        --full          the long campaigns too, and no test may be left out; for a release
        --fresh         both commands above in a bare Debian 12, as root and as an ordinary user, and
                        --apt-kivy in a bare Debian 13 (as root; it makes the bare systems itself)
        --apt-kivy      the touchscreen's tests over Debian 13's own Kivy in place of the wheel
        --vm            installation, power cuts and all that concerns systemd, in a whole Debian 12
                        and 13 under QEMU (as root; it makes the disks itself); not part of --full
        --pi            the same on an emulated Raspberry Pi 3B, with every edge of its pins counted
                        from outside (as root; it makes the card itself); not part of --full
        other words go to pytest: ./install.sh test -k bolus

  sudo ./install.sh [--dry-run] [--yes] [--headless] [--bench] [--from DIR] [--user NAME]
        on a Raspberry Pi: install or upgrade (tools/install/machine.sh --help says more)
  sudo ./install.sh rollback | uninstall [--records] | prepare DIR
  ./install.sh status

demo and test need Linux and Python $oldest to $newest, and put what they install in .venv here. As
root they bring missing system packages with apt; otherwise they name them and end with status 3.
PYTHON=python3.12 chooses the Python of a new .venv.

Status: 0 done, 1 failed, 2 wrong words, 3 something is missing on this computer.
END
}

fail() { # fail STATUS LINE...
  local status=$1
  shift
  printf 'install.sh: %s\n' "$@" >&2
  exit "$status"
}

need_linux() {
  [[ $(uname -s) == Linux ]] || fail 3 "Benchpump runs on Linux; this is $(uname -s)."
}

# --- One stage at a time, said in one line --------------------------------------------------------

log='' ticker=''
tidy_up() {
  [[ -z $ticker ]] || kill "$ticker" 2>/dev/null || true
  [[ -z $log ]] || rm -f "$log"
}
trap tidy_up EXIT

# Run a command that has much to say, and say one line; its own words only when it fails. On a
# terminal the line counts the seconds.
stage() { # stage WHAT COMMAND...
  local what=$1 status=0 began=$SECONDS
  shift
  [[ -n $log ]] || log=$(mktemp)
  if [[ -t 1 ]]; then
    printf '%s ...' "$what"
    (while sleep 1; do printf '\r%s ... %s s' "$what" $((SECONDS - began)); done) &
    ticker=$!
  else
    printf '%s\n' "$what"
  fi
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [[ -n $ticker ]]; then
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    ticker=''
    printf '\r%s ... %s s\n' "$what" $((SECONDS - began))
  fi
  return "$status"
}

explain_and_fail() { # explain_and_fail WHAT
  local offline='name resolution|name or service not known|network is unreachable|no route to host'
  offline+='|connection refused|timed out|could not resolve|failed to establish|no matching distribution'
  tail -n 20 "$log" | sed 's/^/    /' >&2
  if grep -qiE "$offline" "$log"; then
    fail 3 "$1: the download did not work. Is there a network? Behind a proxy, set https_proxy" \
      "and PIP_INDEX_URL as your site asks; then give the same command again."
  fi
  fail 1 "$1 did not work; the lines above say why."
}

# --- Packages of the system -----------------------------------------------------------------------

has_python() { "$1" - "$oldest" "$newest" >/dev/null 2>&1 <<'END'; }
import ctypes, ensurepip, sqlite3, ssl, sys, venv
low, high = (tuple(map(int, text.split("."))) for text in sys.argv[1:])
sys.exit(not low <= sys.version_info[:2] <= high)
END

find_python() { # prints the first that runs and is whole; a name alone proves nothing
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3; do
    if has_python "$candidate"; then
      command -v "$candidate"
      return
    elif [[ $candidate == "${PYTHON:-}" ]]; then
      fail 3 "PYTHON=$PYTHON is not a whole Python $oldest to $newest (with venv, ensurepip, sqlite3, ssl)."
    fi
  done
  if command -v uv >/dev/null && candidate=$(uv python find ">=$oldest,<3.14" 2>/dev/null) &&
    has_python "$candidate"; then
    printf '%s\n' "$candidate"
    return
  fi
  return 1
}

has_library() { # of this machine's own linker
  [[ $(PATH=$PATH:/sbin ldconfig -p 2>/dev/null) == *"$1 "* ]]
}

missing_packages() { # missing_packages base|test|full|vm|pi|apt-kivy: what Debian calls what is not here
  local -a packages=()
  [[ -x $venv/bin/python ]] || find_python >/dev/null || packages+=(python3 python3-venv)
  # What Kivy's wheel opens: GL by name, EGL without a display, multitouch.
  local mtdev=libmtdev1
  ! grep -qs '^VERSION_CODENAME=trixie' /etc/os-release || mtdev=libmtdev1t64
  has_library libGL.so.1 || packages+=(libgl1)
  has_library libEGL.so.1 || packages+=(libegl1)
  has_library libGLESv2.so.2 || packages+=(libgles2)
  has_library libmtdev.so.1 || packages+=("$mtdev")
  if [[ $1 == test ]]; then
    command -v Xvfb >/dev/null || packages+=(xvfb xauth) # a pointer on a display of its own
    command -v xdotool >/dev/null || packages+=(xdotool)
    command -v ps >/dev/null || packages+=(procps)
    command -v strace >/dev/null || packages+=(strace)
    command -v pdftotext >/dev/null || packages+=(poppler-utils)
    command -v spin >/dev/null || packages+=(spin)
    command -v gcc >/dev/null || packages+=(gcc libc6-dev) # spin's checkers are C programs
  fi
  if [[ $1 == apt-kivy ]]; then
    [[ " ${packages[*]} " == *' python3 '* ]] || /usr/bin/python3 -c 'import venv, ensurepip' 2>/dev/null ||
      packages+=(python3 python3-venv)
    /usr/bin/python3 -c 'import importlib.util as u; exit(not u.find_spec("kivy"))' 2>/dev/null ||
      packages+=(python3-kivy)
  fi
  if [[ $1 == vm ]]; then
    command -v qemu-system-x86_64 >/dev/null || packages+=(qemu-system-x86)
  fi
  if [[ $1 == pi ]]; then # and what makes a card for another processor
    command -v qemu-system-aarch64 >/dev/null || packages+=(qemu-system-arm)
    command -v qemu-aarch64-static >/dev/null || packages+=(qemu-user-static)
    command -v arch-test >/dev/null || packages+=(arch-test)
    command -v fdtput >/dev/null || packages+=(device-tree-compiler)
  fi
  if [[ $1 == vm || $1 == pi ]]; then
    command -v qemu-img >/dev/null || packages+=(qemu-utils)
    command -v mmdebstrap >/dev/null || packages+=(mmdebstrap)
  fi
  if [[ $1 == full ]]; then # what test --full may not leave out, beside that of test
    command -v unshare >/dev/null || packages+=(util-linux)
    [[ -x /usr/sbin/mosquitto ]] || command -v mosquitto >/dev/null || packages+=(mosquitto)
    command -v prometheus >/dev/null || packages+=(prometheus)
    command -v systemd-analyze >/dev/null || packages+=(systemd)
    [[ -e /usr/share/i18n/locales/de_DE ]] || packages+=(locales)
  fi
  printf '%s\n' "${packages[*]}"
}

apt_install() { # lists that are empty or old are renewed; an update that is not needed may not fail us
  local -a install=(apt-get install -y -qq --no-install-recommends "$@")
  export DEBIAN_FRONTEND=noninteractive
  "${install[@]}" || { apt-get update -qq && "${install[@]}"; }
}

bring_packages() { # bring_packages base|test|full|vm|pi|apt-kivy
  local packages line
  packages=$(missing_packages "$1")
  [[ -n $packages ]] || return 0
  line="apt-get install --no-install-recommends $packages"
  if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    # shellcheck disable=SC2086 # one word a package
    stage "System packages: $packages" apt_install $packages || explain_and_fail "apt-get install"
    packages=$(missing_packages "$1")
    [[ " $packages " != *' python3 '* ]] ||
      fail 3 "Benchpump needs Python $oldest to $newest, and this system's apt does not bring one."
  elif [[ " $packages " == *' python3 '* ]]; then
    fail 3 "Benchpump needs Python $oldest to $newest. As root, once:" "    $line"
  else
    printf 'NOT RUN: what needs what is not here (%s). As root, once: %s\n' "$packages" "$line"
  fi
}

# --- The virtual environment ----------------------------------------------------------------------

stamp() { # stamp base|test: what .venv has to match
  { cat "$root/requirements/$1.txt" "$root/pyproject.toml" && printf '%s' "$root"; } | sha256sum
}

venv_is_whole() { # of a Python we can use, with pip, and made at this very place
  head -n 3 "$venv/bin/pip" 2>/dev/null | grep -qF "$venv/bin/python" &&
    has_python "$venv/bin/python" && "$venv/bin/python" -c 'import pip' 2>/dev/null
}

venv_is_ready() { # venv_is_ready base|test: a thirtieth of a second
  [[ $(cat "$venv/benchpump-$1" 2>/dev/null) == "$(stamp "$1")" ]] &&
    "$venv/bin/python" -c 'import setuptools, _sqlite3' 2>/dev/null
}

lock_without_kivy() { # prints requirements/test.txt without what apt's python3-kivy stands for
  awk '/^[^ #]/ { left_out = /^kivy/ } !left_out' "$root/requirements/test.txt"
}

make_venv() { # make_venv base|test
  local lock=$1 locked=$root/requirements/$1.txt python pip
  local -a sees=()
  if [[ -e $venv ]] && [[ ! -w $venv ]]; then
    fail 3 "$venv belongs to $(stat -c %U "$venv"), and is out of date or of no use to $(id -un): remove" \
      "it, or copy the project to a place of your own."
  fi
  [[ -w $root ]] || fail 3 "$root cannot be written by $(id -un): copy the project to a place of your own."
  if ! venv_is_whole; then
    python=$(find_python)
    [[ -z $apts_kivy ]] || sees=(--system-site-packages)
    rm -rf "$venv"
    stage "Virtual environment with $("$python" --version)" "$python" -m venv "${sees[@]}" "$venv" ||
      explain_and_fail "Making $venv"
  fi
  if [[ -n $apts_kivy ]]; then
    locked=$venv/lock.txt
    lock_without_kivy >"$locked"
  fi
  rm -f "$venv"/benchpump-*
  pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input)
  stage "Python packages, as locked in requirements/$lock.txt" \
    "${pip[@]}" install --require-hashes -r "$locked" ||
    explain_and_fail "Installing the Python packages"
  stage "Benchpump itself" "${pip[@]}" install --no-build-isolation --no-deps -e "$root" ||
    explain_and_fail "Installing Benchpump"
  stamp base >"$venv/benchpump-base" # what test needs holds what base needs
  [[ $lock == base ]] || stamp "$lock" >"$venv/benchpump-$lock"
}

set_up() { # set_up base|test
  need_linux
  bring_packages "$1"
  venv_is_ready "$1" && return
  (
    trap tidy_up EXIT
    flock 9 # of two that start together, the second finds it done
    venv_is_ready "$1" || make_venv "$1"
  ) 9<"$root"
}

# --- Verbs ----------------------------------------------------------------------------------------

demo() {
  set_up base
  tidy_up
  exec "$venv/bin/python" -P -m appliance.demo "$@"
}

# As on a Raspberry Pi with Debian 13, where apt brings Kivy and SDL: nothing of the wheel is there.
test_over_apts_kivy() { # test_over_apts_kivy PYTEST ARGUMENTS...
  venv=$root/.venv-apt-kivy
  unset PYTHON
  need_linux
  bring_packages apt-kivy
  PYTHON=/usr/bin/python3 # the one that sees apt's packages
  [[ $(/usr/bin/python3 -c 'import importlib.metadata as m; print(m.version("kivy"))' 2>/dev/null) == 2.3.* ]] ||
    fail 3 "test --apt-kivy needs python3-kivy 2.3, which Debian 13 has."
  set_up test
  tidy_up
  "$venv/bin/python" - <<'END' || fail 1 "the virtual environment has a Kivy of its own: remove $venv."
import importlib.metadata, sys
kivy = importlib.metadata.distribution("kivy")
where = str(kivy.locate_file("kivy"))
print(f"Kivy {kivy.version} of {where}, Python {sys.version.split()[0]}")
sys.exit(where.startswith(sys.prefix))
END
  cd "$root"
  exec "$venv/bin/pytest" --no-header -rfEs tests/ui "$@"
}

test_() {
  local full='' fresh='' whole='' word
  local -a words=()
  for word; do
    case $word in
      --full) full=--full ;;
      --fresh) fresh=1 ;;
      --vm) whole=vm ;;
      --pi) whole=pi ;;
      --apt-kivy) apts_kivy=1 ;;
      *) words+=("$word") ;;
    esac
  done
  if [[ -n $fresh ]]; then
    [[ -z $full && ${#words[@]} -eq 0 ]] || fail 2 "test --fresh takes no other words."
    need_linux
    tidy_up
    exec bash "$root/tools/fresh.sh"
  fi
  if [[ -n $apts_kivy ]]; then
    [[ -z $full && -z $whole ]] || fail 2 "test --apt-kivy goes with PYTEST ARGUMENTS, and no other words."
    test_over_apts_kivy "${words[@]}"
  fi
  [[ -z $full ]] || bring_packages full
  [[ -z $whole ]] || bring_packages "$whole"
  set_up test
  tidy_up
  if [[ -n $whole ]]; then
    cd "$root"
    [[ $whole == vm ]] || whole=emulated_pi
    # What it measures is said as it goes: it takes an hour or more.
    exec "$venv/bin/pytest" --no-header -rfEs -v --capture=no -m "$whole" "tests/$whole" "${words[@]}"
  fi
  exec bash "$root/tools/check.sh" $full "${words[@]}"
}

machine() {
  need_linux
  tidy_up
  exec bash "$root/tools/install/machine.sh" "$@"
}

case ${1-} in
  demo) demo "${@:2}" ;;
  test) test_ "${@:2}" ;;
  '' | install | rollback | uninstall | status | prepare) machine "$@" ;;
  --dry-run | --yes | --headless | --bench | --from | --user) machine "$@" ;;
  help | -h | --help) usage ;;
  *) fail 2 "'$1' is none of its words: ./install.sh --help." ;;
esac
