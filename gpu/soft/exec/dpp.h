/* SPDX-License-Identifier: MIT */
/* dpp.h - which lane data parallel primitives read, for the interpreter and for compiled code. */
#ifndef GPU_SOFT_EXEC_DPP_H
#define GPU_SOFT_EXEC_DPP_H

/* Lane that lane l reads, or -1 when there is none. dpp_ctrl values: "DPP_CTRL Enumeration" of the Vega and CDNA2 manuals. */
static inline int dpp_lane(unsigned ctrl, unsigned l)
{
	unsigned row = l & ~15u, in_row = l & 15;
	unsigned n = ctrl & 15;

	if (ctrl <= 0xff)
		return (int)((l & ~3u) | (ctrl >> (2 * (l & 3)) & 3));
	if (ctrl >= 0x101 && ctrl <= 0x10f) /* row_shl */
		return in_row + n <= 15 ? (int)(l + n) : -1;
	if (ctrl >= 0x111 && ctrl <= 0x11f) /* row_shr */
		return in_row >= n ? (int)(l - n) : -1;
	if (ctrl >= 0x121 && ctrl <= 0x12f) /* row_ror */
		return (int)(row | ((in_row - n) & 15));
	if (ctrl >= 0x150 && ctrl <= 0x15f) /* row_newbcast, gfx90a */
		return (int)(row | n);
	switch (ctrl) {
	case 0x130: /* wave_shl */
		return l == 63 ? -1 : (int)l + 1;
	case 0x134: /* wave_rol */
		return (int)((l + 1) & 63);
	case 0x138: /* wave_shr */
		return (int)l - 1;
	case 0x13c: /* wave_ror */
		return (int)((l - 1) & 63);
	case 0x140: /* row_mirror */
		return (int)(row | (15 - in_row));
	case 0x141: /* row_half_mirror */
		return (int)((l & ~7u) | (7 - (l & 7)));
	case 0x142: /* row_bcast:15 */
		return row ? (int)row - 1 : -1;
	case 0x143: /* row_bcast:31 */
		return l >= 32 ? 31 : -1;
	}
	return -1;
}

static inline unsigned dpp_reverse5(unsigned v)
{
	return (v & 1) << 4 | (v & 2) << 2 | (v & 4) | (v & 8) >> 2 | (v & 16) >> 4;
}

/* Source lane of a ds_swizzle pattern ("Vega" ISA manual, DS_SWIZZLE_B32): FFT, rotate, quad permute, bit mask. */
static inline unsigned swizzle_lane(unsigned pattern, unsigned l)
{
	unsigned mask = pattern & 31, half = l & 32, i = l & 31;

	if (pattern >= 0xe000)
		return half | (dpp_reverse5(i) >> __builtin_popcount(mask)) | (i & mask);
	if (pattern >= 0xc000) {
		unsigned n = pattern >> 5 & 31, turned = pattern & 0x400 ? i - n : i + n;

		return half | (i & mask) | (turned & 31 & ~mask);
	}
	if (pattern & 0x8000)
		return (l & ~3u) | (pattern >> 2 * (l & 3) & 3);
	return half | ((((i & mask) | (pattern >> 5 & 31)) ^ (pattern >> 10 & 31)) & 31);
}

#endif
