// SPDX-License-Identifier: MIT
// Snippets for test_system.c, as in units.s.
.text

.macro unit name
	.p2align 8
	.globl \name
\name:
.endm

// ---- scalar atomics: s[0:1] memory, s[4:7] a V#, data in s10..
.macro atomics op
	s_atomic_\op s10, s[0:1], 0x0 glc
	s_atomic_\op\()_x2 s[12:13], s[0:1], s2 glc
	s_buffer_atomic_\op s14, s[4:7], 0x10 glc
	s_buffer_atomic_\op\()_x2 s[16:17], s[4:7], 0x18 glc
	s_atomic_\op s18, s[0:1], 0x20
	s_endpgm
.endm
.irp op, swap, add, sub, smin, umin, smax, umax, and, or, xor, inc, dec
unit u_atomic_\op
	atomics \op
.endr

unit u_atomic_cmpswap	// new value, then the one compared
	s_atomic_cmpswap s[10:11], s[0:1], 0x0 glc
	s_atomic_cmpswap_x2 s[12:15], s[0:1], 0x8 glc
	s_buffer_atomic_cmpswap s[16:17], s[4:7], 0x10 glc
	s_buffer_atomic_cmpswap_x2 s[20:23], s[4:7], 0x18 glc
	s_buffer_atomic_cmpswap s[24:25], s[4:7], 0x40 glc	// beyond the buffer
	s_dcache_discard s[0:1], 0x0
	s_dcache_discard_x2 s[0:1], 0x0
	s_dcache_wb
	s_dcache_inv
	s_endpgm

unit u_atomic_misaligned
	s_atomic_add_x2 s[10:11], s[0:1], 0x4
	s_endpgm

// ---- flow
unit u_fork		// s[0:1] mask; both sides add to v1, a different number
	s_mov_b64 s[20:21], exec
	s_getpc_b64 s[2:3]
	s_add_u32 s2, s2, u_fork_side-.
	s_addc_u32 s3, s3, 0
	v_mov_b32 v1, 0
	s_cbranch_g_fork s[0:1], s[2:3]
	v_add_u32 v1, 1, v1
	s_mov_b64 s[22:23], exec
	s_branch u_fork_join
	.p2align 2
u_fork_side:
	v_add_u32 v1, 2, v1
	s_mov_b64 s[24:25], exec
u_fork_join:
	s_add_u32 s30, s30, 1
	s_cbranch_join s31
	s_mov_b64 s[26:27], exec
	s_getreg_b32 s28, hwreg(HW_REG_MODE, 29, 3)
	s_endpgm

unit u_ifork		// nested: a fork on one side of a fork
	v_mov_b32 v1, 0
	s_cbranch_i_fork s[20:21], u_ifork_a
	s_cbranch_i_fork s[22:23], u_ifork_b
	v_mov_b32 v1, 1
	s_branch u_ifork_join
u_ifork_a:
	v_mov_b32 v1, 2
	s_branch u_ifork_join
u_ifork_b:
	v_mov_b32 v1, 3
u_ifork_join:
	s_mov_b32 s30, 0
	s_cbranch_join s30
	v_add_u32 v1, 16, v1
	s_endpgm

unit u_vskip
	v_mov_b32 v1, 1
	s_mov_b32 s0, 4
	s_setvskip s0, 2
	v_mov_b32 v1, 2
	v_cmp_eq_u32 s[10:11], 1, 1
	v_readfirstlane_b32 s12, v0
	ds_write_b32 v0, v0
	s_mov_b32 s13, 7
	s_getreg_b32 s14, hwreg(HW_REG_GPR_ALLOC, 8, 6)
	s_setvskip s0, 3
	v_mov_b32 v2, 3
	s_endpgm

unit u_setkill
	s_mov_b32 s10, 1
	s_setkill 0
	s_mov_b32 s11, 1
	s_setkill 1
	s_mov_b32 s12, 1
	s_endpgm

unit u_priority
	s_setprio 2
	s_getreg_b32 s10, hwreg(HW_REG_STATUS, 3, 2)
	s_cbranch_cdbgsys u_priority_end
	s_mov_b32 s11, 1
	s_cbranch_cdbguser u_priority_end
	s_cbranch_cdbgsys_or_user u_priority_end
	s_cbranch_cdbgsys_and_user u_priority_end
	s_mov_b32 s12, 1
u_priority_end:
	s_endpgm

unit u_doorbell
	s_mov_b64 s[20:21], exec
	s_mov_b32 exec_lo, 0x80000000
	s_sendmsg sendmsg(10)
	s_mov_b32 s10, exec_lo
	s_mov_b64 exec, s[20:21]
	s_sendmsg sendmsg(15, 1, 0)
	s_endpgm

unit u_msghalt
	s_mov_b32 m0, 0x77
	s_sendmsghalt sendmsg(1)
	s_mov_b32 s10, 1
	s_endpgm

// ---- traps
unit u_trapping
	s_cmp_eq_u32 s0, s0
	s_trap 5
	s_cselect_b32 s10, 11, 22	// SCC as it was before the handler
	s_trap 3
	s_mov_b32 s11, 1
	s_endpgm

