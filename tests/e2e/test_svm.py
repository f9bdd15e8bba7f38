# SPDX-License-Identifier: MIT
"""
Pageable memory (XNACK): programs of two VMs whose kernels use malloc, stack, files and what else their programs have, while the guests' kernels swap, split,
merge, protect and fork it. Each result is compared; a fault has the right address; afterwards nothing is left. The second VM has two GPUs.
"""

import sys

import system
from system import together, wait_until

S = system.System("--gpu", "soft", "--gpu", "soft")
A, B = "pager", "other"
VMS = (A, B)
XNACK = ("env", "HSA_XNACK=1")
SWAP = "dd if=/dev/zero of=/swap bs=1M count=96 2>/dev/null && chmod 600 /swap && (mkswap /swap || busybox mkswap /swap) >/dev/null && (swapon /swap || busybox swapon /swap)"


def both(*program):
    """The program in both VMs at the same time."""
    for job in [S.guest_job(vm, *XNACK, *program) for vm in VMS]:
        job.succeeds()


def test_two_vms_boot():
    together(lambda: S.boot(A), lambda: S.boot(B, gpus="0,1"))
    for vm in VMS:
        code, out = S.guest(vm, "sh", "-c", SWAP)
        assert code == 0, out


def test_xnack_is_the_programs_choice():
    """It is off unless asked for; a program without it gets a fault for what it didn't register."""
    job = S.guest_job(A, "e2e-svm", "only", "heap")
    assert job.wait() == 1 and "XNACK is not on" in job.output, job.output
    S.works(A)


def test_every_kind_of_memory():
    both("e2e-svm", "all")


def test_hip():
    both("e2e-svm-hip")


def test_atomics_under_contention():
    both("e2e-svm", "atomics")


def test_memory_moves_to_vram():
    """What is prefetched to the GPU takes VRAM, as the program sees it and the host; other programs' turn, and VRAM that is full, change no result."""
    both("e2e-svm", "vram")
    job = S.guest_job(A, *XNACK, "e2e-svm", "hold", "5")
    wait_until(lambda: S.tenants()[A]["vram_used_bytes"] >= 32 << 20, 60, "the VRAM that a program's memory is in isn't counted")
    assert S.tenants()[A]["vram_used_bytes"] < 40 << 20, S.tenants()[A]
    assert S.vram_used(B) == [0, 0]
    job.succeeds()
    S.vram_is_free(A)


def test_memory_moves_between_two_gpus():
    """From one's VRAM to the other's and to the system's memory, and back; both use it wherever it is."""
    job = S.guest_job(B, *XNACK, "e2e-svm", "peers")
    S.guest_job(A, *XNACK, "e2e-svm", "merge").succeeds()
    job.succeeds()
    S.vram_is_free(B)


def killed(vm, how, delays):
    """The program is killed after so many seconds."""
    for delay in delays:
        code, out = S.guest(vm, "sh", "-c", f"HSA_XNACK=1 e2e-svm {how} 60 & p=$!; sleep {delay}; kill -9 $p; wait $p; echo $?")
        assert code == 0 and "137" in out, out


def test_killed_with_memory_in_vram():
    together(lambda: killed(A, "move", ("0.5", "1", "1.5")), lambda: killed(B, "send", ("0.7", "1.4")))
    S.vram_is_free(A)
    S.vram_is_free(B)


def orphan(between):
    """A child of a program has memory in VRAM when its parent has ended, and while @between runs."""
    code, out = S.guest(A, "sh", "-c", "rm -f /tmp/o /tmp/o.go; HSA_XNACK=1 e2e-svm orphan /tmp/o >/tmp/o.log 2>&1")
    assert code == 0, out
    wait_until(lambda: S.tenants()[A]["processes"] == 0, 60, "the GPU process stays")
    assert S.tenants()[A]["vram_used_bytes"] >= 3 << 20
    code, out = S.guest(A, "sh", "-c", f"{between}; touch /tmp/o.go; for i in $(seq 100); do sleep 0.1; [ -e /tmp/o ] && exec cat /tmp/o; done; cat /tmp/o.log; exit 1")
    assert code == 0 and "verified" in out, out
    S.vram_is_free(A)


def test_memory_in_vram_outlives_its_gpu_process():
    orphan("true")


def test_memory_in_vram_outlives_the_device():
    orphan("cd /sys/bus/virtio/drivers/hsavisor && d=$(ls -d virtio*) && echo $d >unbind && echo $d >bind || exit 2")
    S.works(A)


def test_faults():
    """What the program may not do, its kernels may not; the event has the address, and the next program works."""
    jobs = [S.guest_job(vm, *XNACK, "e2e-svm", "fault", how) for vm in VMS for how in ("wild", "unmapped", "none", "read-only", "running")]
    for job in jobs:
        job.succeeds()
    both("e2e-svm", "only", "heap")


def test_storm():
    """Two programs in one VM and one in the other, while pages come and go."""
    jobs = [S.guest_job(vm, *XNACK, "e2e-svm", "storm", "6") for vm in (A, A, B)]
    for job in jobs:
        job.succeeds()


def test_killed_while_it_waits_for_pages():
    killed(A, "storm", ("0.3", "0.6", "0.9", "1.2"))
    both("e2e-svm", "only", "heap", "forks")


def test_nothing_is_left():
    for vm in VMS:
        S.vram_is_free(vm)
        wait_until(lambda vm=vm: S.tenants()[vm]["processes"] == 0, 60, f"{vm} still has GPU processes")
        S.kernel_is_quiet(vm)
        code, out = S.guest(vm, "sh", "-c", "(swapoff /swap || busybox swapoff /swap) && timeout 60 rmmod hsavisor")
        assert code == 0, out
    for vm in VMS:
        S.call("vm", "stop", vm)
    wait_until(lambda: S.tenants() == {})


if __name__ == "__main__":
    system.run(sys.modules[__name__], S)
