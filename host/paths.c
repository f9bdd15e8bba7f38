// SPDX-License-Identifier: MIT
/*
 * paths.c - the private directory tree behind the paths of the KFD and DRM devices.
 *
 * Real files in a directory of /dev/shm (or $XDG_RUNTIME_DIR, /tmp), so that readdir, openat and
 * the like just work; made when the first of our paths is named, removed at exit. A file in it
 * stays locked (flock) while its maker lives: whoever makes a tree removes those of the dead. What
 * needs the GPU (topology, DRM attributes) is added when such a path is named, which makes the
 * process an executor.
 */
#define LOG_PART "host"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/log.h"
#include "host/front.h"

#define PREFIX "hsavisor-tree-"

/*
 * Prefixes of the system and what they are in the tree. Of a path of each GPU a number follows, which is first for the first GPU; in the tree the
 * same number does.
 */
static const struct place {
	const char *path, *tree;
	enum path_kind kind;
	bool device; /* needs the GPU */
	bool each;
	uint32_t first;
} places[] = {
	{"/dev/kfd", "kfd-node", PATH_KFD, false},
	{"/dev/dri/renderD", "dri/renderD", PATH_RENDER, false, true, FRONT_RENDER_MINOR},
	{"/dev/dri/card", "dri/card", PATH_CARD, false, true, 0},
	{"/dev/dri", "dri", PATH_TREE, false},
	{"/sys/class/kfd", "kfd", PATH_TREE, true},
	{"/sys/devices/virtual/kfd", "kfd", PATH_TREE, true},
	{"/sys/dev/char/226:", "drm", PATH_TREE, true, true, FRONT_RENDER_MINOR},
	{"/sys/class/drm/renderD", "drm", PATH_TREE, true, true, FRONT_RENDER_MINOR},
	{"/sys/module/amdgpu", "module", PATH_TREE, false},
	{"/proc/modules", "modules", PATH_TREE, false},
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char tree[128];
static pid_t tree_pid;
static int lock_fd = -1;
static bool complete;

static int write_file(int root, const char *path, const void *data, size_t size, mode_t mode)
{
	char part[PATH_MAX];
	int fd;

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (mkdirat(root, part, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, mode) < 0 || write(fd, data, size) != (ssize_t)size) {
		int err = errno ? -errno : -EIO;

		close(fd);
		return err;
	}
	close(fd);
	return 0;
}

static int write_text(int root, const char *path, const char *text)
{
	return write_file(root, path, text, strlen(text), 0444);
}

static void remove_below(int dir)
{
	DIR *d = fdopendir(dir);
	struct dirent *e;

	if (!d) {
		close(dir);
		return;
	}
	while ((e = readdir(d))) {
		int sub;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (!unlinkat(dirfd(d), e->d_name, 0) || (errno != EISDIR && errno != EPERM))
			continue;
		sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (sub >= 0)
			remove_below(sub);
		unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
}

static void remove_tree(const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir >= 0)
		remove_below(dir);
	rmdir(path);
}

/* Trees whose makers were killed. */
static void sweep(const char *base)
{
	DIR *d = opendir(base);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d))) {
		char path[PATH_MAX];
		struct stat st;
		int fd;

		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)))
			continue;
		snprintf(path, sizeof(path), "%s/%s/lock", base, e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			continue;
		if (!fstat(fd, &st) && st.st_uid == geteuid() && !flock(fd, LOCK_EX | LOCK_NB)) {
			path[strlen(path) - strlen("/lock")] = 0;
			remove_tree(path);
		}
		close(fd);
	}
	closedir(d);
}

/* /proc/modules with amdgpu in front, as lsmod and old rocminfo look for it. */
static int write_modules(int root)
{
	static const char line[] = "amdgpu 9000000 1 - Live 0x0000000000000000\n";
	size_t n = sizeof(line) - 1, capacity = 1 << 16;
	char *text = malloc(capacity);
	ssize_t got;
	int fd, err;

	if (!text)
		return -ENOMEM;
	memcpy(text, line, n);
	fd = open("/proc/modules", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (got = read(fd, text + n, capacity - n)) > 0) {
		n += (size_t)got;
		if (n == capacity)
			break;
	}
	if (fd >= 0)
		close(fd);
	err = write_file(root, "modules", text, n, 0444);
	free(text);
	return err;
}

