# SPDX-License-Identifier: MIT
"""
The other GPU, gfx900: the same programs, in a VM and on the host at the same time. The VM has a gfx90a besides: what it does between the two, and what is
each one's own.
"""

import sys

import system
from system import wait_until

S = system.System("--gpu", "gfx900", "--gpu", "gfx90a")
VM = "vega"
QUOTA = 128 << 20


def test_a_vm_boots():
    assert [g["target"] for g in S.status()["gpus"]] == ["gfx900", "gfx90a"]
    S.boot(VM, vram="128M", gpus="0,1")
    assert [(t["name"], t["gpu"], t["vram_quota_bytes"]) for t in S.rows()] == [(VM, 0, QUOTA), (VM, 1, QUOTA)], S.rows()


def test_programs_at_the_same_time():
    jobs = []
    for says, *program in (("gfx900", "rocminfo"), ("gfx900", "clinfo"), ("verified", "opencl-nbody"), ("verified", "hip-matmul"), ("verified", "e2e-gpu", "work", "3")):
        jobs += [(S.guest_job(VM, *program), says), (S.host_job(*program), says)]
    out = [job.succeeds(says) for job, says in jobs]
    assert not any("gfx90a" in host for host in out[1::2]), out
    assert all("gfx90a" in guest for guest in out[:4:2]), out
    assert out[0].count("Name:                    gfx9") == 2 and "GPU-687376000000a0e5" in out[0] and "GPU-687376000000a0e6" in out[0], out[0]


def test_peers():
    """Each GPU's kernels, copies and atomics in memory of the other one, and both at work at once; quotas of each; whose fault it was."""
    out = S.guest_job(VM, "e2e-peers").succeeds()
    assert "GPU 0: gfx900:xnack-, 128 MiB" in out and "GPU 1: gfx90a:sramecc+:xnack-, 128 MiB" in out, out
    assert all(t["dispatches"] and t["vram_peak_bytes"] >= 4 << 20 for t in S.rows()), S.rows()
    assert S.guest_job(VM, "sh", "-c", "ulimit -c 0; exec e2e-peers fault").fails("GPU node-2.*0x123456789000") == 128 + 6
    code, out = S.guest(VM, "sh", "-c", "ulimit -c 0; e2e-gpu vram 140")
    assert code not in (0, 124) and "HSA_STATUS_ERROR" in out, out


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
