# SPDX-License-Identifier: MIT
"""The test runner itself: what it makes of programs that behave badly. A runner that miscounts would hide everything else."""

import importlib.machinery
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import processes
import tap

SRC = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True


def load_runner():
    loader = importlib.machinery.SourceFileLoader("runner", os.path.join(SRC, "tests", "run"))
    spec = importlib.util.spec_from_loader("runner", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


runner = load_runner()
runner.say = lambda text: None


def program_of(script, timeout=20, suites=("s",)):
    """A shell script as a test program, quiet."""
    test = {"suite": [f"p:{suite}" for suite in suites], "name": "n", "cmd": ["/bin/sh", "-c", script], "workdir": "/", "env": {},
            "is_parallel": True, "priority": 0, "timeout": timeout}
    program = runner.Program(test, "/", None)
    program.report = lambda *args: None
    return program


def outcome_of(script, timeout=20):
    """Run a shell script as a test program; its Outcome."""
    return program_of(script, timeout).run()


def check(outcome, passed, failed, skipped=0):
    seen = (outcome.passed, len(outcome.failures), len(outcome.skipped))
    assert seen == (passed, failed, skipped), f"{seen}: {outcome.failures} {outcome.skipped}"


def test_counts_what_passed():
    check(outcome_of("echo 1..2; echo ok 1 - a; echo ok 2 - b"), 2, 0)


def test_counts_what_failed():
    check(outcome_of("echo 1..2; echo ok 1 - a; echo not ok 2 - b; exit 1"), 1, 1)


def test_counts_what_the_jit_could_not_compile():
    """Results are right all the same, by the interpreter."""
    check(outcome_of("echo 'hsavisor[7] jit error: kernel at 0x1000: bad'; echo 1..1; echo ok 1 - a"), 1, 1)


def test_sums_several_groups():
    check(outcome_of("echo 1..1; echo ok 1; echo 1..2; echo ok 1; echo ok 2 - x"), 3, 0)


def test_plan_may_come_last():
    check(outcome_of("echo ok 1 - a; echo 1..1"), 1, 0)


def test_skipped_with_its_reason():
    out = outcome_of("echo 1..2; echo 'ok 1 - a # SKIP no disk'; echo 'ok 2 # skip b'")
    check(out, 0, 0, 2)
    assert out.skipped == ["a: no disk", "b"], out.skipped


def test_all_skipped():
    out = outcome_of("echo '1..0 # SKIP no kvm'")
    check(out, 0, 0, 1)
    assert out.skipped == ["no kvm"], out.skipped


def test_a_short_run_fails():
    check(outcome_of("echo 1..3; echo ok 1; echo ok 2"), 2, 1)


def test_a_long_run_fails():
    check(outcome_of("echo 1..1; echo ok 1; echo ok 2"), 2, 1)


def test_no_plan_fails():
    check(outcome_of("echo ok 1 - a"), 1, 1)


def test_silence_fails():
    check(outcome_of("true"), 0, 1)


def test_a_bad_exit_after_good_tests_fails():
    check(outcome_of("echo 1..1; echo ok 1; exit 3"), 1, 1)


def test_a_crash_fails():
    out = outcome_of("echo 1..1; echo ok 1; kill -SEGV $$")
    check(out, 1, 1)
    assert "SIGSEGV" in out.failures[0], out.failures


def test_bail_out_fails():
    out = outcome_of("echo 1..2; echo ok 1; echo 'Bail out! no daemon'; exit 1")
    check(out, 1, 1)
    assert "no daemon" in out.failures[0], out.failures


def test_a_hang_ends_and_fails():
    start = time.time()
    check(outcome_of("echo 1..2; echo ok 1; sleep 60", timeout=1), 1, 1)
    assert time.time() - start < 25


def test_what_waits_has_a_place_beside_the_others():
    with tempfile.TemporaryDirectory() as directory:
        busy = f"for i in $(seq 150); do [ -e {directory}/there ] && echo 1..1 && echo ok 1 && exit; sleep 0.1; done; exit 1"
        programs = [program_of(busy) for _ in range(os.cpu_count() or 1)] + [program_of(f"touch {directory}/there; echo 1..1; echo ok 1", suites=("s", "waits"))]
        outcomes = runner.run_all(programs)
    assert [program for program, _ in outcomes] == programs
    for _, outcome in outcomes:
        check(outcome, 1, 0)


def test_a_daemon_left_behind_does_not_hold_the_run():
    start = time.time()
    check(outcome_of("setsid sleep 60 & echo 1..1; echo ok 1"), 1, 0)
    assert time.time() - start < 25


def test_what_a_killed_suite_started_ends_with_it():
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        directory = tempfile.mkdtemp(prefix="hsavisor-suite-")
        # A daemon: of a session of its own, its parent gone.
        script = f"""
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler) # in the background it may be ignored
sys.path.insert(0, "{os.path.dirname(tap.__file__)}")
import processes
processes.guard("{directory}")
subprocess.run(["sh", "-c", "setsid sleep 300 >/dev/null &"], env=processes.environment("{directory}"), check=True)
print("started", flush=True)
while True: # in short sleeps: a signal between Python's last look for one and a sleep ends no sleep
    time.sleep(0.1)
"""
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as suite:
            assert suite.stdout.readline() == "started\n"
            processes.wait_until(lambda directory=directory: "sleep 300" in processes.processes(directory).values(), 60, "it started nothing")
            suite.send_signal(how)
        processes.wait_until(lambda directory=directory: not processes.processes(directory) and not os.path.exists(directory), 60, f"left after {how.name}")


def test_long_ones_begin_first_and_lone_ones_run_alone():
    directory = tempfile.mkdtemp(prefix="hsavisor-order-")
    log = f"{directory}/log"
    programs = []
    for name, parallel, priority in (("alone", False, 9), ("short", True, 0), ("long", True, 5), ("longest", True, 7)):
        script = f"echo begin {name} >>{log}; echo end {name} >>{log}; echo 1..1; echo ok 1"
        test = {"suite": ["p:s"], "name": name, "cmd": ["/bin/sh", "-c", script], "workdir": "/", "env": {}, "is_parallel": parallel, "priority": priority, "timeout": 20}
        programs.append(runner.Program(test, "/", None))
        programs[-1].report = lambda *args: None
    cpus = os.cpu_count
    os.cpu_count = lambda: 1
    outcomes = runner.run_all(programs)
    os.cpu_count = cpus
    with open(log, encoding="ascii") as f:
        lines = f.read().splitlines()
    shutil.rmtree(directory)
    assert lines == [f"{what} {name}" for name in ("longest", "long", "short", "alone") for what in ("begin", "end")], lines
    assert len(outcomes) == 4 and all(outcome.passed == 1 for _, outcome in outcomes)


def test_words_that_only_look_like_results():
    check(outcome_of("echo okay; echo '# ok 7'; echo 1..1; echo ok 1"), 1, 0)


def test_a_failure_names_its_assertion():
    out = outcome_of("echo 1..2; echo not ok 1 - a; echo '# 0x1 != 0x2'; echo '# t.c:8: error: Failure!'; echo ok 2 - b; echo '# not ok - group'; exit 1")
    check(out, 1, 1)
    assert out.failures == ["a: 0x1 != 0x2; t.c:8: error: Failure!"], out.failures


def test_what_is_shown_of_a_failure_begins_with_the_assertion():
    # As cmocka's logs are: warnings without end first, for they are not held back, then the results.
    log = [f"warn {i}" for i in range(200)] + ["ok 1 - a", "not ok 2 - b", "# 0x1 != 0x2", "# t.c:8: error: Failure!", "ok 3 - c"]
    log += [f"later {i}" for i in range(200)]
    shown = runner.excerpt(log)
    assert shown[0] == "..." and "# t.c:8: error: Failure!" in shown[:8], shown[:8]
    assert shown[1:4] == ["warn 197", "warn 198", "warn 199"], shown[:8]
    assert shown[-1] == "later 199" and len(shown) < 50 and not [line for line in shown if line.startswith("ok")], shown
    trace = ["not ok 1 - x"] + [f"# line {i}" for i in range(20)] + ["# AssertionError: why"] + ["more"] * 100
    assert "# AssertionError: why" in runner.excerpt(trace)[:25]
    crash = ["warn"] * 100 + ["==7==ERROR: AddressSanitizer: heap-use-after-free"] + ["stack"] * 100
    assert any("heap-use-after-free" in line for line in runner.excerpt(crash)[:6])


def test_all_of_a_short_log_is_shown_once():
    log = ["1..2", "warn", "not ok 1 - a", "# t.c:8: error: Failure!", "not ok 2 - b", "# t.c:9: error: Failure!", "end"]
    assert runner.excerpt(log) == log, runner.excerpt(log)


tap.run(sys.modules[__name__])
