/* SPDX-License-Identifier: MIT */
/*
 * own_maps.c - the module unmaps memory by system calls of its own.
 *
 * In host programs munmap is the preload library's, which takes its lock to see whether memory of the GPU's went. LLVM unmaps code while that
 * lock is held (a kernel's code is freed with the memory it was in), and waited for itself. Seen by nobody outside (jit.map).
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int munmap(void *addr, size_t length)
{
	return (int)syscall(SYS_munmap, addr, length);
}
