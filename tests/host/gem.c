// SPDX-License-Identifier: MIT
/*
 * gem.c - a program that uses buffers and submissions of the render node raw, as libdrm does, under the preload front end. Each case runs in a child of
 * its own.
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <drm/amdgpu_drm.h>
#include <drm/drm.h>

#include "tests/host/cases.h"

#define VA	  0x100000000ul
#define MIB	  (1ul << 20)
#define QUOTA	  (64 * MIB)
#define RIGHTS	  (AMDGPU_VM_PAGE_READABLE | AMDGPU_VM_PAGE_WRITEABLE | AMDGPU_VM_PAGE_EXECUTABLE)
#define DOMAIN(n) AMDGPU_GEM_DOMAIN_##n
#define FOREVER	  (~0ull)
#define RING	  (256 << 10) /* bytes that a submission has at most */

static int create(int fd, uint64_t size, uint64_t domains, uint32_t *bo)
{
	union drm_amdgpu_gem_create c = {.in = {.bo_size = size, .alignment = PAGE, .domains = domains}};
	int err = ioctl(fd, DRM_IOCTL_AMDGPU_GEM_CREATE, &c);

	*bo = c.out.handle;
	return err;
}

static int destroy(int fd, uint32_t bo)
{
	struct drm_gem_close c = {.handle = bo};

	return ioctl(fd, DRM_IOCTL_GEM_CLOSE, &c);
}

static void *cpu_map(uint32_t bo, uint64_t size)
{
	union drm_amdgpu_gem_mmap m = {.in = {.handle = bo}};
	void *p;

	CHECK(!ioctl(render, DRM_IOCTL_AMDGPU_GEM_MMAP, &m));
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, render, (off_t)m.out.addr_ptr);
	CHECK(p != MAP_FAILED);
	return p;
}

static int gpu_map(uint32_t operation, uint32_t bo, uint64_t va, uint64_t size)
{
	struct drm_amdgpu_gem_va v = {.handle = bo, .operation = operation, .flags = RIGHTS, .va_address = va, .map_size = size};

	return ioctl(render, DRM_IOCTL_AMDGPU_GEM_VA, &v);
}

/* A buffer that both see. */
static void *buffer(uint64_t domains, uint64_t va, uint64_t size, uint32_t *bo)
{
	CHECK(!create(render, size, domains, bo));
	CHECK(!gpu_map(AMDGPU_VA_OP_MAP, *bo, va, size));
	return cpu_map(*bo, size);
}

static uint64_t free_vram(void)
{
	struct kfd_ioctl_get_available_memory_args a = {.gpu_id = gpu_id};

	CHECK(!ioctl(kfd, AMDKFD_IOC_AVAILABLE_MEMORY, &a));
	return a.available;
}

static uint32_t context(void)
{
	union drm_amdgpu_ctx c = {.in = {.op = AMDGPU_CTX_OP_ALLOC_CTX}};

	CHECK(!ioctl(render, DRM_IOCTL_AMDGPU_CTX, &c));
	CHECK(c.out.alloc.ctx_id);
	return c.out.alloc.ctx_id;
}

static int list(uint32_t bo, uint32_t *id)
{
	struct drm_amdgpu_bo_list_entry entry = {.bo_handle = bo};
	union drm_amdgpu_bo_list l = {
		.in = {.operation = AMDGPU_BO_LIST_OP_CREATE, .bo_number = 1, .bo_info_size = sizeof(entry), .bo_info_ptr = (uintptr_t)&entry}};
	int err = ioctl(render, DRM_IOCTL_AMDGPU_BO_LIST, &l);

	*id = l.out.list_handle;
	return err;
}

struct job {
	uint32_t context, list, type;
	uint64_t va;
	uint32_t bytes;
};

static int submit(const struct job *j, uint64_t *handle)
{
	struct drm_amdgpu_cs_chunk_ib ib = {.va_start = j->va, .ib_bytes = j->bytes, .ip_type = j->type};
	struct drm_amdgpu_cs_chunk chunk = {.chunk_id = AMDGPU_CHUNK_ID_IB, .length_dw = sizeof(ib) / 4, .chunk_data = (uintptr_t)&ib};
	uint64_t chunks[] = {(uintptr_t)&chunk};
	union drm_amdgpu_cs cs = {.in = {.ctx_id = j->context, .bo_list_handle = j->list, .num_chunks = 1, .chunks = (uintptr_t)chunks}};
	int err = ioctl(render, DRM_IOCTL_AMDGPU_CS, &cs);

	*handle = cs.out.handle;
	return err;
}

