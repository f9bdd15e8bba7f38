// SPDX-License-Identifier: GPL-2.0
/*
 * cases-requests.c - attacks by requests that arrive well: every type with every field wrong, every
 * KFD ioctl with junk, extents that name what isn't ours, and lies about parking.
 */
#include "hostile.h"

#define EXTENT_MAX (HSV_MAX_ARRAY / sizeof(struct hsv_extent))

static const u32 numbers[] = {0,	1,	    2,	    7,	      16,
			      127,	128,	    129,    255,      256,
			      257,	4096,	    0xffff, 1u << 20, (1u << 20) + 1,
			      1u << 31, 0xffffffe0, ~0U};

/* Every one must come back, with an error or without. */
static int fields(struct hostile *h)
{
	u32 type, i;
	int err;

	for (type = 0; type < 16; type++) {
		for (i = 0; i < ARRAY_SIZE(numbers) * 5; i++) {
			u32 n = numbers[i / 5];
			u8 args[HSV_MAX_ARGS];

			memset(args, i % 2 ? 0xff : 0, sizeof(args));
			err = request(h, type, i % 5 == 0 ? n : 0, i % 5 == 1 ? n : 0, args,
				      i % 5 == 2 ? n : 24, i % 5 == 3 ? n : 0, i % 5 == 4 ? n : 0);
			if (err == -EPIPE || err == -ETIMEDOUT || err > 0)
				return case_fail(h, "type %u, field %u, %#x: %d", type, i % 5, n,
						 err);
			if (type == 0 && !err)
				return case_fail(h, "type %u exists", type);
		}
	}
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		err = request(h, numbers[i] + 100, 0, 0, NULL, 0, 0, 0);
		if (err != -ENOTTY)
			return case_fail(h, "type %#x: %d", numbers[i] + 100, err);
	}
	return 0;
}

static int process_ids(struct hostile *h)
{
	static const u32 bad[] = {256, 257, 65535, 65536, 1u << 31, ~0U};
	u32 i, type;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		err = create_process(h, bad[i]);
		if (err != -EINVAL)
			return case_fail(h, "process %#x created: %d", bad[i], err);
		for (type = HSV_REQ_PROCESS_DESTROY; type <= HSV_REQ_UNPARK; type++) {
			if (type == HSV_REQ_DRM_INFO || type == HSV_REQ_TOPOLOGY)
				continue;
			err = request(h, type, bad[i], 0, NULL, 16, 0, 0);
			if (err != -EINVAL)
				return case_fail(h, "type %u of process %#x: %d", type, bad[i],
						 err);
			err = request(h, type, 77, 0, NULL, 16, 0, 0);
			if (err != -ESRCH)
				return case_fail(h, "type %u of a process that isn't there: %d",
						 type, err);
		}
	}
	/* As many as there may be, twice each. */
	for (i = 0, err = 0; i < HSV_MAX_PROCESSES && !err; i++)
		err = create_process(h, i);
	if (err)
		return case_fail(h, "process %u: %d", i - 1, err);
	for (i = 0; i < HSV_MAX_PROCESSES; i++)
		if (create_process(h, i) != -EBUSY)
			return case_fail(h, "process %u is there twice", i);
	for (i = 0; i < HSV_MAX_PROCESSES; i++)
		if (destroy_process(h, i) || destroy_process(h, i) != -ESRCH)
			return case_fail(h, "process %u isn't destroyed once", i);
	return 0;
}

/* All ioctl numbers, before and after a VM was acquired, with zeros, ones and random words. Hang is
 * the only wrong answer. */
static int ioctls(struct hostile *h)
{
	u32 code, i, j, words[HSV_MAX_ARGS / 4];
	int err = create_process(h, 1) ?: gpu_process(h, 2);

	if (err)
		return case_fail(h, "processes: %d", err);
	for (code = 0; code < 0x30; code++) {
		for (i = 0; i < 24; i++) {
			u32 size = i % 4 ? sizeof(words) : hostile_random(h) % sizeof(words);

			for (j = 0; j < ARRAY_SIZE(words); j++)
				words[j] = i < 2   ? 0
					   : i < 4 ? ~0U
					   : hostile_random(h) % 3
						   ? hostile_random(h) >> hostile_random(h) % 32
						   : 0;
			for (j = 0; j < 1024; j++)
				((u32 *)(h->area + AREA_IN))[j] = i & 1 ? hostile_random(h) : 0;
			/* Often enough about this GPU to get further. */
			if (i % 3)
				words[hostile_random(h) % ARRAY_SIZE(words)] = h->gpu_id;
			err = request(h, HSV_REQ_KFD_IOCTL, 1 + i % 2,
				      i < 20 ? code : hostile_random(h), words, size, i % 5 * 16,
				      i % 7 * 64);
			if (err == -EPIPE || err == -ETIMEDOUT || err > 0)
				return case_fail(h, "ioctl %#x: %d", code, err);
		}
	}
	err = destroy_process(h, 1) ?: destroy_process(h, 2);
	return err ? case_fail(h, "ends: %d", err) : 0;
}

