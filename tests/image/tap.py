# SPDX-License-Identifier: MIT
"""A page of TAP: runs the functions of a module whose names begin with test_, in order, and says how each went."""

import sys
import traceback


class Skip(Exception):
    """Raised by a test that cannot run here, with the reason."""


def run(module):
    tests = [(name, f) for name, f in vars(module).items() if name.startswith("test_") and callable(f)]
    print(f"1..{len(tests)}")
    failed = 0
    for number, (name, test) in enumerate(tests, 1):
        what = name[len("test_") :].replace("_", " ")
        try:
            test()
            print(f"ok {number} - {what}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {what} # SKIP {reason}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {what}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            sys.stdout.flush()
    sys.exit(1 if failed else 0)
