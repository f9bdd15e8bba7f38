// SPDX-License-Identifier: MIT
/*
 * test_memory.c - a process's memory: buffers, their limits and what takes their pages away, SVM ranges, and buffers that several
 * processes have; against a GPU that only remembers.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/core/one.h"

static void test_alloc_bad(void **state)
{
	static const struct {
		uint64_t va, size;
		uint32_t flags;
		int err;
	} bad[] = {
		{VA, 0, FLAGS_VRAM, -EINVAL},
		{VA, 4096, 0, -EINVAL},
		{VA, 4096, KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE, -EINVAL},
		{VA, 4096, FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_GTT, -EINVAL},
		{VA, 4096, FLAGS_VRAM | 1u << 10, -EINVAL},
		{VA + 1, 4096, FLAGS_VRAM, -EINVAL},
		{0x1000, 4096, FLAGS_VRAM, -EINVAL},
		{KFD_VA_END, 4096, FLAGS_VRAM, -EINVAL},
		{KFD_VA_END - 4096, 8192, FLAGS_VRAM, -EINVAL},
		{VA, UINT64_MAX, FLAGS_VRAM, -ENOMEM},
		{VA, VRAM + 4096, FLAGS_VRAM, -ENOMEM},
		{VA, 4096, KFD_IOC_ALLOC_MEM_FLAGS_DOORBELL, -EINVAL},
		{VA, 8192, KFD_IOC_ALLOC_MEM_FLAGS_MMIO_REMAP, -EINVAL},
		{0, 4096, FLAGS_USER, -EINVAL},
		{VA, 4096, FLAGS_GTT | HSV_KFD_ALLOC_SVM, -EINVAL},
	};
	struct hsv_extent e[2] = {{GUEST_AT, 4096}, {GUEST_AT + GUEST - 4096, 8192}};
	uint64_t handle;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (alloc(bad[i].va, bad[i].size, bad[i].flags, &handle) != bad[i].err)
			fail_msg("case %zu", i);
	/* Extents: outside the tenant, misaligned, empty, too many. */
	assert_int_equal(alloc_full(VA, 16384, FLAGS_GTT, e, 2, NULL, 0, NULL, &handle), -EFAULT);
	e[1] = (struct hsv_extent){GUEST_AT + 1, 4096};
	assert_int_equal(alloc_full(VA, 16384, FLAGS_GTT, e, 2, NULL, 0, NULL, &handle), -EINVAL);
	e[1] = (struct hsv_extent){GUEST_AT, 0};
	assert_int_equal(alloc_full(VA, 16384, FLAGS_GTT, e, 2, NULL, 0, NULL, &handle), -EINVAL);
	e[1] = (struct hsv_extent){GUEST_AT, 16384};
	assert_int_equal(alloc_full(VA, 16384, FLAGS_GTT, e, 2, NULL, 0, NULL, &handle), -EINVAL);
	/* A GTT buffer with extents missing can't be mapped. */
	assert_int_equal(alloc_full(VA, 16384, FLAGS_GTT, e, 1, NULL, 0, NULL, &handle), 0);
	assert_int_equal(MAP(handle), -EINVAL);
	e[1] = (struct hsv_extent){GUEST_AT + 8192, 12288};
	assert_int_equal(kfd_memory_extend(process, handle, &e[1], 1), 0);
	assert_int_equal(kfd_memory_extend(process, handle, &e[1], 1), -EINVAL);
	assert_int_equal(MAP(handle), 0);
	assert_ptr_equal(fake_translate(VA + 4096, NULL), guest + 8192);
	assert_int_equal(free_memory(handle), -EBUSY);
	assert_int_equal(UNMAP(handle), 0);
	assert_int_equal(free_memory(handle), 0);
	assert_int_equal(fake_mapped_bytes(), 0);
}