static void extents_set(struct hostile *h, u32 i, u64 addr, u64 size)
{
	((struct hsv_extent *)(h->area + AREA_IN))[i] =
		(struct hsv_extent){cpu_to_le64(addr), cpu_to_le64(size)};
}

static int try_alloc(struct hostile *h, u32 flags, u64 size, u32 extents)
{
	struct kfd_ioctl_free_memory_of_gpu_args args = {};
	int err = gpu_alloc(h, 1, flags | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE, GPU_VA + (1ULL << 36),
			    size, extents, &args.handle);

	if (!err)
		kfd(h, 1, AMDKFD_IOC_FREE_MEMORY_OF_GPU, &args, 0);
	return err;
}

static int extents(struct hostile *h)
{
	u64 ours = h->area_at + AREA_GPU;
	/* One extent where 4096 bytes are asked for. */
	const u64 bad[][2] = {
		{ours, 0},
		{ours, 1},
		{ours, 4095},
		{ours, 8192},
		{ours, ~0ULL},
		{ours, ~4095ULL},
		{ours + 1, 4096},
		{ours + 2048, 4096},
		{~0ULL, 4096},
		{~4095ULL, 4096},
		{~4095ULL, 8192},
		{1ULL << 52, 4096},
		{1ULL << 63, 4096},
		{1ULL << 46, 4096},
		{0xfee00000, 4096},
		{pci_resource_start(h->pdev, 0), 4096},
		{h->vram_at + (h->vram_size + 4095) / 4096 * 4096 + (1ULL << 40), 4096},
	};
	static const u32 kinds[] = {KFD_IOC_ALLOC_MEM_FLAGS_GTT, KFD_IOC_ALLOC_MEM_FLAGS_USERPTR};
	static const u64 sizes[] = {0, 1, 4095, 4097, 1ULL << 47, 1ULL << 63, ~0ULL, ~4095ULL};
	u32 i, k;
	int err = gpu_process(h, 1);

	if (err)
		return case_fail(h, "no GPU process: %d", err);
	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			extents_set(h, 0, bad[i][0], bad[i][1]);
			if (!try_alloc(h, kinds[k], 4096, 1))
				return case_fail(
					h, "kind %u: an extent of %#llx bytes at %#llx accepted", k,
					bad[i][1], bad[i][0]);
		}
		/* Sums that wrap to what is right. */
		extents_set(h, 0, ours, 1ULL << 63);
		extents_set(h, 1, ours, 1ULL << 63);
		extents_set(h, 2, ours, 4096);
		if (!try_alloc(h, kinds[k], 4096, 3))
			return case_fail(h, "sizes that wrap accepted");
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			extents_set(h, 0, ours, sizes[i]);
			if (!try_alloc(h, kinds[k], sizes[i], 1))
				return case_fail(h, "size %#llx accepted", sizes[i]);
		}
		/* Allowed: the same page many times, pages in any order, own device's memory or an
		 * error. */
		for (i = 0; i < EXTENT_MAX / 2; i++)
			extents_set(h, i, ours + (i * 37 % 128) * 4096, 4096);
		err = try_alloc(h, kinds[k], EXTENT_MAX / 2 * 4096ULL, EXTENT_MAX / 2);
		if (err)
			return case_fail(h, "%zu extents of the same pages: %d", EXTENT_MAX / 2,
					 err);
		extents_set(h, 0, h->vram_at, 4096);
		try_alloc(h, kinds[k], 4096, 1);
		extents_set(h, 0, h->doorbells_at, 4096);
		try_alloc(h, kinds[k], 4096, 1);
	}
	/* VRAM beyond the quota, and sizes that wrap. */
	if (!try_alloc(h, KFD_IOC_ALLOC_MEM_FLAGS_VRAM, h->vram_size + 4096, 0))
		return case_fail(h, "more VRAM than the quota");
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		if (!try_alloc(h, KFD_IOC_ALLOC_MEM_FLAGS_VRAM, sizes[i], 0) &&
		    sizes[i] > h->vram_size)
			return case_fail(h, "%#llx bytes of VRAM", sizes[i]);
	for (i = 0; i < 400; i++) {
		extents_set(h, 0, hostile_random(h) * (u64)hostile_random(h),
			    hostile_random(h) >> hostile_random(h) % 32);
		try_alloc(h, hostile_random(h), hostile_random(h) & ~4095U, 1);
	}
	err = destroy_process(h, 1);
	return err ? case_fail(h, "ends: %d", err) : 0;
}

/* EXTEND, INVALIDATE, RESTORE of handles that aren't there, of wrong kinds, in wrong order, many at
 * once. */
