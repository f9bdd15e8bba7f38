#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Writes isa_ops.inc and isa_table.inc from LLVM 19's description of AMDGPU instructions.

LLVM's TableGen records are the most complete machine-readable list of AMDGPU encodings: for each encoding of each
instruction they give the bits that are fixed, the bits of each operand, the operand's register class and the
subtargets that have it. This keeps the encodings that gfx900 and gfx90a can execute and turns each into one row:
which bits identify it, which operation it is, and where its operands are.

How to rerun, with Debian's llvm-19 and the sources of the package llvm-toolchain-19 (`apt-get source --download-only
llvm-toolchain-19`; of the .orig archive only llvm/lib/Target/AMDGPU and llvm/include are needed):

	llvm-tblgen-19 --dump-json -I llvm/lib/Target/AMDGPU -I llvm/include \\
		llvm/lib/Target/AMDGPU/AMDGPU.td >amdgpu.json
	gen_isa.py amdgpu.json isa_ops.inc isa_table.inc

The JSON is about 420 MB and needs some 4 GB of memory to read.
"""
import collections
import json
import re
import sys

TARGETS = (("GFX900", "gfx900"), ("GFX90A", "gfx90a"))
# The decoder name spaces LLVM consults for a target; a name space alone does not decide, the predicates do.
NAMESPACES = {
    "GFX900": {"GFX8", "GFX9", "GFX9_DL"},
    "GFX90A": {"GFX8", "GFX9", "GFX9_DL", "GFX90A"},
}

# Encoding: name of the decoder's class, and (shift, width) of its opcode field. VOP3P is part of VOP3's numbers.
CLASSES = {
    "SOP1": (8, 8), "SOP2": (23, 7), "SOPC": (16, 7), "SOPK": (23, 5), "SOPP": (16, 7), "SMEM": (18, 8),
    "VOP1": (9, 8), "VOP2": (25, 6), "VOPC": (17, 8), "VOP3": (16, 10), "VINTRP": (16, 2),
    "SDWA1": (9, 8), "SDWA2": (25, 6), "SDWAC": (17, 8), "DPP1": (9, 8), "DPP2": (25, 6), "DPPC": (17, 8),
    "DS": (17, 8), "FLAT": (18, 7), "GLOBAL": (18, 7), "SCRATCH": (18, 7), "MUBUF": (18, 7), "MTBUF": (15, 4),
    "MIMG": (18, 7), "EXP": (0, 0),
}

# What a word of each encoding family begins with: (mask, value) of the first dword.
PREFIXES = (
    ("SOP1", 0xff800000, 0xbe800000), ("SOPC", 0xff800000, 0xbf000000), ("SOPP", 0xff800000, 0xbf800000),
    ("SOPK", 0xf0000000, 0xb0000000), ("SOP2", 0xc0000000, 0x80000000),
    ("VOPC", 0xfe000000, 0x7c000000), ("VOP1", 0xfe000000, 0x7e000000), ("VOP2", 0x80000000, 0x00000000),
    ("SMEM", 0xfc000000, 0xc0000000), ("EXP", 0xfc000000, 0xc4000000), ("VOP3", 0xfc000000, 0xd0000000),
    ("VINTRP", 0xfc000000, 0xd4000000), ("DS", 0xfc000000, 0xd8000000), ("FLAT", 0xfc000000, 0xdc000000),
    ("MUBUF", 0xfc000000, 0xe0000000),
    ("MTBUF", 0xfc000000, 0xe8000000), ("MIMG", 0xfc000000, 0xf0000000),
)


def closure(records, features):
    """All features that these features imply, themselves included."""
    seen, todo = set(), list(features)
    while todo:
        f = todo.pop()
        if f not in seen:
            seen.add(f)
            todo += [x["def"] for x in records[f]["Implies"]]
    return seen


def target_features(records, cpu):
    for n in records["!instanceof"]["Processor"]:
        if records[n]["Name"] == cpu:
            return closure(records, [f["def"] for f in records[n]["Features"]]) | {"FeatureWavefrontSize64"}
    raise SystemExit(f"no processor {cpu}")


def condition(dag, features):
    if dag["kind"] == "def":
        return dag["def"] in features
    op, args = dag["operator"]["def"], [condition(a[0], features) for a in dag["args"]]
    return {"all_of": all(args), "any_of": any(args), "not": not args[0]}[op]


def available(records, rec, features):
    for p in rec.get("Predicates", []):
        pred = records[p["def"]]
        if pred.get("AssemblerMatcherPredicate") and not condition(pred["AssemblerCondDag"], features):
            return False
    return True


def mnemonic(rec):
    name = re.split(r"[ $]", rec["AsmString"])[0]
    return re.sub(r"_(e32|e64|sdwa|dpp)$", "", name)


class Field:
    """The bits of one operand: low bit's position in the instruction, width, first operand bit, and apart-bits."""

    def __init__(self):
        self.bits = {}  # operand bit -> instruction bit

    def key(self):
        b = sorted(self.bits)
        run = [b[0]]
        for i in b[1:]:
            if i == run[-1] + 1 and self.bits[i] == self.bits[run[-1]] + 1:
                run.append(i)
        rest = [i for i in b if i not in run]
        if len(rest) > 1:
            raise SystemExit(f"a field in more than two parts: {self.bits}")
        extra = self.bits[rest[0]] if rest else 0
        return (self.bits[run[0]], len(run), run[0], extra, rest[0] if rest else 0)


def parse_bits(rec):
    """Returns mask and value of the fixed bits, and the fields by operand name."""
    mask = value = 0
    fields = collections.defaultdict(Field)
    for i, b in enumerate(rec["Inst"]):
        if isinstance(b, int):
            mask |= 1 << i
            value |= b << i
        elif b and b["kind"] == "varbit":
            fields[b["var"]].bits[b["index"]] = i
        elif b and b["kind"] == "var":
            fields[b["var"]].bits[0] = i
    return mask, value, fields


TYPES = {"f16": "F16", "b16": "B16", "i16": "B16", "f32": "F32", "b32": "B32", "i32": "B32", "f64": "F64", "b64": "B64",
         "v2f16": "PK_F16", "v2b16": "PK_B16", "v2f32": "PK_F32", "v2b32": "PK_B32", "i1": "B64"}


def by_width(bits):
    return {16: "B16", 32: "B32", 64: "B64"}.get(bits, "WIDE")


class Operands:
    """Turns LLVM's operand classes into (what it may be, type, dwords)."""

    def __init__(self, records):
        self.records = records

    def describe(self, cls):
        rec = self.records[cls]
        reg = rec.get("RegClass")
        reg = reg["def"] if reg else cls
        m = re.match(r"(VSrc|VCSrc|SSrc|SCSrc|SDWASrc|VISrc_\d+|AISrc_\d+|VISrc|AISrc)_(\w+?)(_Deferred)?$", cls)
        width = re.search(r"_(\d+)", reg)
        bits = int(width.group(1)) if width else 32
        if m:
            kind, t = m.group(1), TYPES[m.group(2)]
            if kind.startswith(("VISrc", "AISrc")):
                # A wide accumulator's constant is that of one element.
                return ("ASRC" if kind[0] == "A" else "VSRC"), t, bits // 32
            if cls == "SSrc_i1":
                return "SREG", "B64", 2
            kind = {"VSrc": "SRC", "VCSrc": "SRC_NOLIT", "SSrc": "SSRC", "SCSrc": "SSRC_NOLIT", "SDWASrc": "SDWA"}[kind]
            return kind, t, {"B64": 2, "F64": 2, "PK_F32": 2, "PK_B32": 2}.get(t, 1)
        if cls == "VOPDstS64orS32":
            return "SREG", "B64", 2
        if cls == "SDWAVopcDst":
            return "SDWA_SDST", "B64", 2
        if cls.startswith("AVLdSt_"):
            return "AVMEM", by_width(bits), bits // 32
        if cls.startswith("AVSrc_"):
            return "AVSRC", by_width(bits), bits // 32
        if cls.startswith(("ADst_", "ARegSrc")) or reg.startswith(("AGPR_", "AReg_")):
            return "AGPR", by_width(bits), bits // 32
        if reg == "VRegOrLds_32":
            return "VGPR_LDS", "B32", 1
        if reg.startswith(("VGPR_", "VReg_")):
            return "VGPR", by_width(bits), bits // 32
        if reg.startswith("SReg_") and re.search("_X(M0|EXEC$)", reg):
            return "SREG_DATA", by_width(bits), bits // 32
        if reg.startswith("SReg_"):
            return "SREG", by_width(bits), bits // 32
        if cls in ("KImmFP16", "KImmFP32"):
            return "KIMM", "F16" if cls == "KImmFP16" else "F32", 1
        return None


FORMAT_KEYS = ("SOP1", "SOP2", "SOPC", "SOPK", "SOPP", "VINTRP", "MUBUF", "MTBUF", "MIMG", "EXP", "FLAT", "DS")


def classify(rec, mask, value):
    """The decoder's class and the isa_format of an encoding."""
    if rec.get("SMRD"):
        return "SMEM", "SMEM"
    if rec.get("SDWA") or rec.get("DPP"):
        low = value & 0xffffffff
        kind = "C" if low >> 25 == 0x3e else "1" if low >> 25 == 0x3f else "2"
        return ("SDWA" if rec.get("SDWA") else "DPP") + kind, "VOP" + kind
    if rec.get("VOP3P") or rec.get("IsMAI") or (rec.get("VOP3") and value >> 23 & 0x1ff == 0x1a7):
        return "VOP3", "VOP3P"
    if value & 0xfc000000 == 0xd0000000 and rec["Size"] == 8:
        return "VOP3", "VOP3"
    if rec.get("FLAT"):
        f = {0: "FLAT", 1: "SCRATCH", 2: "GLOBAL"}[value >> 14 & 3]
        return f, f
    for k in ("VOP1", "VOP2", "VOPC"):
        if rec.get(k):
            return k, k
    for k in FORMAT_KEYS:
        if rec.get(k):
            return k, k
    raise SystemExit(f"no format for {rec['!name']}")


SLOTS = {
    "vdst": "DST0", "src0": "SRC0", "src1": "SRC1", "src2": "SRC2", "vaddr": "SRC0", "addr": "SRC0", "data0": "SRC1",
    "data1": "SRC2", "saddr": "SRC2", "srsrc": "SRC2", "soffset": "SRC3", "sbase": "SRC0", "vsrc": "SRC0",
}


def slot_of(cls, fmt, name, is_out, names):
    if name == "sdst":
        if cls == "SOPK" and not is_out:
            return "SRC0"
        return "DST1" if "vdst" in names else "DST0"
    if name == "vdata":
        return "DST0" if is_out else "SRC1"
    if name == "vdata_in":
        return "SRC1"
    if name == "sdata":
        return "SRC2"
    if fmt == "SMEM" and name == "soffset":
        return "SRC1"
    return SLOTS[name]


def row_operands(ops, rec, cls, fmt, fields, mnem):
    """[(slot, field key, what, type, dwords)] of everything that is a register or a constant."""
    outs = [(a[1], a[0]["def"]) for a in rec["OutOperandList"]["args"]]
    ins = [(a[1], a[0]["def"]) for a in rec["InOperandList"]["args"]]
    names = [n for n, _ in outs]
    in_names = [n for n, _ in ins]
    res = []
    madmk = "imm" in in_names and fmt == "VOP2"
    for is_out, lst in ((True, outs), (False, ins)):
        for name, c in lst:
            d = ops.describe(c)
            if d is None or name in ("old", "vdst_in", "vdst1", "sdst_in") or (name == "vdata_in" and "load" in mnem):
                continue
            if fmt in ("MIMG", "EXP") or (fmt == "VINTRP" and name != "vdst" and name != "vsrc"):
                continue
            if d[0] == "KIMM":
                slot = "SRC1" if in_names.index("imm") < in_names.index("src1") else "SRC2"
                res.append((slot, (32, 32, 0, 0, 0)) + d)
                continue
            f = fields.get("vdata" if name == "vdata_in" else "sdst" if name == "sdata" and "sdata" not in fields else name)
            if f is None or not f.bits:
                continue  # tied to another operand
            slot = slot_of(cls, fmt, name, is_out, names)
            if madmk and name == "src1" and in_names.index("imm") < in_names.index("src1"):
                slot = "SRC2"
            res.append((slot, f.key()) + d)
    # Implicit VCC becomes an ordinary operand.
    uses = [x["def"] for x in rec["Uses"]]
    defs = [x["def"] for x in rec["Defs"]]
    vcc = ((0, 0, 0, 0, 0), "VCC", "B64", 2)
    if rec.get("VALU") and cls not in ("VOP3", "DS"):
        if "VCC" in defs and names != ["sdst"]:
            res.append(("DST1" if names else "DST0",) + vcc)
        if "VCC" in uses:
            res.append(("SRC2",) + vcc)
    elif cls == "VOP3" and "VCC" in uses:
        res.append(("SRC3",) + vcc)  # v_div_fmas
    return res


# LLVM has no tied operand for these, but they keep what they do not write (or swap).
READS_DST = {"s_cmovk_i32", "s_cmov_b32", "s_cmov_b64", "v_pk_fmac_f16", "v_cvt_pkaccum_u8_f32", "v_swap_b32", "v_interp_p2_f32"}


def value_bit(rec, i):
    return rec["Inst"][i] == 1


def row_flags(rec, cls, fmt, fields, mnem):
    ins = {a[1]: a[0]["def"] for a in rec["InOperandList"]["args"]}
    flags = set()
    fp = 0
    for i in range(3):
        c = ins.get(f"src{i}_modifiers", "")
        if "FP" in c and f"src{i}_modifiers" in fields:
            fp |= 1 << i
    if fmt == "VOP3P":
        if "mix" in mnem:
            flags.add("MIX")
        elif any("Packed" in c for c in ins.values()):
            flags.add("PACKED")
        if "blgp" in ins or "cbsz" in ins:
            flags.add("MFMA")
    elif fp:
        flags |= {f"MOD{i}" for i in range(3) if fp >> i & 1}
        if "sdst" in fields and "vdst" in fields:
            flags.add("VOP3B")  # the carry-out's register is where other operations have abs
    for name, flag in (("clamp", "CLAMP"), ("omod", "OMOD")):
        if name in fields:
            flags.add(flag)
    if "op_sel" in ins and fmt != "VOP3P":
        flags.add("OPSEL")
    if re.match(r"\w+(\$|_e32 )", rec["AsmString"]) and not rec.get("IsSingle") and (
            rec.get("VALU") or rec.get("VINTRP")):
        flags.add("SUFFIX")
    if re.search(r" tfe$", rec["AsmString"]):
        flags.add("TFE")
    if rec.get("Size") == 8 and cls in ("SOPK", "VOP2"):
        flags.add("LONG")
    if cls == "SOPP" or cls == "SOPK":
        c = ins.get("simm16", "")
        if c in ("s16imm", "SOPPBrTarget"):
            flags.add("SIMM_SIGNED")
        if c == "SOPPBrTarget":
            flags.add("BRANCH")
        if "simm16" in fields:
            flags.add("SIMM")
    if cls == "DS" and "gds" not in fields and value_bit(rec, 16):
        flags.add("GWS")
    if "attr" in fields:
        flags.add("INTERP")
    if "SCC" in [x["def"] for x in rec["Defs"]]:
        flags.add("DEF_SCC")
    if "SCC" in [x["def"] for x in rec["Uses"]]:
        flags.add("USE_SCC")
    tied = "" if cls in ("MIMG", "EXP") else rec.get("Constraints", "")
    if re.search(r"\$(vdst = \$(src2|vdst_in|vdata)|src2 = \$vdst|sdst = \$src0)", tied) or "sdst_in" in ins or (
            "$vdata = $vdata_in" in tied and "load" in mnem) or mnem in READS_DST:
        flags.add("READS_DST")
    return flags


def collect(records):
    features = {t: target_features(records, cpu) for t, cpu in TARGETS}
    ops = Operands(records)
    rows = {}
    for name in records["!instanceof"]["Instruction"]:
        rec = records[name]
        if rec.get("isPseudo") or rec.get("isCodeGenOnly") or not rec.get("Inst"):
            continue
        targets = [t for t, _ in TARGETS
                   if rec.get("DecoderNamespace") in NAMESPACES[t] and available(records, rec, features[t])]
        if not targets:
            continue
        mask, value, fields = parse_bits(rec)
        cls, fmt = classify(rec, mask, value)
        mnem = mnemonic(rec)
        if mnem == "v_mul_lo_i32":
            continue  # v_mul_lo_u32 by another name
        if cls in ("MIMG", "EXP"):  # recognised only: their operands are not decoded
            keep = 0xfc000000 if cls == "EXP" else 0xfdfc0000
            mask, value = mask & keep, value & keep
        if cls in ("FLAT", "GLOBAL", "SCRATCH", "MUBUF", "MTBUF", "DS") and "GFX900" in targets:
            # gfx900 has neither AGPRs nor scc; LLVM shares the record with gfx90a, so those bits split the row.
            gone = 0
            for n in {"vdst", "vdata", "data0", "data1"} & set(fields):
                gone |= sum(1 << p for i, p in fields[n].bits.items() if i == 9)
            if "cpol" in fields and 4 in fields["cpol"].bits:
                gone |= 1 << fields["cpol"].bits[4]
            parts = [(["GFX900"], mask | gone), ([t for t in targets if t != "GFX900"], mask)] if gone else [(targets, mask)]
        else:
            parts = [(targets, mask)]
        # Modifiers that integers do not have, and FLAT's offset bit that only the other segments have, must be 0.
        ins = {a[1]: a[0]["def"] for a in rec["InOperandList"]["args"]}
        for n, f in fields.items():
            if n.endswith("_modifiers") and re.match(r"Int(32|VReg)InputMods", ins.get(n, "")):
                mask |= sum(1 << p for p in f.bits.values())
        if cls == "FLAT":
            mask |= 1 << 12
        parts = [(t, m | mask) for t, m in parts]
        opnds = tuple(row_operands(ops, rec, cls, fmt, fields, mnem))
        flags = frozenset(row_flags(rec, cls, fmt, fields, mnem))
        shift, width = CLASSES[cls]
        opcode = value >> shift & ((1 << width) - 1)
        for tl, m in parts:
            if not tl:
                continue
            key = (cls, opcode, m, value, mnem, fmt, opnds, flags)
            rows.setdefault(key, set()).update(tl)
    return rows


def refine_types(rows):
    """A plain VGPR source has no type of its own in the 32-bit encodings: take that of the VOP3 form."""
    known = {}
    for (cls, _, _, _, mnem, _, opnds, _) in rows:
        if cls == "VOP3":
            for o in opnds:
                if o[2] in ("SRC", "SRC_NOLIT"):
                    known[mnem, o[0], o[4]] = o[3]
    out = {}
    for key, targets in rows.items():
        cls, opcode, m, v, mnem, fmt, opnds, flags = key
        if cls[:3] in ("VOP", "SDW", "DPP"):
            opnds = tuple((s, f, w, known.get((mnem, s, n), t) if w in ("VGPR", "SDWA") else t, n)
                          for s, f, w, t, n in opnds)
        out.setdefault((cls, opcode, m, v, mnem, fmt, opnds, flags), set()).update(targets)
    return out


HEADER = "/* SPDX-License-Identifier: MIT */\n/* Generated by gen_isa.py from LLVM 19's AMDGPU records; do not edit. %s */\n"


def write_ops(rows, path):
    with open(path, "w") as f:
        f.write(HEADER % "Every operation of gfx900 and gfx90a: ISA_OP(name, mnemonic).")
        for m in sorted({k[4] for k in rows}):
            f.write(f'ISA_OP({m.upper()}, "{m}")\n')


def write_table(rows, path):
    order = {c: i for i, c in enumerate(CLASSES)}
    # Within one opcode the row with the most fixed bits comes first, so that a special case wins.
    keys = sorted(rows, key=lambda k: (order[k[0]], k[1], -bin(k[2]).count("1"), k[4], k[3], k[2], str(k[6])))
    opnds = sorted({o for k in keys for o in k[6]})
    number = {o: i + 1 for i, o in enumerate(opnds)}
    index = collections.OrderedDict()
    with open(path, "w") as f:
        f.write(HEADER % "See isa_decode.c for the meaning of the macros.")
        f.write("\n/* ISA_CLASS(class, opcode shift, opcode width) */\n#ifdef ISA_CLASS\n")
        for c, (s, w) in CLASSES.items():
            f.write(f"ISA_CLASS({c}, {s}, {w})\n")
        f.write("#endif\n\n/* ISA_PREFIX(top 9 bits of the first dword, class); FLAT stands for its three segments */\n#ifdef ISA_PREFIX\n")
        for top in range(512):  # by the top 9 bits; the first that fits
            c = next((c for c, m, v in PREFIXES if top << 23 & m == v), None)
            if c:
                f.write(f"ISA_PREFIX({top}, {c})\n")
        f.write("#endif\n\n/* ISA_OPERAND(number, slot, bit, width, bit 0 of the value, apart bit, its value bit, what, type, dwords) */\n")
        f.write("#ifdef ISA_OPERAND\n")
        for o in opnds:
            s, (pos, width, low, extra, ebit), what, t, n = o
            f.write(f"ISA_OPERAND({number[o]}, {s}, {pos}, {width}, {low}, {extra}, {ebit}, {what}, {t}, {n})\n")
        f.write("#endif\n\n/* ISA_ROW(targets, operation, format, mask, value, flags, operand numbers...) */\n#ifdef ISA_ROW\n")
        for i, k in enumerate(keys):
            cls, opcode, m, v, mnem, fmt, ol, flags = k
            index.setdefault((cls, opcode), [i, 0])[1] += 1
            t = " | ".join("T_" + x for x in sorted(rows[k]))
            fl = " | ".join("R_" + x for x in sorted(flags)) or "0"
            nums = ", ".join(str(number[o]) for o in ol) or "0"
            f.write(f"ISA_ROW({t}, {mnem.upper()}, {fmt}, {m:#x}, {v:#x}, {fl}, {nums})\n")
        f.write("#endif\n\n/* ISA_INDEX(class, opcode, first row, rows) */\n#ifdef ISA_INDEX\n")
        for (cls, opcode), (first, count) in index.items():
            f.write(f"ISA_INDEX({cls}, {opcode:#x}, {first}, {count})\n")
        f.write("#endif\n")
    for a, b in zip(keys, keys[1:]):
        if a[:4] == b[:4] and a[4] != b[4] and rows[a] & rows[b]:
            print(f"two names for one encoding: {a[4]}, {b[4]}")
    print(f"{len(keys)} rows, {len(opnds)} operand forms, {len(index)} opcodes")


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    with open(sys.argv[1]) as f:
        records = json.load(f)
    rows = refine_types(collect(records))
    write_ops(rows, sys.argv[2])
    write_table(rows, sys.argv[3])


if __name__ == "__main__":
    main()