static void test_map_bad(void **state)
{
	uint64_t h = alloc_map(VA, 8192, FLAGS_VRAM), h2, wild = (uint64_t)GPU_ID << 32 | 77;
	unsigned prot = 0;

	assert_int_equal(MAP(wild), -ENOMEM);
	assert_int_equal(UNMAP(wild), -ENODEV);
	assert_int_equal(MAP(5ull << 32 | 1), -EINVAL);
	assert_int_equal(free_memory(wild), -EINVAL);
	assert_int_equal(free_memory(0), -EINVAL);
	assert_int_equal(map_to(h, GPU_ID, 0, 0, true), -EINVAL);
	assert_int_equal(map_to(h, GPU_ID, 1, 2, true), -EINVAL);
	assert_int_equal(map_to(h, GPU_ID, 1u << 30, 0, true), -EFAULT);
	assert_int_equal(map_to(h, 3, 1, 0, true), -EINVAL);
	assert_int_equal(MAP(h), 0); /* again: nothing to do */
	assert_int_equal(alloc(VA + 4096, 4096, FLAGS_VRAM, &h2), 0);
	assert_int_equal(MAP(h2), -EINVAL); /* overlaps */
	assert_int_equal(fake_mapped_bytes(), 8192);
	assert_int_equal(UNMAP(h2), -EINVAL);
	assert_int_equal(UNMAP(h), 0);
	assert_int_equal(UNMAP(h), -EINVAL);
	assert_int_equal(MAP(h2), 0);
	/* VRAM and GTT without an address have no place to be mapped, until they get one. */
	assert_int_equal(alloc(0, 4096, FLAGS_GTT, &h), 0);
	assert_int_equal(MAP(h), -EINVAL);
	assert_int_equal(alloc(0, 4096, FLAGS_VRAM, &h), 0);
	assert_int_equal(MAP(h), -EINVAL);
	assert_int_equal(kfd_memory_place(process, h, 0, 0), -EINVAL);
	assert_int_equal(kfd_memory_place(process, h + 100, VA + 0x10000, 0), -EINVAL);
	assert_int_equal(kfd_memory_place(process, h, VA + 0x10001, 0), -EINVAL);
	assert_int_equal(kfd_memory_place(process, h, KFD_VA_END, 0), -EINVAL);
	assert_int_equal(kfd_memory_place(process, h, VA + 4096, 0), -EINVAL); /* h2 is there */
	assert_int_equal(kfd_memory_place(process, h, VA + 0x10000, 0), 0);
	assert_non_null(fake_translate(VA + 0x10000, &prot));
	assert_int_equal(prot, GPU_PROT_READ);
	assert_int_equal(kfd_memory_place(process, h, VA + 0x20000, 0), -EINVAL); /* first away from there */
	assert_int_equal(free_memory(h), -EBUSY);
	assert_int_equal(kfd_memory_place(process, h, 0, 0), 0);
	assert_null(fake_translate(VA + 0x10000, NULL));
	assert_int_equal(kfd_memory_place(process, h, VA + 0x20000, KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE), 0);
	assert_non_null(fake_translate(VA + 0x20000, &prot));
	assert_int_equal(prot, GPU_PROT_READ | GPU_PROT_WRITE);
	assert_int_equal(kfd_memory_place(process, h, 0, 0), 0);
	assert_int_equal(free_memory(h), 0);
}

static void test_protection(void **state)
{
	unsigned prot = 0;

	alloc_map(VA, 4096, KFD_IOC_ALLOC_MEM_FLAGS_VRAM);
	alloc_map(VA + 4096, 4096, FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE);
	alloc_map(VA + 0x10000, HSV_DOORBELL_SLOT,
		  KFD_IOC_ALLOC_MEM_FLAGS_DOORBELL | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE);
	alloc_map(VA + 0x20000, 4096, KFD_IOC_ALLOC_MEM_FLAGS_MMIO_REMAP);
	assert_non_null(fake_translate(VA, &prot));
	assert_int_equal(prot, GPU_PROT_READ);
	assert_non_null(fake_translate(VA + 4096, &prot));
	assert_int_equal(prot, GPU_PROT_READ | GPU_PROT_WRITE | GPU_PROT_EXEC);
	assert_ptr_equal(fake_translate(VA + 0x10000, NULL), doorbells + HSV_DOORBELL_SLOT);
	assert_non_null(fake_translate(VA + 0x20000, NULL));
}

static void test_vram_zeroed_and_quota(void **state)
{
	struct kfd_ioctl_get_available_memory_args m = {.gpu_id = GPU_ID};
	struct kfd_stats stats;
	uint64_t a, b;

	assert_int_equal(alloc(VA, VRAM, FLAGS_VRAM, &a), 0);
	memset(vram, 0xab, VRAM);
	assert_int_equal(charged, VRAM);
	assert_int_equal(alloc(VA + VRAM, 4096, FLAGS_VRAM, &b), -ENOMEM);
	assert_int_equal(CALL(AVAILABLE_MEMORY, &m), 0);
	assert_int_equal(m.available, 0);
	assert_int_equal(free_memory(a), 0);
	for (size_t i = 0; i < VRAM; i++)
		assert_int_equal(vram[i], 0);
	vram[0] = 1; /* a stale CPU mapping wrote after the free */
	assert_int_equal(alloc(VA, 4096, FLAGS_VRAM, &a), 0);
	assert_int_equal(vram[0], 0);
	charge_limit = 8192;
	assert_int_equal(alloc(VA + 4096, 8192, FLAGS_VRAM, &b), -ENOMEM);
	assert_int_equal(charged, 4096);
	assert_int_equal(alloc(VA + 4096, 100, FLAGS_VRAM, &b), 0);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.vram_used, 8192);
	assert_int_equal(stats.vram_peak, VRAM);
}

static void heap(struct drm_amdgpu_heap_info *vram_heap, struct drm_amdgpu_info_vram_gtt *sizes)
{
	struct drm_amdgpu_info info = {.query = AMDGPU_INFO_MEMORY};
	struct drm_amdgpu_memory_info m;
	size_t size;

	info.return_size = sizeof(m);
	assert_int_equal(kfd_drm_info(device, 0, &info, &m, sizeof(m), &size), 0);
	*vram_heap = m.vram;
	info.query = AMDGPU_INFO_VRAM_GTT;
	info.return_size = sizeof(*sizes);
	assert_int_equal(kfd_drm_info(device, 0, &info, sizes, sizeof(*sizes), &size), 0);
}

