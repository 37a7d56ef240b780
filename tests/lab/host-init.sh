#!/usr/bin/env bash
# The first process of a lab host, in namespaces of its own: host-init.sh FOLDER NAME
folder=$1
exec >> "$folder/init.log" 2>&1
mount -t proc proc /proc
mount -t sysfs sys /sys
hostname "$2"
mount --bind "$folder/../hosts" /etc/hosts
ip link set lo up
for place in run:/run/libvirt lib:/var/lib/libvirt etc:/etc/libvirt cache:/var/cache/libvirt log:/var/log/libvirt; do
    mkdir -p "${place#*:}"
    mount --bind "$folder/${place%%:*}" "${place#*:}"
done
until ip -4 addr show br0 2> /dev/null | grep -q inet; do sleep 0.05; done
trap 'exit 0' TERM
libvirtd --listen --pid-file "$folder/libvirtd.pid" &
while :; do  # reap whoever is left to the first process
    wait -n || true
    sleep 0.2
done
