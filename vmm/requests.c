// SPDX-License-Identifier: MIT
/*
 * requests.c - what the requests of the control queue (abi/hsavisor.h) do.
 *
 * A request is copied out of guest memory once, as a whole, before anything looks at it, and its
 * answer is copied back at the end. The table below says of each type what it needs; the common
 * checks are made before the handler runs. Meaning is the core's business.
 */
#define LOG_PART "vmm"
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vmm/device_internal.h"

struct call {
	struct hsv_device *dev;
	struct hsv_process *process; /* NULL if the type has none */
	uint32_t code;
	_Alignas(8) uint8_t args[HSV_MAX_ARGS]; /* zero-extended */
	uint32_t args_size;
	void *in, *out;
	size_t in_size, out_capacity, out_size;
};

static int process_create(struct call *c)
{
	const struct hsv_process_args *args = (const void *)c->args;
	struct hsv_process *p = c->process;
	char name[sizeof(args->comm) + 1] = {0};
	int ret;

	if (p->kfd)
		return -EBUSY;
	memcpy(name, args->comm, sizeof(args->comm));
	for (char *s = name; *s; s++)
		if (!isprint((unsigned char)*s))
			*s = '?';
	atomic_store(&p->armed, false);
	ret = kfd_process_create(c->dev->kfd, p->id, p, le32toh(args->pid), name, &p->kfd);
	if (ret) {
		p->kfd = NULL;
		return ret;
	}
	for (uint32_t i = 0; i < c->dev->num_gpus; i++)
		if (c->dev->gpus[i].counters)
			memcpy(c->dev->gpus[i].counters->program, name, sizeof(name));
	log_info("process %u: %s (%u)", p->id, name, le32toh(args->pid));
	return 0;
}

void process_end(struct hsv_process *p)
{
	if (!p->kfd)
		return;
	kfd_process_destroy(p->kfd);
	p->kfd = NULL;
	events_forget(p->dev, p->id);
	for (uint32_t i = 0; i < p->dev->num_gpus; i++)
		memset(p->dev->doorbells + ((size_t)i * HSV_MAX_PROCESSES + p->id) * HSV_DOORBELL_SLOT, 0, HSV_DOORBELL_SLOT);
}

static int process_destroy(struct call *c)
{
	process_end(c->process);
	return 0;
}

static int kfd_ioctl(struct call *c)
{
	struct kfd_request request = {
		.nr = c->code,
		.args = c->args,
		.args_size = c->args_size,
		.in = c->in,
		.in_size = c->in_size,
		.out = c->out,
		.out_capacity = c->out_capacity,
	};
	int ret = -EPERM;

	/* XNACK needs a driver that answers page requests. */
	if (c->code != _IOC_NR(AMDKFD_IOC_SET_XNACK_MODE) ||
	    ((const struct kfd_ioctl_set_xnack_mode_args *)c->args)->xnack_enabled <= 0 ||
	    virtio_has_feature(&c->dev->virtio, HSV_F_PAGING))
		ret = kfd_process_ioctl(c->process->kfd, &request);

	c->out_size = request.out_size <= c->out_capacity ? request.out_size : 0;
	log_debug("process %u: ioctl 0x%02x: %s", c->process->id, c->code,
		  ret ? strerror(-ret) : "done");
	return ret;
}

static int drm_info(struct call *c)
{
	if (c->code >= c->dev->num_gpus)
		return -EINVAL;
	return kfd_drm_info(c->dev->kfd, c->code, (const void *)c->args, c->out, c->out_capacity,
			    &c->out_size);
}

static int topology(struct call *c)
{
	int ret = kfd_topology(c->dev->kfd, (const void *)c->args, c->out, c->out_capacity,
			       &c->out_size);

	if (ret)
		c->out_size = 0;
	return ret;
}

static uint64_t memory_handle(const struct call *c)
{
	return le64toh(((const struct hsv_memory_args *)c->args)->handle);
}

static int memory_extend(struct call *c)
{
	if (c->in_size % sizeof(struct hsv_extent))
		return -EINVAL;
	return kfd_memory_extend(c->process->kfd, memory_handle(c), c->in,
				 c->in_size / sizeof(struct hsv_extent));
}