static uint64_t bank_size(void)
{
	struct hsv_topology_args args = {.cpus = 1, .render_minors = {128, 129}, .memory = 1 << 30};
	static char buf[65536];
	const char *key;
	size_t size;

	assert_int_equal(kfd_topology(device, &args, buf, sizeof(buf), &size), 0);
	key = memmem(buf, size, "heap_type 1\nsize_in_bytes ", 26);
	assert_non_null(key);
	return strtoull(key + 26, NULL, 10);
}

/* The quota is changed and others of the tenant take VRAM: all answers say the same. */
static void test_vram_quota_changes(void **state)
{
	struct kfd_ioctl_get_available_memory_args m = {.gpu_id = GPU_ID};
	struct drm_amdgpu_info_vram_gtt sizes;
	struct drm_amdgpu_heap_info h;
	struct kfd_stats stats;
	uint64_t a, b;

	quota_limit = VRAM / 2;
	others_use = 1 << 20;
	assert_int_equal(alloc(VA, VRAM / 2 + 4096, FLAGS_VRAM, &a), -ENOMEM);
	assert_int_equal(charged, 0);
	assert_int_equal(alloc(VA, 2 << 20, FLAGS_VRAM, &a), 0);
	assert_int_equal(CALL(AVAILABLE_MEMORY, &m), 0);
	assert_int_equal(m.available, VRAM / 2 - (3 << 20));
	heap(&h, &sizes);
	assert_int_equal(h.total_heap_size, VRAM / 2);
	assert_int_equal(h.usable_heap_size, VRAM / 2);
	assert_int_equal(h.heap_usage, 3 << 20);
	assert_int_equal(sizes.vram_size, VRAM / 2);
	assert_int_equal(bank_size(), VRAM / 2);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.vram_size, VRAM / 2);

	quota_limit = 1 << 20; /* below what is used */
	assert_int_equal(CALL(AVAILABLE_MEMORY, &m), 0);
	assert_int_equal(m.available, 0);
	assert_int_equal(alloc(VA + VRAM, 4096, FLAGS_VRAM, &b), -ENOMEM);
	assert_int_equal(charged, 2 << 20);
	assert_int_equal(MAP(a), 0); /* nothing is lost */
	assert_int_equal(UNMAP(a), 0);

	quota_limit = UINT64_MAX; /* a word that others write: never more than there is */
	others_use = UINT64_MAX - (16 << 20);
	heap(&h, &sizes);
	assert_int_equal(h.total_heap_size, VRAM);
	assert_int_equal(CALL(AVAILABLE_MEMORY, &m), 0);
	assert_int_equal(m.available, 0);
	others_use = 0;
	assert_int_equal(alloc(VA + VRAM, VRAM - (2 << 20), FLAGS_VRAM, &b), 0);
	assert_int_equal(CALL(AVAILABLE_MEMORY, &m), 0);
	assert_int_equal(m.available, 0);
}

static void test_system_memory_is_bounded(void **state)
{
	struct hsv_extent e = {GUEST_AT, 8192}, outside = {0, 8192};
	struct kfd_stats stats;
	uint64_t h, h2;
	size_t n;

	system_limit = 12288;
	assert_int_equal(alloc_full(VA, 8192, FLAGS_GTT, &e, 1, NULL, 0, &n, &h), 0);
	assert_int_equal(alloc_full(VA + 8192, 8192, FLAGS_USER, &e, 1, NULL, 0, &n, &h2), -ENOMEM);
	/* Also of buffers whose pages are to come later. */
	assert_int_equal(alloc_full(VA + 8192, 8192, FLAGS_GTT, NULL, 0, NULL, 0, &n, &h2),
			 -ENOMEM);
	system_limit = 16384;
	assert_int_equal(alloc_full(VA + 8192, 8192, FLAGS_GTT, &outside, 1, NULL, 0, &n, &h2),
			 -EFAULT); /* a failure counts nothing */
	assert_int_equal(alloc_full(VA + 8192, 8192, FLAGS_GTT, NULL, 0, NULL, 0, &n, &h2), 0);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.system_pinned, 16384);
	system_limit = 0; /* RAM was unplugged */
	assert_int_equal(alloc_full(VA + 16384, 4096, FLAGS_GTT, NULL, 0, NULL, 0, &n, &h2),
			 -ENOMEM);
	assert_int_equal(free_memory(h), 0);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.system_pinned, 8192);
}

static void test_vram_fragments(void **state)
{
	struct hsv_extent out[HSV_MAX_ARGS];
	uint64_t h[16], big;
	size_t n;

	for (int i = 0; i < 16; i++)
		assert_int_equal(alloc(VA + (uint64_t)i * (1 << 20), 1 << 20, FLAGS_VRAM, &h[i]),
				 0);
	for (int i = 0; i < 16; i += 2)
		assert_int_equal(free_memory(h[i]), 0);
	/* No room in the answer for that many extents: nothing is taken. */
	assert_int_equal(alloc_full(VA + VRAM, 4 << 20, FLAGS_VRAM, NULL, 0, out, 3, &n, &big),
			 -ENOMEM);
	assert_int_equal(charged, VRAM / 2);
	assert_int_equal(alloc_full(VA + VRAM, 4 << 20, FLAGS_VRAM, NULL, 0, out, 4, &n, &big), 0);
	assert_int_equal(n, 4);
	assert_int_equal(MAP(big), 0);
	for (size_t i = 0; i < n; i++)
		assert_ptr_equal(fake_translate(VA + VRAM + i * (1 << 20), NULL),
				 vram + out[i].addr);
	assert_int_equal(UNMAP(big), 0);
	assert_int_equal(free_memory(big), 0);
	for (int i = 1; i < 16; i += 2)
		assert_int_equal(free_memory(h[i]), 0);
	/* All coalesced again. */
	assert_int_equal(alloc_full(VA, VRAM, FLAGS_VRAM, NULL, 0, out, 1, &n, &big), 0);
	assert_int_equal(n, 1);
}

