// SPDX-License-Identifier: MIT
/*
 * drm.c - AMDGPU_INFO: what libdrm_amdgpu asks the render node when a program opens it, and the
 * memory queries tools use.
 *
 * An answer is a struct of amdgpu_drm.h, cut to the size the caller has, as amdgpu does. A device
 * without graphics says so: no rings but those for SDMA, if the front end has them, and no render backends.
 */
#define LOG_PART "core"
#include "core/internal.h"

#include <errno.h>
#include <string.h>

#define GB_ADDR_CONFIG 0x263e /* dword offset, GC of gfx9 */

/* The quota and what the tenant uses of it. After the quota was lowered that may be more. */
static void vram_heap(struct kfd_node *n, uint64_t *limit, uint64_t *used)
{
	pthread_mutex_lock(&n->device->lock);
	node_vram(n, limit, used);
	pthread_mutex_unlock(&n->device->lock);
}

static uint64_t system_used(struct kfd_device *d)
{
	uint64_t used;

	pthread_mutex_lock(&d->lock);
	used = d->system_pinned;
	pthread_mutex_unlock(&d->lock);
	return used;
}

static int accel_working(struct kfd_node *n, const struct drm_amdgpu_info *info, void *out)
{
	const uint32_t yes = 1;

	memcpy(out, &yes, sizeof(yes));
	return sizeof(yes);
}

static int dev_info(struct kfd_node *n, const struct drm_amdgpu_info *info, void *out)
{
	const struct gpu_properties *props = n->props;
	struct drm_amdgpu_info_device dev = {
		.device_id = props->pci_device_id,
		.external_rev = 1,
		.family = AMDGPU_FAMILY_AI,
		.num_shader_engines = 1,
		.num_shader_arrays_per_engine = 1,
		.gpu_counter_freq = (uint32_t)(props->clock_hz / 1000),
		.max_engine_clock = 1000000,
		.max_memory_clock = 1000000,
		.cu_active_number = props->num_cu,
		.pcie_gen = 3,
		.virtual_address_offset = 0x200000,
		.virtual_address_max = 0x800000000000ull,
		.virtual_address_alignment = KFD_PAGE,
		.pte_fragment_size = 0x200000,
		.gart_page_size = KFD_PAGE,
		.vram_type = AMDGPU_VRAM_TYPE_HBM,
		.vram_bit_width = 4096,
		.wave_front_size = props->wave_size,
		.num_shader_visible_vgprs = 256,
		.num_cu_per_sh = props->num_cu,
		.pcie_num_lanes = 16,
		.high_va_offset = 0xffff800000000000ull,
		.high_va_max = 0xffffffffffe00000ull,
	};

	for (uint32_t cu = 0; cu < props->num_cu && cu < 32; cu++)
		dev.cu_bitmap[0][0] |= 1u << cu;
	memcpy(out, &dev, sizeof(dev));
	return sizeof(dev);
}

static int read_mmr(struct kfd_node *n, const struct drm_amdgpu_info *info, void *out)
{
	const uint32_t value = 0x24000042; /* as GET_TILE_CONFIG */

	if (info->read_mmr_reg.count != 1 || info->read_mmr_reg.dword_offset != GB_ADDR_CONFIG)
		return -EINVAL;
	memcpy(out, &value, sizeof(value));
	return sizeof(value);
}

static bool has_rings(const struct kfd_node *n, uint32_t type)
{
	return type == AMDGPU_HW_IP_DMA && n->device->config.submissions;
}

static int hw_ip_info(struct kfd_node *n, const struct drm_amdgpu_info *info, void *out)
{
	struct drm_amdgpu_info_hw_ip ip = {0};

	if (info->query_hw_ip.type >= AMDGPU_HW_IP_NUM)
		return -EINVAL;
	if (has_rings(n, info->query_hw_ip.type))
		ip = (struct drm_amdgpu_info_hw_ip){
			.hw_ip_version_major = 4,
			.ib_start_alignment = 256,
			.ib_size_alignment = 4,
			.available_rings = 1,
		};
	memcpy(out, &ip, sizeof(ip));
	return sizeof(ip);
}

