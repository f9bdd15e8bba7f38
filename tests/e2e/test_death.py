# SPDX-License-Identifier: MIT
"""
Sudden death of each part at work: programs, QEMU, brokers, the daemon; guests that restart and drivers that go away. The other tenants' programs, which
run meanwhile, must verify, and what died must be startable again.
"""

import os
import signal
import sys
import time

import system
from system import wait_until

S = system.System()
A, B = "victim", "witness"
START = {}


def descriptors():
    return {"daemon": system.memfds(S.status()["pid"]), B: system.memfds(S.vms()[B]["broker_pid"])}


def test_two_vms_boot():
    S.boot(A, B)
    for vm in (A, B):
        S.works(vm)
    S.host_job("e2e-gpu", "work", "1").succeeds()
    wait_until(lambda: set(S.tenants()) == {A, B})
    START.update(descriptors())


def test_guest_programs_killed():
    """Early, while it sets up, and while a kernel runs."""
    with S.witnesses(B):
        for delay in ("0.2", "0.7", "1.5", "3"):
            code, out = S.guest(A, "sh", "-c", f"e2e-gpu spin & p=$!; e2e-gpu work 60 & q=$!; sleep {delay}; kill -9 $p $q; wait $p; a=$?; wait $q; echo $a $?")
            assert code == 0 and "137 137" in out, out
    S.works(A)
    S.vram_is_free(A)
    S.kernel_is_quiet(A)


def test_host_programs_killed():
    with S.witnesses(B):
        for i, delay in enumerate((0, 0.05, 0.2, 0.5, 1, 2)):
            job = S.host_job("e2e-gpu", "spin" if i % 2 else "work", "60", name=f"killed-{i}")
            pid = S.program_pid_of(f"killed-{i}", "e2e-gpu")
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)
            job.fails()
    wait_until(lambda: set(S.tenants()) == {A, B})


def test_the_run_command_killed():
    with S.witnesses(B):
        for i, delay in enumerate((0.1, 1)):
            job = S.host_job("e2e-gpu", "spin", name=f"run-{i}")
            pid = S.program_pid_of(f"run-{i}", "e2e-gpu")
            time.sleep(delay)
            job.kill()
            wait_until(lambda pid=pid: not system.alive(pid), 60, "the program outlives its hsavisor run")
            wait_until(lambda i=i: f"run-{i}" not in S.tenants(), 60)


def test_qemu_killed():
    S.guest_job(A, "e2e-gpu", "work", "100")
    S.wait_dispatches(A)
    old = S.vms()[A]
    with S.witnesses(B):
        os.kill(old["qemu_pid"], signal.SIGKILL)
        wait_until(lambda: not system.alive(old["qemu_pid"]), 60)
    wait_until(lambda: S.tenants().get(A, {}).get("vram_used_bytes", 0) == 0, 60, "the VRAM of a dead VM's programs is still in use")
    S.boot(A)
    S.works(A)
    wait_until(lambda: not system.alive(old["broker_pid"]) or S.vms()[A]["broker_pid"] == old["broker_pid"], 60, "a second broker is left")


def test_broker_paused():
    """Longer than QEMU waits for an answer (5 s) and the driver between two looks at the device (5 s): as when the machine was paused."""
    broker = S.vms()[A]["broker_pid"]
    with S.witnesses(A):
        os.kill(broker, signal.SIGSTOP)
        time.sleep(14)
        os.kill(broker, signal.SIGCONT)
        S.wait_dispatches(A)
    S.works(A)
    S.kernel_is_quiet(A)