/* until: CLOCK_MONOTONIC, ns. 0: done, 1: not yet, -1 with errno. */
static int wait_job(uint32_t ctx, uint64_t handle, uint64_t until)
{
	union drm_amdgpu_wait_cs w = {.in = {.handle = handle, .timeout = until, .ip_type = AMDGPU_HW_IP_DMA, .ctx_id = ctx}};

	return ioctl(render, DRM_IOCTL_AMDGPU_WAIT_CS, &w) ? -1 : (int)w.out.status;
}

static void copy_packet(uint32_t *ib, uint64_t to, uint64_t from, uint32_t bytes)
{
	const uint32_t packet[] = {1, bytes - 1, 0, (uint32_t)from, (uint32_t)(from >> 32), (uint32_t)to, (uint32_t)(to >> 32)};

	memcpy(ib, packet, sizeof(packet));
}

/* Until the word at va is value. */
static void poll_packet(uint32_t *ib, uint64_t va, uint32_t value)
{
	const uint32_t packet[] = {8 | 3u << 28 | 1u << 31, (uint32_t)va, (uint32_t)(va >> 32), value, ~0u, 0xfff << 16 | 4};

	memcpy(ib, packet, sizeof(packet));
}

static void case_buffers(void)
{
	struct kfd_ioctl_free_memory_of_gpu_args kfd_free;
	uint64_t all;
	uint32_t bo, other, name;
	int fd;

	render = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
	FAILS(create(render, PAGE, DOMAIN(VRAM), &bo), ENODEV); /* no VM yet */
	close(render);
	start();
	all = free_vram();
	FAILS(create(render, 0, DOMAIN(VRAM), &bo), EINVAL);
	FAILS(create(render, PAGE, 0, &bo), EINVAL);
	FAILS(create(render, PAGE, DOMAIN(GDS), &bo), EINVAL);
	CHECK(!create(render, MIB, DOMAIN(VRAM), &bo));
	CHECK(free_vram() == all - MIB);
	FAILS(gpu_map(AMDGPU_VA_OP_UNMAP, bo, VA, MIB), EINVAL);
	FAILS(gpu_map(AMDGPU_VA_OP_MAP, bo, VA + 1, MIB), EINVAL);
	FAILS(gpu_map(AMDGPU_VA_OP_MAP, bo, 0, MIB), EINVAL);
	FAILS(gpu_map(AMDGPU_VA_OP_MAP, bo, VA, MIB / 2), EINVAL);
	FAILS(gpu_map(AMDGPU_VA_OP_MAP, bo, ~0ull << 12, MIB), EINVAL);
	FAILS(gpu_map(AMDGPU_VA_OP_MAP, bo + 100, VA, MIB), ENOENT);
	CHECK(!gpu_map(AMDGPU_VA_OP_MAP, bo, VA, MIB));
	FAILS(gpu_map(AMDGPU_VA_OP_MAP, bo, VA + MIB, MIB), EINVAL); /* at one address */
	CHECK(!create(render, MIB, DOMAIN(GTT), &other));
	CHECK(free_vram() == all - MIB);
	FAILS(gpu_map(AMDGPU_VA_OP_MAP, other, VA + PAGE, MIB), EINVAL); /* something is there */
	CHECK(!gpu_map(AMDGPU_VA_OP_MAP, other, VA + MIB, MIB));
	CHECK(!gpu_map(AMDGPU_VA_OP_UNMAP, other, VA + MIB, MIB));
	CHECK(!gpu_map(AMDGPU_VA_OP_MAP, other, VA + 8 * MIB, MIB));
	*(uint32_t *)cpu_map(bo, MIB) = 1;
	/* Not KFD's to free, and no other file's. */
	kfd_free = (struct kfd_ioctl_free_memory_of_gpu_args){.handle = (uint64_t)gpu_id << 32 | bo};
	FAILS(ioctl(kfd, AMDKFD_IOC_FREE_MEMORY_OF_GPU, &kfd_free), EINVAL);
	fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
	FAILS(destroy(fd, bo), EINVAL);
	CHECK(!destroy(render, bo));
	FAILS(destroy(render, bo), EINVAL);
	CHECK(free_vram() == all);
	/* What VRAM has no room for is in GTT. */
	CHECK(!create(fd, QUOTA - 4 * MIB, DOMAIN(VRAM), &bo));
	CHECK(free_vram() < 8 * MIB);
	CHECK(!create(fd, 16 * MIB, DOMAIN(VRAM), &name));
	CHECK(free_vram() > 0);
	/* A file's end is that of what it has, but not one of its descriptors' is. */
	close(dup(fd));
	CHECK(free_vram() < 8 * MIB);
	close(fd);
	CHECK(free_vram() == all);
	CHECK(!destroy(render, other));
}

