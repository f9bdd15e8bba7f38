# SPDX-License-Identifier: MIT
"""
A guest whose driver is the attacker: tests/guest/hostile takes the device in place of the real driver and breaks every rule of the ABI, case by case, while
programs of another VM and of the host work and compare each result. The hostile VM's broker must serve it again after a reset each time; nobody may grow.
"""

import glob
import re
import sys

import system
from hostile import DEBUG, GIVE, TAKE
from system import wait_until

S = system.System()
A, B = "hostile", "bystander"
# What the programs that work meanwhile look at to end.
STOP = f"{S.dir}/enough"
# Allowed beyond the start: what allocators keep, and threads that end late.
SLACK_RSS, SLACK_FDS, SLACK_THREADS = 24 << 20, 2, 1
STATE = {}


def cases():
    """The names of the module's cases, from its tables."""
    for file in sorted(glob.glob(f"{system.SRC}/tests/guest/hostile/cases-*.c")):
        with open(file, encoding="utf-8") as f:
            yield from re.findall(r'^\t\{"([a-z-]+)", \w+, [A-Z_]+\},$', f.read(), re.MULTILINE)


def processes():
    return {"broker": S.vms()[A]["broker_pid"], "bystander's broker": S.vms()[B]["broker_pid"], "daemon": S.status()["pid"]}


def begin():
    """The bystanders' programs, which work until the end of all cases."""
    STATE["jobs"] = {B: S.guest_job(B, "e2e-gpu", "until", "/tmp/enough", limit=800), "host": S.host_job("e2e-gpu", "until", STOP, name="host")}
    for name in STATE["jobs"]:
        wait_until(lambda name=name: S.tenants().get(name, {}).get("dispatches"), 60)


def test_two_vms_boot():
    S.boot(A, B, vram="200M") # no power of two: the BAR is larger
    S.works(A)
    S.works(B)
    begin()


def test_the_hostile_driver_takes_the_device():
    code, out = S.guest(A, "sh", "-c", TAKE)
    assert code == 0, out
    code, out = S.guest(A, "cat", f"{DEBUG}/cases")
    assert code == 0 and out.split() and set(out.split()) == set(cases()), out
    # One case first, so that what is made once is made. Whether it is right is seen in its turn.
    S.guest(A, "sh", "-c", f"echo {out.split()[0]} >{DEBUG}/run")
    STATE["pids"] = processes()
    STATE["usage"] = {name: system.usage(pid) for name, pid in STATE["pids"].items()}


def run_case(name):
    code, out = S.guest(A, "sh", "-c", f"echo {name} >{DEBUG}/run; tail -n 20 {DEBUG}/log", limit=150)
    assert code == 0 and re.search(rf"^ok \d+ - {name} ", out, re.MULTILINE), f"{name}: exit code {code}: {out}"
    print(f"# {name}: {out.splitlines()[-1].rsplit('(', 1)[-1].rstrip(')')}")


def case(name):
    def test():
        assert "pids" in STATE, "the hostile driver does not run"
        before = {tenant: t["dispatches"] for tenant, t in S.tenants().items()}
        run_case(name)
        assert processes() == STATE["pids"], "a broker or the daemon is another"
        for tenant, job in STATE["jobs"].items():
            assert job.process.poll() is None, f"{tenant} ended: {job.output[-3000:]}"
            wait_until(lambda tenant=tenant: S.tenants()[tenant]["dispatches"] > before[tenant], 60, f"{tenant} dispatches nothing")

    return test


for case_name in cases():
    globals()[f"test_{case_name}"] = case(case_name)


def test_bystanders_results_are_right():
    with open(STOP, "w", encoding="utf-8"):
        pass
    S.guest(B, "touch", "/tmp/enough")
    for job in STATE["jobs"].values():
        job.succeeds()


def test_nobody_grew():
    for name, pid in STATE["pids"].items():
        assert system.alive(pid), f"the {name} is gone"
        system.shrinks_back(pid, STATE["usage"][name], rss=SLACK_RSS, fds=SLACK_FDS, threads=SLACK_THREADS, who=name)


def test_the_real_driver_works_again():
    code, out = S.guest(A, "sh", "-c", GIVE)
    assert code == 0, out
    S.works(A)
    S.works(B)
    for vm in (A, B):
        S.vram_is_free(vm)
        S.kernel_is_quiet(vm)
        S.call("vm", "stop", vm)
    wait_until(lambda: S.tenants() == {})


if __name__ == "__main__":
    system.run(sys.modules[__name__], S)