static int memory_storm(struct hostile *h)
{
	static const u32 types[] = {HSV_REQ_MEMORY_EXTEND, HSV_REQ_MEMORY_INVALIDATE,
				    HSV_REQ_MEMORY_RESTORE};
	u64 handles[6] = {0, ~0ULL, 1, (u64)h->gpu_id << 32 | 0xffffffff};
	struct hsv_memory_args args = {};
	u32 i, slot, extents;
	int err = gpu_process(h, 1);

	if (err)
		return case_fail(h, "no GPU process: %d", err);
	for (i = 0; i < 4 * 3; i++) {
		args.handle = cpu_to_le64(handles[i % 4]);
		err = request(h, types[i % 3], 1, 0, &args, sizeof(args), i & 1 ? 16 : 0, 0);
		if (!err)
			return case_fail(h, "type %u of handle %#llx succeeds", types[i % 3],
					 handles[i % 4]);
	}
	for (i = 0; i < 16; i++)
		extents_set(h, i, h->area_at + AREA_GPU + i * 4096, 4096);
	err = gpu_alloc(h, 1, KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE,
			GPU_VA + (1ULL << 36), 16 * 4096, 16, &handles[4]);
	if (!err)
		err = gpu_alloc(h, 1,
				KFD_IOC_ALLOC_MEM_FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE,
				GPU_VA + (1ULL << 37), 16 * 4096, 0, &handles[5]);
	if (!err)
		err = gpu_map(h, 1, handles[4]) ?: gpu_map(h, 1, handles[5]);
	if (!err)
		err = gpu_queue(h, 1);
	if (err)
		return case_fail(h, "buffers: %d", err);
	gpu_dispatch(h, GPU_SPINS, 0);
	for (i = 0; i < 60; i++) {
		for (slot = 0; slot < 60; slot++) {
			args.handle = cpu_to_le64(handles[slot % 3 ? 4 : hostile_random(h) % 6]);
			extents = hostile_random(h) % 20;
			post(h, slot, types[hostile_random(h) % 3], 1, 0, &args, sizeof(args),
			     slot % 11 ? extents * 16 : extents * 7, 0);
		}
		kick(h, 0);
		err = reap(h, 0, 60, 20000);
		if (err)
			return case_fail(h, "round %u: %d", i, err);
		for (slot = 0; slot < 16; slot++)
			extents_set(h, slot,
				    i % 3 ? h->area_at + AREA_GPU + hostile_random(h) % 100 * 4096
					  : hostile_random(h),
				    i % 5 ? 4096 : hostile_random(h));
	}
	err = destroy_process(h, 1);
	return err ? case_fail(h, "ends: %d", err) : 0;
}

static int park_lies(struct hostile *h)
{
	u32 i, slot;
	int err = gpu_process(h, 1) ?: gpu_queue(h, 1);

	if (err)
		return case_fail(h, "no queue: %d", err);
	for (i = 0; i < 60; i++) {
		/* Parked, it says, and rings; many at once, in any order. */
		for (slot = 0; slot < 8; slot++)
			post(h, slot, hostile_random(h) % 2 ? HSV_REQ_PARKED : HSV_REQ_UNPARK, 1, 0,
			     NULL, 0, 0, 0);
		kick(h, 0);
		gpu_dispatch(h, GPU_ENDS, 0);
		err = reap(h, 0, 8, 20000);
		if (!err)
			err = request(h, HSV_REQ_UNPARK, 1, 0, NULL, 0, 0, 0);
		if (!err)
			err = gpu_wait(h, 20000);
		if (err)
			return case_fail(h, "round %u: a kernel does not run after UNPARK: %d", i,
					 err);
	}
	for (i = 0; i < 20 && !err; i++)
		err = request(h, HSV_REQ_PARKED, 1, 0, NULL, 0, 0, 0);
	err = destroy_process(h, 1);
	return err ? case_fail(h, "ends: %d", err) : 0;
}

static int topology_sizes(struct hostile *h)
{
	static const u32 minors[] = {0, 127, 128, 255, 1u << 20, ~0U};
	struct hsv_topology_args args;
	u32 i;
	int err;

	for (i = 0; i < 200; i++) {
		args = (struct hsv_topology_args){
			.cpus = cpu_to_le32(i % 3 ? hostile_random(h) : ~0U),
			.render_minors = {cpu_to_le32(minors[i % ARRAY_SIZE(minors)]), cpu_to_le32(hostile_random(h))},
			.memory = cpu_to_le64(i % 4 ? hostile_random(h) * (u64)hostile_random(h)
						    : ~0ULL),
		};
		err = request(h, HSV_REQ_TOPOLOGY, 0, 0, &args, sizeof(args), 0,
			      i % 5 ? hostile_random(h) % 20000 : 1u << 20);
		if (err == -EPIPE || err == -ETIMEDOUT)
			return case_fail(h, "topology: %d", err);
		/* Of GPUs that there are and that there aren't. */
		err = request(h, HSV_REQ_DRM_INFO, 0, i % 3 ? minors[i % ARRAY_SIZE(minors)] : i % 16, &args, 32, 0, hostile_random(h) % 5000);
		if (err == -EPIPE || err == -ETIMEDOUT)
			return case_fail(h, "DRM info: %d", err);
	}
	return 0;
}

const struct hostile_case request_cases[] = {
	{"request-fields", fields, SERVES},
	{"process-ids", process_ids, SERVES},
	{"ioctls", ioctls, SERVES},
	{"extents", extents, SERVES},
	{"memory-storm", memory_storm, SERVES},
	{"park-lies", park_lies, SERVES},
	{"topology", topology_sizes, SERVES},
	{},
};
