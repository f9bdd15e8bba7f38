// SPDX-License-Identifier: MIT
/* test_pages.c - XNACK: pages of a process as a front end gives and takes them, against a GPU that only remembers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "core/internal.h"
#include "tests/core/fake_gpu.h"
#include "tests/core/request.h"

#define GPU_ID 0x1234
#define RAM    (8ull << 20) /* bytes of tenant memory, at address RAM_AT */
#define RAM_AT 0x40000000ull
#define VRAM   (1ull << 20)
#define VA     0x10000000ull
#define PAGE   4096ull

static struct kfd_device *device;
static struct kfd_process *process;
static uint8_t *ram, *vram, *doorbells;
static struct {
	int calls;
	uint64_t va, size;
	unsigned prot;
} asked;

static void *resolve(void *ctx, uint64_t addr, uint64_t size)
{
	if (addr < RAM_AT || size > RAM || addr - RAM_AT > RAM - size)
		return NULL;
	return ram + (addr - RAM_AT);
}

static int on_request(void *ctx, uint64_t va, uint64_t size, unsigned prot)
{
	asked.calls++;
	asked.va = va;
	asked.size = size;
	asked.prot = prot;
	return 0;
}

static struct kfd_front_ops ops = {.resolve = resolve, .page_request = on_request};

#define CALL(name, args) core_request(process, _IOC_NR(AMDKFD_IOC_##name), args, sizeof(*(args)), NULL, 0, NULL, 0, NULL)

static int xnack(int mode, int *answer)
{
	struct kfd_ioctl_set_xnack_mode_args a = {.xnack_enabled = mode};
	int err = CALL(SET_XNACK_MODE, &a);

	if (answer)
		*answer = a.xnack_enabled;
	return err;
}

