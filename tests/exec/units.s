// SPDX-License-Identifier: MIT
// Snippets for test_units.c: each starts at its label with the registers that the test sets, and ends with s_endpgm. Assembled for gfx900 and gfx90a.
.text

.macro unit name
	.p2align 8
	.globl \name
\name:
.endm

// ---- scalar
unit u_salu		// s0, s1 in; s10.. out
	s_add_u32 s10, s0, s1
	s_addc_u32 s11, s0, s1
	s_sub_u32 s12, s0, s1
	s_subb_u32 s13, s0, s1
	s_cselect_b32 s14, 1, 2
	s_add_i32 s15, s0, s1
	s_cselect_b32 s16, 1, 0
	s_bfe_u32 s17, s0, 0x80004
	s_bfe_i32 s18, s0, 0x80004
	s_bfm_b32 s19, 5, 3
	s_mul_hi_u32 s20, s0, s1
	s_mul_hi_i32 s21, s0, s1
	s_lshl3_add_u32 s22, s0, s1
	s_pack_lh_b32_b16 s23, s0, s1
	s_absdiff_i32 s24, s0, s1
	s_min_i32 s25, s0, s1
	s_cselect_b32 s26, 1, 0
	s_max_u32 s27, s0, s1
	s_ashr_i64 s[28:29], s[0:1], 4
	s_bfe_i64 s[30:31], s[0:1], 0x100018
	s_lshl_b64 s[32:33], s[0:1], 36
	s_xnor_b64 s[34:35], s[0:1], exec
	s_endpgm

unit u_sop1		// s[0:1] in
	s_brev_b32 s10, s0
	s_bcnt1_i32_b64 s11, s[0:1]
	s_bcnt0_i32_b32 s12, s0
	s_ff1_i32_b64 s13, s[0:1]
	s_ff0_i32_b32 s14, s0
	s_flbit_i32_b32 s15, s0
	s_flbit_i32 s16, s1
	s_sext_i32_i8 s17, s0
	s_sext_i32_i16 s18, s0
	s_quadmask_b32 s19, s0
	s_wqm_b32 s20, s0
	s_abs_i32 s21, s1
	s_bitreplicate_b64_b32 s[22:23], s0
	s_bitset1_b32 s24, 7
	s_bitset0_b64 s[26:27], 33
	s_not_b64 s[28:29], s[0:1]
	s_movk_i32 s30, -5
	s_addk_i32 s30, 0x7000
	s_mulk_i32 s30, -3
	s_cmpk_lt_i32 s30, -100
	s_cmovk_i32 s31, 0x123
	s_cmpk_eq_u32 s30, 0xffff
	s_cselect_b32 s32, 1, 0
	s_mov_b32 m0, 3
	s_movrels_b32 s33, s10
	s_movreld_b32 s40, s0
	s_endpgm

unit u_exec		// s[0:1] mask
	s_mov_b64 exec, -1
	s_and_saveexec_b64 s[10:11], s[0:1]
	s_mov_b64 s[12:13], exec
	s_andn1_saveexec_b64 s[14:15], s[2:3]
	s_mov_b64 s[16:17], exec
	s_mov_b64 exec, -1
	s_andn2_wrexec_b64 s[18:19], s[0:1]
	s_orn2_saveexec_b64 s[20:21], s[0:1]
	s_mov_b64 s[22:23], exec
	s_endpgm

unit u_hwreg
	s_getreg_b32 s10, hwreg(HW_REG_MODE)
	s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 4), 5
	s_getreg_b32 s11, hwreg(HW_REG_MODE, 0, 8)
	s_mov_b32 s0, 0xff
	s_setreg_b32 hwreg(HW_REG_MODE, 4, 2), s0
	s_getreg_b32 s12, hwreg(HW_REG_MODE, 4, 4)
	s_getreg_b32 s13, hwreg(HW_REG_SH_MEM_BASES)
	s_getreg_b32 s14, hwreg(HW_REG_LDS_ALLOC, 12, 9)
	s_getreg_b32 s15, hwreg(HW_REG_GPR_ALLOC, 8, 6)
	s_mov_b64 s[16:17], src_shared_base
	s_mov_b64 s[18:19], src_private_limit
	s_endpgm

unit u_flow		// s0: loop count
	s_mov_b32 s10, 0
0:	s_add_u32 s10, s10, s0
	s_sub_u32 s0, s0, 1
	s_cmp_lg_u32 s0, 0
	s_cbranch_scc1 0b
	s_getpc_b64 s[12:13]
	s_call_b64 s[14:15], 1f
	s_add_u32 s11, s11, 1000
	s_mov_b64 vcc, 0
	s_cbranch_vccnz 2f
	s_cbranch_vccz 3f
2:	s_mov_b32 s11, 0
3:	s_endpgm
1:	s_movk_i32 s11, 77
	s_swappc_b64 s[16:17], s[14:15]

