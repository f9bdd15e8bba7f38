// SPDX-License-Identifier: MIT
/*
 * swap-check - fills VRAM and says later how much of it is not what it was: is swapping exact?
 *
 *   swap-check MIB SEED
 *
 * Allocates MIB MiB of VRAM in pieces of 4 MiB, has the GPU fill the odd ones and the CPU the even
 * ones, prints "filled", and obeys lines on its input, answering each by one line:
 *
 *   cpu    the CPU reads all: "cpu_differ BYTES"
 *   gpu    the GPU reads all: "gpu_differ WORDS"
 *   write  a new seed; the CPU and the GPU each write the other one's pieces: "written"
 *   kernel an empty round of GPU work: "ran"
 *   free   what hsa_amd_agent_info says is free, bytes: "free BYTES of BYTES"
 *   copy   the kernel's own access: write(2) from VRAM to a file, "copied BYTES" or "copy failed: ..."
 *
 * End of input or "quit" ends it; exit code 1 when anything differed. When VRAM runs out while it
 * allocates: "full at N MiB", exit code 3.
 */
#include "tests/programs/hsa.h"

#include <sys/mman.h>

#define PIECE (4u << 20)
#define WORDS (PIECE / 4)

struct args {
	uint32_t *data, *differ;
	uint32_t base, seed;
};

static struct kernel fill, check_kernel;
static hsa_queue_t *queue;
static hsa_signal_t done;
static struct args *args;
static uint32_t *differ, **piece, pieces, seed;
static bool swapped_roles;

static uint32_t word(uint32_t i)
{
	uint32_t x = (i + seed) * 2654435761u;

	return x ^ x >> 15;
}

static void run(const struct kernel *k, uint32_t *data, uint32_t base)
{
	*args = (struct args){data, differ, base, seed};
	hsa_signal_store_relaxed(done, 1);
	submit(queue, k, WORDS / 256, 256, args, done, 0);
	hsa_signal_wait_scacquire(done, HSA_SIGNAL_CONDITION_LT, 1, UINT64_MAX,
				  HSA_WAIT_STATE_BLOCKED);
}

static void write_all(void)
{
	for (uint32_t p = 0; p < pieces; p++) {
		if ((p & 1) != swapped_roles)
			run(&fill, piece[p], p * WORDS);
		else
			for (uint32_t i = 0; i < WORDS; i++)
				piece[p][i] = word(p * WORDS + i);
	}
}

static uint64_t check_cpu(void)
{
	uint64_t bytes = 0;

	for (uint32_t p = 0; p < pieces; p++) {
		for (uint32_t i = 0; i < WORDS; i++) {
			uint32_t wrong = piece[p][i] ^ word(p * WORDS + i);

			for (; wrong; wrong >>= 8)
				bytes += (wrong & 0xff) != 0;
		}
	}
	return bytes;
}

static uint64_t check_gpu(void)
{
	*differ = 0;
	for (uint32_t p = 0; p < pieces; p++)
		run(&check_kernel, piece[p], p * WORDS);
	return *differ;
}

static void copy_by_kernel(void)
{
	int fd = memfd_create("copy", MFD_CLOEXEC);
	ssize_t n = write(fd, piece[0], PIECE);

	if (n < 0)
		printf("copy failed: %m\n");
	else
		printf("copied %zd\n", n);
	close(fd);
}

static void say_free(void)
{
	uint64_t available = 0, size = 0;

	hsa_agent_get_info(gpu, (hsa_agent_info_t)HSA_AMD_AGENT_INFO_MEMORY_AVAIL, &available);
	hsa_amd_memory_pool_get_info(vram_pool, HSA_AMD_MEMORY_POOL_INFO_SIZE, &size);
	printf("free %llu of %llu\n", (unsigned long long)available, (unsigned long long)size);
}

static void allocate_pieces(uint32_t mib)
{
	hsa_agent_t both[2] = {gpu, cpu};

	pieces = mib / 4;
	piece = calloc(pieces ? pieces : 1, sizeof(*piece));
	for (uint32_t p = 0; p < pieces; p++) {
		if (hsa_amd_memory_pool_allocate(vram_pool, PIECE, 0, (void **)&piece[p]) ||
		    hsa_amd_agents_allow_access(2, both, NULL, piece[p])) {
			printf("full at %u MiB\n", p * 4);
			exit(3);
		}
	}
}

int main(int argc, char **argv)
{
	hsa_executable_t code;
	bool wrong = false;
	char line[64];

	if (argc != 3) {
		fprintf(stderr, "usage: swap-check MIB SEED\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	seed = (uint32_t)atoi(argv[2]);
	open_agents();
	code = load_code("swap");
	fill = find_kernel(code, "fill");
	check_kernel = find_kernel(code, "check");
	queue = open_queue(1024);
	done = new_signal(0);
	args = allocate(system_pool, 4096);
	differ = (uint32_t *)args + 64;
	allocate_pieces((uint32_t)atoi(argv[1]));
	write_all();
	puts("filled");
	while (fgets(line, sizeof(line), stdin)) {
		uint64_t n = 0;

		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "cpu")) {
			n = check_cpu();
			printf("cpu_differ %llu\n", (unsigned long long)n);
		} else if (!strcmp(line, "gpu")) {
			n = check_gpu();
			printf("gpu_differ %llu\n", (unsigned long long)n);
		} else if (!strcmp(line, "write")) {
			seed += 77;
			swapped_roles = !swapped_roles;
			write_all();
			puts("written");
		} else if (!strcmp(line, "kernel")) {
			*differ = 0;
			if (pieces)
				run(&check_kernel, piece[0], 0);
			puts("ran");
		} else if (!strcmp(line, "free")) {
			say_free();
		} else if (!strcmp(line, "copy")) {
			copy_by_kernel();
		} else if (!strcmp(line, "quit")) {
			break;
		} else {
			printf("what is '%s'?\n", line);
		}
		wrong |= n != 0;
	}
	return wrong;
}
