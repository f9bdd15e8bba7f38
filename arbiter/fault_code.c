// SPDX-License-Identifier: MIT
/* fault_code.c - KFD's queue error codes in words; see faults.h. */
#include "arbiter/faults.h"

#include <linux/kfd_ioctl.h>

const char *fault_code_name(uint32_t code)
{
	static const struct {
		uint32_t code;
		const char *name;
	} names[] = {
		{0, "memory fault"},
		{EC_QUEUE_WAVE_ABORT, "wave abort"},
		{EC_QUEUE_WAVE_TRAP, "trap"},
		{EC_QUEUE_WAVE_MATH_ERROR, "math error"},
		{EC_QUEUE_WAVE_ILLEGAL_INSTRUCTION, "illegal instruction"},
		{EC_QUEUE_WAVE_MEMORY_VIOLATION, "memory violation"},
		{EC_QUEUE_WAVE_APERTURE_VIOLATION, "aperture violation"},
		{EC_QUEUE_PACKET_DISPATCH_DIM_INVALID, "invalid dimensions"},
		{EC_QUEUE_PACKET_DISPATCH_GROUP_SEGMENT_SIZE_INVALID, "invalid group segment size"},
		{EC_QUEUE_PACKET_DISPATCH_CODE_INVALID, "invalid code"},
		{EC_QUEUE_PACKET_UNSUPPORTED, "unsupported packet"},
		{EC_QUEUE_PACKET_DISPATCH_WORK_GROUP_SIZE_INVALID, "invalid work-group size"},
		{EC_QUEUE_PACKET_DISPATCH_REGISTER_INVALID, "invalid registers"},
		{EC_QUEUE_PACKET_VENDOR_UNSUPPORTED, "unsupported vendor packet"},
		{EC_QUEUE_PREEMPTION_ERROR, "queue stopped"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].code == code)
			return names[i].name;
	return "error";
}
