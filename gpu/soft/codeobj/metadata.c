/* SPDX-License-Identifier: MIT */
/*
 * metadata.c - the metadata note of a code object: a MessagePack document (https://github.com/msgpack/msgpack/blob/master/spec.md).
 *
 * Only maps, arrays, strings, integers and booleans occur in it; every other kind is skipped. A reader is a position in the note; each step
 * is checked against its end, and nesting against DEPTH.
 */
#include "gpu/soft/codeobj/codeobj.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 16

enum mp_kind { MP_OTHER, MP_UINT, MP_BOOL, MP_STR, MP_ARRAY, MP_MAP };

struct mp {
	const uint8_t *p, *end;
	bool bad;
};

struct mp_value {
	enum mp_kind kind;
	uint64_t number; /* the integer (negative ones are MP_OTHER), or how many elements or pairs follow */
	const char *text;
	size_t length;
};

static uint64_t big_endian(struct mp *m, unsigned bytes)
{
	uint64_t v = 0;

	if ((size_t)(m->end - m->p) < bytes) {
		m->bad = true;
		return 0;
	}
	while (bytes--)
		v = v << 8 | *m->p++;
	return v;
}

static void skip_bytes(struct mp *m, uint64_t n)
{
	if ((uint64_t)(m->end - m->p) < n)
		m->bad = true;
	else
		m->p += n;
}

static struct mp_value text_of(struct mp *m, uint64_t n)
{
	struct mp_value v = {.kind = MP_STR, .text = (const char *)m->p, .length = n};

	skip_bytes(m, n);
	return v;
}

/* The next value; of arrays and maps only their head. */
static struct mp_value mp_next(struct mp *m)
{
	uint8_t t = (uint8_t)big_endian(m, 1);

	if (t <= 0x7f)
		return (struct mp_value){.kind = MP_UINT, .number = t};
	if (t <= 0x8f)
		return (struct mp_value){.kind = MP_MAP, .number = t & 15};
	if (t <= 0x9f)
		return (struct mp_value){.kind = MP_ARRAY, .number = t & 15};
	if (t <= 0xbf)
		return text_of(m, t & 31);
	if (t >= 0xe0)
		return (struct mp_value){.kind = MP_OTHER};
	switch (t) {
	case 0xc2:
	case 0xc3:
		return (struct mp_value){.kind = MP_BOOL, .number = t & 1};
	case 0xc4: /* bin */
	case 0xc5:
	case 0xc6:
		skip_bytes(m, big_endian(m, 1u << (t - 0xc4)));
		break;
	case 0xc7: /* ext: a type besides */
	case 0xc8:
	case 0xc9:
		skip_bytes(m, big_endian(m, 1u << (t - 0xc7)) + 1);
		break;
	case 0xca: /* float */
	case 0xcb:
		skip_bytes(m, t == 0xca ? 4 : 8);
		break;
	case 0xcc:
	case 0xcd:
	case 0xce:
	case 0xcf:
		return (struct mp_value){.kind = MP_UINT, .number = big_endian(m, 1u << (t - 0xcc))};
	case 0xd0: /* signed */
	case 0xd1:
	case 0xd2:
	case 0xd3: {
		unsigned bytes = 1u << (t - 0xd0);
		uint64_t v = big_endian(m, bytes);

		if (v >> (8 * bytes - 1) & 1)
			break;
		return (struct mp_value){.kind = MP_UINT, .number = v};
	}
	case 0xd4: /* fixext */
	case 0xd5:
	case 0xd6:
	case 0xd7:
	case 0xd8:
		skip_bytes(m, (1u << (t - 0xd4)) + 1);
		break;
	case 0xd9:
	case 0xda:
	case 0xdb:
		return text_of(m, big_endian(m, 1u << (t - 0xd9)));
	case 0xdc:
	case 0xdd:
		return (struct mp_value){.kind = MP_ARRAY, .number = big_endian(m, t == 0xdc ? 2 : 4)};
	case 0xde:
	case 0xdf:
		return (struct mp_value){.kind = MP_MAP, .number = big_endian(m, t == 0xde ? 2 : 4)};
	case 0xc1:
		m->bad = true;
		break;
	}
	return (struct mp_value){.kind = MP_OTHER};
}

/* What follows the head of an array or map. */
static void skip_rest(struct mp *m, struct mp_value v, unsigned depth)
{
	uint64_t n = v.kind == MP_ARRAY ? v.number : v.kind == MP_MAP ? 2 * v.number : 0;

	if (depth > DEPTH)
		m->bad = true;
	while (n-- && !m->bad)
		skip_rest(m, mp_next(m), depth + 1);
}

static bool is_key(const struct mp_value *v, const char *key)
{
	return v->kind == MP_STR && v->length == strlen(key) && !memcmp(v->text, key, v->length);
}