unit u_smem		// s[0:1] address, s[4:7] V#
	s_load_dwordx4 s[12:15], s[0:1], 0x4
	s_movk_i32 s8, 0x10
	s_load_dword s10, s[0:1], s8
	s_load_dwordx16 s[16:31], s[0:1], 0x20
	s_buffer_load_dwordx4 s[32:35], s[4:7], 0x8
	s_memtime s[40:41]
	s_memtime s[42:43]
	s_memrealtime s[44:45]
	s_dcache_wb
	s_endpgm

unit u_trap2
	s_nop 0
	s_trap 2
	s_endpgm

unit u_trap3
	s_trap 3
	s_mov_b32 s10, 5
	s_endpgm

unit u_message		// m0 and the message reach wg->message
	s_mov_b32 m0, 0x1234
	s_sendmsg sendmsg(MSG_INTERRUPT)
	s_endpgm

unit u_forever
	s_nop 0
	s_branch u_forever

unit u_sleep
	s_sleep 1
	s_mov_b32 s10, 9
	s_endpgm

unit u_illegal		// not allowed outside of a trap handler
	s_nop 0
	s_rfe_b64 s[0:1]
	s_endpgm

unit u_garbage		// no instruction at all
	s_nop 0
	.long 0xbfffffff
	s_endpgm

unit u_registers	// beyond the wave's registers
	v_mov_b32 v250, 0
	s_endpgm

unit u_gpr_index	// register-index mode: moves v[0 + s0] to v10
	s_set_gpr_idx_on s0, gpr_idx(SRC0)
	v_mov_b32 v10, v0
	s_set_gpr_idx_off
	v_mov_b32 v11, v0
	s_endpgm

// ---- LDS: v0 address
unit u_lds_rw		// v1..v4 data
	ds_write_b128 v0, v[2:5]
	ds_read_b128 v[10:13], v0
	ds_read_b96 v[14:16], v0 offset:4
	ds_read_u8 v17, v0 offset:1
	ds_read_i8 v18, v0 offset:1
	ds_read_u16 v19, v0 offset:1
	ds_read_i16 v20, v0 offset:2
	ds_read_u8_d16 v21, v0 offset:3
	ds_read_i8_d16_hi v22, v0 offset:3
	ds_read_u16_d16_hi v23, v0 offset:2
	ds_write_b8_d16_hi v0, v2 offset:15
	ds_write_b16 v0, v3 offset:12
	ds_read_b32 v24, v0 offset:12
	ds_read2_b32 v[26:27], v0 offset0:1 offset1:3
	ds_read2_b64 v[28:31], v0 offset0:0 offset1:1
	s_endpgm

unit u_lds_two
	ds_write2st64_b32 v0, v2, v3 offset0:1 offset1:2
	ds_read2st64_b32 v[10:11], v0 offset0:2 offset1:1
	ds_write2_b64 v0, v[2:3], v[4:5] offset0:200 offset1:202
	ds_read_b64 v[12:13], v0 offset:1600
	ds_read_b64 v[14:15], v0 offset:1616
	ds_wrxchg2_rtn_b32 v[16:17], v0, v4, v5 offset0:64 offset1:128
	ds_read2st64_b32 v[18:19], v0 offset0:1 offset1:2
	s_endpgm

unit u_lds_bounds	// v0 beyond the end
	ds_write_b32 v0, v2
	ds_read_b32 v10, v0
	ds_read_b64 v[12:13], v1		// partly outside
	ds_add_rtn_u32 v14, v0, v2
	s_endpgm

unit u_lds_atomic	// v0 address, v2 v3 data
	ds_write_b32 v0, v2
	ds_add_rtn_u32 v10, v0, v3
	ds_rsub_rtn_u32 v11, v0, v3
	ds_inc_rtn_u32 v12, v0, v3
	ds_dec_rtn_u32 v13, v0, v3
	ds_cmpst_rtn_b32 v14, v0, v13, v3	// compares with v13
	ds_mskor_rtn_b32 v15, v0, v2, v3
	ds_max_rtn_i32 v16, v0, v2
	ds_wrxchg_rtn_b32 v17, v0, v2
	ds_min_u32 v0, v3
	ds_read_b32 v18, v0
	ds_write_b64 v0, v[4:5]
	ds_add_rtn_f32 v19, v0, v5
	ds_max_rtn_u64 v[20:21], v0, v[2:3]
	s_endpgm

unit u_lds_append	// m0 counter
	s_mov_b64 exec, 0xff
	s_mov_b32 m0, 16
	ds_append v10 offset:4
	ds_append v11 offset:4
	ds_consume v12 offset:4
	s_endpgm

unit u_swizzle
	ds_swizzle_b32 v10, v0 offset:swizzle(BROADCAST,32,5)
	ds_swizzle_b32 v11, v0 offset:swizzle(REVERSE,16)
	ds_swizzle_b32 v12, v0 offset:swizzle(QUAD_PERM,1,0,3,2)
	ds_swizzle_b32 v13, v0 offset:0xc0a0	// rotate left by 5
	ds_swizzle_b32 v14, v0 offset:0xe000	// FFT: bit reversal
	ds_bpermute_b32 v15, v1, v0 offset:4
	s_mov_b64 exec, 0x0f
	ds_permute_b32 v16, v2, v0
	ds_bpermute_b32 v17, v1, v0
	s_endpgm

