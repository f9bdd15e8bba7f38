# SPDX-License-Identifier: MIT
"""VRAM of a VM and of host programs: more than there is, swapped out and back bit by bit; quotas that change while they run."""

import os
import re
import select
import signal
import subprocess
import sys
import time

import system
from hostile import DEBUG, GIVE, TAKE
from system import PROGRAMS, wait_until

S = system.System("--vram", "224M", "--vram-overcommit", "swap", *(["--swap-dir", os.environ["HSAVISOR_E2E_SWAP_DIR"]] if "HSAVISOR_E2E_SWAP_DIR" in os.environ else []))
VM, QUOTA, MIB = "vram", 160, 1 << 20
# Of VRAM that a program fills: two do not fit, one and a small one do.
LARGE = 128


class HostCheck:
    """swap-check on the host."""

    def __init__(self, name, mib, seed, *options):
        self.name = name
        self.process = subprocess.Popen(
            [S.command, "run", "--name", name, "--vram", f"{QUOTA}M", *options, "--debian13", "--", f"{PROGRAMS}/swap-check", str(mib), str(seed)],
            env=S.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self, limit=60):
        ready, _, _ = select.select([self.process.stdout], [], [], limit)
        assert ready, f"{self.name} says nothing"
        return self.process.stdout.readline().strip()

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.line()

    def end(self):
        self.process.stdin.close()
        return self.process.wait(30)


class GuestCheck:
    """swap-check in the VM: its input is a FIFO, its answers are lines of a file."""

    def __init__(self, mib, seed):
        self.answers = 0
        self.job = S.guest_job(VM, "sh", "-c", f"rm -f /tmp/in /tmp/out; mkfifo /tmp/in; exec /usr/local/bin/swap-check {mib} {seed} <>/tmp/in >/tmp/out", limit=600)
        assert self.line() == "filled"

    def line(self):
        self.answers += 1
        # Looked for in the guest: each look from outside is a request to its agent.
        code, out = S.guest(VM, "sh", "-c", f"for i in $(seq 600); do sed -n '{self.answers}p' /tmp/out 2>/dev/null | grep . && exit 0; sleep 0.1; done; exit 1")
        assert code == 0, f"swap-check in the VM says nothing: {out}{self.job.output}"
        return out.strip().splitlines()[-1]

    def ask(self, command):
        code, out = S.guest(VM, "sh", "-c", f"echo {command} >/tmp/in")
        assert code == 0, out
        return self.line()

    def end(self):
        S.guest(VM, "sh", "-c", "echo quit >/tmp/in")
        return self.job.wait()


def swapped(name):
    return S.tenants()[name]["vram_swapped_bytes"]


def resident():
    return S.status()["gpus"][0]["vram_resident_bytes"]


CHECKS = {}


def test_a_vm_boots():
    S.boot(VM, vram=f"{QUOTA}M")
    CHECKS["vm"] = GuestCheck(LARGE, 1)
    assert S.tenants()[VM]["vram_used_bytes"] >= LARGE * MIB
    assert swapped(VM) == 0


def test_a_host_program_gets_the_room_of_the_idle_vm():
    host = CHECKS["host"] = HostCheck("host", LARGE, 2)
    assert host.line() == "filled"
    vm = S.tenants()[VM]
    assert vm["vram_swap_outs"] == 1 and vm["vram_swapped_bytes"] == vm["vram_used_bytes"] >= LARGE * MIB, vm
    assert swapped("host") == 0
    assert resident() <= 224 * MIB


def test_gpu_work_brings_it_back():
    assert CHECKS["vm"].ask("gpu") == "gpu_differ 0"
    assert swapped(VM) == 0 and swapped("host") > 0
    assert CHECKS["host"].ask("gpu") == "gpu_differ 0"


def test_cpu_access_brings_it_back():
    assert swapped(VM) > 0
    assert CHECKS["vm"].ask("cpu") == "cpu_differ 0"
    assert swapped(VM) == 0 and swapped("host") > 0
    assert CHECKS["host"].ask("cpu") == "cpu_differ 0"
    assert swapped(VM) > 0


def test_so_do_system_calls_of_the_host_program():
    assert CHECKS["vm"].ask("kernel") == "ran"
    assert swapped("host") > 0
    assert CHECKS["host"].ask("copy") == f"copied {4 * MIB}"


def test_what_is_written_after_it_came_back_stays():
    for who in ("vm", "host"):
        assert CHECKS[who].ask("write") == "written"
    for question in ("gpu", "cpu"):
        for who in ("vm", "host"):
            assert CHECKS[who].ask(question) == f"{question}_differ 0", who
    assert resident() <= 224 * MIB


def test_both_at_once():
    """They take turns at the VRAM, too."""
    host, vm = CHECKS["host"], CHECKS["vm"]
    for _ in range(2):
        host.process.stdin.write("gpu\n")
        host.process.stdin.flush()
        assert vm.ask("gpu") == "gpu_differ 0"
        assert host.line() == "gpu_differ 0"


