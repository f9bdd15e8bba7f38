# SPDX-License-Identifier: MIT
"""
HSA and OpenCL programs with the userland of Debian testing in a guest: its tree (image/tree-testing) is a second disk of a guest with the ordinary kernel and driver,
and the programs, which are the guest's own, run in it by chroot.

    test_guest.py BUILD SRC
"""

import os
import re
import subprocess
import sys

sys.path.insert(0, f"{os.path.abspath(sys.argv[2])}/tests/e2e")
import attached  # pylint: disable=wrong-import-position
import system  # pylint: disable=wrong-import-position

S = system.System()
CACHE = os.environ.get("HSAVISOR_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "hsavisor")
ENTER = "mount /dev/vdb /mnt && for d in dev proc sys usr/local/bin; do mount --rbind /$d /mnt/$d || exit 1; done && mount -t tmpfs tmp /mnt/tmp"
# What says that they are right, and the command.
PROGRAMS = {
    "rocminfo": ("Name: +gfx90a", "rocminfo"),
    "clinfo": ("Device Name +gfx90a", "clinfo"),
    "hsa work": ("^verified$", "e2e-gpu work 4"),
    "hsa queues": (": verified$", "soak-queues"),
    "hsa many queues": ("^verified", "e2e-tiny queues 50"),
    "pageable memory": ("^verified$", "env HSA_XNACK=1 e2e-svm only heap stack statics file_private memfd forks remapped protected attributes"),
    "opencl nbody": (": verified$", "opencl-nbody"),
    "opencl life": (": verified$", "soak-life"),
    "opencl image": (": verified$", "soak-image"),
    "opencl integers": ("^1\\.\\.[0-9]+$", "opencl-integers"),
}


def make_disk():
    """Of the tree, which is made if need be."""
    subprocess.run([f"{system.SRC}/image/tree-testing"], stdout=sys.stderr, check=True, timeout=1800)
    disk = f"{S.dir}/testing.ext4"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-d", f"{CACHE}/testing", disk, "3G"], stdout=sys.stderr, check=True, timeout=600)
    return disk


def test_programs():
    wrong = []
    with attached.guest(S, "testing", "2G", "512M", "-drive", f"file={make_disk()},if=virtio,format=raw,snapshot=on") as guest:
        code, out = guest.run("/bin/sh", "-c", ENTER)
        assert code == 0, out
        for name, (says, command) in PROGRAMS.items():
            code, out = guest.run("/bin/sh", "-c", f"PATH=/usr/local/bin:/usr/bin:/bin exec /usr/sbin/chroot /mnt /bin/sh -c 'cd /usr/local/bin && {command}'", limit=600)
            good = code == 0 and any(re.search(says, line) for line in out.splitlines())
            print(f"# {name}: {'right' if good else f'exit code {code}: {out[-1500:]}'}", flush=True)
            wrong += [] if good else [name]
        code, out = guest.run("/bin/sh", "-c", f"dmesg | grep -E '{system.COMPLAINTS}'")
        assert code == 1, out
    assert not wrong, wrong


if __name__ == "__main__":
    system.run(sys.modules[__name__], S)