static int make_tree(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	const char *bases[] = {"/dev/shm", runtime && *runtime == '/' ? runtime : "/tmp", "/tmp"};
	static const struct {
		const char *path, *text;
		mode_t mode;
	} files[] = {
		{"kfd-node", "", 0666},		{"dri/renderD128", "", 0666},
		{"dri/card0", "", 0666},	{"module/initstate", "live\n", 0444},
		{"module/refcnt", "1\n", 0444}, {"module/coresize", "9000000\n", 0444},
		{"module/taint", "\n", 0444},	{"module/parameters/cwsr_enable", "1\n", 0444},
		{"module/parameters/emu_mode", "0\n", 0444},
	};
	int root = -1, err = 0;

	for (size_t i = 0; i < 3 && root < 0; i++) {
		sweep(bases[i]);
		snprintf(tree, sizeof(tree), "%.100s/" PREFIX "XXXXXX", bases[i]);
		if (!mkdtemp(tree))
			continue;
		root = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (root < 0) {
		log_warn("cannot make a directory for the device files: %s", strerror(errno));
		tree[0] = 0;
		return -ENOENT;
	}
	/* Locked before it has the name that sweep() of another process looks for. */
	lock_fd = openat(root, "lock.new", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock_fd < 0 || flock(lock_fd, LOCK_SH) || renameat(root, "lock.new", root, "lock"))
		err = -errno;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !err; i++)
		err = write_file(root, files[i].path, files[i].text, strlen(files[i].text),
				 files[i].mode);
	if (!err)
		err = mkdirat(root, "module/holders", 0755) < 0 ? -errno : 0;
	if (!err)
		err = write_modules(root);
	close(root);
	tree_pid = getpid();
	if (err) {
		log_warn("cannot write the device files in %s: %s", tree, strerror(-err));
		remove_tree(tree);
		tree[0] = 0;
	}
	return err;
}

static int write_topology(int root)
{
	struct sysinfo si;
	struct hsv_topology_args args = {0};
	size_t size = 0, capacity;
	uint8_t *buf;
	int err;

	for (uint32_t i = 0; i < front.num_gpus; i++)
		args.render_minors[i] = FRONT_RENDER_MINOR + i;
	sysinfo(&si);
	args.cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	args.memory = (uint64_t)si.totalram * si.mem_unit;
	err = kfd_topology(front.device, &args, NULL, 0, &size);
	if (err != -ENOSPC)
		return err ? err : -EIO;
	capacity = size;
	buf = malloc(capacity);
	if (!buf)
		return -ENOMEM;
	err = kfd_topology(front.device, &args, buf, capacity, &size);
	for (size_t at = 0; !err && at + sizeof(struct hsv_topology_file) <= size;) {
		struct hsv_topology_file file;
		char path[256];

		memcpy(&file, buf + at, sizeof(file));
		at += sizeof(file);
		snprintf(path, sizeof(path), "kfd/kfd/topology/%.*s", (int)file.path_size,
			 (const char *)buf + at);
		at += file.path_size;
		err = write_file(root, path, buf + at, file.content_size, 0444);
		at = (at + file.content_size + 3) & ~(size_t)3;
	}
	free(buf);
	return err;
}

/* What libdrm looks for of a GPU, in a directory named as its render node's number; and its device nodes. */
static int write_drm(int root, uint32_t gpu)
{
	const struct gpu_properties *props = gpu_properties(front.gpus[gpu].gpu);
	uint32_t minor = FRONT_RENDER_MINOR + gpu;
	char vendor[] = "0x1002\n", device[16], dev[32], card[32], uevent[128], pci[160];
	const struct {
		const char *format, *text; /* of the path, with minor or the number of the card */
		uint32_t number;
		mode_t mode;
	} files[] = {
		{"drm%u/dev", dev, minor, 0444},
		{"drm%u/uevent", uevent, minor, 0444},
		{"drm%u/device/vendor", vendor, minor, 0444},
		{"drm%u/device/device", device, minor, 0444},
		{"drm%u/device/subsystem_vendor", vendor, minor, 0444},
		{"drm%u/device/subsystem_device", device, minor, 0444},
		{"drm%u/device/revision", "0x00\n", minor, 0444},
		{"drm%u/device/uevent", pci, minor, 0444},
		{"dri/renderD%u", "", minor, 0666},
		{"dri/card%u", "", gpu, 0666},
	};
	char path[64];
	int err = 0;

	snprintf(dev, sizeof(dev), "226:%u\n", minor);
	snprintf(card, sizeof(card), "226:%u\n", gpu);
	snprintf(device, sizeof(device), "0x%04x\n", props->pci_device_id);
	snprintf(uevent, sizeof(uevent), "MAJOR=226\nMINOR=%u\nDEVNAME=dri/renderD%u\nDEVTYPE=drm_minor\n", minor, minor);
	/* The bus is that of the topology's location_id. */
	snprintf(pci, sizeof(pci), "DRIVER=amdgpu\nPCI_CLASS=38000\nPCI_ID=1002:%04X\nPCI_SLOT_NAME=0000:%02x:00.0\n", props->pci_device_id, gpu + 1);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !err; i++) {
		snprintf(path, sizeof(path), files[i].format, files[i].number);
		err = write_file(root, path, files[i].text, strlen(files[i].text), files[i].mode);
	}
	snprintf(path, sizeof(path), "drm%u/device/drm/renderD%u/dev", minor, minor);
	if (!err)
		err = write_text(root, path, dev);
	snprintf(path, sizeof(path), "drm%u/device/drm/card%u/dev", minor, gpu);
	return err ? err : write_text(root, path, card);
}

