// SPDX-License-Identifier: GPL-2.0
/*
 * hsavisor - guest driver: HSA on a GPU that is shared with other virtual machines.
 *
 * The device is a virtio device (<abi/hsavisor.h>). Programs see what amdkfd and amdgpu would show
 * them: /dev/kfd, a render node and the topology in sysfs. The driver is thin: a KFD ioctl goes to
 * the host as the struct it is (chardev.c), and what cannot be done elsewhere is done here: pages
 * (memory.c, pages.c, userptr.c, svm.c, migrate.c), mappings (mmap.c), waiting (events.c).
 *
 * Theory of operation
 *
 * Requests are calls (call.c). A caller sleeps until the host has answered. If it is killed first
 * it leaves, and the call, with all memory the host may still write, belongs to the queue until the
 * answer comes or the device is gone.
 *
 * A GPU process (process.c) is bound to an mm, as in amdkfd: made by the first open of /dev/kfd,
 * ended by the MMU notifier when the mm dies, in a work item: its memory goes only after the host
 * has answered PROCESS_DESTROY. It holds a reference of the module, so that the module can't be
 * unloaded while the mm lives.
 *
 * The data path is shared memory. Doorbells and VRAM are regions of the device that are mapped to
 * programs page by page in the fault handlers (mmap.c). When the host asks to park an idle process
 * its doorbell pages are unmapped, and the next store to them faults and wakes the host.
 *
 * Removal of the device (unbind, unplug, a dead host): calls are answered ENODEV, waiters woken,
 * mappings zapped, sysfs and device nodes removed. What programs still hold (files, processes,
 * buffers) stays as an empty shell until they let it go; struct hsv_device lives as long as one of
 * them.
 *
 * Locking order, outermost first:
 *
 *   hsv_device.process_lock
 *   hsv_svm.mode_lock
 *   hsv_svm.lock
 *   mmap_lock
 *   hsv_process.memory_lock
 *   hsv_device.vram_lock, hsv_device.vram_map
 *   hsv_vram_pages.evict_lock, page locks
 *   hsv_memory.map_lock (read in faults), hsv_process.doorbell_lock
 *   (the core's i_mmap and page table locks; MMU notifiers)
 *   hsv_memory.wire, svm_chunk.wire
 *   hsv_device.id_lock
 *   hsv_events.wake, hsv_svm.spare_lock, hsv_svm.slots_lock
 *   hsv_device.control_lock, hsv_device.event_lock, hsv_vram_pages.lock (interrupts off)
 *
 * Copies from and to user space happen under none of these. Under either wire and in everything
 * an MMU notifier calls nothing is allocated with GFP_KERNEL and no page is pinned or locked:
 * reclaim calls notifiers. The host's answers depend on no lock of the guest, so waiting for an
 * answer is allowed under any of the mutexes.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/io.h>
#include <linux/module.h>
#include <linux/virtio_config.h>

#include <drm/drm_managed.h>

#include "hsv.h"

/*
 * How often it is looked whether the host side lives, while there are GPU processes. Each look is a
 * VM exit.
 */
#define WATCH_INTERVAL (5 * HZ)

/*
 * System memory that programs may have for the GPU, all together. What is in use can be neither
 * swapped nor moved, and GTT buffers aren't counted by the OOM killer: the rest is for everything
 * else.
 */
static unsigned int system_percent = 75;
module_param(system_percent, uint, 0444);
MODULE_PARM_DESC(system_percent,
		 "System memory that GPU buffers may take, in percent (1-95, default: 75)");

#define MAX_VRAM (1ULL << 47) /* of a GPU, bytes */

struct workqueue_struct *hsv_wq, *hsv_restore_wq, *hsv_event_wq;

/* The one device: /dev/kfd and the topology speak of its GPUs. */
static DEFINE_MUTEX(the_lock);
static struct hsv_device *the_device; /* for programs */
static bool taken;		      /* a device is bound, or about to be */

struct hsv_device *hsv_device_get(void)
{
	struct hsv_device *hdev;

	mutex_lock(&the_lock);
	hdev = the_device;
	if (hdev)
		drm_dev_get(&hdev->drm);
	mutex_unlock(&the_lock);
	return hdev;
}

