# SPDX-License-Identifier: MIT
"""The guest driver in a VM of its own: runs the programs of tests/guest/programs there, which write TAP, and passes it on as one. Then
looks at what the kernel says, and ends with the hard way: the broker is killed while a program waits. CPU emulation, to say the same everywhere.

    test_guest.py BUILD SRC [PROGRAM...]"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD, SRC = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
DIR = tempfile.mkdtemp(prefix="hsavisor-guest-")
ENV = dict(os.environ, HSAVISOR_SOCKET=f"{DIR}/s.sock")
HSAVISOR = f"{BUILD}/hsavisor"
VM = "driver-tests"
# In this order: the last one takes the device away.
PROGRAMS = sys.argv[3:] or ["guest-ioctls", "guest-events", "guest-abuse", "guest-gpu", "guest-share", "guest-many", "guest-storm", "guest-unbind"]
COMPLAINTS = "BUG|WARNING|Oops|Call Trace|general protection|hung task|blocked for more than|use-after-free|refcount_t|can.t be"


class Tap:
    """Results of all, numbered through."""

    count = failed = 0

    @classmethod
    def result(cls, good, name, why=""):
        cls.count += 1
        cls.failed += not good
        for line in why.splitlines():
            print(f"# {line}")
        print(f"{'ok' if good else 'not ok'} {cls.count} - {name}", flush=True)


def guest(*command, seconds=120):
    """Runs a command in the guest; (exit code, output of both kinds)."""
    r = subprocess.run([HSAVISOR, "vm", "exec", VM, "--timeout", str(seconds), "--", *command], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, errors="replace", timeout=seconds + 60, check=False, stdin=subprocess.DEVNULL)
    return r.returncode, r.stdout


def run_program(name):
    """Passes on the tests of a program; what it doesn't get to is a failure."""
    try:
        code, out = guest(name, seconds=300)
    except subprocess.TimeoutExpired:
        Tap.result(False, f"{name} ends", "no answer from the guest")
        return
    planned, seen = None, 0
    why = []
    for line in out.splitlines():
        plan = re.match(r"1\.\.(\d+)$", line)
        test = re.match(r"(not )?ok \d+ - (.*)", line)
        if plan:
            planned = int(plan.group(1))
        elif test:
            seen += 1
            Tap.result(not test.group(1), f"{name}: {test.group(2)}", "\n".join(why))
            why = []
        else:
            why.append(line.removeprefix("# "))
    if planned is None or seen != planned:
        Tap.result(False, f"{name} runs to its end", f"exit code {code}, {seen} tests of {planned}\n" + "\n".join(why[-20:]))


def kernel_is_quiet(when):
    code, out = guest("sh", "-c", f"dmesg | grep -E '{COMPLAINTS}'")
    Tap.result(code == 1, f"the kernel complains about nothing {when}", out)


def rocminfo_runs():
    code, out = guest("rocminfo")
    Tap.result(code == 0 and "gfx90a" in out, "rocminfo lists the GPU", out[-2000:])


def gpu_processes():
    """How many processes of the guest have the GPU open."""
    r = subprocess.run([HSAVISOR, "list", "--json"], env=ENV, capture_output=True, text=True, check=True)
    return sum(t["processes"] for t in json.loads(r.stdout) if t["name"] == VM)


def last_words(code):
    """The ends of QEMU's log and of the console, for a command that failed: a guest that is gone crashed, or its QEMU did."""
    if not code:
        return ""
    said = ""
    for name in ("qemu.log", "console.log"):
        with open(f"{DIR}/vms/{VM}/{name}", encoding="utf-8", errors="replace") as f:
            said += f"\n{name}: {f.read()[-4000:]}"
    return said


def broker_killed():
    """A program that waits for the GPU, and one that comes later, end with an error; the guest lives on."""
    with open(f"{DIR}/vms/{VM}/broker.pid", encoding="ascii") as f:
        broker = int(f.read())
    waiter = subprocess.Popen([HSAVISOR, "vm", "exec", VM, "--timeout", "100", "--", "guest-events", "wait-for-loss"], env=ENV, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
    # It waits when the GPU knows it, and a little later.
    until = time.monotonic() + 90
    while time.monotonic() < until and not gpu_processes():
        time.sleep(0.2)
    time.sleep(2)
    # It dies with a request unread, which QEMU 11.1 alone does not survive: the driver asks every 5 s whether the device is there.
    os.kill(broker, signal.SIGSTOP)
    time.sleep(7)
    os.kill(broker, signal.SIGKILL)
    out, _ = waiter.communicate(timeout=150)
    Tap.result(waiter.returncode == 0, "a program that waits when the broker is killed gets an error", out + last_words(waiter.returncode))
    code, out = guest("timeout", "150", "rocminfo", seconds=200)
    Tap.result(code not in (0, 124, 137), "a later one gets an error", out[-500:])
    code, out = guest("sh", "-c", "ps -eo stat,comm | grep '^D'")
    Tap.result(code == 1, "no process is stuck", out)
    kernel_is_quiet("after the broker was killed")
    # Virtio's core warns once of a status that isn't 0, whoever drives the device: reads of a dead one are all ones.
    code, out = guest("sh", "-c", f"timeout 60 rmmod hsavisor && ! dmesg | grep -E '{COMPLAINTS}' | grep -v -E 'drivers/virtio/virtio.c|Call Trace'", seconds=90)
    Tap.result(code == 0, "the driver can be unloaded then", out)


def main():
    if not os.path.exists(os.path.join(os.environ.get("HSAVISOR_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "hsavisor"), "image.conf")):
        print("1..0 # SKIP no guest image; make one with: make image")
        return 0
    with open(f"{DIR}/daemon.log", "w", encoding="utf-8") as log:
        daemon = subprocess.Popen([f"{BUILD}/arbiter/hsavisord", "--threads", "2"], env=ENV, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while subprocess.run([HSAVISOR, "status"], env=ENV, capture_output=True, check=False).returncode and time.monotonic() < until:
            time.sleep(0.1)
        started = time.monotonic()
        r = subprocess.run([HSAVISOR, "vm", "start", VM, "--accel", "tcg", "--memory", "2G", "--vram", "512M", "--timeout", "300"], env=ENV, capture_output=True,
                           text=True, timeout=400, check=False, stdin=subprocess.DEVNULL)
        Tap.result(r.returncode == 0, "a VM starts", r.stdout + r.stderr)
        if r.returncode == 0:
            print(f"# ready after {time.monotonic() - started:.0f} s")
            rocminfo_runs()
            for name in PROGRAMS:
                run_program(name)
            kernel_is_quiet("after all that")
            broker_killed()
    finally:
        subprocess.run([HSAVISOR, "vm", "stop", "--force", VM], env=ENV, capture_output=True, timeout=60, check=False)
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
        shutil.rmtree(DIR, ignore_errors=True)
    print(f"1..{Tap.count}")
    return 1 if Tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