static int setup(void **state)
{
	struct kfd_ioctl_acquire_vm_args a = {.gpu_id = GPU_ID, .drm_fd = 7};
	struct kfd_device_config config = {.ops = &ops, .max_processes = 2, .kfd_minor = 14, .gpus = {{.gpu_id = GPU_ID}}, .num_gpus = 1};

	memset(&fake, 0, sizeof(fake));
	memset(&asked, 0, sizeof(asked));
	ops.page_request = on_request;
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	doorbells = mmap(NULL, 2 * HSV_DOORBELL_SLOT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	vram = mmap(NULL, VRAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	config.gpus[0].vram = vram;
	config.gpus[0].vram_size = VRAM;
	config.gpus[0].doorbells = doorbells;
	assert_int_equal(gpu_open(NULL, &config.gpus[0].gpu), 0);
	assert_int_equal(kfd_device_open(&config, &device), 0);
	assert_int_equal(kfd_process_create(device, 0, NULL, 42, "test", &process), 0);
	assert_int_equal(CALL(ACQUIRE_VM, &a), 0);
	return 0;
}

static int teardown(void **state)
{
	if (process)
		kfd_process_destroy(process);
	kfd_device_close(device);
	munmap(ram, RAM);
	munmap(vram, VRAM);
	munmap(doorbells, 2 * HSV_DOORBELL_SLOT);
	return 0;
}

static int give(uint64_t va, uint64_t size, uint32_t prot, uint64_t addr)
{
	struct hsv_pages_args args = {.va = va, .size = size, .prot = prot};
	struct hsv_extent e = {addr, size};

	return kfd_process_pages(process, &args, &e, 1);
}

static void mode(void **state)
{
	int on;

	assert_int_equal(xnack(-1, &on), 0);
	assert_int_equal(on, 0);
	assert_int_equal(give(VA, PAGE, HSV_PAGES_READ, RAM_AT), -EINVAL); /* off */
	ops.page_request = NULL;
	assert_int_equal(xnack(1, NULL), -EPERM);
	ops.page_request = on_request;
	assert_int_equal(xnack(1, NULL), 0);
	assert_int_equal(fake.paging, HSV_MAX_PAGE_REQUESTS);
	assert_int_equal(xnack(-1, &on), 0);
	assert_int_equal(on, 1);
	assert_int_equal(xnack(1, NULL), 0);
	assert_int_equal(give(VA, PAGE, HSV_PAGES_READ, RAM_AT), 0);
	assert_int_equal(xnack(0, NULL), 0);
	assert_int_equal(fake.paging, 0);
	assert_int_equal(fake_mapped_bytes(), 0);
	assert_int_equal(kfd_process_pages_invalidate(process, VA, PAGE), 0);
}

static void requests(void **state)
{
	assert_int_equal(xnack(1, NULL), 0);
	assert_int_equal(fake.ops->page_request(fake.ctx, VA, 3 * PAGE, GPU_PROT_WRITE), 0);
	assert_int_equal(asked.va, VA);
	assert_int_equal(asked.size, 3 * PAGE);
	assert_int_equal(asked.prot, GPU_PROT_WRITE);
	/* not the program's, or in part */
	assert_true(fake.ops->page_request(fake.ctx, 0, PAGE, GPU_PROT_READ) < 0);
	assert_true(fake.ops->page_request(fake.ctx, KFD_VA_END, PAGE, GPU_PROT_READ) < 0);
	assert_int_equal(asked.calls, 1);
	assert_int_equal(fake.ops->page_request(fake.ctx, KFD_VA_END - PAGE, 4 * PAGE, GPU_PROT_READ), 0);
	assert_int_equal(asked.size, PAGE);
}

static void bad_answers(void **state)
{
	struct hsv_pages_args args = {.va = VA, .size = 4 * PAGE, .prot = HSV_PAGES_READ};
	struct hsv_extent e[] = {{RAM_AT, 2 * PAGE}, {RAM_AT, PAGE}};

	assert_int_equal(xnack(1, NULL), 0);
	assert_int_equal(give(VA + 1, PAGE, HSV_PAGES_READ, RAM_AT), -EINVAL);
	assert_int_equal(give(VA, 0, HSV_PAGES_READ, RAM_AT), -EINVAL);
	assert_int_equal(give(KFD_VA_END, PAGE, HSV_PAGES_READ, RAM_AT), -EINVAL);
	assert_int_equal(give(KFD_VA_END - PAGE, 2 * PAGE, HSV_PAGES_READ, RAM_AT), -EINVAL);
	assert_int_equal(give(VA, PAGE, 0, RAM_AT), -EINVAL);
	assert_int_equal(give(VA, PAGE, HSV_PAGES_WRITE, RAM_AT), -EINVAL);
	assert_int_equal(give(VA, PAGE, 8 | HSV_PAGES_READ, RAM_AT), -EINVAL);
	assert_int_equal(give(VA, PAGE, HSV_PAGES_READ, RAM_AT - PAGE), -EFAULT);
	assert_int_equal(give(VA, PAGE, HSV_PAGES_READ, RAM_AT + 1), -EINVAL);
	assert_int_equal(kfd_process_pages(process, &args, e, 2), -EINVAL); /* a page short */
	assert_int_equal(kfd_process_pages(process, &args, e, 0), -EINVAL);
	assert_int_equal(kfd_process_pages(process, &args, e, 5), -EINVAL);
	args.error = 5000;
	assert_int_equal(kfd_process_pages(process, &args, e, 0), -EINVAL);
	assert_int_equal(fake.answers, 0);
	assert_int_equal(fake_mapped_bytes(), 0);
	args.error = EFAULT;
	assert_int_equal(kfd_process_pages(process, &args, NULL, 0), 0);
	assert_int_equal(fake.answers, 1);
	assert_int_equal(fake.answer_error, -EFAULT);
	assert_int_equal(kfd_process_pages_invalidate(process, VA + 1, PAGE), -EINVAL);
	assert_int_equal(kfd_process_pages_invalidate(process, VA, 0), -EINVAL);
	assert_int_equal(kfd_process_pages_invalidate(process, 0, KFD_VA_END), 0);
}

static void answers(void **state)
{
	struct hsv_pages_args args = {.va = VA, .size = 4 * PAGE, .prot = HSV_PAGES_READ | HSV_PAGES_WRITE | HSV_PAGES_EXEC};
	struct hsv_extent e[] = {{RAM_AT + 8 * PAGE, PAGE}, {RAM_AT, 3 * PAGE}};
	unsigned prot;

	assert_int_equal(xnack(1, NULL), 0);
	assert_int_equal(kfd_process_pages(process, &args, e, 2), 0);
	assert_ptr_equal(fake_translate(VA, &prot), ram + 8 * PAGE);
	/* Nothing was said of it: not executable, and more rights may be asked for. */
	assert_int_equal(prot, GPU_PROT_READ | GPU_PROT_WRITE | GPU_PROT_PAGE | GPU_PROT_MORE);
	assert_ptr_equal(fake_translate(VA + 3 * PAGE, NULL), ram + 2 * PAGE);
	assert_int_equal(fake.answers, 1);
	assert_int_equal(fake.answer_va, VA);
	assert_int_equal(fake.answer_size, 4 * PAGE);
	assert_int_equal(fake.answer_error, 0);
	/* Others instead of some. */
	assert_int_equal(give(VA + PAGE, PAGE, HSV_PAGES_READ, RAM_AT + 20 * PAGE), 0);
	assert_ptr_equal(fake_translate(VA + PAGE, &prot), ram + 20 * PAGE);
	assert_int_equal(prot, GPU_PROT_READ | GPU_PROT_PAGE | GPU_PROT_MORE);
	assert_int_equal(fake_mapped_bytes(), 4 * PAGE);
	assert_int_equal(kfd_process_pages_invalidate(process, VA + 2 * PAGE, 100 * PAGE), 0);
	assert_int_equal(fake_mapped_bytes(), 2 * PAGE);
	/* The host takes memory back: what lies there goes. */
	kfd_device_revoke(device, ram + 20 * PAGE, PAGE);
	assert_null(fake_translate(VA + PAGE, NULL));
	assert_non_null(fake_translate(VA, NULL));
	kfd_process_destroy(process);
	process = NULL;
}

static int svm(uint32_t op, uint64_t start, uint64_t size, struct kfd_ioctl_svm_attribute *attrs, uint32_t n)
{
	struct kfd_ioctl_svm_args a = {.start_addr = start, .size = size, .op = op, .nattr = n};

	return core_request(process, _IOC_NR(AMDKFD_IOC_SVM), &a, sizeof(a), attrs, n * sizeof(*attrs), attrs, n * sizeof(*attrs), NULL);
}

static void attributes(void **state)
{
	struct kfd_ioctl_svm_attribute none = {KFD_IOCTL_SVM_ATTR_NO_ACCESS, GPU_ID}, ro = {KFD_IOCTL_SVM_ATTR_SET_FLAGS, KFD_IOCTL_SVM_FLAG_GPU_RO},
				       exec = {KFD_IOCTL_SVM_ATTR_SET_FLAGS, KFD_IOCTL_SVM_FLAG_GPU_EXEC},
				       access = {KFD_IOCTL_SVM_ATTR_ACCESS, GPU_ID}, get = {KFD_IOCTL_SVM_ATTR_ACCESS, GPU_ID};
	const uint32_t all = HSV_PAGES_READ | HSV_PAGES_WRITE | HSV_PAGES_EXEC;
	unsigned prot;

	assert_int_equal(svm(KFD_IOCTL_SVM_OP_GET_ATTR, VA, PAGE, &get, 1), 0);
	assert_int_equal(get.type, KFD_IOCTL_SVM_ATTR_NO_ACCESS);
	assert_int_equal(xnack(1, NULL), 0);
	get.type = KFD_IOCTL_SVM_ATTR_ACCESS;
	assert_int_equal(svm(KFD_IOCTL_SVM_OP_GET_ATTR, VA, PAGE, &get, 1), 0);
	assert_int_equal(get.type, KFD_IOCTL_SVM_ATTR_ACCESS); /* all of the program's memory */

	/* What is denied goes at once, and is not given. Nobody registered the pages. */
	assert_int_equal(give(VA, 8 * PAGE, all, RAM_AT), 0);
	assert_int_equal(svm(KFD_IOCTL_SVM_OP_SET_ATTR, VA + 2 * PAGE, 2 * PAGE, &none, 1), 0);
	assert_null(fake_translate(VA + 2 * PAGE, NULL));
	assert_non_null(fake_translate(VA + 4 * PAGE, NULL));
	assert_int_equal(svm(KFD_IOCTL_SVM_OP_SET_ATTR, VA + 4 * PAGE, PAGE, &ro, 1), 0);
	assert_null(fake_translate(VA + 4 * PAGE, NULL));
	assert_int_equal(svm(KFD_IOCTL_SVM_OP_SET_ATTR, VA + 5 * PAGE, PAGE, &exec, 1), 0);
	fake.answers = 0;
	assert_int_equal(give(VA, 8 * PAGE, all, RAM_AT), 0);
	assert_null(fake_translate(VA + 3 * PAGE, NULL));
	assert_int_equal(fake.answers, 2); /* the error for these pages, and all */
	assert_non_null(fake_translate(VA + 4 * PAGE, &prot));
	assert_int_equal(prot, GPU_PROT_READ | GPU_PROT_PAGE); /* a store is a fault at once */
	assert_ptr_equal(fake_translate(VA + 5 * PAGE, &prot), ram + 5 * PAGE);
	assert_int_equal(prot, all | GPU_PROT_PAGE | GPU_PROT_MORE);
	assert_int_equal(svm(KFD_IOCTL_SVM_OP_SET_ATTR, VA + 2 * PAGE, 2 * PAGE, &access, 1), 0);
	assert_int_equal(give(VA + 2 * PAGE, PAGE, all, RAM_AT), 0);
	assert_non_null(fake_translate(VA + 2 * PAGE, NULL));
}

/* A buffer displaces pages; pages never displace a buffer. */
static void buffers(void **state)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args a = {
		.va_addr = VA + 2 * PAGE,
		.size = 2 * PAGE,
		.gpu_id = GPU_ID,
		.flags = KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE,
		.mmap_offset = VA + 2 * PAGE,
	};
	struct kfd_ioctl_map_memory_to_gpu_args m = {.n_devices = 1};
	struct hsv_extent e = {RAM_AT + 64 * PAGE, 2 * PAGE};
	uint32_t gpu_id = GPU_ID;

	assert_int_equal(xnack(1, NULL), 0);
	assert_int_equal(give(VA, 6 * PAGE, HSV_PAGES_READ, RAM_AT), 0);
	assert_int_equal(core_request(process, _IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), &a, sizeof(a), &e, sizeof(e), NULL, 0, NULL), 0);
	m.handle = a.handle;
	assert_int_equal(core_request(process, _IOC_NR(AMDKFD_IOC_MAP_MEMORY_TO_GPU), &m, sizeof(m), &gpu_id, 4, NULL, 0, NULL), 0);
	assert_ptr_equal(fake_translate(VA + 2 * PAGE, NULL), ram + 64 * PAGE);
	assert_int_equal(give(VA + 2 * PAGE, PAGE, HSV_PAGES_READ, RAM_AT), -EADDRINUSE);
	assert_int_equal(fake.answer_error, 0); /* who waits tries again, by the buffer's rights */
	assert_int_equal(kfd_process_pages_invalidate(process, VA, 6 * PAGE), 0);
	assert_int_equal(fake_mapped_bytes(), 2 * PAGE);
	/* Who waits for the pages before it has them, or would ask for ever. */
	assert_int_equal(give(VA, 4 * PAGE, HSV_PAGES_READ, RAM_AT), 0);
	assert_ptr_equal(fake_translate(VA, NULL), ram);
	assert_ptr_equal(fake_translate(VA + PAGE, NULL), ram + PAGE);
	assert_ptr_equal(fake_translate(VA + 2 * PAGE, NULL), ram + 64 * PAGE);
	assert_int_equal(kfd_process_pages_invalidate(process, VA, 6 * PAGE), 0);
	assert_int_equal(fake_mapped_bytes(), 2 * PAGE);
	/* While its pages are away, too: pages up to it are given. */
	assert_int_equal(kfd_memory_invalidate(process, a.handle), 0);
	assert_int_equal(give(VA + 2 * PAGE, PAGE, HSV_PAGES_READ, RAM_AT), -EADDRINUSE);
	assert_int_equal(fake.answer_error, 0);
	assert_int_equal(give(VA, 4 * PAGE, HSV_PAGES_READ, RAM_AT), 0);
	assert_int_equal(fake_mapped_bytes(), 2 * PAGE);
	assert_int_equal(kfd_memory_restore(process, a.handle, NULL, 0), 0);
	assert_int_equal(give(VA + 2 * PAGE, PAGE, HSV_PAGES_READ, RAM_AT), -EADDRINUSE);
	assert_true(fake.answer_error < 0); /* its pages are gone for good */
}