/*
 * Maps a region into the kernel. The mapping itself is not used: it makes x86's PAT code note the
 * range as write-back memory, which the regions are (RAM of the host), so that vmf_insert_pfn()
 * maps it cached instead of uncached to programs.
 */
static int region_map(struct hsv_device *hdev, struct hsv_region *region, u8 id, u64 size)
{
	struct virtio_shm_region shm;

	if (!virtio_get_shm_region(hdev->vdev, &shm, id)) {
		dev_err(&hdev->vdev->dev, "shared memory region %u is missing\n", id);
		return -ENODEV;
	}
	if (!PAGE_ALIGNED(shm.addr) || shm.len < size) {
		dev_err(&hdev->vdev->dev, "shared memory region %u is too small or unaligned\n",
			id);
		return -EINVAL;
	}
	region->addr = shm.addr;
	region->size = size;
	if (size) {
		region->mapping = memremap(shm.addr, size, MEMREMAP_WB);
		if (!region->mapping)
			return -ENOMEM;
	}
	return 0;
}

static void region_unmap(struct hsv_region *region)
{
	if (region->mapping)
		memunmap(region->mapping);
	region->mapping = NULL;
}

/* What the device says of its GPU number index. */
static int gpu_read(struct hsv_device *hdev, u32 index)
{
	struct hsv_gpu *gpu = &hdev->gpus[index];
	struct hsv_gpu_config config;
	u32 gpu_id;

	virtio_cread_bytes(hdev->vdev, offsetof(struct hsv_config, gpus) + index * sizeof(config), &config, sizeof(config));
	gpu_id = le32_to_cpu(config.gpu_id);
	gpu->vram_size = le64_to_cpu(config.vram_size);
	if (!gpu_id || gpu_id > U16_MAX || hsv_gpu_by_id(hdev, gpu_id) || !PAGE_ALIGNED(gpu->vram_size) || gpu->vram_size > MAX_VRAM) {
		dev_err(&hdev->vdev->dev, "bad configuration of GPU %u: gpu_id %u, %llu bytes of VRAM\n", index, gpu_id, gpu->vram_size);
		return -EINVAL;
	}
	gpu->gpu_id = gpu_id;
	gpu->hdev = hdev;
	gpu->index = index;
	return 0;
}

static u64 vram_of_all(const struct hsv_device *hdev)
{
	u64 size = 0;
	u32 i;

	for (i = 0; i < hdev->num_gpus; i++)
		size += hdev->gpus[i].vram_size;
	return size;
}

static int config_read(struct hsv_device *hdev)
{
	struct virtio_device *vdev = hdev->vdev;
	u32 version, i;
	int err;

	virtio_cread_le(vdev, struct hsv_config, abi_version, &version);
	if (version != HSV_ABI_VERSION) {
		dev_err(&vdev->dev, "the host speaks version %u of the ABI, this driver %u\n",
			version, HSV_ABI_VERSION);
		return -ENODEV;
	}
	virtio_cread_le(vdev, struct hsv_config, kfd_version, &hdev->kfd_version);
	virtio_cread_le(vdev, struct hsv_config, max_processes, &hdev->max_processes);
	virtio_cread_le(vdev, struct hsv_config, num_gpus, &hdev->num_gpus);
	if (!hdev->max_processes || hdev->max_processes > HSV_MAX_PROCESSES || !hdev->num_gpus || hdev->num_gpus > HSV_MAX_GPUS) {
		dev_err(&vdev->dev, "bad configuration: %u processes, %u GPUs\n", hdev->max_processes, hdev->num_gpus);
		hdev->num_gpus = 0;
		return -EINVAL;
	}
	for (i = 0; i < hdev->num_gpus; i++) {
		err = gpu_read(hdev, i);
		if (err)
			return err;
	}
	return 0;
}

static void device_free(struct drm_device *drm, void *data)
{
	struct hsv_device *hdev = data;

	drm_vma_offset_manager_destroy(&hdev->offsets);
	idr_destroy(&hdev->processes);
	kfree(hdev->event_buffers);
}