static int memory_invalidate(struct call *c)
{
	return kfd_memory_invalidate(c->process->kfd, memory_handle(c));
}

static int memory_restore(struct call *c)
{
	if (c->in_size % sizeof(struct hsv_extent))
		return -EINVAL;
	return kfd_memory_restore(c->process->kfd, memory_handle(c), c->in,
				  c->in_size / sizeof(struct hsv_extent));
}

/*
 * The guest's doorbells trap from here on, whether or not the GPU stops polling at once: when it
 * has found work, it will be idle again later, and then control_repark tries again without asking
 * the guest.
 */
static int parked(struct call *c)
{
	int ret;

	atomic_store(&c->process->armed, true);
	ret = kfd_process_parked(c->process->kfd);
	return ret == -EAGAIN ? 0 : ret;
}

static int unpark(struct call *c)
{
	atomic_store(&c->process->armed, false);
	kfd_process_unpark(c->process->kfd);
	return 0;
}

static int vram_away(struct call *c)
{
	vram_guest_away(c->dev);
	return 0;
}

static int vram_back(struct call *c)
{
	vram_guest_back(c->dev);
	return 0;
}

/*
 * What was asked for and is answered here before the guest was told of it is forgotten then; what the
 * GPU asks for from the answer on is another request, even of the same page.
 */
static int pages(struct call *c)
{
	const struct hsv_pages_args *args = (const void *)c->args;
	uint64_t mark = events_pages_mark(c->process);
	int ret;

	if (c->in_size % sizeof(struct hsv_extent))
		return -EINVAL;
	ret = kfd_process_pages(c->process->kfd, args, c->in,
				c->in_size / sizeof(struct hsv_extent));
	/* In use: who waits looks again. */
	if (!ret || ret == -EADDRINUSE)
		events_pages_answered(c->process, mark, le64toh(args->va), le64toh(args->size));
	return ret;
}

static int pages_invalidate(struct call *c)
{
	const struct hsv_pages_args *args = (const void *)c->args;

	return kfd_process_pages_invalidate(c->process->kfd, le64toh(args->va),
					    le64toh(args->size));
}

static int vram_take(struct call *c)
{
	struct hsv_vram_args *args = (void *)c->args;
	uint64_t offset = 0;
	int ret = kfd_vram_take(c->dev->kfd, c->code, le64toh(args->size), &offset);

	args->offset = htole64(offset);
	return ret;
}

static int vram_give(struct call *c)
{
	const struct hsv_vram_args *args = (const void *)c->args;

	int ret = kfd_vram_give(c->dev->kfd, c->code, le64toh(args->offset), le64toh(args->size));

	if (!ret)
		vram_guest_gives(c->dev);
	return ret;
}

static int share_put(struct call *c)
{
	return kfd_device_share_put(c->dev->kfd, c->code);
}

enum needs { NOTHING, PROCESS_ID /* a valid one */, PROCESS /* one that exists */ };

static const struct {
	int (*run)(struct call *c);
	enum needs needs;
	uint32_t args_size; /* at least */
} types[] = {
	[HSV_REQ_PROCESS_CREATE] = {process_create, PROCESS_ID, sizeof(struct hsv_process_args)},
	[HSV_REQ_PROCESS_DESTROY] = {process_destroy, PROCESS, 0},
	[HSV_REQ_KFD_IOCTL] = {kfd_ioctl, PROCESS, 0},
	[HSV_REQ_DRM_INFO] = {drm_info, NOTHING, sizeof(struct drm_amdgpu_info)},
	[HSV_REQ_TOPOLOGY] = {topology, NOTHING, sizeof(struct hsv_topology_args)},
	[HSV_REQ_MEMORY_EXTEND] = {memory_extend, PROCESS, sizeof(struct hsv_memory_args)},
	[HSV_REQ_MEMORY_INVALIDATE] = {memory_invalidate, PROCESS, sizeof(struct hsv_memory_args)},
	[HSV_REQ_MEMORY_RESTORE] = {memory_restore, PROCESS, sizeof(struct hsv_memory_args)},
	[HSV_REQ_PARKED] = {parked, PROCESS, 0},
	[HSV_REQ_UNPARK] = {unpark, PROCESS, 0},
	[HSV_REQ_VRAM_AWAY] = {vram_away, NOTHING, 0},
	[HSV_REQ_VRAM_BACK] = {vram_back, NOTHING, 0},
	[HSV_REQ_PAGES] = {pages, PROCESS, sizeof(struct hsv_pages_args)},
	[HSV_REQ_PAGES_INVALIDATE] = {pages_invalidate, PROCESS, sizeof(struct hsv_pages_args)},
	[HSV_REQ_SHARE_PUT] = {share_put, NOTHING, 0},
	[HSV_REQ_VRAM_TAKE] = {vram_take, NOTHING, sizeof(struct hsv_vram_args)},
	[HSV_REQ_VRAM_GIVE] = {vram_give, NOTHING, sizeof(struct hsv_vram_args)},
};

