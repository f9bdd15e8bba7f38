#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the rows of exec/salu.c as SALU(name, function) lines: the operations that lanes.c makes functions of.

usage: gen_salu.py salu.c lanes_salu.inc. Left out: s_movrel*, whose registers are known only when they run.
"""
import re
import sys

text = open(sys.argv[1]).read()
rows = re.findall(r'\{ISA_(S_\w+), (op_\w+)\}', text)
with open(sys.argv[2], 'w') as out:
    for name, function in rows:
        if 'MOVREL' not in name:
            out.write(f'SALU({name}, {function})\n')
if len(rows) < 50:
    sys.exit('salu.c: rows not found')