def test_broker_killed():
    victim = S.guest_job(A, "e2e-gpu", "work", "100")
    S.wait_dispatches(A)
    with S.witnesses(B):
        os.kill(S.vms()[A]["broker_pid"], signal.SIGKILL)
        wait_until(lambda: A not in S.tenants(), 60)
        # The process is gone a little later than its connection: it has a VM's memory to let go of.
        wait_until(lambda: S.vms()[A]["state"].startswith("no GPU"), 60)
        # Its program is told that the GPU is lost, wherever it is: its stores to doorbells lead nowhere. The guest can go on.
        code = victim.wait(60)
        assert code == 128 + signal.SIGABRT and "HW Exception" in victim.output, f"exit code {code}: {victim.output}"
        code, out = S.guest(A, "sh", "-c", "pidof e2e-gpu; ps -eo stat,comm | grep '^D'")
        assert code == 1, f"stuck: {out}"
    code, out = S.guest(A, "timeout", "60", "e2e-gpu", "work", "1")
    assert code not in (0, 124, 137), f"a program works without a GPU: {out}"
    S.kernel_is_quiet(A)
    S.call("vm", "stop", A)
    S.boot(A)
    S.works(A)


def test_daemon_killed():
    """Its VMs go on alone; a new one takes the dead one's place and serves new tenants, and the VMs when they are started again."""
    jobs = [S.guest_job(vm, "e2e-gpu", "work", "10") for vm in (A, B)]
    for vm in (A, B):
        S.wait_dispatches(vm)
    daemon = S.status()["pid"]
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: not system.alive(daemon))
    S.call("status", code=3)
    time.sleep(1)
    S.start_daemon()
    S.host_job("e2e-gpu", "work", "2").succeeds()
    for job in jobs:
        job.succeeds()
    for vm in (A, B):
        S.works(vm)
        S.kernel_is_quiet(vm)
        S.call("vm", "stop", vm)
    S.boot(A, B)
    wait_until(lambda: set(S.tenants()) == {A, B})
    for vm in (A, B):
        S.works(vm)
    START.update(descriptors())


def test_guest_restarts():
    """The guest's own restart ends its VM (QEMU is told so); its name is free at once."""
    S.guest_job(A, "e2e-gpu", "work", "100")
    S.wait_dispatches(A)
    broker = S.vms()[A]["broker_pid"]
    job = S.guest_job(A, "reboot")
    wait_until(lambda: not S.vms()[A]["qemu_pid"], 60, "the guest does not restart")
    job.wait()
    S.boot(A)
    S.works(A)
    wait_until(lambda: not system.alive(broker) or S.vms()[A]["broker_pid"] == broker, 60, "a second broker is left")


def test_driver_unbound_while_programs_run():
    victim = S.guest_job(A, "e2e-gpu", "work", "60")
    S.wait_dispatches(A)
    with S.witnesses(B):
        script = "cd /sys/bus/virtio/drivers/hsavisor && d=$(ls | grep virtio) && echo $d >unbind && sleep 1 && echo $d >bind"
        code, out = S.guest(A, "sh", "-c", script)
        assert code == 0, out
        S.guest(A, "sh", "-c", "sleep 1; kill -9 $(pidof e2e-gpu)")
        victim.fails()
        S.works(A)
    S.kernel_is_quiet(A)


def test_module_loaded_again():
    """Refused while a program uses it."""
    with S.witnesses(A):
        code, _ = S.guest(A, "modprobe", "-r", "hsavisor")
        assert code != 0, "the module went while a program used it"
    code, out = S.guest(A, "sh", "-c", "for i in 1 2 3 4 5; do modprobe -r hsavisor && break; sleep 0.5; done; ! test -e /dev/kfd && modprobe hsavisor && test -e /dev/kfd")
    assert code == 0, out
    S.works(A)
    S.kernel_is_quiet(A)


def test_nothing_is_left():
    for vm in (A, B):
        S.kernel_is_quiet(vm)
    assert system.memfds(S.vms()[B]["broker_pid"]) <= START[B], "the broker holds more memfds than at the start"
    for vm in (A, B):
        S.call("vm", "stop", vm)
    wait_until(lambda: S.tenants() == {}, 60)
    assert system.memfds(S.status()["pid"]) <= START["daemon"], "the daemon holds more memfds than at the start"
    assert S.status()["gpus"][0]["vram_reserved_bytes"] == 0
    assert os.listdir(f"{S.dir}/vms") == []
    S.call("stop")
    wait_until(lambda: not S.processes(), 60, f"left: {S.processes()}")


if __name__ == "__main__":
    system.run(sys.modules[__name__], S)