/*
 * Programs may wait for events without asking the host anything: somebody has to notice that
 * nothing will come any more.
 */
static void watch_work(struct work_struct *work)
{
	struct hsv_device *hdev = container_of(work, struct hsv_device, watch_work.work);

	if (!idr_is_empty(&hdev->processes))
		hsv_health_check(hdev);
	if (!READ_ONCE(hdev->gone))
		schedule_delayed_work(&hdev->watch_work, WATCH_INTERVAL);
}

static int device_init(struct hsv_device *hdev)
{
	spin_lock_init(&hdev->control_lock);
	INIT_LIST_HEAD(&hdev->calls);
	init_waitqueue_head(&hdev->answered);
	spin_lock_init(&hdev->event_lock);
	hsv_smi_init(&hdev->smi);
	INIT_WORK(&hdev->event_work, hsv_event_work);
	INIT_DELAYED_WORK(&hdev->watch_work, watch_work);
	hsv_vram_init(hdev);
	hsv_migrate_init(hdev);
	mutex_init(&hdev->process_lock);
	idr_init(&hdev->processes);
	spin_lock_init(&hdev->id_lock);
	INIT_LIST_HEAD(&hdev->topology);
	drm_vma_offset_manager_init(&hdev->offsets, DRM_FILE_PAGE_OFFSET_START,
				    DRM_FILE_PAGE_OFFSET_SIZE);
	hdev->system_limit = (u64)totalram_pages() * clamp(system_percent, 1U, 95U) / 100;
	return drmm_add_action_or_reset(&hdev->drm, device_free, hdev);
}

/*
 * Answers all calls with ENODEV and wakes all waiters. The host must not touch the queues any more.
 */
static void device_shut(struct hsv_device *hdev)
{
	hsv_calls_abort(hdev);
	hsv_processes_wake(hdev);
}

/*
 * Stops the host side for good; afterwards it neither touches the queues nor interrupts. One whose
 * reads are all ones is dead, and virtio's reset would wait for ever for it to say 0. (Virtio's
 * core then complains, once, that the driver was unbound from a device that still has a status:
 * there is no way to give a dead one another.)
 */
static void host_stop(struct virtio_device *vdev)
{
	virtio_break_device(vdev);
	if (vdev->config->get_status(vdev) != 0xff)
		virtio_reset_device(vdev);
	virtio_synchronize_cbs(vdev);
}

/*
 * Called by a waiter that finds that the device stopped working: the host side is gone (all reads
 * are ones), or says that it needs a reset. From then on everything answers ENODEV until the device
 * is bound anew. Within drm_dev_enter().
 */
void hsv_device_fail(struct hsv_device *hdev, const char *why)
{
	unsigned long flags;
	bool first;
	u32 i;

	spin_lock_irqsave(&hdev->control_lock, flags);
	first = !hdev->gone;
	hdev->gone = true;
	spin_unlock_irqrestore(&hdev->control_lock, flags);
	if (!first)
		return;
	dev_err(&hdev->vdev->dev, "%s: the GPU is lost\n", why);
	for (i = 0; i < hdev->num_gpus; i++)
		hsv_smi_reset(&hdev->gpus[i], false, why);
	host_stop(hdev->vdev);
	device_shut(hdev);
	hsv_migrate_lost(hdev);
}

/*
 * What the host is told of memory are guest-physical addresses: behind an IOMMU, or where memory is
 * encrypted, they would mean something else.
 */
static int hsv_validate(struct virtio_device *vdev)
{
	if (vdev->config->get_status(vdev) == 0xff ||
	    !virtio_has_feature(vdev, VIRTIO_F_ACCESS_PLATFORM))
		return 0;
	dev_err(&vdev->dev, "a device behind an IOMMU can't be used\n");
	return -EOPNOTSUPP;
}

/* One device at a time: false if there is one. */
static bool device_take(void)
{
	bool free;

	mutex_lock(&the_lock);
	free = !taken;
	taken = true;
	mutex_unlock(&the_lock);
	return free;
}

static void device_untake(void)
{
	mutex_lock(&the_lock);
	taken = false;
	mutex_unlock(&the_lock);
}

