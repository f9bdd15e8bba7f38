# SPDX-License-Identifier: MIT
"""
A whole system for a suite: a daemon below a private socket, VMs and host programs, with all that is to be looked at and ended.

Everything that is started has the mark that tests/image/processes.py ends a suite by.
"""

import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

BUILD, SRC = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
sys.path.insert(0, f"{SRC}/tests/image")
from processes import alive, cpu_seconds, wait_until  # pylint: disable=wrong-import-position,unused-import
from tap import Skip  # pylint: disable=wrong-import-position,unused-import
import processes  # pylint: disable=wrong-import-position
import tap  # pylint: disable=wrong-import-position

PROGRAMS = f"{SRC}/build/guest-programs"
# A machine that does other things too, and an emulated CPU: what takes longer than this hangs.
LIMIT = 240
COMPLAINTS = r"BUG|WARNING|Oops|Call Trace|general protection|hung task|blocked for more than|use-after-free|refcount_t|leak"


def image_conf():
    """image.conf as a dictionary, or None without an image."""
    cache = os.environ.get("HSAVISOR_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "hsavisor")
    try:
        with open(f"{cache}/image.conf", encoding="utf-8") as f:
            return dict(line.rstrip("\n").split("=", 1) for line in f if "=" in line and line[0] != "#")
    except FileNotFoundError:
        return None


def memfds(pid):
    """How many memfds the process holds."""
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += "/memfd:" in os.readlink(f"/proc/{pid}/fd/{fd}")
    return count


def usage(pid):
    """What the process takes: bytes of private and anonymous memory, descriptors, threads. VRAM and guests' memory, which are shared, are not counted."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        status = dict(line.rstrip().split(":", 1) for line in f)
    return {"rss": int(status["RssAnon"].split()[0]) << 10, "fds": len(os.listdir(f"/proc/{pid}/fd")), "threads": int(status["Threads"])}


def shrinks_back(pid, start, rss, fds=0, threads=0, who="", seconds=60):
    """The process takes, soon, at most that much more than at @start, a usage()."""
    most = {"rss": start["rss"] + rss, "fds": start["fds"] + fds, "threads": start["threads"] + threads}
    end = time.monotonic() + seconds
    while True:
        now = usage(pid)
        if all(now[key] <= most[key] for key in most):
            return
        assert time.monotonic() < end, f"{who or pid} grew: {start} at the start, {now} now"
        time.sleep(0.2)


class Job:
    """A command that runs beside the test; output of both kinds goes to a file, as daemons may inherit it."""

    def __init__(self, command, env):
        self.command = command
        self.file = tempfile.TemporaryFile()  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=self.file, stderr=subprocess.STDOUT)

    @property
    def output(self):
        self.file.seek(0)
        return self.file.read().decode(errors="replace")

    def wait(self, limit=LIMIT):
        """Its exit code."""
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.command} did not end within {limit} s: {self.output[-2000:]}") from None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def succeeds(self, says="verified", limit=LIMIT):
        """Ends with 0 and says that; its output."""
        code = self.wait(limit)
        assert code == 0 and says in self.output, f"{' '.join(self.command)}: exit code {code}, or no '{says}': {self.output[-3000:]}"
        return self.output

    def fails(self, says=""):
        """Ends with an error of its own (not by running out of time) and says that; its exit code."""
        code = self.wait()
        assert code not in (0, 124) and re.search(says, self.output), f"{' '.join(self.command)}: exit code {code}, or no '{says}': {self.output[-3000:]}"
        return code


class System:
    """The daemon and what shares its GPU."""

    def __init__(self, *daemon_options):
        self.conf = image_conf()
        self.options = daemon_options
        self.dir = tempfile.mkdtemp(prefix="hsavisor-e2e-")
        self.env = processes.environment(self.dir, HSAVISOR_SOCKET=f"{self.dir}/s.sock", HSAVISOR_KEEP_STATE="1")
        self.command = f"{BUILD}/hsavisor"

    def call(self, *args, code=0, says="", limit=LIMIT):
        """Runs the hsavisor command; its standard output. The exit code must be @code, its output contain @says."""
        r = subprocess.run([self.command, *args], env=self.env, capture_output=True, text=True, errors="replace", timeout=limit, check=False, stdin=subprocess.DEVNULL)
        assert r.returncode == code, f"{args}: exit code {r.returncode}, not {code}: {r.stdout[-2000:]}{r.stderr[-2000:]}"
        assert says in r.stdout + r.stderr, f"{args}: no '{says}' in: {r.stdout[-2000:]}{r.stderr[-2000:]}"
        return r.stdout

    def start_daemon(self):
        with open(f"{self.dir}/daemon.log", "a", encoding="utf-8") as log:
            subprocess.run([f"{BUILD}/arbiter/hsavisord", "--daemonize", *self.options], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=60, check=True)
        return self.status()["pid"]

    def status(self):
        return json.loads(self.call("status", "--json"))

    def rows(self):
        """A row for each GPU of each tenant."""
        return json.loads(self.call("list", "--json"))

    def tenants(self):
        """The row of each tenant's first GPU."""
        return {t["name"]: t for t in reversed(self.rows())}

    def vram_used(self, name):
        """Of each of the tenant's GPUs, in bytes."""
        return [t["vram_used_bytes"] for t in self.rows() if t["name"] == name]

    def vms(self):
        return {v["name"]: v for v in json.loads(self.call("vm", "list", "--json"))}

    def boot(self, *names, vram="256M", gpus="0"):
        """Boots VMs at the same time."""
        jobs = [self.job("vm", "start", name, "--memory", "1280M", "--vram", vram, "--gpus", gpus, "--timeout", "240") for name in names]
        for name, job in zip(names, jobs):
            code = job.wait(300)
            log = ""
            with contextlib.suppress(FileNotFoundError), open(f"{self.dir}/vms/{name}/console.log", encoding="utf-8", errors="replace") as f:
                log = f.read()[-1500:]
            assert code == 0, f"vm start {name}: exit code {code}: {job.output}{log}"

    def job(self, *args):
        return Job([self.command, *args], self.env)

    def guest_job(self, vm, *program, limit=200):
        return self.job("vm", "exec", vm, "--timeout", str(limit), "--", *program)

    def host_job(self, *program, name=None, own=False):
        """A host program with Debian 13's ROCm, or with the host's own. Ours go by their names."""
        words = list(program)
        if os.path.exists(f"{PROGRAMS}/{words[0]}"):
            words[0] = f"{PROGRAMS}/{words[0]}"
        return self.job("run", *(["--name", name] if name else []), *([] if own else ["--debian13"]), "--", *words)

    def guest(self, vm, *program, limit=120):
        """Runs a command in a guest; (exit code, output of both kinds)."""
        job = self.guest_job(vm, *program, limit=limit)
        return job.wait(limit + 60), job.output

    def wait_dispatches(self, name, more=1, seconds=120):
        """Waits until the tenant (which may not be there yet) made that many dispatches more."""
        start = self.tenants().get(name, {}).get("dispatches", 0)
        wait_until(lambda: self.tenants().get(name, {}).get("dispatches", 0) >= start + more, seconds, f"{name} dispatches nothing")

    def works(self, vm):
        """A program of the VM verifies what the GPU did."""
        self.guest_job(vm, "e2e-gpu", "work", "1").succeeds()

    @contextlib.contextmanager
    def witnesses(self, *vms):
        """Programs of the VMs and of the host that work as long as the body runs, and verify. They tell the addresses of their buffers."""
        stop, own = f"{self.dir}/enough", f"{self.dir}/addresses"
        script = "rm -f /tmp/enough; E2E_ADDRESSES=/tmp/addresses exec e2e-gpu until /tmp/enough"
        jobs = {vm: self.guest_job(vm, "sh", "-c", script, limit=600) for vm in vms}
        self.env["E2E_ADDRESSES"] = own
        jobs["host-witness"] = self.host_job("e2e-gpu", "until", stop, name="host-witness")
        del self.env["E2E_ADDRESSES"]
        try:
            for name in jobs:
                self.wait_dispatches(name)
            yield
            for name, job in jobs.items():
                assert job.process.poll() is None, f"{name} ended: {job.output[-3000:]}"
        finally:
            with open(stop, "w", encoding="utf-8"):
                pass
            for vm in vms:
                with contextlib.suppress(AssertionError):
                    self.guest(vm, "touch", "/tmp/enough")
            for job in jobs.values():
                with contextlib.suppress(AssertionError):
                    job.wait()
            os.unlink(stop)
        for job in jobs.values():
            job.succeeds()

    def kernel_is_quiet(self, vm):
        code, out = self.guest(vm, "sh", "-c", f"dmesg | grep -E -B 25 -A 30 '{COMPLAINTS}'")
        assert code == 1, f"the kernel of {vm} complains: {out}"

    def vram_is_free(self, name):
        wait_until(lambda: not any(self.vram_used(name)), 60, f"{name} still uses VRAM")

    def processes(self):
        """The processes of this system: pid -> command line."""
        return processes.processes(self.dir)

    def program_pid(self, name):
        """The pid of the host program of that name itself, not of what started it."""
        return wait_until(lambda: next((pid for pid, line in self.processes().items() if line.split()[:1] and os.path.basename(line.split()[0]) == name), 0))

    def program_pid_of(self, tenant, name):
        """The same of one tenant: its program has the tenant's name in its environment."""
        mark = f"HSAVISOR_TENANT={tenant}".encode()

        def find():
            for pid, line in self.processes().items():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/environ", "rb") as f:
                    if line.split()[:1] and os.path.basename(line.split()[0]) == name and mark in f.read().split(b"\0"):
                        return pid
            return 0

        return wait_until(find)


def together(*calls):
    """Makes the calls at the same time; raises what the first one of them raised."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [f.result() for f in [pool.submit(c) for c in calls]]


def run(module, system):
    """The tests of a module, when there is what they need, with an end of everything."""
    if not system.conf or not os.path.exists(f"{PROGRAMS}/e2e-gpu"):
        shutil.rmtree(system.dir, ignore_errors=True)
        print("1..0 # SKIP no guest image; make one with: make image")
        sys.exit(0)
    processes.guard(system.dir)
    try:
        system.start_daemon()
        tap.run(module)
    finally:
        if "HSAVISOR_E2E_LOGS" in os.environ:
            with open(f"{system.dir}/daemon.log", encoding="utf-8", errors="replace") as f:
                print("".join(f"# {line}" for line in f))
        processes.end(system.dir)
