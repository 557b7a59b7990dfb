#!/bin/busybox sh
# First process of the guest: loads what mounting the host's root needs, puts a tmpfs overlay on
# it, and hands over to /run/vm/boot.sh, which the host wrote for this run.
# Kernel arguments: vm.modules=DIR, the stripped modules' tree as the host sees it.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev

fatal() {
  echo "vm: $1"
  $b reboot -f
}

modules=
for argument in $($b cat /proc/cmdline); do
  case $argument in vm.modules=*) modules=${argument#*=} ;; esac
done

while read -r file; do $b insmod "/lib/$file" || fatal "insmod $file"; done < /lib/order

p9=trans=virtio,version=9p2000.L,msize=512000
$b mount -t 9p -o "ro,$p9,cache=loose" host-root /ro || fatal "the host's root cannot be mounted"
$b mount -t tmpfs -o size=75% tmpfs /rw
$b mkdir /rw/upper /rw/work
$b mount -t overlay -o lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work,xino=off,index=off \
  overlay /new || fatal "no overlay over the host's root"

for folder in proc sys dev; do $b mount --move "/$folder" "/new/$folder"; done
cd /new || fatal "no new root"
$b mkdir -p dev/pts dev/shm
$b mount -t devpts devpts dev/pts
$b mount -t tmpfs tmpfs dev/shm
$b mount -t tmpfs tmpfs run
$b ln -s /proc/self/fd dev/fd
$b ln -s /proc/self/fd/0 dev/stdin
$b ln -s /proc/self/fd/1 dev/stdout
$b ln -s /proc/self/fd/2 dev/stderr
$b mkdir -p run/vm usr/lib/modules
$b mount -t 9p -o "rw,$p9,cache=none" run run/vm || fatal "the run's folder cannot be mounted"
$b mkdir -p run/vm/out
$b mount -t 9p -o "rw,$p9,cache=none" out run/vm/out || fatal "the output cannot be mounted"
$b mount -o bind "/new$modules" usr/lib/modules || fatal "no modules at $modules"
$b mount -t cgroup2 cgroup2 sys/fs/cgroup
$b mount -t bpf bpf sys/fs/bpf
$b ip link set lo up
$b hostname vm
exec $b switch_root -c /dev/console /new /bin/sh /run/vm/boot.sh
