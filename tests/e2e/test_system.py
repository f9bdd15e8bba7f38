# SPDX-License-Identifier: MIT
"""Two VMs and the host on one GPU at the same time, and the commands that a person uses for it."""

import contextlib
import glob
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time

import attached
import system
from system import Skip, together, wait_until

S = system.System()
QUOTA = 256 << 20
A, B = "alice", "bob"
BOOTED = []  # uptimes() when they were there


def uptimes():
    """How long the host has been up, and how long the guests have, in seconds."""
    return [time.monotonic()] + [float(S.guest(vm, "cat", "/proc/uptime")[1].split()[0]) for vm in (A, B)]


def test_two_vms_boot():
    S.boot(A, B)
    BOOTED[:] = uptimes()
    assert {name: v["state"] for name, v in S.vms().items()} == {A: "running", B: "running"}
    assert {name: (t["kind"], t["vram_quota_bytes"]) for name, t in S.tenants().items()} == {A: ("vm", QUOTA), B: ("vm", QUOTA)}


def pool_kilobytes(rocminfo):
    """Size of the GPU's first memory pool."""
    gpu = rocminfo[rocminfo.index("gfx90a") :]
    return int(re.search(r"Segment:\s+GLOBAL.*\n\s+Size:\s+(\d+)", gpu).group(1))


def everywhere(program, says):
    """In both guests and, with both ROCms, on the host, at once; the guests' outputs."""
    jobs = [S.guest_job(A, program), S.guest_job(B, program), S.host_job(program)]
    if shutil.which(program) and (program != "clinfo" or glob.glob("/etc/OpenCL/vendors/amd*.icd")):
        jobs.append(S.host_job(program, own=True))
    return [job.succeeds(says) for job in jobs][:2]


def test_rocminfo_names_the_gpu_and_the_quota():
    for out in everywhere("rocminfo", "gfx90a"):
        assert pool_kilobytes(out) << 10 == QUOTA, out[-3000:]


def test_clinfo_names_the_gpu_and_the_quota():
    for out in everywhere("clinfo", "gfx90a"):
        assert int(re.search(r"Global memory size:?\s+(\d+)", out).group(1)) == QUOTA, out[-3000:]


def test_the_hosts_own_rocm():
    if not shutil.which("rocminfo"):
        raise Skip("no ROCm of its own on this host")
    S.host_job("rocminfo", own=True).succeeds("gfx90a")


def test_programs_at_the_same_time():
    before = S.tenants()
    jobs = []
    for program in (("opencl-nbody",), ("hip-matmul",), ("e2e-gpu", "work", "8")):
        jobs += [S.guest_job(A, *program), S.guest_job(B, *program), S.host_job(*program)]
    for job in jobs:
        job.succeeds()
    after = S.tenants()
    for vm in (A, B):
        assert after[vm]["dispatches"] > before[vm]["dispatches"] + 3
        assert after[vm]["gpu_ns"] > before[vm]["gpu_ns"]
        assert 0 < after[vm]["vram_peak_bytes"] <= QUOTA
        S.vram_is_free(vm)
    assert set(after) == {A, B}, "the host's programs are tenants no more"


def test_more_vram_than_the_quota():
    """Memory beyond the quota is refused as KFD does, in one tenant, while the other has its own."""
    script = "ulimit -c 0; e2e-gpu vram 300 && exit 1; e2e-gpu vram 100"
    together(lambda: S.guest_job(A, "sh", "-c", script).succeeds("verified"), lambda: S.guest_job(B, "e2e-gpu", "vram", "150").succeeds("verified"))
    S.vram_is_free(A)


def run(*args, limit=60):
    return subprocess.run([S.command, *args], env=S.env, capture_output=True, timeout=limit, check=False, stdin=subprocess.DEVNULL)