static int hsv_probe(struct virtio_device *vdev)
{
	struct virtqueue_info queues[HSV_NUM_QUEUES] = {
		[HSV_QUEUE_CONTROL] = {"control", hsv_control_done},
		[HSV_QUEUE_EVENT] = {"event", hsv_event_done},
	};
	struct virtqueue *vqs[HSV_NUM_QUEUES];
	struct hsv_device *hdev;
	u32 i;
	int err;

	if (vdev->config->get_status(vdev) == 0xff) {
		/*
		 * The host side died before: all reads are ones. Failing here would make virtio's
		 * core go on with a device that claims every feature (6.12 oopses in its admin
		 * queue); bound to nothing it does no harm until it is unplugged.
		 */
		dev_err(&vdev->dev, "the host side does not answer: no GPU\n");
		vdev->priv = NULL;
		return 0;
	}
	hdev = devm_drm_dev_alloc(&vdev->dev, &hsv_drm_driver, struct hsv_device, drm);
	if (IS_ERR(hdev))
		return PTR_ERR(hdev);
	hdev->vdev = vdev;
	vdev->priv = hdev;
	hdev->drm.dev_private = &hdev->gpus[0];
	err = device_init(hdev);
	if (err)
		return err;
	if (!device_take()) {
		dev_err(&vdev->dev, "one device, with all GPUs that a guest has, is all that there can be\n");
		return -EBUSY;
	}
	err = config_read(hdev);
	if (!err)
		err = region_map(hdev, &hdev->doorbells, HSV_SHM_DOORBELLS,
				 (u64)hdev->num_gpus * hdev->max_processes * HSV_DOORBELL_SLOT);
	if (!err)
		err = region_map(hdev, &hdev->vram, HSV_SHM_VRAM, vram_of_all(hdev));
	if (err)
		goto unmap;
	hdev->has_vram_pages = virtio_has_feature(vdev, HSV_F_VRAM_PAGES);
	err = virtio_find_vqs(vdev, HSV_NUM_QUEUES, vqs, queues, NULL);
	if (err)
		goto unmap;
	hdev->control = vqs[HSV_QUEUE_CONTROL];
	hdev->event = vqs[HSV_QUEUE_EVENT];
	err = hsv_events_start(hdev);
	if (err)
		goto queues;
	virtio_device_ready(vdev);
	hsv_events_ready(hdev);

	err = hsv_drm_add(hdev);
	if (err)
		goto drm;
	err = hsv_chardev_add(hdev);
	if (err)
		goto drm;
	err = hsv_topology_add(hdev);
	if (err)
		goto chardev;
	hsv_alias_add(hdev);
	mutex_lock(&the_lock);
	the_device = hdev;
	mutex_unlock(&the_lock);
	schedule_delayed_work(&hdev->watch_work, WATCH_INTERVAL);
	for (i = 0; i < hdev->num_gpus; i++)
		dev_info(&vdev->dev, "GPU %u, %llu MiB of VRAM, KFD %u.%u\n", hdev->gpus[i].gpu_id,
			 hdev->gpus[i].vram_size >> 20, hdev->kfd_version >> 16, hdev->kfd_version & 0xffff);
	return 0;

chardev:
	hsv_chardev_remove(hdev);
drm:
	hsv_drm_remove(hdev);
	host_stop(vdev);
	hsv_calls_abort(hdev);
	cancel_work_sync(&hdev->event_work);
	cancel_work_sync(&hdev->vram_work);
queues:
	vdev->config->del_vqs(vdev);
unmap:
	region_unmap(&hdev->vram);
	region_unmap(&hdev->doorbells);
	device_untake();
	return err;
}

