#!/usr/bin/env bash
# A whole Debian with systemd for `./install.sh test --vm`: disk, kernel and initrd for QEMU, and a
# folder as `./install.sh prepare` makes it on such a machine. Made of packages, as root, and kept for
# two weeks; printed is where.
#
#   tools/vm_image.sh bookworm|trixie
set -Eeuo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=tools/bare.sh
. "$root/tools/bare.sh"
suite=${1:?which suite?}
store=${XDG_CACHE_HOME:-$HOME/.cache}/benchpump/vm
# The packages of a small server: no Python, which the installation brings.
packages=systemd,systemd-sysv,udev,dbus,polkitd,linux-image-amd64,initramfs-tools,kmod,procps,qemu-guest-agent,e2fsprogs,login,passwd

fail() { # fail STATUS LINE...
  local status=$1
  shift
  printf 'vm_image.sh: %s\n' "$@" >&2
  exit "$status"
}

# What the folder holds is decided by these files: changed, it is prepared anew.
stamp=$(cat "$root"/requirements/machine.txt "$root"/tools/install/{packages,release}.sh "${BASH_SOURCE[0]}" | sha256sum)
image=$store/$suite-${stamp:0:12}
if [[ -f $image/whole && -n $(find "$image/whole" -mtime -14) ]]; then
  printf '%s\n' "$image"
  exit
fi
if [[ ${2-} != --inside ]]; then
  [[ $EUID -eq 0 ]] || fail 3 "it makes and enters a system, which only root can."
  exec unshare --mount --pid --fork --kill-child=TERM --mount-proc --propagation private \
    bash "${BASH_SOURCE[0]}" "$suite" --inside
fi

work=''
tidy_up() {
  [[ -n $work ]] || return 0
  leave_systems
  rm -rf --one-file-system "$work"
}
trap tidy_up EXIT
trap 'exit 143' TERM HUP INT
mkdir -p "$store"
work=$(mktemp -d "$store/making.XXXXXX")
chmod 755 "$work"

archive=$store/$suite.tar
if [[ -z $(find "$archive" -mtime -14 2>/dev/null) ]]; then
  need_mmdebstrap
  mapfile -t settings < <(mmdebstrap_settings)
  mmdebstrap --quiet --format=tar --variant=minbase --include="$packages" "${settings[@]}" "$suite" "$archive.new" >&2
  mv "$archive.new" "$archive"
fi

made=$work/image
mkdir -p "$made" "$work/disk" "$work/upper" "$work/scratch" "$work/system"
tar -xpf "$archive" --numeric-owner -C "$work/disk"
cp "$work"/disk/boot/vmlinuz-* "$made/vmlinuz"
cp "$work"/disk/boot/initrd.img-* "$made/initrd"
echo '/dev/vda / ext4 defaults,noatime 0 1' >"$work/disk/etc/fstab"
echo benchpump-vm >"$work/disk/etc/hostname"
echo '127.0.0.1 localhost benchpump-vm' >"$work/disk/etc/hosts"
echo i6300esb >"$work/disk/etc/modules-load.d/watchdog.conf" # Debian loads no watchdog by itself
chroot "$work/disk" useradd --create-home --shell /bin/bash tester

# Prepared in a copy of that system: what is brought for it alone does not stay.
find_network
mount -t overlay overlay -o "lowerdir=$work/disk,upperdir=$work/upper,workdir=$work/scratch" "$work/system"
mount_system "$work/system"
hand_over "$work/system"
enter "$work/system" root mkdir /root/benchpump
tar -c -C "$root" appliance drivers ui systemd docs requirements tools pyproject.toml install.sh README.md CHANGELOG.md LICENSE |
  tar -x -C "$work/system/root/benchpump"
enter "$work/system" root apt-get update -qq >&2
enter "$work/system" root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  python3 python3-venv >&2
enter "$work/system" root benchpump/install.sh prepare /root/prepared --bench --headless >&2
mv "$work/system/root/prepared" "$work/prepared"
leave_systems

mke2fs -q -t ext4 -L benchpump -d "$work/disk" "$made/disk.raw" 4G
mke2fs -q -t ext4 -L prepared -d "$work/prepared" "$made/prepared.raw" 1G
date >"$made/whole"
rm -rf "$image"
mv "$made" "$image"
find "$store" -maxdepth 1 -name "$suite-*" ! -path "$image" -exec rm -rf {} +
printf '%s\n' "$image"
