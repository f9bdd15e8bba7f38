/* SPDX-License-Identifier: MIT */
/* once.cl - waves whose lanes all load or store one place, while a thread of the test does so, too. */
#define NEAR(T) p
#define FAR(T)	(global volatile T *)where[get_local_id(0)]
#define KINDS(X)                                                                                                       \
	X(u8_near, uchar, NEAR) X(u16_near, ushort, NEAR) X(u32_near, uint, NEAR) X(u64_near, ulong, NEAR)               \
	X(u8_far, uchar, FAR) X(u16_far, ushort, FAR) X(u32_far, uint, FAR) X(u64_far, ulong, FAR)

/* Takes turns with a thread. */
#define TURNS(NAME, T, PLACE)                                                                                          \
	kernel void turns_##NAME(global volatile T *p, global const ulong *where, uint rounds, uint from, ulong factor)  \
	{                                                                                                              \
		global volatile T *place = PLACE(T);                                                                   \
		if (get_local_id(0) < from)                                                                            \
			return;                                                                                        \
		for (uint r = 0; r < rounds; r++) {                                                                    \
			while (*place != (T)((2 * r + 1) * factor))                                                    \
				;                                                                                      \
			*place = (T)((2 * r + 2) * factor);                                                            \
		}                                                                                                      \
	}
KINDS(TURNS)

/* Counts how often a lane has loaded something else than the wave's first one. */
#define SAME(NAME, T, PLACE)                                                                                           \
	kernel void same_##NAME(global volatile T *p, global const ulong *where, uint rounds, uint from, global uint *bad) \
	{                                                                                                              \
		global volatile T *place = PLACE(T);                                                                   \
		uint sum = 0;                                                                                          \
		if (get_local_id(0) < from)                                                                            \
			return;                                                                                        \
		for (uint r = 0; r < rounds; r++) {                                                                    \
			T x = *place;                                                                                  \
			uint low = (uint)x, high = (uint)((ulong)x >> 32);                                             \
			__asm__ volatile("" : "+v"(low), "+v"(high));                                                  \
			sum += low != (uint)__builtin_amdgcn_readfirstlane(low);                                       \
			sum += high != (uint)__builtin_amdgcn_readfirstlane(high);                                     \
			if (sizeof(T) == 8)                                                                            \
				sum += low != high;                                                                    \
		}                                                                                                      \
		bad[get_local_id(0)] += sum;                                                                           \
	}
KINDS(SAME)
