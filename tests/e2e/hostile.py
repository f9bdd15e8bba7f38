# SPDX-License-Identifier: MIT
"""Scripts for a guest: the driver that attacks (tests/guest/hostile) takes the device from the real one, and gives it back."""

MODULE = "/usr/lib/hsavisor/tests/hostile.ko"
DEBUG = "/sys/kernel/debug/hostile"
TAKE = f"""
set -e
d=$(basename $(dirname $(grep -lx 0x107e /sys/bus/pci/devices/*/device)))
modprobe -r hsavisor
insmod {MODULE}
echo $d >/sys/bus/pci/devices/$d/driver/unbind
echo hostile >/sys/bus/pci/devices/$d/driver_override
echo $d >/sys/bus/pci/drivers_probe
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null || true
test -e {DEBUG}/run
"""
GIVE = """
set -e
d=$(basename $(dirname $(grep -lx 0x107e /sys/bus/pci/devices/*/device)))
rmmod hostile
echo >/sys/bus/pci/devices/$d/driver_override
echo $d >/sys/bus/pci/drivers_probe
modprobe hsavisor
for i in 1 2 3 4 5 6 7 8 9 10; do test -e /dev/kfd && exit 0; sleep 0.5; done
exit 1
"""