static void case_submissions(void)
{
	struct job j = {.type = AMDGPU_HW_IP_DMA, .va = VA};
	uint32_t bo, in, vram, out, *ib, *from, *to;
	uint64_t handle, last = 0;

	start();
	j.context = context();
	ib = buffer(DOMAIN(GTT), VA, MIB, &bo);
	from = buffer(DOMAIN(GTT), VA + MIB, MIB, &in);
	buffer(DOMAIN(VRAM), VA + 2 * MIB, MIB, &vram);
	to = buffer(DOMAIN(GTT), VA + 3 * MIB, MIB, &out);
	CHECK(!list(bo, &j.list));
	CHECK(!wait_job(j.context, 0, 0)); /* nothing to wait for */
	for (uint32_t i = 0; i < MIB / 4; i++)
		from[i] = i * 2654435761u;
	copy_packet(ib, VA + 2 * MIB, VA + MIB, MIB);
	copy_packet(ib + 7, VA + 3 * MIB, VA + 2 * MIB, MIB);
	j.bytes = 14 * 4;
	CHECK(!submit(&j, &handle));
	CHECK(!wait_job(j.context, handle, FOREVER));
	CHECK(!memcmp(from, to, MIB));
	/* Several times around the ring, whose room is waited for: NOPs, and a copy at the end. */
	memset(ib, 0, MIB);
	j.bytes = RING / 2 - 20 * 4;
	for (uint32_t i = 0; i < 40; i++) {
		copy_packet(ib + j.bytes / 4 - 7, VA + 3 * MIB + i * PAGE, VA + MIB + (i + 1) * PAGE, PAGE);
		CHECK(!submit(&j, &handle));
		CHECK(handle > last);
		last = handle;
	}
	CHECK(!wait_job(j.context, FOREVER, FOREVER));
	CHECK(!memcmp(from + PAGE / 4, to, 40 * PAGE));
	/* Wrong ones. */
	FAILS(wait_job(j.context, handle + 1, FOREVER), EINVAL);
	FAILS(wait_job(j.context + 1, handle, FOREVER), EINVAL);
	FAILS(submit(&(struct job){j.context, j.list, AMDGPU_HW_IP_COMPUTE, VA, 64}, &handle), EINVAL);
	FAILS(submit(&(struct job){j.context, j.list, j.type, VA + 64 * MIB, 64}, &handle), EINVAL);
	FAILS(submit(&(struct job){j.context, j.list, j.type, VA + MIB - 32, 64}, &handle), EINVAL);
	FAILS(submit(&(struct job){j.context, j.list, j.type, VA + 2, 64}, &handle), EINVAL);
	FAILS(submit(&(struct job){j.context, j.list, j.type, VA, RING}, &handle), EINVAL);
	FAILS(submit(&(struct job){j.context, j.list, j.type, VA, 0}, &handle), EINVAL);
	FAILS(submit(&(struct job){j.context, j.list + 100, j.type, VA, 64}, &handle), ENOENT);
	FAILS(submit(&(struct job){j.context + 100, j.list, j.type, VA, 64}, &handle), EINVAL);
	FAILS(list(bo + 100, &j.list), ENOENT);
	CHECK(!destroy(render, bo));
	FAILS(submit(&(struct job){j.context, 0, j.type, VA, 64}, &handle), EINVAL);
}