unit u_handler		// keeps what it sees, counts, returns behind the s_trap
	s_getreg_b32 s40, hwreg(HW_REG_STATUS)
	s_mov_b64 s[42:43], ttmp[0:1]
	s_mov_b32 s44, ttmp11
	s_mov_b32 s45, ttmp12
	s_mov_b64 s[46:47], ttmp[14:15]
	s_getreg_b32 s48, hwreg(16)
	s_getreg_b32 s49, hwreg(17)
	s_add_u32 s50, s50, 1
	s_add_u32 ttmp0, ttmp0, 4
	s_addc_u32 ttmp1, ttmp1, 0
	s_cmp_lg_u32 s0, s0
	s_setreg_b32 hwreg(HW_REG_STATUS), ttmp12
	s_rfe_b64 ttmp[0:1]

unit u_halting		// as ROCr's: halts the wave on its return
	s_mov_b32 m0, 0x404
	s_sendmsg sendmsg(1)
	s_bitset1_b32 ttmp12, 13
	s_setreg_b32 hwreg(HW_REG_STATUS), ttmp12
	s_getreg_b32 s40, hwreg(HW_REG_STATUS, 13, 1)
	s_rfe_b64 ttmp[0:1]

unit u_nested		// a trap in the handler
	s_trap 7
	s_rfe_b64 ttmp[0:1]

unit u_status_locked	// STATUS can't be written here
	s_setreg_imm32_b32 hwreg(HW_REG_STATUS, 13, 1), 1
	s_getreg_b32 s10, hwreg(HW_REG_STATUS, 13, 1)
	s_endpgm

// ---- global wave sync
unit u_gws_barrier	// s0 rounds; v10 waves less one; lds[4 * wave] counts
	v_mov_b32 v2, 1
	s_lshl_b32 s2, s1, 2
	v_mov_b32 v3, s2
u_gws_loop:
	ds_add_u32 v3, v2
	s_waitcnt lgkmcnt(0)
	ds_gws_barrier v10 offset:3 gds
	s_waitcnt lgkmcnt(0)
	v_mov_b32 v4, 0
	ds_read_b64 v[6:7], v4
	v_add_u32 v5, v6, v5
	v_add_u32 v5, v7, v5
	ds_gws_barrier v10 offset:4 gds
	s_sub_u32 s0, s0, 1
	s_cmp_lg_u32 s0, 0
	s_cbranch_scc1 u_gws_loop
	s_endpgm

unit u_gws_init
	s_mov_b32 m0, 0
	ds_gws_init v10 offset:3 gds
	s_mov_b32 m0, 0x40000
	ds_gws_init v10 gds
	s_endpgm

unit u_gws_p		// waits for a semaphore
	s_mov_b32 s10, 1
	ds_gws_sema_p offset:9 gds
	s_mov_b32 s11, 1
	s_endpgm

unit u_gws_v
	ds_gws_sema_v offset:9 gds
	s_endpgm

unit u_gws_br
	ds_gws_sema_br v0 offset:9 gds
	s_endpgm

unit u_gws_release
	ds_gws_sema_release_all offset:9 gds
	s_endpgm

// ---- modes and vector odds
unit u_ovfl
	v_cvt_f16_f32 v10, v1
	v_mul_f16 v11, v2, v2
	v_pk_add_f16 v12, v2, v2
	s_setreg_imm32_b32 hwreg(HW_REG_MODE, 23, 1), 1
	v_cvt_f16_f32 v13, v1
	v_mul_f16 v14, v2, v2
	v_pk_add_f16 v15, v2, v2
	v_add_f16 v16, v3, v2
	v_exp_f16 v17, v2
.ifdef GFX900
	v_mad_mixlo_f16 v18, v1, v1, v1
.else
	v_fma_mixlo_f16 v18, v1, v1, v1
.endif
	v_exp_f16 v19, v3
	s_endpgm

.ifdef GFX900
unit u_src2		// v1 address, v2 address and distance
	ds_add_src2_u32 v1 offset:4
	ds_sub_src2_u64 v1 offset:32764
	ds_write_src2_b32 v2 offset:32768
	s_endpgm

.irp op, add_src2_u32, sub_src2_u32, rsub_src2_u32, inc_src2_u32, dec_src2_u32, min_src2_i32, max_src2_i32, min_src2_u32, max_src2_u32, and_src2_b32, or_src2_b32, xor_src2_b32, write_src2_b32, min_src2_f32, max_src2_f32, add_src2_f32
unit u_\op
	ds_\op v1 offset:1
	s_endpgm
.endr

unit u_gds		// there is no global data share
	ds_add_rtn_u32 v10, v1, v2 gds
	ds_read_b64 v[12:13], v1 gds
	ds_write_b32 v1, v2 gds
	ds_append v14 gds
	ds_ordered_count v15, v1 gds
	ds_read2_b32 v[16:17], v1 offset0:0 offset1:1 gds
	ds_add_src2_u32 v1 gds
	s_endpgm

unit u_lds_direct	// s0.. M0 values
	s_mov_b32 m0, s0
	v_mov_b32 v10, src_lds_direct
	s_mov_b32 m0, s1
	v_mov_b32 v11, src_lds_direct
	s_mov_b32 m0, s2
	v_mov_b32 v12, src_lds_direct
	s_mov_b32 m0, s3
	v_mov_b32 v13, src_lds_direct
	s_endpgm

unit u_tfe
	buffer_load_dwordx2 v[10:12], off, s[4:7], 0 tfe
	buffer_load_format_x v[14:15], off, s[4:7], 0 tfe
	s_movk_i32 m0, 0x10
	buffer_load_format_x v1, s[4:7], 0 idxen lds
	s_endpgm
.endif

	.p2align 8
	.globl units_end
units_end:
	s_endpgm