static void test_invalidate(void **state)
{
	struct hsv_extent e[2] = {{GUEST_AT + 0x10000, 4096}, {GUEST_AT + 0x30000, 4096}};
	uint64_t h = alloc_map(VA, 8192, FLAGS_USER), h2 = alloc_map(VA + 8192, 4096, FLAGS_USER);

	assert_int_equal(kfd_memory_invalidate(process, 123), -EINVAL);
	assert_int_equal(kfd_memory_restore(process, h, e, 2), -EINVAL); /* isn't invalid */
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(kfd_memory_invalidate(process, h2), 0);
	assert_int_equal(fake.suspended, 1);
	assert_int_equal(fake_mapped_bytes(), 0);
	assert_int_equal(kfd_memory_restore(process, h, e, 1), 0);
	assert_null(fake_translate(VA, NULL)); /* the rest isn't there yet */
	assert_int_equal(kfd_memory_extend(process, h, e + 1, 1), 0);
	assert_ptr_equal(fake_translate(VA + 4096, NULL), guest + 0x30000);
	assert_int_equal(fake.suspended, 1);
	assert_int_equal(kfd_memory_restore(process, h2, NULL, 0), 0); /* gone */
	assert_int_equal(fake.suspended, 0);
	assert_null(fake_translate(VA + 8192, NULL));
	/* Freed while invalid: queues go on. */
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(UNMAP(h), 0);
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(fake.suspended, 0);
}

/* A mapped buffer keeps its addresses while its pages are away: nothing else is mapped there, and
 * nothing that happens to it touches what is mapped elsewhere. */
static void test_stale_keeps_its_place(void **state)
{
	struct hsv_extent e = {GUEST_AT + 0x10000, 8192};
	uint64_t h = alloc_map(VA, 8192, FLAGS_USER), h2, h3, s;

	assert_int_equal(alloc(VA + 4096, 4096, FLAGS_VRAM, &h2), 0);
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(MAP(h2), -EINVAL);
	assert_int_equal(kfd_memory_restore(process, h, &e, 1), 0);
	assert_ptr_equal(fake_translate(VA + 4096, NULL), guest + 0x11000);
	/* Gone for good: only after its unmap is there room. */
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(kfd_memory_restore(process, h, NULL, 0), 0);
	assert_int_equal(MAP(h2), -EINVAL);
	assert_int_equal(UNMAP(h), 0);
	assert_int_equal(MAP(h2), 0);
	assert_int_equal(MAP(h), -EINVAL);
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(kfd_memory_restore(process, h, &e, 1), 0);
	assert_int_equal(free_memory(h), 0);
	assert_non_null(fake_translate(VA + 4096, NULL));
	assert_int_equal(UNMAP(h2), 0);
	/* Memory that the VM lost. */
	h = alloc_map(VA, 8192, FLAGS_USER);
	kfd_device_revoke(device, guest, GUEST);
	assert_int_equal(MAP(h2), -EINVAL);
	assert_int_equal(UNMAP(h), 0);
	assert_int_equal(MAP(h2), 0);
	assert_int_equal(UNMAP(h2), 0);
	/* An SVM object the GPU may not access yet. */
	assert_int_equal(alloc(VA + 0x10000, 4096, FLAGS_VRAM, &h3), 0);
	assert_int_equal(alloc(VA + 0x10000, 4096, FLAGS_USER | HSV_KFD_ALLOC_SVM, &s), 0);
	assert_int_equal(MAP(h3), -EINVAL);
	assert_int_equal(free_memory(s), 0);
	assert_int_equal(MAP(h3), 0);
}

/* However many buffers and pieces of memory a tenant names, our memory has an end. */
static void test_records_are_bounded(void **state)
{
	struct hsv_extent e[16];
	size_t before = atomic_load(&device->records), n;
	uint64_t h, h2;

	for (size_t i = 0; i < 16; i++)
		e[i] = (struct hsv_extent){GUEST_AT + 8192 * i, 4096};
	atomic_store(&device->records, KFD_MAX_RECORDS - sizeof(struct kfd_memory) - 256);
	assert_int_equal(alloc_full(VA, 16 * 4096, FLAGS_USER, e, 16, NULL, 0, &n, &h), 0);
	assert_int_equal(atomic_load(&device->records), KFD_MAX_RECORDS);
	assert_int_equal(alloc_full(VA + 0x100000, 4096, FLAGS_USER, e, 1, NULL, 0, &n, &h2),
			 -ENOMEM);
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(alloc_full(VA, 18 * 4096, FLAGS_USER, e, 16, NULL, 0, &n, &h), 0);
	assert_int_equal(kfd_memory_extend(process, h, e, 1), -ENOMEM);
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(atomic_load(&device->records),
			 KFD_MAX_RECORDS - sizeof(struct kfd_memory) - 256);
	atomic_store(&device->records, before);
}

