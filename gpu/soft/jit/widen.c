/* SPDX-License-Identifier: MIT */
/*
 * widen.c - takes the straight-line scalar code of a lane function and emits it on vectors.
 *
 * Every LLVM scalar operation has a vector form of the same meaning, lane by lane, so this is a walk over the instructions. Flags that
 * promise something (no wrap, exact) are left out.
 */
#include <llvm-c/Core.h>
#include <stdio.h>
#include <string.h>

#include "gpu/soft/jit/lift.h"

LLVMTypeRef vec(LLVMTypeRef t, unsigned n)
{
	return n > 1 ? LLVMVectorType(t, n) : t;
}

V splat(struct lift *l, V scalar)
{
	V elems[64], zero[64], v;

	if (l->width == 1)
		return scalar;
	if (LLVMIsConstant(scalar)) {
		for (unsigned i = 0; i < l->width; i++)
			elems[i] = scalar;
		return LLVMConstVector(elems, l->width);
	}
	v = LLVMBuildInsertElement(l->b, LLVMGetPoison(vec(LLVMTypeOf(scalar), l->width)), scalar, c32(l, 0), "");
	for (unsigned i = 0; i < l->width; i++)
		zero[i] = c32(l, 0);
	return LLVMBuildShuffleVector(l->b, v, LLVMGetPoison(LLVMTypeOf(v)), LLVMConstVector(zero, l->width), "");
}

V vconst32(struct lift *l, uint32_t v)
{
	return splat(l, c32(l, v));
}

V vconst64(struct lift *l, uint64_t v)
{
	return splat(l, c64(l, v));
}

V iota(struct lift *l, unsigned first, unsigned step)
{
	V elems[64];

	for (unsigned i = 0; i < l->width; i++)
		elems[i] = c32(l, first + i * step);
	return LLVMConstVector(elems, l->width);
}

V intrinsic(struct lift *l, const char *name, LLVMTypeRef *types, unsigned num_types, V *args, unsigned num_args)
{
	unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
	V fn = LLVMGetIntrinsicDeclaration(l->m, id, types, num_types);

	return LLVMBuildCall2(l->b, LLVMIntrinsicGetType(l->c, id, types, num_types), fn, args, num_args, "");
}

/* Intrinsics that are overloaded on their result only; with an i1 flag last where flag is set. */
static const struct {
	const char *name;
	bool flag;
} intrinsics[] = {
	{"llvm.fma", false},	{"llvm.fabs", false},	{"llvm.floor", false},	{"llvm.ceil", false},	 {"llvm.trunc", false},
	{"llvm.rint", false},	{"llvm.sqrt", false},	{"llvm.smax", false},	{"llvm.smin", false},	 {"llvm.umax", false},
	{"llvm.umin", false},	{"llvm.ctpop", false},	{"llvm.cttz", true},	{"llvm.ctlz", true},	 {"llvm.abs", true},
	{"llvm.bitreverse", false}, {"llvm.bswap", false}, {"llvm.fshl", false}, {"llvm.fshr", false},	 {"llvm.sadd.sat", false},
	{"llvm.ssub.sat", false}, {"llvm.uadd.sat", false}, {"llvm.usub.sat", false}, {"llvm.copysign", false},
	{"llvm.sadd.with.overflow", false}, {"llvm.ssub.with.overflow", false}, {"llvm.uadd.with.overflow", false},
};

static int intrinsic_row(V call)
{
	size_t len;
	const char *name = LLVMGetValueName2(LLVMGetCalledValue(call), &len);

	for (size_t i = 0; i < sizeof(intrinsics) / sizeof(intrinsics[0]); i++) {
		size_t n = strlen(intrinsics[i].name);

		if (!strncmp(name, intrinsics[i].name, n) && name[n] == '.' && !strchr("abcdeghjklmnopqrstuvwxyz", name[n + 1]))
			return (int)i;
	}
	return -1;
}

static bool can_widen(V fn)
{
	LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(fn);

	if (!bb || LLVMGetNextBasicBlock(bb))
		return false;
	for (V i = LLVMGetFirstInstruction(bb); i; i = LLVMGetNextInstruction(i))
		switch (LLVMGetInstructionOpcode(i)) {
		case LLVMCall:
			if (intrinsic_row(i) < 0)
				return false;
			break;
		case LLVMLoad:
		case LLVMStore:
		case LLVMAlloca:
		case LLVMGetElementPtr:
			return false;
		default:
			break;
		}
	return true;
}

