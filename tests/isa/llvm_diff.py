#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Compares the decoder with LLVM 19's, instruction by instruction.

  llvm_diff.py ISA_TEXT make TARGET SEED COUNT    instructions made from the decoder's own table
  llvm_diff.py ISA_TEXT files TARGET FILE...      the instructions of assembly files (*.s) and of disassembly tests (*.txt)

Each instruction goes through LLVM's disassembler (llvm-mc-19 --disassemble) and through ours, and the texts must be equal but for
white space. `make` also assembles LLVM's text again (llvm-mc-19) and decodes those bytes, so that the bits the assembler
writes are what is checked, not only the bits drawn. LLVM_MC names the program. Exits 77 (skip) without it.
"""
import collections
import os
import re
import shutil
import subprocess
import sys

MC = os.environ.get("LLVM_MC") or shutil.which("llvm-mc-19") or shutil.which("llvm-mc")
MARK = "0xef 0xbe 0x80 0xbf"  # s_nop 0xbeef: tells where one instruction's output ends
MARK_TEXT = "s_nop 0xbeef"
# LLVM's decoder can die of unusual bits; smaller lots lose less.
LOT = 20000


def llvm(target, args, text):
    cmd = [MC, "-triple=amdgcn", f"-mcpu={target}"] + args
    return subprocess.run(cmd, input=text, capture_output=True, text=True, timeout=600)


def disassemble(target, lines):
    """LLVM's text of each line's bytes; None where it refuses."""
    out = []
    for i in range(0, len(lines), LOT):
        out += disassemble_lot(target, lines[i:i + LOT])
    return out


def disassemble_lot(target, lines):
    p = llvm(target, ["--disassemble"], "".join(f"{l}\n{MARK}\n" for l in lines))
    # An instruction takes an odd line. After a refusal LLVM goes on within the line: what it then finds is no answer.
    refused = {int(n) for n in re.findall(r"^<stdin>:(\d+):\d+: warning: invalid instruction", p.stderr, re.M)}
    res, now = [], []
    for l in p.stdout.splitlines():
        l = l.strip()
        if l == MARK_TEXT:
            res.append(" ; ".join(now) if now and 2 * len(res) + 1 not in refused else None)
            now = []
        elif l and not l.startswith("."):
            now.append(l)
    if len(res) != len(lines):  # it died of one of them
        if len(lines) == 1:
            print(f"# LLVM dies of {lines[0]}")
            return [None]
        half = len(lines) // 2
        return disassemble_lot(target, lines[:half]) + disassemble_lot(target, lines[half:])
    return res


def assemble(target, text):
    """The encodings of those lines of an assembly text that assemble."""
    p = llvm(target, ["--show-encoding"], text)
    return [" ".join(m.group(1).split(",")) for m in re.finditer(r"encoding: \[(0x[^\]A-Z']*)\]", p.stdout)]


def ours(tool, target, lines):
    p = subprocess.run([tool, target], input="".join(l + "\n" for l in lines), capture_output=True, text=True, check=True)
    return p.stdout.splitlines()


def normal(text):
    if text is None:
        return "invalid"
    if "/*" in text:  # LLVM's remark that an operand is not a valid one
        return "invalid"
    text = text.split("//")[0]
    text = " ".join(text.split())
    if re.match(r"(image_|exp\b)", text):  # recognised only
        return text.split()[0].split("_e")[0] if text.startswith("exp") else text.split()[0]
    return text


# LLVM's own tests hold more than this; fewer means that they were not found.
LEAST = 50000


def excused(theirs, mine):
    """Differences that are meant: a scalar condition as s_cbranch_join's register makes no sense and is refused; of image instructions only the
    name is decoded, so a bad modifier is not noticed."""
    return theirs.startswith("s_cbranch_join src_") or (theirs == "invalid" and mine.startswith("image_"))


def compare(tool, target, lines, verbose, excuse=lambda theirs, mine: False):
    lines = list(dict.fromkeys(lines))
    theirs, mine = disassemble(target, lines), ours(tool, target, lines)
    bad = collections.OrderedDict()
    for l, a, b in zip(lines, theirs, mine):
        a, b = normal(a), normal(b)
        if a != b and not excuse(a, b):
            bad[l] = (a, b)
    for n, (l, (a, b)) in enumerate(bad.items()):
        if n < verbose:
            print(f"# {l}\n#   LLVM: {a}\n#   ours: {b}")
    print(f"# {target}: {len(lines) - len(bad)} of {len(lines)} instructions agree")
    return lines, theirs, len(bad)


def read_files(target, files):
    lines = []
    for path in files:
        with open(path, errors="replace") as f:
            text = f.read()
        if path.endswith(".txt"):
            for l in text.splitlines():
                l = l.split("#")[0].split(";")[0].strip()
                if re.fullmatch(r"(0x[0-9a-fA-F]{2}[ ,]*)+", l):
                    lines.append(" ".join(l.replace(",", " ").split()))
        else:
            lines += assemble(target, text)
    return lines


def main():
    if not MC:
        print("1..0 # SKIP llvm-mc-19 is not installed")
        return 0
    tool, mode, target, rest = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    verbose = int(os.environ.get("ISA_DIFF_SHOW", "20"))
    if mode == "files":
        lines, _, bad = compare(tool, target, read_files(target, rest), verbose, excused)
        right = len(lines) >= LEAST and not bad
        print(f"1..1\n{'' if right else 'not '}ok 1 - {target}: {len(lines)} instructions of LLVM's own tests")
        return 0 if right else 1
    print("1..2")
    made = subprocess.run([tool, "--make", target] + rest, capture_output=True, text=True, check=True).stdout.splitlines()
    _, theirs, bad = compare(tool, target, made, verbose)
    again = assemble(target, "".join(t + "\n" for t in dict.fromkeys(theirs) if t and ";" not in t))
    print(f"{'not ' if bad or not made else ''}ok 1 - {target}: LLVM disassembles what we decode alike", flush=True)
    lines, _, bad_again = compare(tool, target, again, verbose)
    print(f"{'not ' if bad_again or not lines else ''}ok 2 - {target}: LLVM's text, assembled again, decodes alike", flush=True)
    return 1 if bad or bad_again or not made or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
