/* SPDX-License-Identifier: MIT */
/*
 * waits.cl - matrix operations in front of a barrier and behind it, with the same accumulators: test_waits.c. Registers of accumulators are fixed, so that the
 * test finds them where a wave has stopped.
 */
#define MFMA(D, A, B) __asm__ volatile("v_mfma_f32_16x16x4f32 " D ", %0, %1, " D ::"v"(A), "v"(B) : "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7")
#define BARRIER()     __asm__ volatile("s_waitcnt vmcnt(0) lgkmcnt(0)\n\ts_barrier" ::: "memory")
#define X	      "a[0:3]"
#define Y	      "a[4:7]"
#define CLEAR(N)      __asm__ volatile("v_accvgpr_write_b32 a" #N ", 0" ::: "a" #N)
#define READ(N)       __asm__ volatile("v_accvgpr_read_b32 %0, a" #N : "=v"(x)); out[N * 256] = x

#define KERNEL(NAME, BETWEEN)                                                                            \
	kernel __attribute__((reqd_work_group_size(256, 1, 1))) void NAME(global float *out, global float *at, int rounds) \
	{                                                                                                \
		local volatile float part[256];                                                          \
		uint l = get_local_id(0);                                                                \
		float x;                                                                                 \
                                                                                                         \
		CLEAR(0); CLEAR(1); CLEAR(2); CLEAR(3); CLEAR(4); CLEAR(5); CLEAR(6); CLEAR(7);          \
		part[l] = (float)((uint)get_global_id(0) * 2654435761u >> 8) * 0x1p-24f - 0.5f;          \
		BARRIER();                                                                               \
		for (int r = 0; r < rounds; r++) {                                                       \
			float a = part[(l + 64) & 255], b = part[(l + 65) & 255], c = part[(l + 130) & 255], d = part[(l + 195) & 255]; \
                                                                                                         \
			BARRIER();                                                                       \
			MFMA(X, a, b);                                                                   \
			MFMA(Y, a, c);                                                                   \
			part[l] = fma(a, 0.25f, -0.5f * c);                                              \
			BARRIER();                                                                       \
			BETWEEN;                                                                         \
			MFMA(X, d, b);                                                                   \
			MFMA(Y, d, c);                                                                   \
			MFMA(Y, d, a);                                                                   \
		}                                                                                        \
		out += get_group_id(0) * 2048 + l;                                                       \
		READ(0); READ(1); READ(2); READ(3); READ(4); READ(5); READ(6); READ(7);                  \
	}

KERNEL(waits, )
/* A source is another. */
KERNEL(waits_source, __asm__ volatile("v_add_f32 %0, 1.0, %0" : "+v"(a)))
/* An accumulator is read, and written. */
KERNEL(waits_read, __asm__ volatile("v_accvgpr_read_b32 %0, a1\n\tv_add_f32 %0, 1.0, %0\n\tv_accvgpr_write_b32 a1, %0" : "=&v"(x)::"a1"))
/* Of lanes that are not active, too. */
KERNEL(waits_exec, __asm__ volatile("s_mov_b64 exec, 0xff\n\tv_add_f32 %0, 1.0, %0\n\ts_mov_b64 exec, -1" : "+v"(a)))
/* A source is read anew, for what is behind one more barrier, too. */
KERNEL(waits_load,
       __asm__ volatile("ds_read_b32 %0, %1\n\ts_waitcnt lgkmcnt(0)" : "+v"(a) : "v"((uint)(part + l)) : "memory");
       MFMA(X, d, b);
       BARRIER())
/* All waits for one more barrier, behind which a source is another. */
KERNEL(waits_twice, MFMA(X, d, b); BARRIER(); __asm__ volatile("v_add_f32 %0, 1.0, %0" : "+v"(a)))
/* Somewhere there is no memory. */
KERNEL(waits_fault, at[r * 256 + l] = a)