static int hw_ip_count(struct kfd_node *n, const struct drm_amdgpu_info *info, void *out)
{
	const uint32_t count = has_rings(n, info->query_hw_ip.type);

	if (info->query_hw_ip.type >= AMDGPU_HW_IP_NUM)
		return -EINVAL;
	memcpy(out, &count, sizeof(count));
	return sizeof(count);
}

static int put64(void *out, uint64_t value)
{
	memcpy(out, &value, sizeof(value));
	return sizeof(value);
}

static int timestamp(struct kfd_node *n, const struct drm_amdgpu_info *info, void *out)
{
	return put64(out, gpu_clock(n->config.gpu));
}

static int vram_usage(struct kfd_node *n, const struct drm_amdgpu_info *info, void *out)
{
	uint64_t limit, used;

	vram_heap(n, &limit, &used);
	return put64(out, used);
}

static int gtt_usage(struct kfd_node *n, const struct drm_amdgpu_info *info, void *out)
{
	return put64(out, system_used(n->device));
}

static int vram_gtt(struct kfd_node *n, const struct drm_amdgpu_info *info, void *out)
{
	struct drm_amdgpu_info_vram_gtt v = {0};
	uint64_t limit, used;

	vram_heap(n, &limit, &used);
	v.vram_size = v.vram_cpu_accessible_size = v.gtt_size = limit;
	memcpy(out, &v, sizeof(v));
	return sizeof(v);
}

static int memory(struct kfd_node *n, const struct drm_amdgpu_info *info, void *out)
{
	struct drm_amdgpu_memory_info m;
	uint64_t limit, used;

	vram_heap(n, &limit, &used);
	m = (struct drm_amdgpu_memory_info){
		.vram = {limit, limit, used, limit},
		.cpu_accessible_vram = {limit, limit, used, limit},
		.gtt = {limit, limit, system_used(n->device), limit},
	};
	memcpy(out, &m, sizeof(m));
	return sizeof(m);
}

/* Answers have at most 512 bytes. */
static const struct {
	uint32_t query;
	int (*answer)(struct kfd_node *n, const struct drm_amdgpu_info *info, void *out);
} queries[] = {
	{AMDGPU_INFO_ACCEL_WORKING, accel_working},
	{AMDGPU_INFO_DEV_INFO, dev_info},
	{AMDGPU_INFO_READ_MMR_REG, read_mmr},
	{AMDGPU_INFO_HW_IP_INFO, hw_ip_info},
	{AMDGPU_INFO_HW_IP_COUNT, hw_ip_count},
	{AMDGPU_INFO_TIMESTAMP, timestamp},
	{AMDGPU_INFO_VRAM_USAGE, vram_usage},
	{AMDGPU_INFO_VIS_VRAM_USAGE, vram_usage},
	{AMDGPU_INFO_GTT_USAGE, gtt_usage},
	{AMDGPU_INFO_VRAM_GTT, vram_gtt},
	{AMDGPU_INFO_MEMORY, memory},
};

_Static_assert(sizeof(struct drm_amdgpu_info_device) <= 512, "answer buffer");

int kfd_drm_info(struct kfd_device *device, uint32_t gpu, const struct drm_amdgpu_info *info, void *out,
		 size_t capacity, size_t *size)
{
	uint8_t answer[512];

	*size = 0;
	if (!info->return_size)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		int size_or_err;

		if (queries[i].query != info->query)
			continue;
		size_or_err = queries[i].answer(&device->nodes[gpu], info, answer);
		if (size_or_err < 0)
			return size_or_err;
		*size = (size_t)size_or_err;
		if (*size > info->return_size)
			*size = info->return_size;
		if (*size > capacity)
			*size = capacity;
		if (*size)
			memcpy(out, answer, *size);
		return 0;
	}
	return -EINVAL;
}