// ---- buffers: s[0:3] V#, v0 index or offset
unit u_buffer		// raw, bounds
	buffer_load_dword v10, v0, s[0:3], 0 offen
	buffer_load_dwordx2 v[12:13], v0, s[0:3], 0 offen
	buffer_load_ubyte v14, v0, s[0:3], 0 offen offset:1
	s_mov_b32 s8, 8
	buffer_load_dword v15, v0, s[0:3], s8 offen offset:4
	buffer_store_dword v0, v0, s[0:3], 0 offen offset:512
	buffer_load_short_d16_hi v16, v0, s[0:3], 0 offen
	buffer_atomic_add v17, v0, s[0:3], 0 offen glc
	s_endpgm

unit u_buffer_atomics	// s[0:3] raw, s[4:7] records; v0 offset, v1 index
	s_movk_i32 s8, 1024
	buffer_atomic_cmpswap v[10:11], v0, s[0:3], 0 offen glc
	buffer_atomic_cmpswap v[12:13], v0, s[0:3], 0 offen offset:256
	buffer_atomic_cmpswap_x2 v[14:17], v0, s[0:3], s8 offen glc
	buffer_atomic_cmpswap_x2 v[18:21], v0, s[0:3], 0 offen offset:1280
	buffer_atomic_cmpswap v[22:23], v1, s[4:7], 0 idxen offset:4 glc
	buffer_atomic_umax_x2 v[24:25], v0, s[0:3], s8 offen glc
	s_endpgm

unit u_buffer_struct	// stride, index and offset
	buffer_load_dword v10, v[0:1], s[0:3], 0 idxen offen
	buffer_load_dword v11, v0, s[0:3], 0 idxen offset:4
	s_endpgm

unit u_buffer_format	// format of the V#
	buffer_load_format_xyzw v[10:13], v0, s[0:3], 0 idxen
	buffer_store_format_xyzw v[10:13], v0, s[4:7], 0 idxen
	s_endpgm

unit u_tbuffer
	tbuffer_load_format_xyz v[10:12], v0, s[0:3], dfmt:14, nfmt:7, 0 idxen
	tbuffer_load_format_d16_xy v13, v0, s[0:3], dfmt:14, nfmt:7, 0 idxen
	s_endpgm

unit u_buffer_lds	// memory straight to LDS
	s_mov_b32 m0, 0x40
	buffer_load_dword v0, s[0:3], 0 offen lds
	s_waitcnt vmcnt(0)
	ds_read_b32 v10, v1 offset:64
	s_endpgm

unit u_scratch_buffer	// private memory through a swizzled V#
	buffer_store_dwordx2 v[2:3], off, s[0:3], 0 offset:8
	buffer_store_byte v4, v0, s[0:3], 0 offen offset:1
	buffer_load_dwordx4 v[10:13], off, s[0:3], 0
	buffer_load_dword v14, v0, s[0:3], 0 offen offset:2	// across two dwords
	s_endpgm

// ---- flat
unit u_global		// v[0:1] address per lane, s[0:1] base
	global_load_dword v10, v[0:1], off
	global_load_dwordx3 v[12:14], v[0:1], off offset:-4
	global_load_ubyte_d16_hi v15, v[0:1], off offset:3
	v_mov_b32 v2, 0
	global_load_dwordx4 v[16:19], v2, s[0:1] offset:16
	s_endpgm

unit u_global_store
	global_store_dword v[0:1], v2, off
	s_waitcnt vmcnt(0)
	s_endpgm

unit u_global_load
	global_load_dword v10, v[0:1], off glc
	s_endpgm

unit u_global_atomic
	global_atomic_add v10, v[0:1], v2, off glc
	global_atomic_cmpswap v11, v[0:1], v[2:3], off glc
	global_atomic_inc_x2 v[12:13], v[0:1], v[2:3], off glc
	s_endpgm

unit u_flat		// lanes point to global memory, LDS and scratch
	flat_load_dword v10, v[0:1]
	flat_store_dword v[0:1], v2
	flat_load_dword v11, v[0:1]
	flat_atomic_add v12, v[0:1], v2 glc
	flat_load_dword v13, v[0:1]
	s_endpgm

unit u_scratch		// SCRATCH instructions
	scratch_store_dwordx2 v0, v[2:3], off offset:4
	scratch_load_dword v10, v0, off offset:8
	s_movk_i32 s0, 0x4
	scratch_load_dword v11, off, s0
	s_endpgm

// ---- code cache
unit u_patch		// the test rewrites the first instruction's constant
	s_movk_i32 s10, 0x1111
	s_endpgm

	.p2align 12
	.fill 1023, 4, 0xbf800000
	.globl u_straddle
u_straddle:		// its second dword lies in the next page
	s_mov_b32 s10, 0x12345678
	s_endpgm
	.p2align 12
	.globl units_end
units_end:
	s_endpgm