#define NUM_TYPES (sizeof(types) / sizeof(types[0]))

int request_process(const struct hsv_request *request)
{
	uint32_t type = le32toh(request->type), process = le32toh(request->process);

	if (type >= NUM_TYPES || types[type].needs == NOTHING || process >= HSV_MAX_PROCESSES)
		return NO_PROCESS;
	return (int)process;
}

/* Checks the request against its chain and type, and gets the rest of it. */
static int prepare(struct call *c, const struct virtqueue *vq, const struct vq_chain *chain,
		   const struct hsv_request *request)
{
	uint32_t type = le32toh(request->type), args_size = le32toh(request->args_size);
	uint32_t in_size = le32toh(request->in_size), out_size = le32toh(request->out_size);
	int process = request_process(request);

	if (args_size > HSV_MAX_ARGS || in_size > HSV_MAX_ARRAY || out_size > HSV_MAX_ARRAY)
		return -EINVAL;
	if (chain->read_size < sizeof(*request) + args_size + in_size ||
	    chain->write_size < sizeof(struct hsv_response) + args_size + out_size)
		return -EINVAL;
	c->args_size = args_size;
	if (type >= NUM_TYPES || !types[type].run)
		return -ENOTTY;
	if (args_size < types[type].args_size)
		return -EINVAL;
	if (types[type].needs != NOTHING) {
		if (process == NO_PROCESS)
			return -EINVAL;
		c->process = &c->dev->processes[process];
		if (types[type].needs == PROCESS && !c->process->kfd)
			return -ESRCH;
	}
	c->code = le32toh(request->code);
	if (vq_chain_get(vq, chain, sizeof(*request), c->args, args_size))
		return -EFAULT;
	if (in_size) {
		c->in = malloc(in_size);
		if (!c->in)
			return -ENOMEM;
		if (vq_chain_get(vq, chain, sizeof(*request) + args_size, c->in, in_size))
			return -EFAULT;
		c->in_size = in_size;
	}
	if (out_size) {
		c->out = calloc(1, out_size);
		if (!c->out)
			return -ENOMEM;
		c->out_capacity = out_size;
	}
	return 0;
}

uint32_t request_run(struct hsv_device *dev, const struct virtqueue *vq,
		     const struct vq_chain *chain, const struct hsv_request *request)
{
	struct call c = {.dev = dev};
	struct hsv_response response = {0};
	uint32_t type = le32toh(request->type), written = 0;
	int ret = prepare(&c, vq, chain, request);

	if (!ret)
		ret = types[type].run(&c);
	else
		log_debug("request %u refused: %s", type, strerror(-ret));
	if (chain->write_size < sizeof(response) + c.args_size)
		c.args_size = 0;
	if (c.out_size > c.out_capacity)
		c.out_size = 0;
	response.error = htole32((uint32_t)-ret);
	response.args_size = htole32(c.args_size);
	response.out_size = htole32((uint32_t)c.out_size);
	if (vq_chain_put(vq, chain, 0, &response, sizeof(response)) == 0 &&
	    vq_chain_put(vq, chain, sizeof(response), c.args, c.args_size) == 0 &&
	    vq_chain_put(vq, chain, sizeof(response) + c.args_size, c.out, c.out_size) == 0)
		written = (uint32_t)(sizeof(response) + c.args_size + c.out_size);
	free(c.in);
	free(c.out);
	return written;
}
