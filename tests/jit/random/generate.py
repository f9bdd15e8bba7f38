#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
generate.py SEED COUNT - writes COUNT random kernels, from the number SEED on, in what C and OpenCL C have in common.

Included by kernels.cl they are kernels, by reference.c functions that do for all work-items of a grid what those do, in phases between barriers. So the program must not
depend on the order of work-items: each stores only to places that are its own, or does atomic operations that commute; what it reads of local memory nobody writes before
the next barrier. Behaviour that C leaves open is avoided: indices stay inside of the arrays (they are made together with their bounds), shifts are below the width.

What the kernels are made of is what programs are made of: indices that are sums of ids, reversed, folded, transposed, loaded; conditions on ids, on arguments and on what was
loaded; loops that are the same for all lanes, or end lane by lane; tiles of local memory, trees over a work-group.
"""
import random
import sys

# As in random.h.
W, H = 128, 96
N = W * H
SLACK = 4 * N


class Kernel:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.name = "k%d" % seed
        self.style = self.r.choice(["plain", "plain", "stream", "stream", "loop", "serial", "group", "group", "mixed"])
        self.dims = 1 if self.style == "group" or self.r.random() < 0.7 else 2
        self.group = self.pick(64, 128, 256) if self.style == "group" else 0
        self.depth = self.nest = 0
        self.loops = []  # (variable, most)
        self.next = 0
        self.out = []
        self.indent = 1
        self.budget = 2 if self.style == "plain" else self.r.randint(4, 16)
        self.kinds = self.r.choice(["u", "us", "usf", "uf", "usq", "usfqd", "ufd", "uh", "uhp", "ufhp"])
        self.restrict = self.r.choice(["", "RESTRICT"])
        self.outputs = []
        for k in range(3):
            kind = self.r.choice(["uint"] * 4 + ["float"] * 2 + ["ushort", "uchar", "ulong", "uint2", "uint4", "double", "half"])
            self.outputs.append((kind, *self.place(kind)))  # and what of it is a work-item's own
        # Which of the arrays in local memory are the work-items' own in this phase, and where; the others are read.
        self.lds = []

    # --- small things

    def pick(self, *a):
        return self.r.choice(a)

    def one(self, forms):
        """One of texts and functions that make one."""
        form = self.r.choice(forms)
        return form() if callable(form) else form

    def chance(self, p):
        return self.r.random() < p

    def line(self, text):
        self.out.append("\t" * self.indent + text)

    def fresh(self, prefix):
        self.next += 1
        return "%s%d" % (prefix, self.next)

    def const(self):
        return self.pick("0", "1", "2", "3", "5", "7", "13", "16", "31", "63", "64", "100", "255", "256", "1000", "4095", "65535", "0x12345678", "0x80000000u", "0xffffffffu",
                         "2654435761u")

    def own(self):
        """A permutation of all work-items: text of an int below N."""
        forms = ["t->i", "t->i", "t->i", "(%d - t->i)" % (N - 1), "(t->i ^ %d)" % self.pick(1, 3, 32, 63, 64, 255), "(t->i %% 256 * %d + t->i / 256)" % (N // 256),
                 "(t->i %% %d * %d + t->i / %d)" % (H, W, H), "((t->i & 63) * %d + (t->i >> 6))" % (N // 64), "(t->i / 64 * 64 + 63 - t->i % 64)"]
        if self.dims == 2:
            forms += ["(t->y * %d + t->x)" % W, "(t->x * %d + t->y)" % H, "(t->y * %d + %d - t->x)" % (W, W - 1)]
        return self.r.choice(forms)

    def place(self, kind):
        """Where a work-item's own slots of an output are: slots, text of an index with SLOT for the slot."""
        slots = 1 if kind in ("uint4", "ulong", "double", "uint2") else self.pick(1, 1, 2, 3, 4)
        own = self.own()
        if slots > 1 and self.chance(0.5):
            return slots, "(%s + SLOT * %d)" % (own, N)
        return slots, "(%s * %d + SLOT)" % (own, slots) if slots > 1 else own

    # --- indices of inputs: text, lowest, highest

    def base_index(self):
        c = self.pick(2, 3, 4, 8, 16, 100, 256)
        forms = [("t->i", 0, N - 1)] * 4 + [("t->l", 0, 255), ("t->g", 0, N // 32), ("(%d - t->i)" % (N - 1), 0, N - 1), ("(t->i >> %d)" % self.r.randint(1, 8), 0, N - 1),
                 ("(t->i %% %d)" % c, 0, c - 1), ("(t->i / %d)" % c, 0, N - 1), ("(t->i ^ %d)" % self.pick(1, 2, 16, 32, 64, 255), 0, N + 255),
                 ("(t->i & %d)" % self.pick(1, 15, 31, 63, 127, 255, 0xfffe, 0xfff0, 0x3f0), 0, N - 1), ("(m & 15)", 0, 15), ("umin(m, 1000)", 0, 1000)]
        if self.dims == 2:
            forms += [("t->x", 0, W - 1), ("t->y", 0, H - 1), ("(t->y * %d + t->x)" % W, 0, N - 1), ("(t->x * %d + t->y)" % H, 0, N - 1)] * 2
        for v, most in self.loops:
            forms += [(v, 0, most), ("(%s * %d)" % (v, W), 0, most * W)]
        if self.nest < 2:
            forms += [lambda: ("(%s & %d)" % (self.uint(1), self.pick(15, 63, 1023, 8191)), 0, 8191), lambda: ("umin(%s, %d)" % (self.uint(1), self.pick(1, 64, 5000)), 0, 5000)]
            forms += [lambda: ("cols[%s]" % self.index(2 * N), 0, N - 1)] * 2
        return self.one(forms)

    def index(self, room=SLACK):
        """Text of an integer whose absolute value is below room."""
        self.nest += 1
        while True:
            text, low, high = self.base_index()
            if self.chance(0.3):
                c = self.pick(2, 2, 3, 4, 5, 7, 16)
                text, low, high = "%s * %d" % (text, c), low * c, high * c
            if self.chance(0.4):
                t2, l2, h2 = self.base_index()
                text, low, high = "(%s + %s)" % (text, t2), low + l2, high + h2
            if self.chance(0.4):
                c = self.pick(-W, -64, -3, -1, 1, 1, 2, 5, 64, W, 1000)
                text, low, high = "(%s + %d)" % (text, c), low + c, high + c
            if low >= 0 and self.chance(0.25):
                # Parts of sums, and what is put together from parts that may overlap.
                c, k = self.pick(1, 3, 4, 15, 48, 64, 127, 255, 1023), self.r.randint(1, 6)
                text, high = self.r.choice([("(%s & %d)" % (text, c), c), ("(%s | %d)" % (text, c), high + c), ("(%s ^ %d)" % (text, c), high + c), ("(%s >> %d)" % (text, k), high),
                                            ("(%s | (t->l & %d))" % (text, c), high + c), ("((t->l << %d) | (%s & %d))" % (k, text, c), (255 << k) + c),
                                            ("(((%s & %d) + (t->l & %d)) %s %d)" % (text, c, c, self.pick("|", "^", "+"), c + 1), 3 * c + 1)])
            if self.chance(0.1):
                text, low, high = "(n - 1 - %s)" % text, -2 - high, N + 8
            if -room < low and high < room:
                break
        self.nest -= 1
        how = self.r.random()
        if how < 0.5:
            return "(int)(%s)" % text
        if low >= 0 and how < 0.8:
            return "(uint)(%s)" % text
        return "(long)(int)(%s)" % text

    # --- expressions

    def load(self, name):
        return "%s[%s]" % (name, self.index())

    def lds_load(self, kind):
        arrays = [a for a in self.lds if a[1] == kind]
        if not arrays:
            return []
        name, _, own = self.r.choice(arrays)
        if own:
            return ["%s[%s]" % (name, own)]
        g = self.group
        forms = ["t->l", "(t->l ^ %d)" % self.pick(1, 2, 8, 16, 32, 63), "(%d - t->l)" % (g - 1), "(t->l + %d) %% %d" % (self.pick(1, 2, 3, 16, 31, 64), g),
                 "(t->l & %d)" % (g - 1 - self.pick(1, 3, 7, 15)), "((t->l | %d) & %d)" % (self.pick(1, 4, 48), g - 1), "((t->l * 3 + %d) & %d)" % (self.pick(0, 1, 5), g - 1), "%d" % self.r.randint(0, g - 1), "(t->l >> %d)" % self.pick(1, 2, 4), "((t->l & 7) * %d + (t->l >> 3))" % (g // 8)]
        if self.nest < 2:
            forms += [lambda: "(%s & %d)" % (self.uint(0), g - 1)]
        for v, most in self.loops:
            forms += ["((t->l + %s) & %d)" % (v, g - 1), "((%s * %d + (t->l & 15)) & %d)" % (v, self.pick(1, 8, 16), g - 1)] * 2
        return ["%s[%s]" % (name, self.one(forms))]

    def own_load(self, *kinds):
        outs = [k for k, o in enumerate(self.outputs) if o[0] in kinds]
        return [self.slot(self.r.choice(outs))] if outs else []

    def slot(self, k):
        kind, slots, where = self.outputs[k]
        return "((GLOBAL %s *)o%d)[%s]" % (kind, k, where.replace("SLOT", str(self.r.randrange(slots))))

    def expression(self, d, leaves, loads, forms):
        """forms: of the same kind and others, with their parts as functions of the depth."""
        c = self.r.random()
        if d <= 0 or c < 0.2:
            return self.one(leaves)
        if c < 0.45 and self.nest < 2:
            return self.one(loads)
        form, *parts = self.r.choice(forms)
        return form % tuple(p(d - 1) if callable(p) else p for p in parts)

    def uint(self, d=2):
        u, v, k = self.uint, "t->u%d" % self.r.randrange(3), self.r.randint(1, 31)
        leaves = [v] * 5 + ["t->i", "t->l", "(uint)n", "(uint)m", self.const()] + [v for v, _ in self.loops]
        loads = [lambda: self.load("ints")] * 5 + [lambda: self.load("rows"), lambda: self.load("cols"), lambda: "(uint)" + self.load("bytes"), lambda: "(uint)" + self.load("halves")]
        loads += (self.lds_load("uint") + self.own_load("uint", "ushort", "uchar")) * 3
        forms = [("(%s %s %s)", u, op, u) for op in "+-*&|^+" * 2]
        forms += [("(%s >> %d)", u, k), ("(%s << %d)", u, k), ("(%s >> (%s & 31))", u, u), ("(%s << (%s & 31))", u, u), ("(~%s)", u), ("umin(%s, %s)", u, u), ("umax(%s, %s)", u, u),
                  ("((%s & 0xffffff) * (%s & 0xffffff))", u, u), ("(uint)((ulong)%s * %s >> 32)", u, u), ("(uint)__builtin_popcount(%s)", u), ("((%s << %d) | (%s >> %d))", v, k, v, 32 - k),
                  ("(%s %% %du)", u, self.pick(3, 7, 10, 61, 1000)), ("(%s / %du)", u, self.pick(3, 7, 10, 61, 1000)), ("(%s >> %d & %d)", u, k, self.pick(1, 15, 255)),
                  ("(%s ? %s : %s)", self.cond, u, u), ("(uint)%s", self.int), ("(uint)%s", self.cond)]
        if self.chance(0.03):
            forms += [("(%s / (%s | 1))", u, u)] * 8
        if "q" in self.kinds:
            forms += [("(uint)%s", self.ulong), ("(uint)(%s >> %d)", self.ulong, self.r.randint(1, 63))] * 2
        if "f" in self.kinds:
            forms += [("bits(%s)", self.float), ("(uint)small(%s)", self.float)] * 2
        if "h" in self.kinds:
            forms += [("bitsh(%s)", self.half), ("(uint)small((float)%s)", self.half)] * 2
        return self.expression(d, leaves, loads, forms)

    def int(self, d=2):
        s = self.int
        leaves = ["t->s0", "t->s1", "(int)t->i", "n", "m", "(int)t->u0", "-1", "(int)%s" % self.const()]
        forms = [("(int)%s", self.uint)] * 2 + [("(%s %s %s)", s, op, s) for op in "+-*+-"]
        forms += [("(%s >> %d)", s, self.r.randint(1, 31)), ("smin(%s, %s)", s, s), ("smax(%s, %s)", s, s), ("(- %s)", s), ("(%s / %d)", s, self.pick(3, 7, -5, 16)), ("(%s %% %d)", s, self.pick(3, 7, 16, 100)),
                  ("(t->s0 < 0 ? -t->s0 : t->s0)",), ("((int)((uint)%s << 16) >> 16)", s), ("(int)(short)%s", s), ("(int)(signed char)%s", s)]
        return self.expression(d, leaves, [lambda: "(int)" + self.load("halves"), lambda: "(int)" + self.load("ints")], forms)

    def float(self, d=2):
        f = self.float
        leaves = ["t->f0", "t->f1", "t->f0", "1.0f", "0.5f", "-2.0f", "0.1f", "(float)(int)t->i", "(float)m"]
        forms = [("(%s %s %s)", f, op, f) for op in "+-*+-*"]
        forms += [("fma(%s, %s, %s)", f, f, f), ("less(%s, %s)", f, f), ("more(%s, %s)", f, f), ("(- %s)", f), ("fabs(%s)", f), ("(float)%s", self.int), ("(float)%s", self.uint),
                  ("(%s ? %s : %s)", self.cond, f, f), ("floor(%s)", f), ("trunc(%s)", f)]
        if self.chance(0.05):
            forms += [("(%s / %s)", f, f), ("sqrt(fabs(%s))", f)] * 4
        if "d" in self.kinds:
            forms += [("(float)%s", self.double)] * 2
        if "h" in self.kinds:
            forms += [("(float)%s", self.half)] * 2
        return self.expression(d, leaves, [lambda: self.load("floats")] * 3 + (self.lds_load("float") + self.own_load("float")) * 2, forms)

    def half(self, d=2):
        h = self.half
        leaves = ["t->h0"] * 3 + ["(half)1.5f", "(half)0.1f", "(half)-2.0f", "(half)(float)m", "rounded(t->f0)"]
        forms = [("(half)(%s %s %s)", h, op, h) for op in "+-*+-*"]
        forms += [("lessh(%s, %s)", h, h), ("(half)(- %s)", h), ("(half)fabs(%s)", h), ("(half)(float)%s", self.int), ("(%s ? %s : %s)", self.cond, h, h), ("(%s < %s ? %s : %s)", h, h, h, h)]
        if "f" in self.kinds:
            forms += [("rounded(%s)", self.float)] * 2
        if "p" in self.kinds:
            forms += [("LOW(%s)", self.pair), ("HIGH(%s)", self.pair)] * 2
        return self.expression(d, leaves, [lambda: "((GLOBAL const half *)halves)[%s]" % self.index()] * 3 + self.own_load("half") * 2, forms)

    def pair(self, d=2):
        """Two halves."""
        p = self.pair
        forms = [("(%s %s %s)", p, op, p) for op in "+-*+-*"] + [("((half2){%s, %s})", self.half, self.half)] * 2 + [("(- %s)", p), ("((half2){HIGH(%s), LOW(t->p0)})", p)]
        return self.expression(d, ["t->p0"] * 3 + ["((half2){t->h0, t->h0})"], [lambda: "((GLOBAL const half2 *)halves)[%s]" % self.index(SLACK // 2)], forms)

    def double(self, d=2):
        f = self.double
        forms = [("(%s %s %s)", f, op, f) for op in "+-*+-*"] + [("fma(%s, %s, %s)", f, f, f), ("lessd(%s, %s)", f, f), ("(- %s)", f), ("(double)%s", self.uint), ("(double)%s", self.int)]
        if "f" in self.kinds:
            forms += [("(double)%s", self.float)]
        return self.expression(d, ["t->d0", "1.0", "0.1", "(double)(int)t->i"], [lambda: self.load("doubles")] + self.own_load("double"), forms)

    def ulong(self, d=2):
        q = self.ulong
        forms = [("(%s %s %s)", q, op, q) for op in "+-*&|^"]
        forms += [("(%s >> %d)", q, self.r.randint(1, 63)), ("(%s << %d)", q, self.r.randint(1, 63)), ("(%s >> (%s & 63))", q, self.uint), ("(ulong)(long)%s", self.int), ("(ulong)%s", self.uint),
                  ("(%s ? %s : %s)", self.cond, q, q)]
        return self.expression(d, ["t->q0", "(ulong)t->u0", "(ulong)t->i", "0x123456789abcdeful", "(ulong)(long)n"], [lambda: self.load("wide")] + (self.own_load("ulong") + self.lds_load("ulong")) * 2, forms)

    def cond(self, d=2):
        ids = ["(int)t->i < n", "(int)t->i < n", "(int)t->i < m", "(int)t->i >= n", "(int)t->i == n - 1", "t->l < %d" % self.pick(1, 16, 32, 64, 100), "t->i > 0", "t->i %% %d == %d" % (self.pick(2, 3, 5, 64), self.pick(0, 1)),
               "(t->i & %d) != 0" % self.pick(1, 8, 64, 128), "t->g %% %d == 0" % self.pick(2, 3), "t->l == 0", "(t->i & 255) %s %d" % (self.pick("<", ">", "!="), self.pick(0, 7, 128, 255))]
        if self.dims == 2:
            ids += ["t->x > 0 && t->x < %d" % (W - 1), "t->y > 0 && t->y < %d && t->x > 0 && t->x < %d" % (H - 1, W - 1), "t->x < (uint)m", "t->x == t->y", "t->y >= t->x"] * 2
        args = ["m > 3", "(m & 1) != 0", "n > 5000", "(int)t->g < m", "m == 0"]
        v = "t->u%d" % self.r.randrange(3)
        data = ["%s < %s" % (v, self.pick("0x40000000u", "0x80000000u", "0xe0000000u", "100")), "(%s & %d) == 0" % (v, self.pick(1, 3, 7, 63)), "(%s & 3) != 1" % v, "(int)%s < 0" % v]
        if d > 0:
            data += [lambda: "%s %s %s" % (self.uint(d - 1), self.pick("<", ">", "==", "!=", "<=", ">="), self.uint(d - 1)), lambda: "%s %s %s" % (self.int(d - 1), self.pick("<", ">"), self.int(d - 1))]
            if "f" in self.kinds:
                data += [lambda: "%s %s %s" % (self.float(d - 1), self.pick("<", ">", "<=", ">=", "==", "!="), self.float(d - 1))] * 2
        c = self.r.random()
        if d > 0 and c < 0.25:
            return "(%s %s %s)" % (self.cond(d - 1), self.pick("&&", "&&", "||"), self.cond(d - 1))
        return "(%s)" % self.one(ids if c < 0.6 else args if c < 0.7 else data)

    # --- statements

    def assign(self):
        k = self.r.choice(self.kinds)
        if k == "u":
            self.line("t->u%d %s %s;" % (self.r.randrange(3), self.pick("=", "=", "+=", "^="), self.uint()))
        elif k == "s":
            self.line("t->s%d %s %s;" % (self.r.randrange(2), self.pick("=", "+="), self.int()))
        elif k == "f":
            self.line("t->f%d %s %s;" % (self.r.randrange(2), self.pick("=", "=", "+=", "*="), self.float()))
        elif k == "h":
            self.line("t->h0 %s %s;" % (self.pick("=", "=", "+=", "*="), self.half()))
        elif k == "p":
            self.line("t->p0 %s %s;" % (self.pick("=", "=", "+=", "*="), self.pair()))
        elif k == "q":
            self.line("t->q0 %s %s;" % (self.pick("=", "^=", "+="), self.ulong()))
        else:
            self.line("t->d0 %s %s;" % (self.pick("=", "+="), self.double()))

    def store(self):
        k = self.r.randrange(3)
        kind = self.outputs[k][0]
        to = self.slot(k)
        if kind in ("uint", "ushort", "uchar"):
            self.line("%s %s (%s)%s;" % (to, self.pick("=", "=", "=", "+="), kind, self.uint()))
        elif kind == "float":
            self.line("%s = canon(%s);" % (to, self.float()))
        elif kind == "double":
            self.line("%s = canond(%s);" % (to, self.double()))
        elif kind == "half":
            self.line("%s = canonh(%s);" % (to, self.half()))
        elif kind == "ulong":
            self.line("%s = %s;" % (to, self.ulong()))
        elif kind == "uint2":
            self.line("%s = (uint2){%s, %s};" % (to, self.uint(1), self.uint(1)))
        else:
            self.line("%s = (uint4){%s, %s, t->u0, t->u1};" % (to, self.uint(1), self.uint(1)))

    def wide_load(self):
        v = self.fresh("v")
        k = self.pick(2, 4)
        self.line("uint%d %s = ((GLOBAL const uint%d *)ints)[%s];" % (k, v, k, self.index(SLACK // k)))
        self.line("t->u0 %s %s.x; t->u1 %s %s.y;" % (self.pick("=", "^="), v, self.pick("=", "+="), v))
        if k == 4:
            self.line("t->u2 ^= %s.z %s %s.w;" % (v, self.pick("+", "*", "&"), v))

    def border(self):
        """What lies some places before; at the border there is none, and the index would wrap around."""
        v, c = self.pick("t->i", "t->i", "t->l", "t->x", "t->y", "(t->i ^ 1)"), self.pick(1, 3, 17, 64, 100, W)
        self.line("if (%s >= %d%s)" % (v, c, self.pick("", "", " && " + self.cond(1))))
        self.line("\tt->u%d %s ints[%s - %du];" % (self.r.randrange(3), self.pick("=", "+=", "^="), v, c))

    def atomic(self):
        # A counter is only ever touched by one operation: others need not commute with it.
        op = self.pick("add", "or", "xor", "max", "min")
        base = {"add": 0, "or": 64, "xor": 128, "max": 192, "min": 256}[op]
        self.line("ATOMIC_%s(count + %d + (%s & 63), %s);" % (op.upper(), base, self.uint(1), self.uint(1)))

    def block(self, n):
        self.indent += 1
        self.depth += 1
        for _ in range(n):
            self.statement()
        self.depth -= 1
        self.indent -= 1

    def branch(self):
        self.line("if (%s) {" % self.cond())
        self.block(self.r.randint(1, 3))
        if self.chance(0.4):
            self.line("} else {")
            self.block(self.r.randint(1, 2))
        self.line("}")

    def loop(self):
        v = self.fresh("k")
        bound, most = self.r.choice([("%du" % (c := self.pick(2, 3, 4, 8, 17)), c), ("(uint)(m & 7)", 7), ("(t->l & 3)", 3), ("(t->u%d & 7)" % self.r.randrange(3), 7), ("(t->i & 15)", 15),
                                     ("umin(n, 5)", 5)])
        pointer = self.fresh("p") if self.chance(0.3) else None
        if pointer:
            self.line("GLOBAL const uint *%s = ints + %s;" % (pointer, self.index(2 * N)))
        self.line("for (uint %s = 0, end = %s; %s < end; %s++) {" % (v, bound, v, v))
        self.loops.append((v, most))
        if pointer:
            self.line("\tt->u%d %s *%s;" % (self.r.randrange(3), self.pick("^=", "+="), pointer))
        self.block(self.r.randint(1, 3))
        if self.chance(0.2):
            self.line("\tif %s" % self.cond(1))
            self.line("\t\t%s;" % self.pick("break", "break", "continue"))
        if pointer:
            self.line("\t%s += %d;" % (pointer, self.pick(1, 1, 2, 3, 64, W)))
        self.loops.pop()
        self.line("}")

    def private(self):
        """An array of a work-item's own, with places that are not known when compiling: scratch memory."""
        a, v, size = self.fresh("a"), self.fresh("k"), self.pick(4, 8, 16, 24)
        self.line("uint %s[%d];" % (a, size))
        self.line("for (uint %s = 0; %s < %d; %s++)" % (v, v, size, v))
        self.loops.append((v, size - 1))
        self.line("\t%s[%s] = %s;" % (a, v, self.uint(1)))
        self.loops.pop()
        for _ in range(self.pick(1, 2, 4)):
            self.line("%s[%s %% %d] %s %s;" % (a, self.uint(1), size, self.pick("=", "^=", "+="), self.uint(1)))
        self.line("t->u%d ^= %s[%s %% %d] + %s[%d];" % (self.r.randrange(3), a, self.uint(1), size, a, self.r.randrange(size)))

    def switch(self):
        self.line("switch (%s) {" % self.pick("t->i & 3", "t->u0 & 3", "m & 3", "t->u1 % 5", "t->l >> 6"))
        for k in range(self.r.randint(2, 4)):
            self.line("case %d:" % k)
            self.block(1)
            if self.chance(0.7):
                self.line("\tbreak;")
        self.line("default:")
        self.block(1)
        self.line("}")

    def serial(self):
        """A loop that lanes leave one by one: rows of a sparse matrix, steps until a condition holds, a walk from place to place."""
        v = self.fresh("k")
        c = self.r.random()
        if c < 0.5:
            i = self.pick("t->i", "t->i", "t->i", "(%d - t->i)" % (N - 1), "cols[t->i]", "(t->i / 2)")
            self.line("for (uint %s = rows[%s], end = rows[%s + 1]; %s < end; %s++) {" % (v, i, i, v, v))
            what = ["t->u0 += ints[%s] * ints[cols[%s]];" % (v, v), "t->u1 ^= ints[cols[%s]];" % v, "t->u2 = umax(t->u2, ints[%s]);" % v]
            if "f" in self.kinds:
                what += ["t->f0 += floats[%s] * floats[cols[%s]];" % (v, v), "t->f0 = fma(floats[%s], floats[cols[%s]], t->f0);" % (v, v)] * 2
            if "d" in self.kinds:
                what += ["t->d0 += doubles[%s] * doubles[cols[%s]];" % (v, v)]
            for _ in range(self.pick(1, 1, 2)):
                self.line("\t" + self.r.choice(what))
            if self.chance(0.2):
                self.line("\tif %s\n\t\t\tbreak;" % self.cond(1))
        elif c < 0.75:
            p = self.fresh("p")
            self.line("uint %s = %s;" % (p, self.pick("t->i", "t->u0 %% %du" % N, "cols[t->i]")))
            self.line("for (uint %s = 0; %s < %d && %s != %d; %s++) {" % (v, v, self.pick(5, 20, 40), p, self.r.randrange(N), v))
            self.line("\tt->u1 += ints[%s];" % p)
            self.line("\t%s = cols[%s];" % (p, p))
            if self.chance(0.4):
                self.line("\tif %s\n\t\t\tbreak;" % self.cond(1))
        else:
            self.line("uint %s = %s | 1;" % (v, self.uint(1)))
            self.line("while (%s %% %d != 0) {" % (v, self.pick(3, 7, 10)))
            self.line("\t%s >>= 1;" % v)
            self.line("\tt->u0 += %s;" % self.pick(v, "ints[%s & 1023]" % v, "1"))
        self.line("}")

    def statement(self):
        self.budget -= 1
        if self.budget < 0:
            return self.pick(self.assign, self.store)()
        what = [self.assign] * 6 + [self.store] * 3 + [self.wide_load, self.border]
        if self.depth < 3:
            what += [self.branch] * {"plain": 2, "stream": 4, "loop": 2, "serial": 2, "group": 1, "mixed": 3}[self.style]
            if self.style not in ("plain", "stream") and len(self.loops) < 2:
                what += [self.loop] * {"loop": 3, "serial": 1, "group": 1, "mixed": 2}[self.style]
            if self.style in ("serial", "mixed"):
                what += [self.serial] * 3
        if self.chance(0.2):
            what += [self.atomic] * 2
        if self.chance(0.05) and self.depth < 2:
            what += [self.private] * 3 + [self.switch] * 2
        if any(a[2] for a in self.lds):
            what += [self.lds_store] * 6
        self.r.choice(what)()

    def lds_store(self):
        name, kind, own = self.r.choice([a for a in self.lds if a[2]])
        e = "canon(%s)" % self.float() if kind == "float" else self.uint() if kind == "uint" else self.ulong()
        self.line("%s[%s] = %s;" % (name, own, e))

    def lds_own(self):
        g = self.group
        return self.pick("t->l", "t->l", "t->l ^ %d" % self.pick(1, 8, 32, 63), "%d - t->l" % (g - 1), "(t->l & 7) * %d + (t->l >> 3)" % (g // 8), "(t->l + %d) %% %d" % (self.pick(1, 17, 64), g))

    def cross(self):
        """Between the work-items of a wave, or of the work-group."""
        most, bits = self.r.randint(0, 63), self.pick("~0u", "~0u", "1u", "3u", "0x80000000u", "0u")
        ctrl = self.pick(self.r.randint(0, 255), self.r.randint(0x101, 0x10f), self.r.randint(0x111, 0x11f), self.r.randint(0x121, 0x12f), 0x130, 0x134, 0x138, 0x13c, 0x140, 0x141, 0x142, 0x143)
        forms = ["cross_xor(ALL, %d)" % most, "cross_send(ALL, %d)" % most, "cross_any(ALL)", "cross_ballot(ALL, %s, %d)" % (bits, self.pick(1, 2, 64)), "cross_count(ALL, %s, %d)" % (bits, self.pick(1, 2, 64)),
                 "cross_first(ALL, %s)" % bits, "cross_lane(ALL, %d)" % most, "cross_swizzle(ALL, %d)" % self.pick(self.r.randint(0, 0x7fff), self.r.randint(0x8000, 0x80ff)), "cross_reduce(ALL)", "cross_scan(ALL)",
                 "cross_before(ALL)"]
        return ("cross", self.r.choice(forms + ["cross_dpp(ALL, %d, %d, %d)" % (ctrl, self.pick(15, 15, 5, 12), self.pick(15, 15, 3, 10))] * 6))

    # --- a kernel: nodes are ("phase", text), ("cross", text), ("loop", variable, count, nodes), ("if", condition, nodes)

    def phase(self, first=False):
        for a in self.lds:
            a[2] = self.lds_own() if first or self.chance(0.5) else ""
        self.out, self.indent = [], 1
        if first:
            for a in self.lds:
                self.line("%s[%s] = %s;" % (a[0], a[2], {"uint": "t->u0", "float": "t->f0", "ulong": "t->q0"}[a[1]]))
        n = self.r.randint(1, 4) if self.group or self.style == "plain" else self.r.randint(3, 8)
        whole = not self.group and self.chance(0.5)
        if whole:
            self.line("if (%s) {" % self.cond(1))
            self.block(n)
            self.line("}")
        else:
            for _ in range(n):
                self.statement()
        return ("phase", "\n".join(self.out))

    def tree(self):
        """Halves of a work-group, added up."""
        name, kind = self.lds[0][:2]
        for a in self.lds:
            a[2] = ""
        v = self.fresh("h")
        op = {"uint": self.pick("+=", "^="), "float": "+=", "ulong": "+="}[kind]
        if kind == "float":
            text = "\tif (t->l < %s)\n\t\t%s[t->l] = canon(%s[t->l] + %s[t->l + %s]);" % (v, name, name, name, v)
        else:
            text = "\tif (t->l < %s)\n\t\t%s[t->l] %s %s[t->l + %s];" % (v, name, op, name, v)
        return ("tree", v, [("phase", text)])

    def scan(self):
        """Each takes what is some places before it, and adds it behind the barrier."""
        name, kind = self.lds[0][:2]
        v = self.fresh("h")
        var = {"uint": "u2", "float": "f1", "ulong": "q0"}[kind]
        one = "\tt->%s = t->l >= %s ? %s[t->l - %s] : 0;" % (var, v, name, v)
        e = "canon(%s[t->l] + t->%s)" % (name, var) if kind == "float" else "%s[t->l] + t->%s" % (name, var)
        return ("double", v, [("phase", one), ("phase", "\t%s[t->l] = %s;" % (name, e))])

    def nodes(self, n):
        made = []
        for _ in range(n):
            c = self.r.random()
            if c < 0.15:
                made.append(self.tree())
            elif c < 0.25:
                made.append(self.scan())
            elif c < 0.4 and len(self.loops) < 2:
                v = self.fresh("r")
                bound, most = self.pick(("3", 3), ("8", 8), ("(m & 7)", 7), ("umin(n, 3)", 3), ("(FIRST->g & 3)", 3), ("(FIRST->g % 5)", 4))
                self.loops.append((v, most))
                made.append(("loop", v, bound, self.nodes(self.r.randint(1, 2))))
                self.loops.pop()
            elif c < 0.5:
                made.append(("if", self.pick("(m & 1) != 0", "n > 5000", "m > 3", "FIRST->g % 3 == 1", "(int)FIRST->g < m"), self.nodes(1)))
            elif c < 0.65:
                made.append(self.cross())
            else:
                made.append(self.phase())
        return made

    def write(self):
        if self.group:
            kinds = ["uint", "uint", "float"] if "f" in self.kinds else ["uint", "uint", "ulong"] if "q" in self.kinds else ["uint"]
            self.lds = [["l%d" % k, self.r.choice(kinds), ""] for k in range(self.pick(1, 2))]
            tree = [self.phase(first=True)] + self.nodes(self.r.randint(1, 4))
            for a in self.lds:
                a[2] = ""
            self.out = []
            for _ in range(2):
                self.store()
            tree.append(("phase", "\n".join(self.out)))
        else:
            tree = [self.phase()]
        # What work-items have computed is seen, whatever they stored.
        tree[-1] = ("phase", tree[-1][1] + "\n\tATOMIC_ADD(count + (t->i & 63), t->u0 ^ t->u1 ^ t->u2 ^ (uint)t->s0 ^ (uint)t->s1 ^ (uint)t->q0 ^ (uint)(t->q0 >> 32) ^ bits(t->f0) ^ bits(t->f1) ^ bits((float)t->d0) ^ bitsh(t->h0) ^ bitsh(HIGH(t->p0)));"
                    if self.chance(0.3) else tree[-1][1])
        name, phases = self.name, []
        lds_params = "".join(", LOCAL %s *%s" % (a[1], a[0]) for a in self.lds)
        lds_args = "".join(", %s" % a[0] for a in self.lds)

        def walk(nodes, variables, device, indent):
            lines = []
            tab = "\t" * indent
            for node in nodes:
                if node[0] == "phase":
                    key = (node[1], tuple(variables))
                    if key not in phases:
                        phases.append(key)
                    args = "ARGS%s%s" % (lds_args, "".join(", " + v for v in variables))
                    call = "%s_%d(%s, %s);" % (name, phases.index(key), "&t" if device else "t", args)
                    if device:
                        lines.append(tab + call + (" BARRIER;" if self.group else ""))
                    else:
                        lines.append(tab + "for (struct item *t = items; t < items + count_items; t++) " + call)
                    continue
                if node[0] == "cross":
                    lines.append(tab + node[1] + ";" + (" BARRIER;" if device else ""))
                    continue
                if node[0] == "if":
                    lines.append(tab + "if (%s) {" % node[1])
                    lines += walk(node[2], variables, device, indent + 1)
                else:
                    v = node[1]
                    head = {"loop": lambda: "uint %s = 0; %s < (uint)%s; %s++" % (v, v, node[2], v), "tree": lambda: "uint %s = %d; %s > 0; %s >>= 1" % (v, self.group // 2, v, v),
                            "double": lambda: "uint %s = 1; %s < %d; %s *= 2" % (v, v, self.group, v)}[node[0]]()
                    lines.append(tab + "for (%s) {" % head)
                    lines += walk(node[-1], variables + [v], device, indent + 1)
                lines.append(tab + "}")
            return lines

        device = walk(tree, [], True, 1)
        host = walk(tree, [], False, 1)
        print("/* %s: %s, %d dimensions, work-groups of %s */" % (name, self.style, self.dims, self.group or "any size"))
        for k, (text, variables) in enumerate(phases):
            print("static inline void %s_%d(struct item *t, PARAMS%s%s)\n{\n%s\n}\n" % (name, k, lds_params, "".join(", uint " + v for v in variables), text))
        print("#ifdef __OPENCL_C_VERSION__")
        size = "__attribute__((reqd_work_group_size(%d, 1, 1))) " % self.group if self.group else ""
        print("kernel %svoid %s(%s)\n{" % (size, name, "RESTRICT_PARAMS" if self.restrict else "PARAMS"))
        for a in self.lds:
            print("\tlocal %s %s[%d];" % (a[1], a[0], self.group))
        print("\tstruct item t;\n\n\tbegin(&t, %d);" % self.dims)
        print("\n".join(device))
        print("}\n#else")
        print("static void %s(PARAMS, struct item *items, unsigned count_items)\n{" % name)
        for a in self.lds:
            print("\tstatic %s %s[%d];" % (a[1], a[0], self.group))
        print("\n".join(host))
        print("}\n#endif\n")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: generate.py SEED COUNT")
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    kernels = []
    print("/* Made by generate.py %d %d. */" % (seed, count))
    print('_Static_assert(WIDTH == %d && HEIGHT == %d && SLACK == %d, "as in random.h");\n' % (W, H, SLACK))
    for k in range(seed, seed + count):
        kernels.append(Kernel(k))
        kernels[-1].write()
    print("#ifndef __OPENCL_C_VERSION__\nstatic const struct random_kernel all[] = {")
    for k in kernels:
        print('\t{"%s", %s, %d, %d},' % (k.name, k.name, k.dims, k.group))
    print("};\n\nconst struct random_kernel *const random_kernels = all;\nconst unsigned num_random_kernels = %d;\n#endif" % count)


main()
