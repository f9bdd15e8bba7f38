/* SPDX-License-Identifier: MIT */
/* client.c - see client.h. */
#include "tests/cp/client.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

bool wait_value(_Atomic int64_t *value, int64_t want, unsigned ms)
{
	return WAIT_FOR(atomic_load(value) == want, ms);
}

bool wait_u64(_Atomic uint64_t *value, uint64_t want, unsigned ms)
{
	return WAIT_FOR(atomic_load(value) == want, ms);
}

bool wait_uint(atomic_uint *value, unsigned want, unsigned ms)
{
	return WAIT_FOR(atomic_load(value) == want, ms);
}

static void on_event(void *ctx, uint32_t id)
{
	struct client *c = ctx;

	if (id < 64)
		atomic_fetch_add(&c->events[id], 1);
}

static void on_fault(void *ctx, const struct gpu_memory_fault *fault)
{
	struct client *c = ctx;

	c->fault = *fault;
	atomic_fetch_add(&c->faults, 1);
}

static void on_error(void *ctx, uint32_t queue, unsigned code, uint64_t kernel)
{
	struct client *c = ctx;

	c->error_queue = queue;
	c->error_code = code;
	c->error_kernel = kernel;
	atomic_fetch_add(&c->errors, 1);
}

static int on_page_request(void *ctx, uint64_t va, uint64_t size, unsigned prot)
{
	struct client *c = ctx;

	return c->page_request(c, va, size, prot);
}

static void on_idle(void *ctx)
{
	struct client *c = ctx;

	if (c->park_when_idle)
		gpu_vm_park(c->vm);
	atomic_fetch_add(&c->idles, 1);
}

static const struct gpu_vm_ops ops = {
	.signal_event = on_event, 
	.memory_fault = on_fault,
	.queue_error = on_error,
	.page_request = on_page_request,
	.idle = on_idle};

