#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: gen_embed.py FILE NAME OUT.c: a C file with FILE's bytes as NAME and NAME_size."""
import sys

data = open(sys.argv[1], 'rb').read()
with open(sys.argv[3], 'w') as out:
    out.write('#include <stddef.h>\n')
    out.write(f'extern const unsigned char {sys.argv[2]}[];\nextern const size_t {sys.argv[2]}_size;\n')
    out.write(f'const unsigned char {sys.argv[2]}[] = {{\n')
    for i in range(0, len(data), 24):
        out.write(','.join(str(b) for b in data[i:i + 24]) + ',\n')
    out.write(f'}};\nconst size_t {sys.argv[2]}_size = {len(data)};\n')
