# SPDX-License-Identifier: MIT
"""Two GPUs: what a host program with both does between them, what one with one sees, and what tools are told of each."""

import json
import sys

import system

S = system.System("--gpu", "soft,vram=512M", "--gpu", "soft:gfx90a,vram=256M", "--gpu-threads", "1", "--default-quota", "128M")


def run(*program, gpus="0,1", name="pair"):
    return S.job("run", "--name", name, "--gpus", gpus, "--vram", "128M", "--stats", "--debian13", "--", *program)


def test_the_daemon_has_two():
    gpus = S.status()["gpus"]
    assert [(g["id"], g["vram_bytes"] >> 20) for g in gpus] == [(0, 512), (1, 256)], gpus


def test_rocminfo_shows_two_agents():
    out = run("rocminfo").succeeds("*** Done ***")
    stats = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert [(s["name"], s["gpu"]) for s in stats] == [("pair", 0), ("pair", 1)], stats
    assert out.count("Name:                    gfx90a") == 2, out
    assert "GPU-6873760000006873" in out and "GPU-6873760000006874" in out, out


def test_one_gpu_is_what_a_program_gets():
    for gpus, uuid in (("0", "GPU-6873760000006873"), ("1", "GPU-6873760000006874")):
        out = run("rocminfo", gpus=gpus).succeeds("*** Done ***")
        assert out.count("Name:                    gfx90a") == 1 and uuid in out, out
    assert S.host_job("rocminfo").succeeds("*** Done ***").count("Name:                    gfx90a") == 1


def test_peers():
    """Each GPU's kernels, copies and atomics in memory of the other one, and both at work at once; alone, and beside another tenant of the second one."""
    run(f"{system.PROGRAMS}/e2e-peers").succeeds()
    jobs = [run(f"{system.PROGRAMS}/e2e-peers"), run(f"{system.PROGRAMS}/e2e-gpu", "work", "2", gpus="1", name="single")]
    S.wait_dispatches("single")
    on = {(t["name"], t["gpu"]) for t in S.rows()}
    assert ("single", 1) in on and ("single", 0) not in on, on
    for job in jobs:
        job.succeeds()


def test_a_fault_is_the_gpus_that_made_it():
    job = run(f"{system.PROGRAMS}/e2e-peers", "fault")
    assert job.fails("GPU node-2.*0x123456789000")


def test_a_quota_is_of_each_gpu():
    S.call("run", "--gpus", "0,1", "--vram", "300M", "--", "/bin/true", code=1, says="256 MiB are free")


def test_a_vm_has_the_gpu_it_is_given():
    S.call("attach", "vm", "--gpu", "1", "--vram", "64M")
    assert [(t["name"], t["gpu"], t["vram_quota_bytes"] >> 20) for t in S.rows()] == [("vm", 1, 64)]
    assert 'hsavisor_tenant_vram_quota_bytes{tenant="vm",kind="vm",gpu="1"}' in S.call("metrics")
    S.call("attach", "vm2", "--gpu", "2", code=1, says="no GPU 2")
    S.call("attach", "vm2", "--gpu", "x", code=2)
    S.call("vm", "stop", "vm")


def test_nothing_is_left():
    assert not S.rows()
    for g in S.status()["gpus"]:
        assert g["vram_reserved_bytes"] == 0, g


if __name__ == "__main__":
    system.run(sys.modules[__name__], S)