static uint64_t vram_used(void)
{
	struct kfd_stats stats;

	kfd_device_stats(device, &stats);
	return stats.vram_used;
}

static void vram_bad(void **state)
{
	uint64_t at = 7, other;

	assert_int_equal(xnack(1, NULL), 0);
	assert_int_equal(kfd_vram_take(device, 1, PAGE, &at), -EINVAL);
	assert_int_equal(kfd_vram_take(device, 0, 0, &at), -EINVAL);
	assert_int_equal(kfd_vram_take(device, 0, PAGE + 1, &at), -EINVAL);
	assert_int_equal(kfd_vram_take(device, 0, VRAM + PAGE, &at), -ENOMEM);
	assert_int_equal(kfd_vram_take(device, 0, UINT64_MAX & ~(PAGE - 1), &at), -ENOMEM);
	assert_int_equal(at, 7);
	assert_int_equal(kfd_vram_give(device, 0, 0, PAGE), -EINVAL);
	/* Nothing is taken: no page can be there. */
	assert_int_equal(give(VA, PAGE, HSV_PAGES_READ, HSV_EXTENT_VRAM), -EFAULT);
	assert_int_equal(kfd_vram_take(device, 0, 4 * PAGE, &at), 0);
	assert_int_equal(kfd_vram_take(device, 0, 2 * PAGE, &other), 0);
	assert_int_equal(kfd_vram_give(device, 1, at, 4 * PAGE), -EINVAL);
	assert_int_equal(kfd_vram_give(device, 0, at, PAGE), -EINVAL);
	assert_int_equal(kfd_vram_give(device, 0, at + PAGE, 3 * PAGE), -EINVAL);
	assert_int_equal(kfd_vram_give(device, 0, at, 6 * PAGE), -EINVAL);
	/* Beyond what was taken, before it, and where a sum would wrap; misaligned. */
	assert_int_equal(other, at + 4 * PAGE);
	assert_int_equal(give(VA, 7 * PAGE, HSV_PAGES_READ, HSV_EXTENT_VRAM | at), -EFAULT);
	assert_int_equal(give(VA, PAGE, HSV_PAGES_READ, HSV_EXTENT_VRAM | (at + 6 * PAGE)), -EFAULT);
	assert_int_equal(give(VA, PAGE, HSV_PAGES_READ, HSV_EXTENT_VRAM | (1ull << 62)), -EFAULT);
	assert_int_equal(give(VA, PAGE, HSV_PAGES_READ, UINT64_MAX & ~(PAGE - 1)), -EFAULT);
	assert_int_equal(give(VA, PAGE, HSV_PAGES_READ, HSV_EXTENT_VRAM | (at + 8)), -EINVAL);
	assert_int_equal(fake_mapped_bytes(), 0);
	assert_int_equal(vram_used(), 6 * PAGE);
	/* In pieces: enough in all, but no run. */
	assert_int_equal(kfd_vram_take(device, 0, VRAM - 7 * PAGE, &at), 0);
	assert_int_equal(kfd_vram_give(device, 0, other, 2 * PAGE), 0);
	assert_int_equal(kfd_vram_take(device, 0, 3 * PAGE, &at), -ENOMEM);
	assert_int_equal(vram_used(), VRAM - 3 * PAGE);
	kfd_vram_give_all(device);
	assert_int_equal(vram_used(), 0);
	assert_int_equal(kfd_vram_take(device, 0, VRAM, &at), 0); /* given back when the device is closed */
}

