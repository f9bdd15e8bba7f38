# SPDX-License-Identifier: MIT
"""
Faults from outside: no memory, no descriptors, no space, peers that are killed at any moment or stand still, and great numbers of small things. Afterwards
everything works, and memory, descriptors and threads of brokers and daemon are back where they were.

tests/faults does the same to a broker's parts, allocation by allocation, where descriptors run out, too; a guest that breaks the rules is test_hostile_guest.py's.
"""

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time

import system
from system import wait_until

S = system.System()
A, B = "faulty", "steady"
# What allocators keep, and what ends late.
SLACK = {"rss": 24 << 20, "fds": 2, "threads": 1}
START = {}


def all_work():
    jobs = [S.guest_job(vm, "e2e-gpu", "work", "1") for vm in (A, B)] + [S.host_job("e2e-gpu", "work", "1")]
    for job in jobs:
        job.succeeds()


def remember():
    START.clear()
    pids = {vm: v["broker_pid"] for vm, v in S.vms().items()}
    pids["daemon"] = S.status()["pid"]
    START.update({name: (pid, system.usage(pid)) for name, pid in pids.items()})


def nobody_grew():
    wait_until(lambda: set(S.tenants()) == {A, B}, 60, "host programs that ended are still tenants")
    for name, (pid, start) in START.items():
        system.shrinks_back(pid, start, who=name, **SLACK)


@contextlib.contextmanager
def stopped(*pids):
    """The processes stand still while the body runs."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_two_vms_boot():
    S.boot(A, B)
    all_work()
    all_work()
    wait_until(lambda: set(S.tenants()) == {A, B})
    remember()


def test_a_thousand_starts_each():
    """Processes in a guest and on the host, at the same time."""
    jobs = [S.guest_job(A, "e2e-tiny", "starts", "1000"), S.host_job("e2e-tiny", "starts", "1000")]
    for job in jobs:
        job.succeeds("verified 1000")
    nobody_grew()


def test_ten_thousand_queues_each():
    jobs = [S.guest_job(A, "e2e-tiny", "queues", "10000"), S.host_job("e2e-tiny", "queues", "10000")]
    for job in jobs:
        job.succeeds("verified 10000")
    nobody_grew()


def test_full_memory():
    """The end of VRAM, and of what guests and programs may have of the system's, is ENOMEM; who has memory goes on."""
    with S.witnesses(B):
        for what in ("vram", "gtt"):
            jobs = [S.guest_job(A, "e2e-tiny", "fill", what)]
            if what == "vram":
                jobs.append(S.host_job("e2e-tiny", "fill", what))
            for job in jobs:
                job.succeeds()
    S.vram_is_free(A)
    all_work()
    S.kernel_is_quiet(A)
    nobody_grew()


@contextlib.contextmanager
def no_descriptors(pid):
    """The process can open nothing more."""
    most = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 1
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_daemon_without_descriptors():
    """New tenants are refused, or wait; who is there goes on; it ends with the lack."""
    with S.witnesses(B):
        with no_descriptors(S.status()["pid"]):
            job = S.host_job("e2e-tiny", "starts", "1", name="refused")
            with contextlib.suppress(subprocess.TimeoutExpired):
                job.process.wait(3)
            refused = job.process.poll()
            assert refused != 0, f"served without descriptors: {job.output}"
            if refused is None:
                job.kill()
    all_work()
    nobody_grew()


def test_no_space():
    """A VM doesn't start where its files have no room, and says so; nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="hsavisor-full-") as full:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", full], check=False, capture_output=True).returncode:
            raise system.Skip("mounting a small file system is not allowed here")
        try:
            env = dict(S.env, HSAVISOR_SOCKET=f"{full}/s.sock")
            with contextlib.suppress(OSError), open(f"{full}/fill", "wb") as f:
                while True:
                    f.write(b"x" * 4096)
                    f.flush()
            r = subprocess.run([S.command, "vm", "start", "nospace", "--memory", "256M", "--vram", "64M", "--timeout", "20"], env=env, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
            assert r.returncode != 0 and "hsavisor:" in r.stderr, (r.returncode, r.stderr)
            wait_until(lambda: not [line for line in S.processes().values() if full in line or "nospace" in line], 60, "processes of the VM are left")
            subprocess.run([S.command, "stop"], env=env, capture_output=True, timeout=30, check=False)
        finally:
            subprocess.run(["umount", "-l", full], check=False)
    nobody_grew()


def test_programs_killed_at_random():
    rng = random.Random(3)
    with S.witnesses(B):
        for i in range(6):
            guest = S.guest_job(A, "sh", "-c", f"e2e-gpu work 60 & p=$!; sleep {rng.random() * 1.5:.2f}; kill -9 $p; wait $p; echo $?")
            host = S.host_job("e2e-gpu", "work", "60", name=f"killed-{i}")
            pid = S.program_pid_of(f"killed-{i}", "e2e-gpu")
            time.sleep(rng.random())
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            host.fails()
            assert guest.wait() == 0 and "137" in guest.output, guest.output
    S.vram_is_free(A)
    all_work()
    S.kernel_is_quiet(A)
    nobody_grew()


def test_standing_still():
    """QEMU, broker and daemon of a VM that works, one by one and together; the other VM goes on but where the daemon itself stands still. (A broker for longer than
    the driver's patience: test_death.py.)"""
    vm = S.vms()[A]
    qemu, broker, daemon = vm["qemu_pid"], vm["broker_pid"], S.status()["pid"]
    for who, seconds in ((("qemu",), 10), (("broker",), 7), (("daemon",), 3), (("qemu", "broker", "daemon"), 2)):
        pids = [{"qemu": qemu, "broker": broker, "daemon": daemon}[w] for w in who]
        with S.witnesses(A, B):
            with stopped(*pids):
                if "daemon" not in who:
                    before = S.tenants()[B]["dispatches"]
                time.sleep(seconds)
                if "daemon" not in who:
                    assert S.tenants()[B]["dispatches"] > before, f"{who} stood still, and so did {B}"
    S.works(A)
    for name in (A, B):
        S.kernel_is_quiet(name)
    nobody_grew()


def test_peers_killed_while_a_vm_starts():
    """At any moment of it. test_death.py kills those of a VM that works."""
    rng = random.Random(5)
    S.call("vm", "stop", A)
    for what in ("broker_pid", "qemu_pid"):
        with S.witnesses(B):
            job = S.job("vm", "start", A, "--memory", "1280M", "--vram", "256M", "--timeout", "60")
            wait_until(lambda what=what: S.vms().get(A, {}).get(what), 60)
            time.sleep(rng.random() * 3)
            os.kill(S.vms()[A][what], signal.SIGKILL)
            job.wait(100)
        S.job("vm", "stop", "--force", A).wait(60)
        wait_until(lambda: A not in S.tenants(), 60)
    S.boot(A)
    S.works(A)
    START.pop(A)
    nobody_grew()


def test_nothing_is_left():
    all_work()
    for vm in (A, B):
        S.vram_is_free(vm)
        S.kernel_is_quiet(vm)
    pid, start = START["daemon"]
    for vm in (A, B):
        S.call("vm", "stop", vm)
    wait_until(lambda: S.tenants() == {})
    system.shrinks_back(pid, start, who="daemon", **SLACK)
    assert S.status()["gpus"][0]["vram_reserved_bytes"] == 0
    S.call("stop")
    wait_until(lambda: not S.processes(), 60, f"left: {S.processes()}")


if __name__ == "__main__":
    system.run(sys.modules[__name__], S)