/* A copy of a string that is fit to print: what is not printable becomes '?'. */
static void take_text(struct mp *m, struct mp_value v, char **to)
{
	if (v.kind != MP_STR || m->bad)
		return;
	free(*to);
	*to = strndup(v.text, v.length);
	for (char *p = *to; p && *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

static void take_u32(struct mp_value v, uint32_t *to)
{
	if (v.kind == MP_UINT)
		*to = v.number < UINT32_MAX ? (uint32_t)v.number : UINT32_MAX;
}

static enum codeobj_arg_kind kind_of(const struct mp_value *v)
{
	for (unsigned k = ARG_UNKNOWN + 1; k < ARG_NUM_KINDS; k++)
		if (is_key(v, codeobj_arg_kind_name(k)))
			return k;
	return ARG_UNKNOWN;
}

const char *codeobj_arg_kind_name(enum codeobj_arg_kind kind)
{
	static const char *const names[] = {
		"unknown",
#define CODEOBJ_ARG_KIND(id, text) text,
#include "gpu/soft/codeobj/arg_kind.inc"
#undef CODEOBJ_ARG_KIND
	};

	return names[kind < ARG_NUM_KINDS ? kind : 0];
}

static void read_arg(struct mp *m, struct codeobj_arg *a)
{
	struct mp_value map = mp_next(m);

	if (map.kind != MP_MAP) {
		skip_rest(m, map, 4);
		return;
	}
	while (map.number-- && !m->bad) {
		struct mp_value key = mp_next(m), v = mp_next(m);

		if (is_key(&key, ".name"))
			take_text(m, v, &a->name);
		else if (is_key(&key, ".type_name"))
			take_text(m, v, &a->type);
		else if (is_key(&key, ".offset"))
			take_u32(v, &a->offset);
		else if (is_key(&key, ".size"))
			take_u32(v, &a->size);
		else if (is_key(&key, ".value_kind"))
			a->kind = kind_of(&v);
		skip_rest(m, v, 5);
	}
}

static void read_args(struct mp *m, struct mp_value v, struct codeobj_kernel *k)
{
	if (v.kind != MP_ARRAY || k->arg || v.number > CODEOBJ_ARG_MAX) {
		m->bad = true;
		return;
	}
	k->arg = calloc(v.number ? v.number : 1, sizeof(*k->arg));
	for (uint64_t i = 0; k->arg && i < v.number && !m->bad; i++) {
		struct codeobj_arg *a = &k->arg[k->num_args++];

		read_arg(m, a);
		if (!a->name)
			a->name = strdup("");
		if (!a->type)
			a->type = strdup("");
		k->num_explicit += a->kind < ARG_FIRST_HIDDEN;
	}
}

static void read_kernel(struct mp *m, struct codeobj_kernel *k)
{
	const struct {
		const char *key;
		uint32_t *to;
	} numbers[] = {
		{".vgpr_count", &k->vgprs},
		{".agpr_count", &k->agprs},
		{".sgpr_count", &k->sgprs},
		{".vgpr_spill_count", &k->vgpr_spills},
		{".sgpr_spill_count", &k->sgpr_spills},
		{".group_segment_fixed_size", &k->lds},
		{".private_segment_fixed_size", &k->scratch},
		{".kernarg_segment_size", &k->kernarg},
		{".wavefront_size", &k->wave_size},
		{".max_flat_workgroup_size", &k->max_group},
	};
	struct mp_value map = mp_next(m);

	k->described = true;
	if (map.kind != MP_MAP) {
		m->bad = true;
		return;
	}
	while (map.number-- && !m->bad) {
		struct mp_value key = mp_next(m), v = mp_next(m);

		for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
			if (is_key(&key, numbers[i].key))
				take_u32(v, numbers[i].to);
		if (is_key(&key, ".name")) {
			take_text(m, v, &k->name);
		} else if (is_key(&key, ".uniform_work_group_size")) {
			k->uniform_groups = v.number == 1;
		} else if (is_key(&key, ".uses_dynamic_stack")) {
			k->dynamic_stack = v.kind == MP_BOOL && v.number;
		} else if (is_key(&key, ".reqd_workgroup_size") && v.kind == MP_ARRAY && v.number == 3) {
			for (int i = 0; i < 3; i++)
				take_u32(mp_next(m), &k->required_group[i]);
			continue;
		} else if (is_key(&key, ".args")) {
			read_args(m, v, k);
			continue;
		}
		skip_rest(m, v, 3);
	}
}

int codeobj_metadata(struct codeobj *co, const uint8_t *note, size_t size, char error[CODEOBJ_ERROR])
{
	struct mp m = {.p = note, .end = note + size};
	struct mp_value top = mp_next(&m);
	struct codeobj_kernel *more;
	bool seen = false;

	while (top.kind == MP_MAP && top.number-- && !m.bad) {
		struct mp_value key = mp_next(&m), v = mp_next(&m);

		if (!is_key(&key, "amdhsa.kernels") || v.kind != MP_ARRAY) {
			skip_rest(&m, v, 1);
			continue;
		}
		/* An empty kernel takes a byte, so what is claimed is bounded by the note's size. */
		if (v.number > CODEOBJ_KERNEL_MAX - co->num_kernels || v.number > size || seen) {
			m.bad = true;
			break;
		}
		seen = true;
		more = reallocarray(co->kernel, co->num_kernels + v.number + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		co->kernel = more;
		memset(more + co->num_kernels, 0, v.number * sizeof(*more));
		for (uint64_t i = 0; i < v.number && !m.bad; i++) {
			struct codeobj_kernel *k = &co->kernel[co->num_kernels++];

			read_kernel(&m, k);
			if (!k->name)
				m.bad = true;
		}
	}
	if (m.bad || top.kind != MP_MAP) {
		snprintf(error, CODEOBJ_ERROR, "the metadata note is broken at byte %zu of %zu", (size_t)(m.p - note), size);
		return -EINVAL;
	}
	return 0;
}