V lane_function(struct lift *l, const char *prefix, const char *name, const char *suffix)
{
	char full[96];
	V fn;

	snprintf(full, sizeof(full), "%s%s%s", prefix, name, suffix);
	fn = LLVMGetNamedFunction(l->lanes, full);
	return fn && can_widen(fn) ? fn : NULL;
}

static V constant(struct lift *l, V k, unsigned width)
{
	V elems[64];

	for (unsigned i = 0; i < width; i++)
		elems[i] = k;
	return width > 1 ? LLVMConstVector(elems, width) : k;
}

#define MAX_VALUES 1024

struct map {
	V from[MAX_VALUES], to[MAX_VALUES];
	unsigned n;
};

static V lookup(struct lift *l, struct map *map, V v, unsigned width)
{
	if (LLVMIsConstant(v))
		return constant(l, v, width);
	for (unsigned i = map->n; i--;)
		if (map->from[i] == v)
			return map->to[i];
	return NULL;
}

static V call(struct lift *l, struct map *map, V i, unsigned width)
{
	int row = intrinsic_row(i);
	unsigned n = LLVMGetNumArgOperands(i);
	V args[4];
	LLVMTypeRef t;

	for (unsigned k = 0; k < n && k < 4; k++) {
		V a = LLVMGetOperand(i, k);

		args[k] = intrinsics[row].flag && k + 1 == n ? a : lookup(l, map, a, width);
	}
	t = LLVMTypeOf(args[0]);
	return intrinsic(l, intrinsics[row].name, &t, 1, args, n);
}

V widen(struct lift *l, V fn, V *args, unsigned width)
{
	static struct map map; /* one compilation at a time */
	LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(fn);

	map.n = 0;
	for (unsigned i = 0; i < LLVMCountParams(fn); i++) {
		map.from[map.n] = LLVMGetParam(fn, i);
		map.to[map.n++] = args[i];
	}
	for (V i = LLVMGetFirstInstruction(bb); i && map.n < MAX_VALUES; i = LLVMGetNextInstruction(i)) {
		LLVMOpcode op = LLVMGetInstructionOpcode(i);
		LLVMTypeRef t = LLVMTypeOf(i);
		V a = NULL, b = NULL, r;

		if (op == LLVMRet)
			return lookup(l, &map, LLVMGetOperand(i, 0), width);
		if (op != LLVMCall) {
			a = lookup(l, &map, LLVMGetOperand(i, 0), width);
			if (LLVMGetNumOperands(i) > 1)
				b = lookup(l, &map, LLVMGetOperand(i, 1), width);
		}
		switch (op) {
		case LLVMICmp:
			r = LLVMBuildICmp(l->b, LLVMGetICmpPredicate(i), a, b, "");
			break;
		case LLVMFCmp:
			r = LLVMBuildFCmp(l->b, LLVMGetFCmpPredicate(i), a, b, "");
			break;
		case LLVMSelect:
			r = LLVMBuildSelect(l->b, a, b, lookup(l, &map, LLVMGetOperand(i, 2), width), "");
			break;
		case LLVMFreeze:
			r = LLVMBuildFreeze(l->b, a, "");
			break;
		case LLVMFNeg:
			r = LLVMBuildFNeg(l->b, a, "");
			break;
		case LLVMExtractValue:
			r = LLVMBuildExtractValue(l->b, a, *LLVMGetIndices(i), "");
			break;
		case LLVMCall:
			r = call(l, &map, i, width);
			break;
		case LLVMTrunc:
		case LLVMZExt:
		case LLVMSExt:
		case LLVMFPToUI:
		case LLVMFPToSI:
		case LLVMUIToFP:
		case LLVMSIToFP:
		case LLVMFPTrunc:
		case LLVMFPExt:
		case LLVMBitCast:
			r = LLVMBuildCast(l->b, op, a, vec(t, width), "");
			break;
		default:
			r = LLVMBuildBinOp(l->b, op, a, b, "");
			break;
		}
		map.from[map.n] = i;
		map.to[map.n++] = r;
	}
	return NULL;
}