static void vram_pages(void **state)
{
	struct hsv_pages_args args = {.va = VA, .size = 8 * PAGE, .prot = HSV_PAGES_READ | HSV_PAGES_WRITE};
	struct hsv_extent e[] = {{0, 2 * PAGE}, {RAM_AT, PAGE}, {0, 5 * PAGE}};
	uint64_t a, b;

	assert_int_equal(xnack(1, NULL), 0);
	assert_int_equal(kfd_vram_take(device, 0, 4 * PAGE, &a), 0);
	assert_int_equal(kfd_vram_take(device, 0, 4 * PAGE, &b), 0);
	/* The last extent is in both, which follow each other. */
	e[0].addr = HSV_EXTENT_VRAM | b;
	e[2].addr = HSV_EXTENT_VRAM | (a + PAGE);
	assert_int_equal(kfd_process_pages(process, &args, e, 3), 0);
	assert_ptr_equal(fake_translate(VA + PAGE, NULL), vram + b + PAGE);
	assert_ptr_equal(fake_translate(VA + 2 * PAGE, NULL), ram);
	assert_ptr_equal(fake_translate(VA + 3 * PAGE, NULL), vram + a + PAGE);
	assert_ptr_equal(fake_translate(VA + 7 * PAGE, NULL), vram + a + 5 * PAGE);
	/* Given back while the GPU still has pages there, it loses them; the next one finds zeroes. */
	memset(vram + b, 0xee, 4 * PAGE);
	assert_int_equal(kfd_vram_give(device, 0, b, 4 * PAGE), 0);
	assert_null(fake_translate(VA, NULL));
	assert_null(fake_translate(VA + 6 * PAGE, NULL));
	assert_ptr_equal(fake_translate(VA + 2 * PAGE, NULL), ram);
	assert_int_equal(vram_used(), 4 * PAGE);
	assert_int_equal(kfd_vram_give(device, 0, b, 4 * PAGE), -EINVAL);
	assert_int_equal(give(VA, PAGE, HSV_PAGES_READ, HSV_EXTENT_VRAM | b), -EFAULT);
	assert_int_equal(kfd_vram_take(device, 0, 4 * PAGE, &b), 0);
	for (unsigned i = 0; i < 4 * PAGE; i++)
		assert_int_equal(vram[b + i], 0);
	/* It is the device's: the end of a process leaves it. */
	kfd_process_destroy(process);
	process = NULL;
	assert_int_equal(vram_used(), 8 * PAGE);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {TEST(mode), TEST(requests), TEST(bad_answers), TEST(answers), TEST(attributes), TEST(buffers),
					   TEST(vram_bad), TEST(vram_pages)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
