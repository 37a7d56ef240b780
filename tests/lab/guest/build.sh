#!/usr/bin/env bash
# Build the lab guest's kernel and initramfs in FOLDER out of Debian packages; nothing is installed on this machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "${1:?usage: build.sh FOLDER}")
mkdir -p "$out/packages"
cd "$out/packages"

if [ ! -d agent ]; then
    kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ { print $2; exit }')
    apt-get download "$kernel" busybox-static qemu-guest-agent
    dpkg -x linux-image-*.deb kernel
    dpkg -x busybox-static_*.deb busybox
    dpkg -x qemu-guest-agent_*.deb agent
fi

root=$out/root
rm -rf "$root"
mkdir -p "$root"/{bin,sbin,etc/acpi/PWRF,proc,sys,dev,run,tmp,root,mnt,lib,lib64,usr/bin,usr/sbin,usr/lib,var/run,var/log}
cp busybox/bin/busybox "$root/bin/"
for applet in $("$root/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
done

version=$(basename kernel/lib/modules/*)
modules=$root/lib/modules/$version
for module in drivers/virtio/{virtio,virtio_ring,virtio_pci_modern_dev,virtio_pci_legacy_dev,virtio_pci,virtio_balloon} \
    drivers/block/virtio_blk net/core/failover drivers/net/{net_failover,virtio_net} drivers/char/virtio_console \
    drivers/char/hw_random/{rng-core,virtio-rng} drivers/acpi/button drivers/input/evdev; do
    file=kernel/lib/modules/$version/kernel/$module.ko
    if [ -f "$file" ]; then  # what is no module is built in
        mkdir -p "$modules/kernel/$(dirname $module)"
        cp "$file" "$modules/kernel/$module.ko"
    fi
done
cp kernel/lib/modules/"$version"/modules.{builtin,order,builtin.modinfo} "$modules/"
"$root/bin/busybox" depmod -b "$root" "$version"

if [ -x agent/usr/sbin/qemu-ga ]; then  # its libraries come with qemu-system-x86
    cp agent/usr/sbin/qemu-ga "$root/usr/sbin/"
    ldd agent/usr/sbin/qemu-ga | awk '/=> \// { print $3 } /ld-linux/ { print $1 }' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
fi
printf 'root:x:0:0:root:/root:/bin/sh\n' > "$root/etc/passwd"
printf 'root:!:19000:0:99999:7:::\n' > "$root/etc/shadow"
chmod 600 "$root/etc/shadow"
printf 'root:x:0:\nshadow:x:42:\n' > "$root/etc/group"
printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files\n' > "$root/etc/nsswitch.conf"
printf 'NAME="Lab Linux"\nID=lablinux\nVERSION_ID="1"\nPRETTY_NAME="Lab Linux 1"\n' > "$root/etc/os-release"
mkdir -p "$root"/etc/network/if-{pre-up,up,down,post-down}.d  # busybox' ifup: its network is kept as on Debian
printf 'auto lo\niface lo inet loopback\n' > "$root/etc/network/interfaces"
: > "$root/etc/resolv.conf"
install -m 755 "$here/init" "$root/init"
install -m 755 "$here"/{heartbeat,busy,carrier} "$root/usr/bin/"
install -m 755 "$here/chpasswd" "$root/usr/sbin/"
install -m 755 "$here/shutdown" "$root/sbin/"
install -m 755 "$here/power-button" "$root/etc/acpi/PWRF/00000080"

cp "kernel/boot/vmlinuz-$version" "$out/vmlinuz"
(cd "$root" && find . | ./bin/busybox cpio -o -H newc 2>/dev/null) | gzip -1 > "$out/initrd.gz.new"
mv "$out/initrd.gz.new" "$out/initrd.gz"
