# SPDX-License-Identifier: MIT
"""What the benchmarks share: a daemon below a private socket, tenants in it, the accounts, the output."""

import argparse
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SRC = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("HSAVISOR_BUILD") or os.path.join(SRC, "build")
HSAVISOR = os.path.join(BUILD, "hsavisor")
T0 = time.time()


def say(text):
    try:
        print(f"[{int(time.time() - T0)}s] {text}", file=sys.stderr, flush=True)
    except BrokenPipeError:
        pass  # nobody reads on; what was started is still to be ended


def hsavisor(*args, limit=300, check=True):
    """Runs the command; its standard output."""
    r = subprocess.run([HSAVISOR, *args], stdout=subprocess.PIPE, text=True, timeout=limit)
    if check and r.returncode:
        sys.exit(f"bench: hsavisor {' '.join(args)} failed with {r.returncode}")
    return r.stdout


def figure(output, name):
    """A figure that a program printed, after it said that its results were right."""
    if "verified" not in output:
        sys.exit(f"bench: a program did not verify its results:\n{output}")
    return float(next(line.split()[1] for line in output.splitlines() if line.startswith(name + " ")))


def tenants():
    return {t["name"]: t for t in json.loads(hsavisor("list", "--json"))}


def tenant(name):
    return tenants()[name]


def on_host(program):
    return os.path.join(SRC, "build/guest-programs", program)


def command_line(doc):
    """A parser with what all benchmarks have; doc: the script's, which --help shows whole."""
    p = argparse.ArgumentParser(description=doc.strip(), formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--json", action="store_true", help="one object instead of lines")
    p.add_argument("--check", action="store_true", help="exit status 1 if a figure misses its bound")
    return p


def report(result, args, bounds):
    """
    Prints the figures as args of the command line ask for it, and which miss their bounds. bounds: {name: (least, most)}, None: none. The
    script's exit status.
    """
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name} {value}" if isinstance(value, int) else f"{name} {value:.4g}")
    missed = False
    for name, (least, most) in bounds.items():
        value = result.get(name)
        if value is None or value != value:
            continue
        if least is not None and value < least:
            say(f"{name} {value:.4g} is below {least}")
            missed = True
        if most is not None and value > most:
            say(f"{name} {value:.4g} is above {most}")
            missed = True
    return 1 if args.check and missed else 0


class Daemon:
    """hsavisord at a private socket. Ends VMs and programs that were started in it, and itself."""

    def __init__(self, *options):
        self.options = options
        self.vms = []
        self.programs = []

    def __enter__(self):
        self.run = tempfile.mkdtemp(prefix="hsavisor-bench-")
        os.environ["HSAVISOR_SOCKET"] = os.path.join(self.run, "hsavisord.sock")
        self.process = subprocess.Popen([os.path.join(BUILD, "arbiter/hsavisord"), *self.options], stderr=subprocess.DEVNULL)
        for _ in range(100):
            if os.path.exists(os.environ["HSAVISOR_SOCKET"]):
                return self
            time.sleep(0.05)
        sys.exit("bench: hsavisord did not start")

    def __exit__(self, error, *_):
        for vm in self.vms if error else ():
            for log in sorted(glob.glob(os.path.join(self.run, "vms", vm, "*.log"))):
                with open(log, errors="replace") as f:
                    say(f"{vm}, {os.path.basename(log)}:\n" + "".join(f.readlines()[-15:]))
        for p in self.programs:
            if p.poll() is None:
                os.killpg(p.pid, signal.SIGTERM)
                try:
                    p.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(p.pid, signal.SIGKILL)
        for vm in self.vms:
            hsavisor("vm", "stop", vm, "--force", check=False)
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.run, ignore_errors=True)

    def vm(self, name, *options):
        self.vms.append(name)
        hsavisor("vm", "start", name, "--memory", "1G", "--vram", "256M", *options)

    def start(self, where, *command):
        """Starts a program in VM `where`, or on the host as tenant `where`. Give the result to output()."""
        if where in self.vms:
            line = [HSAVISOR, "vm", "exec", where, "--timeout", "600", "--", *command]
        else:
            line = [HSAVISOR, "run", "--name", where, "--vram", "256M", "--debian13", "--", on_host(command[0]), *command[1:]]
        p = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.programs.append(p)
        return p

    def output(self, p, limit=600):
        out, _ = p.communicate(timeout=limit)
        self.programs.remove(p)
        if p.returncode:
            sys.exit(f"bench: {' '.join(p.args)} failed with {p.returncode}:\n{out}")
        return out

    def call(self, where, *command):
        return self.output(self.start(where, *command))
