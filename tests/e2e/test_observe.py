# SPDX-License-Identifier: MIT
"""A VM and a host program at work, looked at: what the sealed broker has left, and what top, metrics, faults and trace tell of both."""

import json
import os
import re
import sys

import system
from system import Skip, wait_until

S = system.System()
VM, HOST = "watched", "beside"
STOP = f"{S.dir}/enough"
STATE = {}
NOWHERE = 0x123456789000


def status_of(path):
    with open(f"{path}/status", encoding="ascii", errors="replace") as f:
        return {key: value.split() for key, value in (line.rstrip("\n").split(":", 1) for line in f)}


def broker():
    return S.vms()[VM]["broker_pid"]


def test_a_vm_and_a_host_program_work():
    S.boot(VM)
    STATE["broker"] = broker()
    STATE["jobs"] = [S.guest_job(VM, "e2e-gpu", "until", "/tmp/enough", limit=600), S.host_job("e2e-gpu", "until", STOP, name=HOST)]
    for name in (VM, HOST):
        S.wait_dispatches(name, 5)


def check_sealed():
    """Each thread of the broker, so also one that began after the seal."""
    pid = broker()
    for thread in os.listdir(f"/proc/{pid}/task"):
        status = status_of(f"/proc/{pid}/task/{thread}")
        assert all(int(i) for i in status["Uid"] + status["Gid"]) and not status["Groups"], status
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[name][0], 16) == 0, (thread, name, status[name])
        assert status["NoNewPrivs"] == ["1"] and status["Seccomp"] == ["2"], (thread, status)


def test_the_broker_has_nothing_left():
    if os.geteuid():
        raise Skip("only root may look")
    check_sealed()
    assert os.listdir(f"/proc/{broker()}/root") == []
    for kind in ("mnt", "net", "ipc", "uts"):
        assert os.readlink(f"/proc/{broker()}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind


def test_top_shows_both():
    rows = json.loads(S.call("top", "--json", "-n", "1", "-d", "2"))
    tenants = {t["name"]: t for t in rows["tenants"]}
    assert set(tenants) == {VM, HOST} and rows["interval_seconds"] >= 1.5, rows
    for t in tenants.values():
        assert t["dispatches_per_second"] > 0 and t["cores"] > 0 and 0 < t["vram_used_bytes"] <= t["vram_quota_bytes"] and t["queues"] >= 1, t


def metrics():
    text = S.call("metrics")
    assert text.endswith("# EOF\n"), text[-200:]
    return {(m[1], m[2]): float(m[3]) for m in re.finditer(r'^(\w+)\{tenant="([^"]*)",kind="\w+",gpu="\d+"\} (\S+)$', text, re.MULTILINE)}


def test_metrics_count_both():
    before = metrics()
    for name in (VM, HOST):
        S.wait_dispatches(name, 5)
    after = metrics()
    for name in (VM, HOST):
        for what in ("hsavisor_tenant_dispatches_total", "hsavisor_tenant_gpu_run_seconds_total"):
            assert after[what, name] > before[what, name] > 0, what


def faults():
    return json.loads(S.call("faults", "--json", VM))


def test_a_fault_is_told_with_its_kernel():
    """The host's name for a guest's fault comes out of the guest program's memory."""
    assert faults() == []
    S.guest_job(VM, "sh", "-c", f"ulimit -c 0; exec e2e-gpu store {NOWHERE:x}").fails()
    told = wait_until(faults, 60, "no fault is told")
    assert len(told) == 1, told
    f = told[0]
    assert (f["tenant"], f["kind"], f["process"], f["what"], f["kernel"], f["address"]) == (VM, "vm", "e2e-gpu", "memory fault", "store", NOWHERE), f
    assert f["pid"] > 1 and f["kernel_descriptor"]
    assert re.search(rf"{VM}: e2e-gpu\[{f['pid']}\] queue \d+: memory fault at {NOWHERE:#x} \(.*\) in kernel store\n", S.call("faults"))
    # Counters are told twice a second only.
    wait_until(lambda: S.tenants()[VM]["memory_faults"] == 1, 60)
    assert S.tenants()[HOST]["memory_faults"] == 0


def test_a_trace_has_both_with_names():
    path = f"{S.dir}/trace.json"
    S.call("trace", "-o", path, "--seconds", "4", says="0 lost")
    with open(path, encoding="utf-8") as f:
        events = json.load(f)["traceEvents"]
    tenants = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert set(tenants.values()) == {f"{VM} (vm)", f"{HOST} (host)"}, tenants
    for pid, name in tenants.items():
        mine = [e for e in events if e["pid"] == pid and e.get("cat") == "dispatch"]
        assert len(mine) >= 5 and {e["name"] for e in mine} == {"step"}, (name, len(mine), {e["name"] for e in mine})
        assert all(e["ph"] == "X" and e["dur"] > 0 and e["args"]["workgroups"] == 16 for e in mine), mine[0]
        assert any(e["pid"] == pid and e.get("cat") == "turn" for e in events), name


def test_the_broker_is_still_sealed():
    """A traced broker has a thread more, made under the filter of system calls."""
    assert broker() == STATE["broker"]
    if os.geteuid() == 0:
        check_sealed()


def test_all_results_are_right():
    with open(STOP, "w", encoding="utf-8"):
        pass
    S.guest(VM, "touch", "/tmp/enough")
    for job in STATE["jobs"]:
        job.succeeds()
    S.vram_is_free(VM)
    S.kernel_is_quiet(VM)


if __name__ == "__main__":
    system.run(sys.modules[__name__], S)
