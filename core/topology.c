// SPDX-License-Identifier: MIT
/*
 * topology.c - the files below /sys/class/kfd/kfd/topology: node 0 the CPUs, nodes from 1 the GPUs, each joined
 * to the CPUs and to each other by PCIe.
 *
 * Text and order of keys are those of amdkfd's kfd_topology.c in Linux 6.12; the capability bits
 * are kfd_sysfs.h's. Only a discrete GPU's topology works with current userland: no CPU cores in
 * the GPU's node, VRAM all visible to the CPU.
 */
#define LOG_PART "core"
#include "core/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Capability bits, linux/kfd_sysfs.h. */
#define CAP_DOORBELL_TYPE(n)  ((uint32_t)(n) << 12)
#define CAP_SRAM_EDC	      (1u << 26)
#define CAP_SVMAPI	      (1u << 27)
#define CAP_DEBUG_FIRMWARE    (1u << 29)

#define SIMD_ID_BASE 0x80001000u
#define CACHE_TYPE   9u /* data, HSA compute unit */
#define MEC_FW	     459
#define SDMA_FW	     430

struct writer {
	uint8_t *buf;
	size_t capacity, size;	/* size goes on beyond capacity, to tell what is needed */
	size_t header, content; /* of the open file; 0: none */
};

static void put(struct writer *w, const void *data, size_t n)
{
	if (w->size + n <= w->capacity)
		memcpy(w->buf + w->size, data, n);
	w->size += n;
}

