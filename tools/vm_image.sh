#!/usr/bin/env bash
# A whole Debian with systemd for `./install.sh test --vm` and `--pi`: disk, kernel and initrd for QEMU,
# and a folder as `./install.sh prepare` makes it on such a machine. Made of packages, as root, and kept
# for two weeks; printed is where.
#
#   tools/vm_image.sh bookworm|trixie     a computer as most are (amd64), without a touchscreen
#   tools/vm_image.sh kiosk               the same with Debian 13 and all that the touchscreen needs
#   tools/vm_image.sh pi                  the card of a Raspberry Pi 3B, with Debian 12 (arm64)
set -Eeuo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=tools/bare.sh
. "$root/tools/bare.sh"
name=${1:?bookworm, trixie, kiosk or pi?}
suite=$name bare=$name architecture=amd64 disk=vda
how=(--bench --headless)
case $name in
  bookworm | trixie) ;;
  kiosk) suite=trixie bare=trixie how=(--bench) ;;
  pi) suite=bookworm architecture=arm64 disk=mmcblk0 ;;
  *) printf 'vm_image.sh: %s is none of bookworm, trixie, kiosk and pi\n' "$name" >&2 && exit 2 ;;
esac
store=${XDG_CACHE_HOME:-$HOME/.cache}/benchpump/vm
# The packages of a small server: no Python, which the installation brings.
packages=systemd,systemd-sysv,udev,dbus,polkitd,linux-image-$architecture,initramfs-tools,kmod,procps,qemu-guest-agent,e2fsprogs,login,passwd

fail() { # fail STATUS LINE...
  local status=$1
  shift
  printf 'vm_image.sh: %s\n' "$@" >&2
  exit "$status"
}

# What the folder holds is decided by these files: changed, it is prepared anew.
stamp=$(cat "$root"/requirements/machine*.txt "$root"/tools/install/packages.sh "${BASH_SOURCE[0]}" | sha256sum)
image=$store/$name-${stamp:0:12}
if [[ -f $image/whole && -n $(find "$image/whole" -mtime -14) ]]; then
  printf '%s\n' "$image"
  exit
fi
if [[ ${2-} != --inside ]]; then
  [[ $EUID -eq 0 ]] || fail 3 "it makes and enters a system, which only root can."
  exec unshare --mount --pid --fork --kill-child=TERM --mount-proc --propagation private \
    bash "${BASH_SOURCE[0]}" "$name" --inside
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

# A Raspberry Pi's programs run here by an emulator, which the kernel has to know.
need_its_processor() {
  [[ $architecture != "$(dpkg --print-architecture)" ]] || return 0
  local rule=/usr/lib/binfmt.d/qemu-aarch64.conf known=/proc/sys/fs/binfmt_misc
  [[ -e $rule ]] || fail 3 "qemu-user-static is missing: apt-get install qemu-user-static"
  [[ -e $known/register ]] || mount -t binfmt_misc binfmt_misc "$known"
  [[ -e $known/qemu-aarch64 ]] || cat "$rule" >"$known/register"
}

archive=$store/$bare.tar
if [[ -z $(find "$archive" -mtime -14 2>/dev/null) ]]; then
  need_mmdebstrap
  mapfile -t settings < <(mmdebstrap_settings)
  need_its_processor
  mmdebstrap --quiet --format=tar --variant=minbase --architectures="$architecture" --include="$packages" \
    "${settings[@]}" "$suite" "$archive.new" >&2
  mv "$archive.new" "$archive"
fi
need_its_processor

