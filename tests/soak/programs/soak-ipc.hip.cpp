// SPDX-License-Identifier: MIT
/*
 * soak-ipc - two processes and VRAM of one of them, by an IPC handle: each has the GPU change it in turn. The child is forked before either knows the GPU,
 * and ends with its parent, however that ends.
 */
#include "tests/soak/programs/soak.h"

#include <csignal>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define N      16384u
#define ITEMS  256u
#define ROUNDS 4u

__global__ void change(uint32_t *p, uint32_t k)
{
	uint32_t i = blockIdx.x * ITEMS + threadIdx.x;

	p[i] = p[i] * 69069u + k + i;
}

static void tell(int fd, const void *what, size_t size)
{
	if (write(fd, what, size) != (ssize_t)size)
		_Exit(2);
}

static void hear(int fd, void *what, size_t size)
{
	if (read(fd, what, size) == (ssize_t)size)
		return;
	printf("soak-ipc: the other process is gone\n");
	fflush(stdout);
	_Exit(2);
}

static void change_all(uint32_t *p, uint32_t k)
{
	LAUNCH(change, N / ITEMS, ITEMS, p, k);
	CHECK(hipDeviceSynchronize());
}

static int child(int in, int out)
{
	hipIpcMemHandle_t handle;
	uint32_t *p, round;

	hear(in, &handle, sizeof(handle));
	CHECK(hipIpcOpenMemHandle((void **)&p, handle, hipIpcMemLazyEnablePeerAccess));
	for (uint32_t i = 0; i < ROUNDS; i++) {
		tell(out, &i, sizeof(i));
		hear(in, &round, sizeof(round));
		change_all(p, 2 * round + 1);
	}
	CHECK(hipIpcCloseMemHandle(p));
	tell(out, &round, sizeof(round));
	return 0;
}

int main()
{
	std::vector<uint32_t> want(N);
	int down[2], up[2], status = -1;
	hipIpcMemHandle_t handle;
	uint32_t heard;
	size_t wrong = 0;

	if (pipe(down) || pipe(up))
		return 1;
	pid_t parent = getpid(), pid = fork();
	if (pid < 0)
		return 1;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			return 1;
		close(down[1]);
		close(up[0]);
		return child(down[0], up[1]);
	}
	close(down[0]);
	close(up[1]);
	signal(SIGPIPE, SIG_IGN);
	for (uint32_t &w : want)
		w = random_bits();
	gpu_array<uint32_t> data(want);
	CHECK(hipIpcGetMemHandle(&handle, data));
	tell(down[1], &handle, sizeof(handle));
	for (uint32_t round = 0; round < ROUNDS; round++) {
		hear(up[0], &heard, sizeof(heard));
		change_all(data, 2 * round);
		tell(down[1], &round, sizeof(round));
	}
	hear(up[0], &heard, sizeof(heard));
	for (uint32_t k = 0; k < 2 * ROUNDS; k++)
		for (uint32_t i = 0; i < N; i++)
			want[i] = want[i] * 69069u + k + i;
	std::vector<uint32_t> got = data.get();
	for (uint32_t i = 0; i < N; i++)
		wrong += got[i] != want[i];
	waitpid(pid, &status, 0);
	return verdict(!wrong && !status, "soak-ipc: %u words changed by two processes in turn, %zu wrong, the child's status %d", N, wrong, status);
}