__attribute__((format(printf, 2, 3))) static void text(struct writer *w, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put(w, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static void begin(struct writer *w, const char *path)
{
	struct hsv_topology_file file = {.path_size = (uint16_t)strlen(path)};

	w->header = w->size;
	put(w, &file, sizeof(file));
	put(w, path, file.path_size);
	w->content = w->size;
}

static void end(struct writer *w)
{
	static const uint8_t zero[4];
	uint32_t n = (uint32_t)(w->size - w->content);

	if (w->header + sizeof(struct hsv_topology_file) <= w->capacity)
		memcpy(w->buf + w->header + offsetof(struct hsv_topology_file, content_size), &n,
		       sizeof(n));
	put(w, zero, (4 - w->size % 4) % 4);
}

static void cpu_node(struct writer *w, unsigned gpus, const struct hsv_topology_args *args)
{
	begin(w, "nodes/0/gpu_id");
	text(w, "0\n");
	end(w);
	begin(w, "nodes/0/name");
	text(w, "\n");
	end(w);

	begin(w, "nodes/0/properties");
	text(w, "cpu_cores_count %u\nsimd_count 0\nmem_banks_count 1\ncaches_count 0\n",
	     args->cpus);
	text(w, "io_links_count %u\np2p_links_count 0\ncpu_core_id_base 0\nsimd_id_base 0\n", gpus);
	text(w, "max_waves_per_simd 0\nlds_size_in_kb 0\ngds_size_in_kb 0\nnum_gws 0\n");
	text(w,
	     "wave_front_size 0\narray_count 0\nsimd_arrays_per_engine 0\ncu_per_simd_array 0\n");
	text(w, "simd_per_cu 0\nmax_slots_scratch_cu 0\ngfx_target_version 0\nvendor_id 0\n");
	text(w, "device_id 0\nlocation_id 0\ndomain 0\ndrm_render_minor 0\nhive_id 0\n");
	text(w, "num_sdma_engines 0\nnum_sdma_xgmi_engines 0\nnum_sdma_queues_per_engine 0\n");
	text(w, "num_cp_queues 0\nmax_engine_clk_ccompute 2000\n");
	end(w);

	begin(w, "nodes/0/mem_banks/0/properties");
	text(w, "heap_type 0\nsize_in_bytes %llu\nflags 0\nwidth 64\nmem_clk_max 2400\n",
	     (unsigned long long)args->memory);
	end(w);
}

/* Between GPUs peers' memory is reached over two links, by way of the CPUs: as amdkfd does it weighs as much as both. */
static void link_file(struct writer *w, const char *kind, unsigned index, unsigned from, unsigned to)
{
	char path[64];

	snprintf(path, sizeof(path), "nodes/%u/%s/%u/properties", from, kind, index);
	begin(w, path);
	text(w, "type 2\nversion_major 0\nversion_minor 0\nnode_from %u\nnode_to %u\n", from, to);
	text(w, "weight %u\nmin_latency 0\nmax_latency 0\nmin_bandwidth 312\nmax_bandwidth 16000\n",
	     from && to ? 40 : 20);
	text(w, "recommended_transfer_size 0\nflags 1\n");
	end(w);
}

static void cache_file(struct writer *w, unsigned node, unsigned i, unsigned level, unsigned kib, unsigned line,
		       unsigned cus)
{
	char path[64];

	snprintf(path, sizeof(path), "nodes/%u/caches/%u/properties", node, i);
	begin(w, path);
	text(w, "processor_id_low %u\nlevel %u\nsize %u\ncache_line_size %u\n", SIMD_ID_BASE, level,
	     kib, line);
	text(w, "cache_lines_per_tag 1\nassociation 0\nlatency 0\ntype %u\nsibling_map ",
	     CACHE_TYPE);
	for (unsigned cu = 0; cu < cus; cu++)
		text(w, cu + 1 < cus ? "1," : "1\n");
	end(w);
}

/* Opens a file of a node. */
static void begin_node(struct writer *w, unsigned node, const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "nodes/%u/%s", node, file);
	begin(w, path);
}

static void gpu_node(struct writer *w, struct kfd_node *n, const struct hsv_topology_args *args)
{
	struct kfd_device *d = n->device;
	unsigned node = n->index + 1;
	uint64_t vram, used;
	const struct gpu_properties *props = n->props;
	bool gfx90a = !strcmp(props->target, "gfx90a");
	/* The firmware bit is what libhsakmt asks for before it uses RUNTIME_ENABLE; debuggers look for
	 * TRAP_DEBUG_SUPPORT, which isn't there, nor are watch points. */
	uint32_t capability = CAP_DOORBELL_TYPE(2) | CAP_SVMAPI | CAP_DEBUG_FIRMWARE |
			      (gfx90a ? CAP_SRAM_EDC : 0);

	/* What a program takes for the size of VRAM is the quota at this time. */
	pthread_mutex_lock(&d->lock);
	node_vram(n, &vram, &used);
	pthread_mutex_unlock(&d->lock);
	begin_node(w, node, "gpu_id");
	text(w, "%u\n", n->config.gpu_id);
	end(w);
	begin_node(w, node, "name");
	text(w, "%s\n", props->name);
	end(w);

	begin_node(w, node, "properties");
	text(w, "cpu_cores_count 0\nsimd_count %u\nmem_banks_count 1\ncaches_count 2\n",
	     props->num_cu * props->simd_per_cu);
	text(w, "io_links_count 1\np2p_links_count %u\ncpu_core_id_base 0\nsimd_id_base %u\n",
	     d->config.num_gpus - 1, SIMD_ID_BASE);
	text(w, "max_waves_per_simd %u\nlds_size_in_kb %u\ngds_size_in_kb 0\nnum_gws 64\n",
	     props->max_waves_per_simd, props->lds_kb);
	text(w, "wave_front_size %u\narray_count 1\nsimd_arrays_per_engine 1\n", props->wave_size);
	text(w, "cu_per_simd_array %u\nsimd_per_cu %u\nmax_slots_scratch_cu 32\n", props->num_cu,
	     props->simd_per_cu);
	text(w, "gfx_target_version %u\nvendor_id 4098\ndevice_id %u\n", props->gfx_target_version,
	     props->pci_device_id);
	/* On a bus of its own, as device 0. */
	text(w, "location_id %u\ndomain 0\ndrm_render_minor %u\nhive_id 0\n", node << 8, args->render_minors[n->index]);
	text(w, "num_sdma_engines %u\nnum_sdma_xgmi_engines 0\nnum_sdma_queues_per_engine %u\n",
	     props->num_sdma_engines, props->sdma_queues_per_engine);
	text(w, "num_cp_queues %u\nmax_engine_clk_fcompute 1000\nlocal_mem_size 0\n",
	     props->num_compute_queues);
	text(w, "fw_version %u\ncapability %u\ndebug_prop 0\nsdma_fw_version %u\n", MEC_FW,
	     capability, SDMA_FW);
	text(w, "unique_id %llu\nnum_xcc %u\nmax_engine_clk_ccompute 2000\n",
	     0x6873760000000000ull | n->config.gpu_id, props->num_xcc);
	end(w);

	begin_node(w, node, "mem_banks/0/properties");
	text(w, "heap_type 1\nsize_in_bytes %llu\nflags 0\nwidth 4096\nmem_clk_max 1000\n",
	     (unsigned long long)vram);
	end(w);
	cache_file(w, node, 0, 1, 16, gfx90a ? 128 : 64, 1);
	cache_file(w, node, 1, 2, gfx90a ? 8192 : 4096, gfx90a ? 128 : 64, props->num_cu);
}

int kfd_topology(struct kfd_device *device, const struct hsv_topology_args *args, void *buf,
		 size_t capacity, size_t *size)
{
	struct writer w = {.buf = buf, .capacity = buf ? capacity : 0};
	unsigned gpus = device->config.num_gpus;

	begin(&w, "generation_id");
	text(&w, "2\n");
	end(&w);
	begin(&w, "system_properties");
	text(&w, "platform_oem 0\nplatform_id 0\nplatform_rev 1\n");
	end(&w);
	cpu_node(&w, gpus, args);
	for (unsigned i = 0; i < gpus; i++)
		link_file(&w, "io_links", i, 0, i + 1);
	for (unsigned i = 0; i < gpus; i++) {
		gpu_node(&w, &device->nodes[i], args);
		link_file(&w, "io_links", 0, i + 1, 0);
		for (unsigned k = 0, link = 0; k < gpus; k++)
			if (k != i)
				link_file(&w, "p2p_links", link++, i + 1, k + 1);
	}
	*size = w.size;
	return w.size <= capacity ? 0 : -ENOSPC;
}