made=$work/image
mkdir -p "$made" "$work/disk" "$work/upper" "$work/scratch" "$work/system"
tar -xpf "$archive" --numeric-owner -C "$work/disk"
cp "$work"/disk/boot/vmlinuz-* "$made/vmlinuz"
cp "$work"/disk/boot/initrd.img-* "$made/initrd"
echo "/dev/$disk / ext4 defaults,noatime 0 1" >"$work/disk/etc/fstab"
echo "benchpump-$name" >"$work/disk/etc/hostname"
echo "127.0.0.1 localhost benchpump-$name" >"$work/disk/etc/hosts"
chroot "$work/disk" useradd --create-home --shell /bin/bash tester
if [[ $name == pi ]]; then
  # What a Pi's firmware does: which board it is; and with Bluetooth off, its serial port is free.
  cp "$work"/disk/usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb "$made/pi.dtb"
  fdtput -p -t x "$made/pi.dtb" /system linux,revision a02082
  fdtput -r "$made/pi.dtb" /soc/serial@7e201000/bluetooth
  mkdir -p "$work/disk/boot/firmware"
  printf '# For the firmware, which an emulated Pi has not\narm_64bit=1\n' >"$work/disk/boot/firmware/config.txt"
  # The emulated watchdog restarts the machine as soon as it is armed, as systemd does for a reboot.
  mkdir -p "$work/disk/etc/systemd/system.conf.d"
  printf '[Manager]\nRebootWatchdogSec=off\n' >"$work/disk/etc/systemd/system.conf.d/10-emulated.conf"
  # The guest agent speaks over that serial port; its own unit waits for another.
  cat >"$work/disk/etc/systemd/system/qemu-guest-agent.service" <<'UNIT'
[Unit]
BindsTo=dev-ttyAMA0.device
After=dev-ttyAMA0.device
[Service]
ExecStart=/usr/sbin/qemu-ga --method=isa-serial --path=/dev/ttyAMA0
Restart=always
UNIT
  ln -s ../qemu-guest-agent.service "$work/disk/etc/systemd/system/multi-user.target.wants/"
  # Which systemd's own generator would offer a login on as well.
  ln -s /dev/null "$work/disk/etc/systemd/system/serial-getty@ttyAMA0.service"
else
  echo i6300esb >"$work/disk/etc/modules-load.d/watchdog.conf" # Debian loads no watchdog by itself
fi

# Prepared in a copy of that system: what is brought for it alone does not stay.
find_network
mount -t overlay overlay -o "lowerdir=$work/disk,upperdir=$work/upper,workdir=$work/scratch" "$work/system"
mount_system "$work/system"
hand_over "$work/system"
enter "$work/system" root mkdir /root/benchpump /etc/benchpump
tar -c -C "$root" appliance drivers ui systemd docs requirements tools pyproject.toml install.sh README.md CHANGELOG.md LICENSE |
  tar -x -C "$work/system/root/benchpump"
enter "$work/system" root apt-get update -qq >&2
enter "$work/system" root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  python3 python3-venv >&2
mkdir "$work/prepared"
if [[ $name == pi ]]; then
  for factory in lgpio rpigpio; do # one folder for each: what the configuration says decides what is needed
    printf 'factory = "%s"\n' "$factory" >"$work/system/etc/benchpump/benchpump.toml"
    enter "$work/system" root benchpump/install.sh prepare "/root/$factory" --headless >&2
    mv "$work/system/root/$factory" "$work/prepared/$factory"
  done
else
  enter "$work/system" root benchpump/install.sh prepare /root/prepared "${how[@]}" >&2
  mv "$work"/system/root/prepared/* "$work/prepared"
fi
leave_systems

if [[ $name == pi ]]; then # which has one card and no other disk
  mv "$work/prepared" "$work/disk/root/prepared"
else
  mke2fs -q -t ext4 -L prepared -d "$work/prepared" "$made/prepared.raw" 1G
fi
mke2fs -q -t ext4 -L benchpump -d "$work/disk" "$made/disk.raw" 4G
date >"$made/whole"
rm -rf "$image"
mv "$made" "$image"
find "$store" -maxdepth 1 -name "$name-*" ! -path "$image" -exec rm -rf {} +
printf '%s\n' "$image"
