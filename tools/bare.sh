# shellcheck shell=bash
# shellcheck disable=SC2154 # who sources this sets `work`, and has a `fail`
# Bare Debian systems in a folder: made by mmdebstrap, entered by chroot, with the caller's way to the
# network. Sourced by fresh.sh and vm_image.sh, inside mount and process namespaces of their own.

leave_systems() { # unmount all that is mounted below $work
  local mounted
  while read -r _ mounted _; do
    [[ $mounted != "$work"/* ]] || printf '%s\n' "$mounted"
  done </proc/self/mounts | sort -r | while read -r mounted; do
    umount --lazy "$mounted"
  done
}

need_mmdebstrap() {
  command -v mmdebstrap >/dev/null && return
  command -v apt-get >/dev/null || fail 3 "mmdebstrap is missing, and here is no apt to bring it."
  apt-get install -y -qq --no-install-recommends mmdebstrap >&2 ||
    { apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends mmdebstrap >&2; }
}

# apt's own settings for downloads (a proxy, say) hold inside as they do here.
apt_settings() { grep -ls Acquire /etc/apt/apt.conf /etc/apt/apt.conf.d/* || true; }

mmdebstrap_settings() { apt_settings | sed 's/^/--aptopt=/'; }

enter() { # enter SYSTEM USER COMMAND...: as after a login, and with the caller's way to the network
  local system=$1 user=$2 home
  shift 2
  home=$(awk -F: -v user="$user" '$1 == user { print $6 }' "$system/etc/passwd")
  chroot --userspec="$user:$user" --groups="$user" "$system" env -i -C "$home" HOME="$home" \
    USER="$user" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    "${network[@]}" "$@"
}

# What the caller needs to reach a network, as words for env. The certificates lie apart from the
# system's own, which the packages inside write anew.
declare -a network=()
find_network() {
  local name
  certificates=${PIP_CERT:-${REQUESTS_CA_BUNDLE:-${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}}
  [[ ! -f $certificates ]] || network+=(PIP_CERT=/etc/ssl/caller.crt SSL_CERT_FILE=/etc/ssl/caller.crt)
  while read -r name; do
    case $name in
      PIP_CERT | PIP_FIND_LINKS | PIP_CACHE_DIR | PIP_CONFIG_FILE) ;; # places on this computer
      PIP_* | *_proxy | *_PROXY) network+=("$name=${!name}") ;;
    esac
  done < <(compgen -e)
}

hand_in() { # hand_in SYSTEM FILE...: the same file at the same place, if there is one
  local system=$1 file
  shift
  for file; do
    [[ ! -e $file ]] || install -D -m 644 "$file" "$system$file"
  done
}

mount_system() { # mount_system SYSTEM: what a system expects to find mounted
  local system=$1 node
  mount -t proc proc "$system/proc"
  mount -t sysfs -o ro sysfs "$system/sys" 2>/dev/null || true
  mount -t tmpfs -o mode=755 tmpfs "$system/run"
  mount -t tmpfs -o mode=1777 tmpfs "$system/tmp"
  mount -t tmpfs -o mode=755 tmpfs "$system/dev"
  mkdir "$system/dev/shm" "$system/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$system/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$system/dev/pts"
  ln -s pts/ptmx "$system/dev/ptmx"
  ln -s /proc/self/fd "$system/dev/fd"
  for node in null zero full random urandom tty; do
    touch "$system/dev/$node"
    mount --bind "/dev/$node" "$system/dev/$node"
  done
}

hand_over() { # hand_over SYSTEM: the caller's way to the network
  local system=$1
  hand_in "$system" /etc/resolv.conf /etc/hosts /etc/pip.conf
  [[ ! -f $certificates ]] || install -D -m 644 "$certificates" "$system/etc/ssl/caller.crt"
  # shellcheck disable=SC2046 # file names of apt's have no spaces
  hand_in "$system" $(apt_settings)
}