static void test_revoke(void **state)
{
	alloc_map(VA, 65536, FLAGS_USER);
	kfd_device_revoke(device, guest + GUEST / 2, 4096);
	assert_int_equal(fake_mapped_bytes(), 65536);
	kfd_device_revoke(device, guest + 4096, 4096);
	assert_int_equal(fake_mapped_bytes(), 65536 - 4096);
	assert_non_null(fake_translate(VA, NULL));
	assert_null(fake_translate(VA + 4096, NULL));
	assert_ptr_equal(fake_translate(VA + 8192, NULL), guest + 8192);
	kfd_device_revoke(device, guest + 32768, GUEST / 2);
	assert_int_equal(fake_mapped_bytes(), 32768 - 4096);
	kfd_device_revoke(device, guest, GUEST);
	assert_int_equal(fake_mapped_bytes(), 0);
}

static void *revoker(void *arg)
{
	while (!atomic_load((_Atomic bool *)arg))
		kfd_device_revoke(device, guest, 4096);
	return NULL;
}

/* A VM loses memory while its processes come and go. */
static void test_revoke_races_destroy(void **state)
{
	_Atomic bool stop = false;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, revoker, &stop), 0);
	for (int i = 0; i < 2000; i++) {
		struct kfd_process *p, *kept = process;

		assert_int_equal(kfd_process_create(device, 2, NULL, 1, "x", &p), 0);
		process = p;
		acquire();
		alloc_map(VA, 8192, FLAGS_USER);
		kfd_process_destroy(p);
		process = kept;
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

static int svm(uint32_t op, uint64_t start, uint64_t size, struct kfd_ioctl_svm_attribute *attrs,
	       uint32_t n)
{
	struct kfd_ioctl_svm_args a = {.start_addr = start, .size = size, .op = op, .nattr = n};

	return ioctl_arrays(_IOC_NR(AMDKFD_IOC_SVM), &a, sizeof(a), attrs, n * sizeof(*attrs),
			    attrs, n * sizeof(*attrs), NULL);
}

static void test_svm(void **state)
{
	struct kfd_ioctl_svm_attribute access[2] = {
		{KFD_IOCTL_SVM_ATTR_ACCESS, GPU_ID},
		{KFD_IOCTL_SVM_ATTR_SET_FLAGS, KFD_IOCTL_SVM_FLAG_GPU_EXEC},
	};
	struct kfd_ioctl_svm_attribute none = {KFD_IOCTL_SVM_ATTR_NO_ACCESS, GPU_ID};
	struct kfd_ioctl_svm_attribute bad = {KFD_IOCTL_SVM_ATTR_ACCESS, 1}, q[3];
	struct kfd_ioctl_svm_attribute hint = {KFD_IOCTL_SVM_ATTR_PREFETCH_LOC, GPU_ID};
	uint32_t flags = FLAGS_USER | HSV_KFD_ALLOC_SVM;
	int maps;
	uint64_t h, h2;
	unsigned prot;

	assert_int_equal(svm(0, VA, 0, access, 2), -EINVAL);
	assert_int_equal(svm(0, 0, 4096, access, 2), -EINVAL);
	assert_int_equal(svm(7, VA, 4096, access, 2), -EINVAL);
	assert_int_equal(svm(0, VA, 4096, access, 2), -EFAULT); /* nobody vouched for the pages */
	assert_int_equal(alloc(VA, 65536, flags, &h), 0);
	assert_int_equal(alloc(VA + 4096, 4096, flags, &h2), -EEXIST);
	assert_int_equal(alloc(VA + 61440, 8192, flags, &h2), -EADDRINUSE);
	assert_int_equal(alloc(VA + 4096, 4096, FLAGS_VRAM, &h2), -EADDRINUSE);
	assert_int_equal(svm(0, VA, 65536, &bad, 1), -EINVAL);
	assert_int_equal(MAP(h), -EINVAL);
	assert_int_equal(fake_mapped_bytes(), 0);
	assert_int_equal(svm(0, VA, 65536, access, 2), 0);
	assert_int_equal(fake_mapped_bytes(), 65536);
	assert_non_null(fake_translate(VA, &prot));
	assert_int_equal(prot, GPU_PROT_READ | GPU_PROT_WRITE | GPU_PROT_EXEC);
	/* A hole in the middle. */
	assert_int_equal(svm(0, VA + 8192, 4096, &none, 1), 0);
	assert_null(fake_translate(VA + 8192, NULL));
	assert_ptr_equal(fake_translate(VA + 12288, NULL), guest + 12288);
	assert_int_equal(fake_mapped_bytes(), 61440);
	/* A hint leaves the page table alone: a kernel may run. */
	maps = fake.maps;
	assert_int_equal(svm(0, VA, 65536, &hint, 1), 0);
	assert_int_equal(fake.maps, maps);
	assert_int_equal(fake.suspended, 0);
	q[0] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_ACCESS, GPU_ID};
	q[1] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_SET_FLAGS, 0};
	q[2] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_GRANULARITY, 0};
	assert_int_equal(svm(1, VA, 8192, q, 3), 0);
	assert_int_equal(q[0].type, KFD_IOCTL_SVM_ATTR_ACCESS);
	assert_true(q[1].value & KFD_IOCTL_SVM_FLAG_GPU_EXEC);
	assert_int_equal(q[2].value, 9);
	assert_int_equal(svm(1, VA, 65536, q, 1), 0);
	assert_int_equal(q[0].type, KFD_IOCTL_SVM_ATTR_NO_ACCESS);
	assert_int_equal(svm(1, VA, 65536, q, 1), -EINVAL); /* NO_ACCESS can't be asked */
	/* Invalidated and back: the hole stays one. */
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(fake_mapped_bytes(), 0);
	assert_int_equal(kfd_memory_restore(process, h, &(struct hsv_extent){GUEST_AT, 65536}, 1),
			 0);
	assert_int_equal(fake_mapped_bytes(), 61440);
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(fake_mapped_bytes(), 0);
	assert_int_equal(svm(0, VA, 4096, access, 2), -EFAULT);
	/* A buffer's range isn't SVM. */
	alloc_map(VA, 4096, FLAGS_USER);
	assert_int_equal(svm(0, VA, 4096, access, 2), -EADDRINUSE);
	assert_int_equal(alloc(VA, 4096, flags, &h), -EADDRINUSE);
}

