#!/bin/sh
# Boots systemd over this machine's own root, and throws all changes away. Started by machine.py in
# namespaces of its own, as:  boot.sh FOLDER PYTHON LIBRARIES SHARE
# FOLDER is a tmpfs that outlives one boot. PYTHON is where our Python lies: inside, other users may
# enter it. LIBRARIES and SHARE are shown inside as /opt/libraries and /opt/share.
set -e
folder=$1
root=$folder/root
first=no
units=$root/etc/systemd/system
[ -d "$folder/upper" ] || first=yes
mkdir -p "$folder/upper" "$folder/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$root"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
if [ $first = yes ]; then # a new machine: nothing of a Nightferry that this one has, or had
    for of_it in etc/nightferry var/lib/nightferry opt/nightferry usr/local/bin/nf data disks; do
        rm -rf "${root:?}/$of_it"
    done
    rm -rf "$units"/nightferry* "$units"/*/nightferry*
fi
at=$2
while [ "$at" != / ]; do
    chmod o+x "$root$at"
    at=$(dirname "$at")
done
mkdir -p "$root/opt/libraries" "$root/opt/share"
mount --bind "$3" "$root/opt/libraries"
mount --bind "$4" "$root/opt/share"

# What would reach the kernel that we share, and what this machine itself starts.
for unit in systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service \
    systemd-remount-fs.service systemd-udevd.service systemd-udev-trigger.service \
    systemd-random-seed.service systemd-timesyncd.service sys-kernel-debug.mount \
    sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount \
    proc-sys-fs-binfmt_misc.automount; do
    ln -sf /dev/null "$units/$unit"
done
for link in "$units"/multi-user.target.wants/* "$units"/timers.target.wants/*; do
    case $link in */nightferry*) ;; *) rm -f "$link" ;; esac
done

echo dome >"$root/etc/hostname"
hostname dome
mkdir -p "$root/old"
cd "$root"
pivot_root . old
umount -l /old
# Credentials and mounts reach the services by propagation, as on a real machine.
mount --make-rshared /
export container=nightferry-test
exec /lib/systemd/systemd --system --unit=multi-user.target >/dev/null 2>&1