def test_killed_while_swapped_out():
    assert CHECKS["vm"].ask("kernel") == "ran"
    assert swapped("host") > 0
    os.kill(S.program_pid_of("host", "swap-check"), signal.SIGKILL)
    wait_until(lambda: "host" not in S.tenants(), 60, "the tenant stays")
    CHECKS["host"].process.wait()
    assert CHECKS["vm"].ask("cpu") == "cpu_differ 0"
    assert resident() == S.tenants()[VM]["vram_used_bytes"]


def test_quota_changes_while_it_runs():
    free = CHECKS["vm"].ask("free").split()
    used = S.tenants()[VM]["vram_used_bytes"]
    assert int(free[1]) == QUOTA * MIB - used and int(free[3]) == QUOTA * MIB, (free, used)
    S.call("set", VM, "--vram", "64M")
    assert CHECKS["vm"].ask("free").split()[1] == "0"
    assert CHECKS["vm"].ask("gpu") == "gpu_differ 0"
    S.call("set", VM, "--vram", f"{QUOTA}M")
    assert int(CHECKS["vm"].ask("free").split()[1]) == QUOTA * MIB - used
    assert CHECKS["vm"].end() == 0
    S.vram_is_free(VM)


def test_a_quota_may_grow():
    host = HostCheck("grows", 4, 3, "--vram-max", "192M")
    assert host.line() == "filled"
    before = host.ask("free").split()
    S.call("set", "grows", "--vram", "192M")
    after = host.ask("free").split()
    assert int(after[1]) - int(before[1]) == (192 - QUOTA) * MIB, (before, after)
    # A new program of the tenant sees the new size; this one asked when it began.
    assert host.end() == 0


def test_pages_of_programs_make_room():
    """Memory that was prefetched to the GPU of a VM goes back to the guest's own when the host needs the room."""
    job = S.guest_job(VM, "env", "HSA_XNACK=1", "e2e-svm", "hold", "12", "96")
    wait_until(lambda: S.tenants()[VM]["vram_used_bytes"] >= 96 * MIB, 60, "nothing is in VRAM")
    host = HostCheck("room", 150, 7)
    assert host.line() == "filled"
    # As much as was needed, or more.
    assert S.tenants()[VM]["vram_used_bytes"] + S.tenants()["room"]["vram_used_bytes"] <= 224 * MIB, S.tenants()
    assert host.ask("gpu") == "gpu_differ 0"
    job.succeeds()
    assert host.ask("cpu") == "cpu_differ 0" and host.end() == 0
    S.vram_is_free(VM)


def test_the_guests_kernel_is_quiet():
    S.kernel_is_quiet(VM)


def test_a_hostile_driver_takes_the_device():
    code, out = S.guest(VM, "sh", "-c", TAKE)
    assert code == 0, out
    CHECKS["beside"] = HostCheck("beside", LARGE, 5)
    assert CHECKS["beside"].line() == "filled"
    CHECKS["broker"] = S.vms()[VM]["broker_pid"]


def attacked(name, is_asked):
    def test():
        """A host program that shares the pool with the attacker gets its VRAM each time, as it was."""
        # Who kept its VRAM is not asked again for 10 s, which may begin some seconds after the case before: a question is open for up to 8 s.
        for _ in range(3 if is_asked else 1):
            if is_asked:
                time.sleep(10.5)
            job = S.guest_job(VM, "sh", "-c", f"dmesg -C; echo {name} >{DEBUG}/run; tail -n 20 {DEBUG}/log; dmesg | grep asked")
            while job.process.poll() is None:
                assert CHECKS["beside"].ask("gpu") == "gpu_differ 0"
                time.sleep(1.2)
            out = job.succeeds(f" - {name} ")
            assert re.search(rf"^ok \d+ - {name} ", out, re.MULTILINE), out
            assert S.vms()[VM]["broker_pid"] == CHECKS["broker"], "the broker is another"
            asked = int(re.search(r"asked (\d+) times", out)[1])
            print("#", *out.splitlines()[-2:])
            if asked:
                break
        assert asked or not is_asked, out

    return test


for case, asks in (("lies", False), ("storm", False), ("silence", True), ("stays", True)):
    globals()[f"test_swap_{case}"] = attacked(f"swap-{case}", asks)


def test_the_real_driver_works_again():
    assert CHECKS["beside"].ask("cpu") == "cpu_differ 0" and CHECKS["beside"].end() == 0
    code, out = S.guest(VM, "sh", "-c", GIVE)
    assert code == 0, out
    S.guest_job(VM, "e2e-gpu", "work", "1").succeeds()
    S.vram_is_free(VM)
    S.kernel_is_quiet(VM)


if __name__ == "__main__":
    system.run(sys.modules[__name__], S)