/* A part of an SVM range is unmapped: that is a hole, with no attributes; the rest stays, and the hole can be filled. */
static void test_svm_holes(void **state)
{
	struct hsv_extent whole = {GUEST_AT, 16384},
			  holes[3] = {{GUEST_AT, 4096}, {HSV_EXTENT_HOLE, 8192}, {GUEST_AT + 12288, 4096}};
	struct {
		struct kfd_ioctl_svm_attribute attr;
		struct kfd_ioctl_svm_args args; /* with an array of attributes at its end: last */
	} s = {.args = {.start_addr = VA, .size = 16384, .op = KFD_IOCTL_SVM_OP_SET_ATTR, .nattr = 1}, .attr = {KFD_IOCTL_SVM_ATTR_ACCESS, GPU_ID}}, out;
	struct kfd_ioctl_alloc_memory_of_gpu_args a = {
		.va_addr = VA, .mmap_offset = VA, .size = 16384, .gpu_id = GPU_ID, .flags = FLAGS_USER | HSV_KFD_ALLOC_SVM};
	uint64_t user;

#define SVM() ioctl_arrays(_IOC_NR(AMDKFD_IOC_SVM), &s.args, sizeof(s.args), &s.attr, sizeof(s.attr), &out.attr, sizeof(out.attr), NULL)
	assert_int_equal(ioctl_arrays(_IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), &a, sizeof(a), &whole, sizeof(whole), NULL, 0, NULL), 0);
	assert_int_equal(SVM(), 0);
	assert_ptr_equal(fake_translate(VA + 4096, NULL), guest + 4096);
	assert_int_equal(kfd_memory_invalidate(process, a.handle), 0);
	holes[1].size = 12288; /* too much */
	assert_int_equal(kfd_memory_restore(process, a.handle, holes, 3), -EINVAL);
	holes[1].size = 8192;
	assert_int_equal(kfd_memory_invalidate(process, a.handle), 0);
	assert_int_equal(kfd_memory_restore(process, a.handle, holes, 3), 0);
	assert_ptr_equal(fake_translate(VA, NULL), guest);
	assert_null(fake_translate(VA + 4096, NULL));
	assert_ptr_equal(fake_translate(VA + 12288, NULL), guest + 12288);
	s.args.op = KFD_IOCTL_SVM_OP_GET_ATTR;
	s.args.start_addr = VA + 4096;
	s.args.size = 8192;
	assert_int_equal(SVM(), 0);
	assert_int_equal(out.attr.type, KFD_IOCTL_SVM_ATTR_NO_ACCESS);
	s.args.op = KFD_IOCTL_SVM_OP_SET_ATTR;
	assert_int_equal(SVM(), -EFAULT);
	assert_int_equal(alloc(VA + 4096, 8192, FLAGS_VRAM, &user), 0); /* there is room for a buffer */
	assert_int_equal(free_memory(user), 0);
	assert_int_equal(alloc(VA + 4096, 12288, FLAGS_VRAM, &user), -EADDRINUSE);
	/* While the range's pages are away, too; and what is mapped in a hole is none of the range's affair. */
	assert_int_equal(kfd_memory_invalidate(process, a.handle), 0);
	assert_int_equal(alloc(VA, 4096, FLAGS_VRAM, &user), -EADDRINUSE);
	assert_int_equal(alloc(VA + 4096, 8192, FLAGS_VRAM, &user), 0);
	assert_int_equal(MAP(user), 0);
	assert_int_equal(kfd_memory_extend(process, a.handle, &whole, 1), -EINVAL);
	assert_int_equal(kfd_memory_restore(process, a.handle, holes, 3), 0);
	assert_int_equal(fake_mapped_bytes(), 16384);
	assert_int_equal(kfd_memory_invalidate(process, a.handle), 0);
	assert_int_equal(fake_mapped_bytes(), 8192);
	assert_int_equal(kfd_memory_restore(process, a.handle, holes, 3), 0);
	assert_ptr_equal(fake_translate(VA + 12288, NULL), guest + 12288);
	assert_int_equal(UNMAP(user), 0);
	assert_int_equal(free_memory(user), 0);
	assert_int_equal(kfd_memory_invalidate(process, a.handle), 0);
	assert_int_equal(kfd_memory_restore(process, a.handle, &whole, 1), 0);
	assert_null(fake_translate(VA + 4096, NULL)); /* until it has attributes again */
	s.args.op = KFD_IOCTL_SVM_OP_SET_ATTR;
	assert_int_equal(SVM(), 0);
	assert_ptr_equal(fake_translate(VA + 8192, NULL), guest + 8192);
	assert_int_equal(free_memory(a.handle), 0);
	/* Of other buffers there are no holes. */
	assert_int_equal(alloc_full(VA, 16384, FLAGS_USER, holes, 3, NULL, 0, NULL, &user), -EINVAL);
