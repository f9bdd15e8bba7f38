// SPDX-License-Identifier: GPL-2.0
/*
 * hostile - a driver for tests that breaks every rule of the device's contract (<abi/hsavisor.h>).
 *
 * It takes the device in virtio's place (driver_override), and offers in debugfs:
 *
 *	hostile/cases	names of the cases, one a line
 *	hostile/run	a name written here runs that case
 *	hostile/log	TAP of what ran, without the plan; also in the kernel's log, where a guest
 *that dies leaves it
 *
 * Each case starts with a freshly started device. Afterwards the device must be as the case's table
 *says (goes on serving, or asks for a reset), must reset, and must serve a well-behaved GPU process
 *from its creation to the end of a kernel.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hostile.h"

#define LOG_MAX 65536

static const struct hostile_case *const all_cases[] = {transport_cases, rings_cases, request_cases,
						       gpu_cases};

static void say(struct hostile *h, const char *format, va_list args)
{
	char *line = h->log + h->log_size;

	h->log_size += vscnprintf(line, LOG_MAX - h->log_size, format, args);
	pr_info("%s", line);
}

static __printf(2, 3) void say_line(struct hostile *h, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(h, format, args);
	va_end(args);
}

int case_fail(struct hostile *h, const char *format, ...)
{
	va_list args;

	say_line(h, "# ");
	va_start(args, format);
	say(h, format, args);
	va_end(args);
	say_line(h, "\n");
	return -EBADE;
}

u32 hostile_random(struct hostile *h)
{
	h->seed = h->seed * 1664525 + 1013904223;
	return h->seed >> 8 ^ h->seed << 16;
}

static int judge(struct hostile *h, const struct hostile_case *c)
{
	u8 status = device_status(h);
	int err = 0;

	if (status == 0xff)
		return case_fail(h, "the device is dead");
	if (c->after == NEEDS_RESET && !(status & VIRTIO_CONFIG_S_NEEDS_RESET))
		err = case_fail(h, "asks for no reset: status %#x", status);
	if (c->after == SERVES && (status & VIRTIO_CONFIG_S_NEEDS_RESET))
		err = case_fail(h, "asks for a reset: status %#x", status);
	/* A request of no type has one right answer. */
	if (!err && c->after == SERVES && request(h, 0, 0, 0, NULL, 0, 0, 0) != -ENOTTY)
		err = case_fail(h, "does not serve any more");
	return err;
}

static void run_case(struct hostile *h, const struct hostile_case *c)
{
	unsigned long start = jiffies;
	int err;

	pr_info("case %s\n", c->name);
	h->seed = 1;
	err = device_start(h, ALL_FEATURES);
	if (!err)
		err = c->run(h);
	if (!err)
		err = judge(h, c);
	if (!err)
		err = device_start(h, ALL_FEATURES);
	if (!err)
		err = behave(h);
	device_reset(h);
	h->cases++;
	h->failed += !!err;
	if (err && err != -EBADE)
		case_fail(h, "errno %d", -err);
	say_line(h, "%s %u - %s (%u ms)\n", err ? "not ok" : "ok", h->cases, c->name,
		 jiffies_to_msecs(jiffies - start));
}

/* ---- debugfs ---- */

static int cases_show(struct seq_file *m, void *data)
{
	const struct hostile_case *c;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all_cases); i++)
		for (c = all_cases[i]; c->name; c++)
			seq_printf(m, "%s\n", c->name);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(cases);

static int log_show(struct seq_file *m, void *data)
{
	struct hostile *h = m->private;

	mutex_lock(&h->lock);
	seq_write(m, h->log, h->log_size);
	mutex_unlock(&h->lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(log);

static ssize_t run_write(struct file *file, const char __user *user, size_t size, loff_t *pos)
{
	struct hostile *h = file->private_data;
	const struct hostile_case *c;
	char name[64] = {};
	size_t i;

	if (size >= sizeof(name))
		return -EINVAL;
	if (copy_from_user(name, user, size))
		return -EFAULT;
	strim(name);
	for (i = 0; i < ARRAY_SIZE(all_cases); i++) {
		for (c = all_cases[i]; c->name; c++) {
			if (strcmp(c->name, name))
				continue;
			mutex_lock(&h->lock);
			run_case(h, c);
			mutex_unlock(&h->lock);
			return size;
		}
	}
	return -ENOENT;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = run_write,
};

/* ---- PCI ---- */

static void hostile_free(struct hostile *h)
{
	kvfree(h->log);
	kfree(h);
}

static int hostile_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct hostile *h;
	int err;

	if (pdev->vendor != HSV_PCI_VENDOR_ID || pdev->device != HSV_PCI_DEVICE_ID)
		return -ENODEV;
	h = kzalloc(sizeof(*h), GFP_KERNEL);
	if (!h)
		return -ENOMEM;
	h->pdev = pdev;
	mutex_init(&h->lock);
	h->log = kvzalloc(LOG_MAX, GFP_KERNEL);
	err = h->log ? pci_enable_device(pdev) : -ENOMEM;
	if (err)
		goto free;
	err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err)
		goto disable;
	pci_set_master(pdev);
	err = transport_map(h);
	if (err)
		goto disable;
	pci_set_drvdata(pdev, h);
	h->dir = debugfs_create_dir("hostile", NULL);
	debugfs_create_file("cases", 0400, h->dir, h, &cases_fops);
	debugfs_create_file("run", 0200, h->dir, h, &run_fops);
	debugfs_create_file("log", 0400, h->dir, h, &log_fops);
	pr_info("bound to %s: %llu MiB of VRAM\n", pci_name(pdev), h->vram_size >> 20);
	return 0;
disable:
	transport_unmap(h);
	pci_disable_device(pdev);
free:
	hostile_free(h);
	return err;
}

static void hostile_remove(struct pci_dev *pdev)
{
	struct hostile *h = pci_get_drvdata(pdev);

	debugfs_remove(h->dir);
	set_status(h, 0);
	transport_unmap(h);
	pci_disable_device(pdev);
	hostile_free(h);
}

/* It binds only where driver_override says its name. */
static const struct pci_device_id hostile_ids[] = {{0}};

static struct pci_driver hostile_driver = {
	.name = KBUILD_MODNAME,
	.id_table = hostile_ids,
	.probe = hostile_probe,
	.remove = hostile_remove,
};
module_pci_driver(hostile_driver);

MODULE_DESCRIPTION("Attacks hsavisor's device, for its tests");
MODULE_AUTHOR("The hsavisor authors");
MODULE_LICENSE("GPL");
