# SPDX-License-Identifier: MIT
"""The steady state: dispatches without exits, idleness without CPU, and work again after idleness, in a VM and in a host process."""

import os
import signal
import sys
import threading
import time

import system
from system import together, wait_until

S = system.System()
VM = "steady"
# So many that samples of every 20 ms and more lie 10,000 dispatches apart: a dispatch takes some 3 us.
WARM, STEADY = 1500, 300000
IDLE_SECONDS = 5
# A process that wakes up a few times a second stays far below; one that polls is at 5.0.
IDLE_CPU = 0.25


def test_a_vm_boots():
    S.boot(VM)


def test_no_exits_in_the_steady_state():
    samples, done = [], threading.Event()
    start = S.tenants()[VM]["dispatches"]
    job = S.guest_job(VM, "dispatch-latency", str(WARM + STEADY))

    def watch():
        while not done.wait(0.02):
            t = S.tenants()[VM]
            samples.append((t["dispatches"] - start, t["vm_exits"]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        job.succeeds()
    finally:
        done.set()
        watcher.join()
    # Behind the program's own warm-up, before its end.
    inside = [s for s in samples if WARM <= s[0] <= WARM + STEADY]
    assert len(inside) >= 2 and inside[-1][0] - inside[0][0] >= 10000, f"too few samples in the steady state: {len(inside)} of {len(samples)}"
    exits, dispatches = inside[-1][1] - inside[0][1], inside[-1][0] - inside[0][0]
    print(f"# {exits} exits in {dispatches} dispatches")
    assert exits / dispatches < 0.005, f"{exits} exits in {dispatches} dispatches"


def idle_cpu(*groups):
    """CPU time that each of the groups of processes uses in IDLE_SECONDS."""
    before = [sum(map(system.cpu_seconds, pids)) for pids in groups]
    time.sleep(IDLE_SECONDS)
    return [sum(map(system.cpu_seconds, pids)) - used for pids, used in zip(groups, before)]


IDLE = {}


def test_an_idle_vm_costs_no_cpu():
    """Its program, and one of the host at the same time, hold a queue open, and dispatch again afterwards."""
    before = S.tenants()[VM]["dispatches"]
    jobs = [S.guest_job(VM, "e2e-gpu", "hold", "120"), S.host_job("e2e-gpu", "hold", "120", name="idler")]
    wait_until(lambda: S.tenants()[VM]["dispatches"] > before, 60)
    wait_until(lambda: S.tenants().get("idler", {}).get("dispatches"), 60)
    time.sleep(2)
    idler = S.program_pid("e2e-gpu")
    used, IDLE["host"] = idle_cpu((S.vms()[VM]["broker_pid"], S.status()["pid"]), (idler,))
    for job in jobs:
        assert job.process.poll() is None, f"the program ended before the measurement did: {job.output}"
    S.guest(VM, "pkill", "-USR1", "-x", "e2e-gpu")
    os.kill(idler, signal.SIGUSR1)
    for job in jobs:
        job.succeeds("dispatches 2\nverified", limit=60)
    print(f"# {used:.2f} s of {IDLE_SECONDS} s")
    assert used < IDLE_CPU, f"the broker and the daemon used {used} s of CPU in {IDLE_SECONDS} s"


def test_an_idle_host_program_costs_no_cpu():
    """As was measured beside the VM's."""
    print(f"# {IDLE['host']:.2f} s of {IDLE_SECONDS} s")
    assert IDLE["host"] < IDLE_CPU, f"the program used {IDLE['host']} s of CPU in {IDLE_SECONDS} s"


def test_work_after_pauses():
    """Pauses below, around and above the 20 ms after which a doorbell is parked; of a guest's and a host's program at the same time."""

    def pulse(rounds, ms):
        return [(job, rounds) for job in (S.guest_job(VM, "e2e-gpu", "pulse", str(rounds), str(ms)), S.host_job("e2e-gpu", "pulse", str(rounds), str(ms)))]

    jobs = pulse(6, 2000)
    for rounds, ms in ((60, 18), (40, 22)):
        for job, n in pulse(rounds, ms):
            job.succeeds(f"dispatches {n}\nverified")
    for job, n in jobs:
        job.succeeds(f"dispatches {n}\nverified")


def test_many_queues_that_sleep_and_wake():
    """Several processes of a guest and of the host, each parked and woken on its own."""
    jobs = [S.guest_job(VM, "sh", "-c", "for i in 1 2 3; do e2e-gpu pulse 20 $((i * 40)) || echo FAILED & done; wait")]
    jobs += [S.host_job("e2e-gpu", "pulse", "20", str(ms)) for ms in (30, 60, 90)]
    together(*[job.succeeds for job in jobs])
    assert jobs[0].output.count("verified") == 3, jobs[0].output


def test_the_kernel_is_quiet():
    S.kernel_is_quiet(VM)
    S.vram_is_free(VM)


if __name__ == "__main__":
    system.run(sys.modules[__name__], S)