#undef SVM
}

/* The second process of the sharing tests, at slot 2. */
static struct kfd_process *make_other(void)
{
	struct kfd_ioctl_acquire_vm_args a = {.gpu_id = GPU_ID, .drm_fd = 8};
	struct kfd_process *other;

	assert_int_equal(kfd_process_create(device, 2, NULL, 43, "other", &other), 0);
	assert_int_equal(core_request(other, _IOC_NR(AMDKFD_IOC_ACQUIRE_VM), &a, sizeof(a), NULL, 0, NULL, 0, NULL), 0);
	return other;
}

static int export_dmabuf(uint64_t handle, uint32_t *share)
{
	struct kfd_ioctl_export_dmabuf_args a = {.handle = handle};
	int err = CALL(EXPORT_DMABUF, &a);

	*share = a.dmabuf_fd;
	return err;
}

static int import_dmabuf(struct kfd_process *p, uint32_t share, uint64_t va, struct hsv_extent *out, size_t max, uint64_t *handle)
{
	struct kfd_ioctl_import_dmabuf_args a = {.va_addr = va, .gpu_id = GPU_ID, .dmabuf_fd = share};
	size_t bytes;
	int err = core_request(p, _IOC_NR(AMDKFD_IOC_IMPORT_DMABUF), &a, sizeof(a), NULL, 0, out, max * sizeof(*out), &bytes);

	*handle = a.handle;
	if (!err)
		assert_int_equal(bytes, sizeof(*out));
	return err;
}

static int free_of(struct kfd_process *p, uint64_t handle)
{
	struct kfd_ioctl_free_memory_of_gpu_args a = {.handle = handle};

	return core_request(p, _IOC_NR(AMDKFD_IOC_FREE_MEMORY_OF_GPU), &a, sizeof(a), NULL, 0, NULL, 0, NULL);
}

static void test_share_dmabuf(void **state)
{
	struct kfd_process *other = make_other();
	struct kfd_ioctl_import_dmabuf_args wrong = {.va_addr = VA, .gpu_id = 3};
	struct kfd_stats stats;
	struct hsv_extent e = {0};
	uint64_t h, theirs, again, user, gtt;
	uint32_t share, twice;

	assert_int_equal(export_dmabuf(77, &share), -EINVAL);
	assert_int_equal(alloc(VA + (1 << 20), 4096, FLAGS_USER, &user), 0);
	assert_int_equal(export_dmabuf(user, &share), -EPERM);
	assert_int_equal(alloc(VA + (2 << 20), 4096, FLAGS_GTT, &gtt), 0);
	assert_int_equal(export_dmabuf(gtt, &share), -EINVAL); /* GTT is the front end's to share */
	assert_int_equal(alloc(VA, 8192, FLAGS_VRAM, &h), 0);
	assert_int_equal(import_dmabuf(other, 1, VA, &e, 1, &theirs), -EINVAL);
	assert_int_equal(export_dmabuf(h, &share), 0);
	assert_int_not_equal(share, 0);
	assert_int_equal(export_dmabuf(h, &twice), 0);
	assert_int_equal(twice, share);

	assert_int_equal(core_request(other, _IOC_NR(AMDKFD_IOC_IMPORT_DMABUF), &wrong, sizeof(wrong), NULL, 0, NULL, 0, NULL), -EINVAL);
	assert_int_equal(import_dmabuf(other, share + 1, VA, &e, 1, &theirs), -EINVAL);
	assert_int_equal(import_dmabuf(other, share, VA + 1, &e, 1, &theirs), -EINVAL);
	assert_int_equal(import_dmabuf(other, share, KFD_VA_END - 4096, &e, 1, &theirs), -EINVAL);
	assert_int_equal(import_dmabuf(other, share, VA, NULL, 0, &theirs), -EFAULT);
	assert_int_equal(import_dmabuf(other, share, VA + 4096, &e, 1, &theirs), 0);
	assert_int_equal(e.size, 8192);
	assert_int_equal(import_dmabuf(other, share, VA + (4 << 20), &e, 1, &again), 0);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.vram_used, 8192); /* once, whoever has it */
	assert_int_equal(charged, 8192);
	memset(vram + e.addr, 0x5a, 8192);

	/* The maker goes; the memory stays as it is until the last goes, too. */
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(kfd_device_share_put(device, share), 0);
	assert_int_equal(kfd_device_share_put(device, share), 0);
	assert_int_equal(kfd_device_share_put(device, share), -EINVAL);
	assert_int_equal(kfd_device_share_put(device, 0), -EINVAL);
	assert_int_equal(kfd_device_share_put(device, 99999), -EINVAL);
	assert_int_equal(import_dmabuf(other, share, VA, &e, 1, &again), -EINVAL); /* no dma-buf any more */
	assert_int_equal(vram[e.addr], 0x5a);
	assert_int_equal(free_of(other, theirs), 0);
	assert_int_equal(vram[e.addr], 0x5a);
	kfd_process_destroy(other);
	assert_int_equal(vram[e.addr], 0);
	assert_int_equal(charged, 0);
	/* A dma-buf alone keeps it, too, beyond its process. */
	assert_int_equal(alloc(VA, 8192, FLAGS_VRAM, &h), 0);
	assert_int_equal(export_dmabuf(h, &share), 0);
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(charged, 8192);
	assert_int_equal(kfd_device_share_put(device, share), 0);
	assert_int_equal(charged, 0);
}

