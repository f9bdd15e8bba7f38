# SPDX-License-Identifier: MIT
"""
The processes of a suite: who is there, and an end of them all.

Theory of operation: everything that a suite starts inherits the variable HSAVISOR_TEST with the suite's directory. So "what is left of it" is a look at /proc,
whoever started it and whoever its parent is now; of a broker of an ordinary user, whose environment is not to be read, the command line tells, which names the
directory. end() ends exactly that.
"""

import contextlib
import os
import shutil
import signal
import time


def wait_until(what, seconds=60, why="waited in vain"):
    """Waits for what() to be true and returns its value."""
    end_time = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end_time, why
        time.sleep(0.05)


def alive(pid):
    """Whether the process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu_seconds(pid):
    """CPU time that the process used until now."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def environment(directory, **more):
    """For what a suite starts."""
    return dict(os.environ, HSAVISOR_TEST=directory, **more)


def processes(directory):
    """The processes of the suite with that directory: pid -> command line."""
    mark = f"HSAVISOR_TEST={directory}".encode()
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                line = f.read()
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    ours = mark in f.read().split(b"\0")
            except PermissionError:
                ours = os.path.basename(line.split(b"\0")[0]) == b"hsavisor-broker" and directory.encode() in line
            if ours:
                found[int(pid)] = line.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def end(directory):
    """Ends what is left of the suite, and removes its directory."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes(directory):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, sig)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not any(map(alive, processes(directory))), 5)
    shutil.rmtree(directory, ignore_errors=True)


def guard(directory):
    """A process that ends the suite's when this one is gone, however it went: a runner kills what takes too long, a person interrupts."""
    theirs, mine = os.pipe()
    if os.fork():
        os.close(theirs)
        return
    os.setsid()
    os.close(mine)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.read(theirs, 1)
    end(directory)
    os._exit(0)  # pylint: disable=protected-access