/* What is kept with a buffer goes with its dma-buf. */
static void case_metadata(void)
{
	struct drm_amdgpu_gem_metadata m = {.op = AMDGPU_GEM_METADATA_OP_GET_METADATA};
	struct kfd_ioctl_get_dmabuf_info_args info = {0};
	struct kfd_ioctl_import_dmabuf_args import = {.va_addr = VA};
	struct drm_prime_handle prime = {.flags = DRM_CLOEXEC};
	char data[64] = "";
	uint32_t bo;

	start();
	FAILS(ioctl(render, DRM_IOCTL_AMDGPU_GEM_METADATA, &m), ENOENT);
	FAILS(ioctl(render, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime), ENOENT);
	CHECK(!create(render, PAGE, DOMAIN(VRAM), &bo));
	m.handle = prime.handle = bo;
	m.data.data_size_bytes = 1;
	CHECK(!ioctl(render, DRM_IOCTL_AMDGPU_GEM_METADATA, &m) && !m.data.data_size_bytes);
	m.op = AMDGPU_GEM_METADATA_OP_SET_METADATA;
	m.data.data_size_bytes = sizeof(m.data.data) + 1;
	FAILS(ioctl(render, DRM_IOCTL_AMDGPU_GEM_METADATA, &m), EINVAL);
	m.data.tiling_info = 77;
	m.data.data_size_bytes = 6;
	memcpy(m.data.data, "about", 6);
	CHECK(!ioctl(render, DRM_IOCTL_AMDGPU_GEM_METADATA, &m));
	memset(&m.data, 0, sizeof(m.data));
	m.op = AMDGPU_GEM_METADATA_OP_GET_METADATA;
	CHECK(!ioctl(render, DRM_IOCTL_AMDGPU_GEM_METADATA, &m));
	CHECK(m.data.tiling_info == 77 && m.data.data_size_bytes == 6 && !memcmp(m.data.data, "about", 6));
	*(uint32_t *)cpu_map(bo, PAGE) = 0x12345678;
	CHECK(!ioctl(render, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	CHECK(fcntl(prime.fd, F_GETFD) == FD_CLOEXEC);
	CHECK(!destroy(render, bo));
	info.dmabuf_fd = import.dmabuf_fd = (uint32_t)prime.fd;
	import.gpu_id = gpu_id;
	info.metadata_ptr = (uintptr_t)data;
	info.metadata_size = 5;
	FAILS(ioctl(kfd, AMDKFD_IOC_GET_DMABUF_INFO, &info), EINVAL);
	info.metadata_size = sizeof(data);
	CHECK(!ioctl(kfd, AMDKFD_IOC_GET_DMABUF_INFO, &info));
	CHECK(info.size == PAGE && info.gpu_id == gpu_id && info.metadata_size == 6 && !strcmp(data, "about"));
	CHECK(!ioctl(kfd, AMDKFD_IOC_IMPORT_DMABUF, &import));
	/* The buffer is the importer's now: no GEM handle has it. */
	FAILS(destroy(render, (uint32_t)import.handle), EINVAL);
}

static uint64_t soon(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec + 50000000;
}

static void case_waiting(void)
{
	struct job j = {.type = AMDGPU_HW_IP_DMA, .va = VA, .bytes = 13 * 4};
	_Atomic uint32_t *word;
	uint32_t bo, *ib;
	uint64_t handle;

	start();
	j.context = context();
	ib = buffer(DOMAIN(GTT), VA, MIB, &bo);
	word = (_Atomic uint32_t *)(ib + PAGE);
	poll_packet(ib, VA + 4 * PAGE, 1);
	copy_packet(ib + 6, VA + 4 * PAGE + 64, VA + 4 * PAGE, 4);
	CHECK(!submit(&j, &handle));
	CHECK(wait_job(j.context, handle, soon()) == 1);
	CHECK(wait_job(j.context, handle, 0) == 1);
	CHECK(!word[16]);
	atomic_store(word, 1);
	CHECK(!wait_job(j.context, handle, FOREVER));
	CHECK(word[16] == 1);
}

/* No packet: the GPU process is lost, which who waits is told. */
static void case_garbage(void)
{
	struct job j = {.type = AMDGPU_HW_IP_DMA, .va = VA, .bytes = 4};
	union drm_amdgpu_ctx state = {.in = {.op = AMDGPU_CTX_OP_QUERY_STATE2}};
	uint32_t bo, *ib;
	uint64_t handle;

	start();
	j.context = context();
	ib = buffer(DOMAIN(GTT), VA, PAGE, &bo);
	ib[0] = 0xff;
	CHECK(!submit(&j, &handle));
	FAILS(wait_job(j.context, handle, FOREVER), ECANCELED);
	FAILS(submit(&j, &handle), ECANCELED);
	state.in.ctx_id = j.context;
	CHECK(!ioctl(render, DRM_IOCTL_AMDGPU_CTX, &state) && state.out.state.reset_status == AMDGPU_CTX_GUILTY_RESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(buffers), CASE(submissions), CASE(metadata), CASE(waiting), CASE(garbage)};

	return cmocka_run_group_tests_name("host-gem", tests, NULL, NULL);
}