static void hsv_remove(struct virtio_device *vdev)
{
	struct hsv_device *hdev = vdev->priv;
	unsigned long flags;
	bool failed;

	if (!hdev)
		return;
	mutex_lock(&the_lock);
	the_device = NULL;
	mutex_unlock(&the_lock);

	hsv_migrate_stop(hdev);
	hsv_alias_remove(hdev);
	hsv_topology_remove(hdev);
	hsv_chardev_remove(hdev);

	spin_lock_irqsave(&hdev->control_lock, flags);
	failed = hdev->gone;
	hdev->gone = true;
	spin_unlock_irqrestore(&hdev->control_lock, flags);
	/* A device that failed is stopped and shut by who found that, before unplug lets us go on.
	 */
	if (!failed) {
		host_stop(vdev);
		device_shut(hdev);
	}
	cancel_delayed_work_sync(&hdev->watch_work);
	/* Zaps all mappings, and waits for faults and for hsv_device_fail() elsewhere to finish. */
	hsv_drm_remove(hdev);
	/* What the host knew is gone with the reset: pages need not stay until the programs end. */
	hsv_processes_end(hdev);
	cancel_work_sync(&hdev->event_work);
	cancel_work_sync(&hdev->vram_work);
	vdev->config->del_vqs(vdev);
	hsv_migrate_fini(hdev);
	region_unmap(&hdev->vram);
	region_unmap(&hdev->doorbells);
	device_untake();
}

#ifdef HSV_VIRTIO_SHUTDOWN
/* The core's own would wait for a dead host's reset, and the guest never power off. */
static void hsv_shutdown(struct virtio_device *vdev)
{
	host_stop(vdev);
}
#endif

#ifdef CONFIG_PM_SLEEP
/*
 * The host's queues and page tables hold state that can't be saved: a guest with this GPU doesn't
 * suspend.
 */
static int hsv_freeze(struct virtio_device *vdev)
{
	dev_err(&vdev->dev, "suspending a GPU in use by the host is not possible\n");
	return -EBUSY;
}
#endif

static const struct virtio_device_id hsv_ids[] = {
	{HSV_VIRTIO_ID, VIRTIO_DEV_ANY_ID},
	{0},
};
MODULE_DEVICE_TABLE(virtio, hsv_ids);

static const unsigned int hsv_features[] = {HSV_F_PARK, HSV_F_SWAP, HSV_F_PAGING,
					    HSV_F_VRAM_PAGES};

static struct virtio_driver hsv_virtio_driver = {
	.driver.name = KBUILD_MODNAME,
	.id_table = hsv_ids,
	.feature_table = hsv_features,
	.feature_table_size = ARRAY_SIZE(hsv_features),
	.validate = hsv_validate,
	.probe = hsv_probe,
	.remove = hsv_remove,
#ifdef HSV_VIRTIO_SHUTDOWN
	.shutdown = hsv_shutdown,
#endif
#ifdef CONFIG_PM_SLEEP
	.freeze = hsv_freeze,
#endif
};

/* In this order: ends of processes wait for the other two. */
static void wqs_exit(void)
{
	if (hsv_wq)
		destroy_workqueue(hsv_wq);
	if (hsv_restore_wq)
		destroy_workqueue(hsv_restore_wq);
	if (hsv_event_wq)
		destroy_workqueue(hsv_event_wq);
}

static int __init wqs_init(void)
{
	hsv_wq = alloc_workqueue("hsavisor", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	hsv_restore_wq = alloc_workqueue("hsavisor-restore", WQ_UNBOUND, 0);
	hsv_event_wq = alloc_workqueue("hsavisor-event",
				       HSV_WQ_PERCPU | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	if (hsv_wq && hsv_restore_wq && hsv_event_wq)
		return 0;
	wqs_exit();
	return -ENOMEM;
}

static int __init hsv_init(void)
{
	int err;

	err = wqs_init();
	if (err)
		return err;
	err = hsv_chardev_init();
	if (err)
		goto wqs;
	err = register_virtio_driver(&hsv_virtio_driver);
	if (err)
		goto chardev;
	return 0;

chardev:
	hsv_chardev_exit();
wqs:
	wqs_exit();
	return err;
}

static void __exit hsv_exit(void)
{
	unregister_virtio_driver(&hsv_virtio_driver);
	hsv_chardev_exit();
	wqs_exit();
	mmu_notifier_synchronize();
}

module_init(hsv_init);
module_exit(hsv_exit);

MODULE_DESCRIPTION("HSA on a GPU shared by hsavisor");
MODULE_AUTHOR("The hsavisor authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