def test_exec_exit_codes():
    for code in (0, 1, 7, 255):
        assert run("vm", "exec", A, "--", "sh", "-c", f"exit {code}").returncode == code
    assert run("vm", "exec", A, "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9
    assert run("vm", "exec", A, "--", "sh", "-c", "kill -11 $$").returncode == 128 + 11
    missing = run("vm", "exec", A, "--", "/no/such/program")
    assert missing.returncode not in (0, 4, 124) and b"/no/such/program" in missing.stderr, missing


def test_exec_output():
    r = run("vm", "exec", A, "--", "sh", "-c", "printf 'out\\000\\377'; printf err >&2; exit 3")
    assert (r.returncode, r.stdout, r.stderr) == (3, b"out\0\xff", b"err"), r
    r = run("vm", "exec", A, "--", "sh", "-c", "yes 0123456789abcde | head -c 4000000", limit=120)
    assert r.returncode == 0 and r.stdout == (b"0123456789abcde\n" * 250000), (r.returncode, len(r.stdout))
    assert run("vm", "exec", A, "--", "cat").stdout == b"", "standard input is empty"
    assert run("vm", "exec", A, "--", "echo", "a b", "$HOME", "*").stdout == b"a b $HOME *\n", "no shell has a look at the words"


def test_exec_time_limit():
    start = time.monotonic()
    assert run("vm", "exec", A, "--timeout", "2", "--", "sleep", "50").returncode == 124
    assert time.monotonic() - start < 40
    assert run("vm", "exec", A, "--", "echo", "on").stdout == b"on\n"


def test_exec_at_the_same_time():
    """The agent serves one connection at a time; the others wait for it."""
    for n, job in enumerate([S.guest_job(A, "sh", "-c", f"sleep 0.5; echo answer {n}") for n in range(6)]):
        assert job.succeeds(f"answer {n}") == f"answer {n}\n"


def test_exec_beside_a_long_one():
    """A program that runs for long keeps nobody else from the agent."""
    long = S.guest_job(A, "sleep", "190")
    time.sleep(3)
    start = time.monotonic()
    S.guest_job(A, "echo", "on").succeeds("on")
    assert time.monotonic() - start < 120
    S.guest(A, "pkill", "-x", "sleep")
    long.fails()


def test_start_of_what_runs():
    S.call("vm", "start", A, code=5, says=A)
    S.call("attach", A, code=5, says=A)
    assert run("vm", "exec", A, "--", "true").returncode == 0


def test_console():
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(S.command, [S.command, "vm", "console", A], S.env)
    seen = b""
    end = time.monotonic() + 60
    asked = 0
    try:
        # A shell of root's: the image has no passwords.
        while not re.search(rb"login:|root@\S+# ", seen):
            assert time.monotonic() < end, seen
            if time.monotonic() > asked + 3:
                os.write(fd, b"\r")
                asked = time.monotonic()
            if select.select([fd], [], [], 0.5)[0]:
                seen += os.read(fd, 4096)
        os.write(fd, b"\x1d")
        # The terminal's other end is closed with the program: EIO.
        with contextlib.suppress(OSError):
            while select.select([fd], [], [], 20)[0] and os.read(fd, 4096):
                pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                time.sleep(0.5)
        os.close(fd)
    wait_until(lambda: not system.alive(pid), 60, "Ctrl-] does not leave the console")


def test_the_guests_clocks():
    """They run as fast as the host's: Linux may measure an emulated CPU's wrongly."""
    host, *guests = [now - then for now, then in zip(uptimes(), BOOTED)]
    assert host > 5
    for vm, guest in zip((A, B), guests):
        assert 0.8 < guest / host < 1.25, f"{guest} s in {vm}, {host} s here"


def test_stop_and_stop_again():
    broker, qemu = S.vms()[B]["broker_pid"], S.vms()[B]["qemu_pid"]
    S.call("vm", "stop", B)
    assert not system.alive(broker) and not system.alive(qemu)
    S.call("vm", "stop", B, code=4, says=B)
    S.call("vm", "exec", B, "--", "true", code=4)
    assert set(S.vms()) == {A}
    wait_until(lambda: set(S.tenants()) == {A})
    assert os.listdir(f"{S.dir}/vms") == [A]


def test_attach_to_a_qemu_of_ones_own():
    with attached.guest(S, "carol", "1280M", "128M") as guest:
        code, out = guest.run("rocminfo")
        assert code == 0 and pool_kilobytes(out) == 128 << 10, out[-2000:]
        code, out = guest.run("e2e-gpu", "work", "2")
        assert code == 0 and "verified" in out, out
        assert S.tenants()["carol"]["dispatches"] > 0
        assert S.vms()["carol"]["state"] == "attached"


def test_nothing_is_left():
    S.kernel_is_quiet(A)
    S.call("vm", "stop", A)
    assert S.vms() == {}
    wait_until(lambda: S.tenants() == {})
    assert S.status()["gpus"][0]["vram_reserved_bytes"] == 0
    S.call("stop")
    wait_until(lambda: not S.processes(), 60, f"left: {S.processes()}")
    assert not os.path.exists(f"{S.dir}/s.sock")


if __name__ == "__main__":
    system.run(sys.modules[__name__], S)
