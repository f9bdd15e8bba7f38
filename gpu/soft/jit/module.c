/* SPDX-License-Identifier: MIT */
/*
 * module.c - loads libhsavisor-jit.so.
 *
 * It is a module, because programs that are started with our preload library run with the C library and the LLVM of another system, or
 * with none: LLVM is linked into the module and none of its symbols are seen outside. Without the module kernels are interpreted.
 */
#define LOG_PART "jit"
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "gpu/soft/jit/unit.h"

#define MODULE "libhsavisor-jit.so"

static const struct jit_module *module;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The directory, with a slash, of the program or library that this code is linked into. */
static bool own_directory(char *dir, size_t size)
{
	char path[PATH_MAX] = "";
	ssize_t n;
	Dl_info info;

	if (dladdr(&module, &info) && info.dli_fname && strchr(info.dli_fname, '/') && strstr(info.dli_fname, ".so")) {
		if (!realpath(info.dli_fname, path))
			return false;
	} else {
		n = readlink("/proc/self/exe", path, sizeof(path) - 1);
		if (n < 0)
			return false;
		path[n] = 0;
	}
	strrchr(path, '/')[1] = 0;
	return (size_t)snprintf(dir, size, "%s", path) < size;
}

static void *open_module(void)
{
	/* Installed; beside the preload library in another system's tree; in the build directory, from its root and its folders. */
	static const char *const places[] = {"hsavisor/", "", "../lib/hsavisor/", "../lib/x86_64-linux-gnu/hsavisor/", "gpu/soft/jit/",
					     "../gpu/soft/jit/", "../../gpu/soft/jit/"};
	const char *wish = secure_getenv("HSAVISOR_JIT_MODULE");
	char dir[PATH_MAX], path[PATH_MAX + 64];
	void *handle = NULL;

	if (wish) {
		handle = dlopen(wish, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
		if (!handle)
			log_warn("kernels are interpreted: %s", dlerror());
		return handle;
	}
	if (!own_directory(dir, sizeof(dir)))
		return NULL;
	for (size_t i = 0; !handle && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s%s" MODULE, dir, places[i]);
		if (access(path, R_OK))
			continue;
		handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
		if (!handle)
			log_warn("%s", dlerror());
	}
	if (!handle)
		log_info("kernels are interpreted: no " MODULE " that works near %s", dir);
	return handle;
}

static void load(void)
{
	void *handle = open_module();
	const struct jit_module *m = handle ? dlsym(handle, JIT_MODULE_SYMBOL) : NULL;

	if (!m)
		return;
	if (m->layout != JIT_LAYOUT) {
		log_warn("kernels are interpreted: " MODULE " is of another build of hsavisor");
		return;
	}
	if (!m->init())
		module = m;
}

const struct jit_module *jit_module_get(void)
{
	pthread_once(&once, load);
	return module;
}
