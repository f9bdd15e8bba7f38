# SPDX-License-Identifier: MIT
"""The other GPU, gfx900: the same programs, in a VM and on the host at the same time."""

import sys

import system
from system import wait_until

S = system.System("--gpu", "gfx900")
VM = "vega"


def test_a_vm_boots():
    assert S.status()["gpus"][0]["target"] == "gfx900"
    S.boot(VM)


def test_programs_at_the_same_time():
    jobs = []
    for says, *program in (("gfx900", "rocminfo"), ("gfx900", "clinfo"), ("verified", "opencl-nbody"), ("verified", "hip-matmul"), ("verified", "e2e-gpu", "work", "3")):
        jobs += [(S.guest_job(VM, *program), says), (S.host_job(*program), says)]
    for job, says in jobs:
        assert "gfx90a" not in job.succeeds(says)


def test_a_memory_fault():
    for job in (S.guest_job(VM, "e2e-gpu", "store", "0"), S.host_job("e2e-gpu", "store", "0")):
        assert job.fails("(?i)memory access fault") == 128 + 6
    S.guest_job(VM, "e2e-gpu", "work", "1").succeeds()


def test_nothing_is_left():
    S.vram_is_free(VM)
    S.kernel_is_quiet(VM)
    S.call("vm", "stop", VM)
    wait_until(lambda: S.tenants() == {})


if __name__ == "__main__":
    system.run(sys.modules[__name__], S)