static void open_vm(struct client *c)
{
	c->pool = mmap(NULL, POOL_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(c->pool, MAP_FAILED);
	assert_int_equal(gpu_vm_create(c->gpu, &ops, c, &c->vm), 0);
	assert_int_equal(gpu_vm_map(c->vm, POOL_VA, POOL_SIZE, c->pool,
				    GPU_PROT_READ | GPU_PROT_WRITE | GPU_PROT_EXEC),
			 0);
}

void client_open_config(struct client *c, const struct gpu_config *config)
{
	memset(c, 0, sizeof(*c));
	assert_int_equal(gpu_open(config, &c->gpu), 0);
	open_vm(c);
}

void client_open(struct client *c, const char *target, unsigned threads,
		 const struct gpu_turn_ops *turn, void *ctx)
{
	struct gpu_config config = {
		.target = target, .threads = threads, .turn = turn, .turn_ctx = ctx};

	client_open_config(c, &config);
}

void client_join(struct client *c, struct client *first)
{
	memset(c, 0, sizeof(*c));
	c->gpu = first->gpu;
	c->joined = true;
	open_vm(c);
}

void client_close(struct client *c)
{
	gpu_vm_destroy(c->vm);
	if (!c->joined)
		gpu_close(c->gpu);
	munmap(c->pool, POOL_SIZE);
}

void *client_alloc(struct client *c, size_t size, uint64_t *va)
{
	size_t at = (c->used + 255) & ~(size_t)255;

	assert_true(at + size <= POOL_SIZE);
	c->used = at + size;
	if (va)
		*va = POOL_VA + at;
	return c->pool + at;
}

uint64_t client_va(struct client *c, const volatile void *p)
{
	return POOL_VA + (uint64_t)((const volatile uint8_t *)p - c->pool);
}

struct signal *client_signal(struct client *c, int64_t value, uint32_t event_id)
{
	struct signal *s = client_alloc(c, sizeof(*s), NULL);

	atomic_init(&s->value, value);
	if (event_id) {
		client_alloc(c, 8, &s->mailbox);
		s->event_id = event_id;
	}
	return s;
}

void aql_describe(struct aql *q, struct client *c, unsigned packets, bool error_events)
{
	uint64_t ring_va, inactive;

	memset(q, 0, sizeof(*q));
	q->c = c;
	q->packets = packets;
	q->ring = client_alloc(c, packets * 64, &ring_va);
	for (unsigned i = 0; i < packets; i++)
		q->ring[i].header = PACKET_INVALID;
	q->amd = client_alloc(c, 256, &q->amd_va);
	q->doorbell = client_alloc(c, 8, NULL);
	q->inactive = client_signal(c, 0, 60);
	inactive = client_va(c, q->inactive);
	memcpy(q->amd + 0xc0, &inactive, 8);
	q->cwsr = client_alloc(c, 4096, NULL);
	q->error = client_signal(c, 0, 0);
	q->cwsr->err_payload_addr = client_va(c, &q->error->value);
	q->cwsr->err_event_id = 61;
	q->desc = (struct gpu_queue_desc){
		.type = GPU_QUEUE_AQL,
		.ring_va = ring_va,
		.ring_size = packets * 64,
		.write_ptr_va = q->amd_va + 0x38,
		.read_ptr_va = q->amd_va + 0x80,
		.doorbell = (volatile uint64_t *)q->doorbell,
		.percent = 100,
		.cwsr_va = client_va(c, q->cwsr),
		.error_events = error_events,
	};
}

void aql_open(struct aql *q, struct client *c, unsigned packets, bool error_events)
{
	aql_describe(q, c, packets, error_events);
	assert_int_equal(gpu_queue_create(c->vm, &q->desc, &q->queue), 0);
}

_Atomic uint64_t *aql_read_id(struct aql *q)
{
	return (_Atomic uint64_t *)(q->amd + 0x80);
}

_Atomic uint64_t *aql_write_id(struct aql *q)
{
	return (_Atomic uint64_t *)(q->amd + 0x38);
}

uint64_t aql_submit(struct aql *q, const struct packet *p)
{
	uint64_t id = atomic_fetch_add(aql_write_id(q), 1);
	struct packet *slot = &q->ring[id % q->packets];
	uint64_t end = clock_ns() + 10000000000ull;

	while (id >= atomic_load(aql_read_id(q)) + q->packets) {
		assert_true(clock_ns() < end);
		nanosleep(&(struct timespec){0, 1000}, NULL);
	}
	memcpy(slot->dw, p->dw, sizeof(slot->dw));
	__atomic_store_n((uint32_t *)slot, p->header | (uint32_t)p->setup << 16, __ATOMIC_RELEASE);
	atomic_store(q->doorbell, id);
	return id;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

double least_cpu_seconds(unsigned ms, double enough)
{
	double least = 1e9, used;

	for (unsigned i = 0; i < 10 && least >= enough; i++) {
		used = cpu_seconds();
		sleep_ms(ms);
		used = cpu_seconds() - used;
		if (used < least)
			least = used;
	}
	return least;
}

void client_kernel(struct client *c, struct kernel *k, unsigned vgprs)
{
	unsigned granule = strcmp(gpu_properties(c->gpu)->target, "gfx90a") ? 4 : 8;
	uint32_t rsrc1 = (vgprs + granule - 1) / granule - 1;
	int64_t entry = 256;

	k->kd = client_alloc(c, 512, &k->object);
	memcpy(k->kd + 16, &entry, 8);
	memcpy(k->kd + 48, &rsrc1, 4);
}

struct packet dispatch_packet(struct client *c, const struct kernel *k, struct fake_args args,
			      unsigned wg_size, unsigned groups, struct signal *done)
{
	struct packet p = {.header = PACKET_DISPATCH, .setup = 1};
	uint64_t kernarg_va, signal = done ? client_va(c, done) : 0;
	struct fake_args *kernarg = client_alloc(c, sizeof(args), &kernarg_va);

	*kernarg = args;
	p.dw[0] = wg_size | 1u << 16;
	p.dw[1] = 1;
	p.dw[2] = wg_size * groups;
	p.dw[3] = p.dw[4] = 1;
	memcpy(&p.dw[7], &k->object, 8);
	memcpy(&p.dw[9], &kernarg_va, 8);
	memcpy(&p.dw[13], &signal, 8);
	return p;
}

struct packet barrier_packet(struct client *c, unsigned type, struct signal **deps, unsigned num,
			     struct signal *done)
{
	struct packet p = {.header = (uint16_t)type};
	uint64_t va;

	for (unsigned i = 0; i < num; i++) {
		va = deps[i] ? client_va(c, deps[i]) : 0;
		memcpy(&p.dw[1 + 2 * i], &va, 8);
	}
	va = done ? client_va(c, done) : 0;
	memcpy(&p.dw[13], &va, 8);
	return p;
}

void ring_open(struct ring *r, struct client *c, enum gpu_queue_type type, uint64_t size)
{
	uint64_t ring_va, rptr_va, wptr_va;

	memset(r, 0, sizeof(*r));
	r->c = c;
	r->size = size;
	r->base = client_alloc(c, size, &ring_va);
	r->rptr = client_alloc(c, 8, &rptr_va);
	client_alloc(c, 8, &wptr_va);
	r->doorbell = client_alloc(c, 8, NULL);
	r->desc = (struct gpu_queue_desc){.type = type,
					  .ring_va = ring_va,
					  .ring_size = size,
					  .write_ptr_va = wptr_va,
					  .read_ptr_va = rptr_va,
					  .doorbell = (volatile uint64_t *)r->doorbell,
					  .percent = 100};
	assert_int_equal(gpu_queue_create(c->vm, &r->desc, &r->queue), 0);
}

void ring_put(struct ring *r, const uint32_t *dw, unsigned num)
{
	for (unsigned i = 0; i < num; i++, r->wptr += 4)
		memcpy(r->base + (r->wptr & (r->size - 1)), &dw[i], 4);
}

void ring_ring(struct ring *r)
{
	atomic_store(r->doorbell, r->desc.type == GPU_QUEUE_PM4 ? r->wptr / 4 : r->wptr);
}

bool ring_drain(struct ring *r, unsigned ms)
{
	return wait_u64(r->rptr,
			r->desc.type == GPU_QUEUE_PM4 ? (r->wptr & (r->size - 1)) / 4 : r->wptr,
			ms);
}