static int complete_tree(void)
{
	int root, err;

	if (complete)
		return 0;
	err = front_open();
	if (err)
		return -ENOENT; /* without a GPU its files don't exist */
	root = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	err = write_topology(root);
	for (uint32_t i = 0; i < front.num_gpus && !err; i++)
		err = write_drm(root, i);
	close(root);
	complete = !err;
	return err;
}

/* Without doubled slashes, ".", ".." and a slash at the end; false if it is too long. */
static bool normalize(const char *path, char *out)
{
	size_t n = 0;

	while (*path) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (!len || (len == 1 && path[0] == '.')) {
			path += len;
			continue;
		}
		if (len == 2 && path[0] == '.' && path[1] == '.') {
			/* None of our paths goes through a link, so this is what the kernel would
			 * do. */
			while (n && out[--n] != '/')
				;
			path += len;
			continue;
		}
		if (n + len + 2 > PATH_MAX)
			return false;
		out[n++] = '/';
		memcpy(out + n, path, len);
		n += len;
		path += len;
	}
	out[n] = 0;
	return n > 0;
}

/* The place that a plain path is in, what of it is behind the place (and its number), and whose GPU's it is; NULL: it's none of ours. */
static const struct place *find_place(const char *plain, const char **rest, uint32_t *gpu)
{
	*gpu = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const struct place *p = &places[i];
		size_t len = strlen(p->path);
		char *end = (char *)(uintptr_t)plain + len;

		if (strncmp(plain, p->path, len))
			continue;
		if (p->each) {
			if (*end < '0' || *end > '9')
				continue;
			*gpu = (uint32_t)strtoul(end, &end, 10) - p->first;
			if (*gpu >= KFD_MAX_GPUS)
				continue;
		}
		if (*end && *end != '/')
			continue;
		*rest = end;
		return p;
	}
	return NULL;
}

int path_find(const char *path, char *real)
{
	char plain[PATH_MAX], number[16] = "";
	const struct place *place;
	const char *rest;
	uint32_t gpu;
	int err = 0;

	if (!path || path[0] != '/' || !front_enabled())
		return PATH_OTHER;
	/* Cheap: nearly all paths end here. */
	path += strspn(path, "/") - 1;
	if (strncmp(path, "/dev", 4) && strncmp(path, "/sys", 4) && strncmp(path, "/proc", 5))
		return PATH_OTHER;
	if (!normalize(path, plain))
		return PATH_OTHER;
	place = find_place(plain, &rest, &gpu);
	if (!place)
		return PATH_OTHER;

	pthread_mutex_lock(&lock);
	if (tree[0] && tree_pid != getpid()) { /* the parent's, which it will remove */
		tree[0] = 0;
		complete = false;
		if (lock_fd >= 0)
			close(lock_fd);
		lock_fd = -1;
	}
	if (!tree[0])
		err = make_tree();
	if (!err && (place->device || gpu))
		err = complete_tree();
	if (gpu && (err || gpu >= front.num_gpus)) { /* the machine's own, if it is there */
		pthread_mutex_unlock(&lock);
		return PATH_OTHER;
	}
	if (place->each)
		snprintf(number, sizeof(number), "%u", place->first + gpu);
	if (!err && strlen(tree) + strlen(place->tree) + strlen(number) + strlen(rest) + 2 > PATH_MAX)
		err = -ENAMETOOLONG;
	if (!err)
		sprintf(real, "%s/%s%s%s", tree, place->tree, number, rest);
	pthread_mutex_unlock(&lock);
	if (err) {
		errno = -err;
		return -1;
	}
	return (int)place->kind + (int)gpu * (place->kind >= PATH_RENDER);
}

void path_cleanup(void)
{
	pthread_mutex_lock(&lock);
	if (tree[0] && tree_pid == getpid())
		remove_tree(tree);
	tree[0] = 0;
	pthread_mutex_unlock(&lock);
}

void path_forget(void)
{
	/* tree_pid tells; only a lock that another thread held at the fork must be new. */
	pthread_mutex_init(&lock, NULL);
}