static void test_share_ipc(void **state)
{
	struct kfd_process *other = make_other();
	struct kfd_ioctl_ipc_export_handle_args e = {.gpu_id = GPU_ID, .flags = 0x1234}, e2;
	struct kfd_ioctl_ipc_import_handle_args i = {.va_addr = VA, .gpu_id = GPU_ID}, bad;
	struct kfd_ioctl_map_memory_to_gpu_args m = {.n_devices = 1};
	struct hsv_extent out[4];
	uint32_t gpu = GPU_ID;
	size_t bytes;
	uint64_t h;

#define IMPORT_IPC(a) core_request(other, _IOC_NR(AMDKFD_IOC_IPC_IMPORT_HANDLE), a, sizeof(*(a)), NULL, 0, out, sizeof(out), &bytes)
	assert_int_equal(CALL(IPC_EXPORT_HANDLE, &e), -EINVAL);
	assert_int_equal(alloc(VA, 4096, FLAGS_VRAM, &h), 0);
	e.handle = h;
	e.gpu_id = 9;
	assert_int_equal(CALL(IPC_EXPORT_HANDLE, &e), -EINVAL);
	assert_int_equal(IMPORT_IPC(&i), -EINVAL);
	e.gpu_id = GPU_ID;
	assert_int_equal(CALL(IPC_EXPORT_HANDLE, &e), 0);
	e2 = e;
	e2.flags = 0;
	memset(e2.share_handle, 0, sizeof(e2.share_handle));
	assert_int_equal(CALL(IPC_EXPORT_HANDLE, &e2), 0);
	assert_memory_equal(e.share_handle, e2.share_handle, sizeof(e.share_handle)); /* the same buffer, the same handle */
	memcpy(i.share_handle, e.share_handle, sizeof(e.share_handle));
	bad = i;
	bad.gpu_id = 9;
	assert_int_equal(IMPORT_IPC(&bad), -EINVAL);
	bad = i;
	bad.share_handle[2] ^= 1;
	assert_int_equal(IMPORT_IPC(&bad), -EINVAL);
	assert_int_equal(IMPORT_IPC(&i), 0);
	assert_int_equal(bytes, sizeof(out[0]));
	assert_int_equal(i.flags, 0x1234);
	m.handle = i.handle;
	assert_int_equal(core_request(other, _IOC_NR(AMDKFD_IOC_MAP_MEMORY_TO_GPU), &m, sizeof(m), &gpu, sizeof(gpu), NULL, 0, NULL), 0);
	assert_int_equal(free_of(other, i.handle), -EBUSY);
	vram[out[0].addr] = 7;
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(vram[out[0].addr], 7);
	/* As long as somebody has the buffer the handle is good. */
	bad = i;
	bad.va_addr = VA + (1 << 20);
	assert_int_equal(IMPORT_IPC(&bad), 0);
	kfd_process_destroy(other);
	assert_int_equal(charged, 0);
	other = make_other();
	assert_int_equal(IMPORT_IPC(&i), -EINVAL);
	kfd_process_destroy(other);
#undef IMPORT_IPC
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_alloc_bad),
		TEST(test_map_bad),
		TEST(test_protection),
		TEST(test_vram_zeroed_and_quota),
		TEST(test_vram_fragments),
		TEST(test_vram_quota_changes),
		TEST(test_system_memory_is_bounded),
		TEST(test_invalidate),
		TEST(test_stale_keeps_its_place),
		TEST(test_records_are_bounded),
		TEST(test_revoke),
		TEST(test_revoke_races_destroy),
		TEST(test_svm),
		TEST(test_svm_holes),
		TEST(test_share_dmabuf),
		TEST(test_share_ipc),
	};

	return cmocka_run_group_tests_name("core-memory", tests, NULL, NULL);
}
