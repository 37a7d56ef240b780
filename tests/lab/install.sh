#!/usr/bin/env bash
# Install what the lab's hosts need, as root on Debian or Ubuntu.
set -euo pipefail
packages="qemu-system-x86 qemu-utils libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients
    libvirt-dev pkg-config gcc iproute2 e2fsprogs openssl"
# shellcheck disable=SC2086
dpkg -s $packages > /dev/null 2>&1 || apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $packages
# libvirt's QEMU driver does not start without its account, whatever qemu.conf says
getent group libvirt-qemu > /dev/null || groupadd --system libvirt-qemu
getent passwd libvirt-qemu > /dev/null ||
    useradd --system --no-create-home --home-dir /var/lib/libvirt --shell /usr/sbin/nologin -g libvirt-qemu libvirt-qemu
