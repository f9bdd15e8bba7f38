/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * kfd_ioctls.h - how each KFD ioctl travels: its argument struct and the one array, if any, that it points at.
 *
 * Both front ends (the guest driver and the host preload library) marshal by this table alone, so a new ioctl is
 * a row here and a handler in core/. Where an ioctl is not listed, front ends answer ENOTTY.
 *
 * HSV_KFD_IOCTL(NAME, struct, WHERE, POINTER, COUNT, ELEM, DIR)
 *   NAME     the number: _IOC_NR(AMDKFD_IOC_NAME)
 *   WHERE    CORE: goes to the core; FRONT: answered by the front end itself (waiting, process-local objects)
 *   POINTER  member that points at the array, COUNT member with its number of elements, ELEM bytes of an element
 *   DIR      NONE, IN, OUT (COUNT read before, and again from the answer), INOUT
 *
 * Include it with HSV_KFD_IOCTL defined; structs are those of linux/kfd_ioctl.h (1.14) and of abi/kfd_ipc.h.
 *
 * SET_CU_MASK's num_cu_mask counts bits (a multiple of 32, at most 1024): the array has num_cu_mask / 8 bytes.
 *
 * GET_PROCESS_APERTURES (0x06), long superseded, is larger than HSV_MAX_ARGS and not served.
 *
 * GET_TILE_CONFIG has two arrays; none travels: the answer's num_* are 0.
 *
 * ACQUIRE_VM: the front end checks that drm_fd is an open render node of this GPU and sends in drm_fd a number that identifies the open file.
 *
 * GET_CLOCK_COUNTERS: a guest replaces cpu_clock_counter and system_clock_counter by its own clocks.
 *
 * AMDKFD_IOC_SVM carries its attributes behind the struct (size from _IOC_SIZE); they travel as an INOUT array of
 * struct kfd_ioctl_svm_attribute, marked TAIL.
 *
 * SVM ranges (XNACK off) are memory of the program that the GPU sees at its own address. The core knows a range's pages like those of a
 * USERPTR buffer: for SVM with op SET_ATTR the front end first sends ALLOC_MEMORY_OF_GPU with flags USERPTR | WRITABLE | EXECUTABLE |
 * HSV_KFD_ALLOC_SVM, va_addr = mmap_offset = start_addr, size, and the extents of the pages. The answer is
 *   0             a new range; the handle stays in the front end, the program never sees it;
 *   EEXIST        the range is already known whole: drop the pages just taken, go on;
 *   else          (EADDRINUSE: overlaps a buffer, or a range in part) the SVM ioctl's errno.
 * Then the SVM request itself goes to the core, which maps or unmaps by the ACCESS attributes. If it fails, a range that is new is freed. INVALIDATE,
 * RESTORE and EXTEND work on the handle as for USERPTR buffers. When the program unmaps a part of the range, or ends, the
 * front end sends FREE_MEMORY_OF_GPU with the handle (it unmaps by itself). Programs that set this flag themselves get EINVAL from the front end.
 * A front end that can't do this answers EINVAL to SVM; the thunk then uses USERPTR buffers.
 *
 * Shared VRAM buffers: the core's EXPORT_DMABUF answers in dmabuf_fd the number of a share instead of a descriptor, and IMPORT_DMABUF takes one there. A front end makes a
 * dma-buf of a share and gives it back (HSV_REQ_SHARE_PUT) when the last reference of the dma-buf is gone; the memory lives as long as a buffer of any process or a share has it.
 * IMPORT_DMABUF and IPC_IMPORT_HANDLE answer the memory's extents like ALLOC_MEMORY_OF_GPU of VRAM. IPC ioctls (abi/kfd_ipc.h) need nothing of a front end but a place to mmap.
 * A front end whose processes have no device in common (the host's) serves all of these itself.
 */

/* clang-format off */
HSV_KFD_IOCTL(GET_VERSION,               kfd_ioctl_get_version_args,               CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(CREATE_QUEUE,              kfd_ioctl_create_queue_args,              CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(DESTROY_QUEUE,             kfd_ioctl_destroy_queue_args,             CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(SET_MEMORY_POLICY,         kfd_ioctl_set_memory_policy_args,         CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(GET_CLOCK_COUNTERS,        kfd_ioctl_get_clock_counters_args,        CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(UPDATE_QUEUE,              kfd_ioctl_update_queue_args,              CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(CREATE_EVENT,              kfd_ioctl_create_event_args,              FRONT, none, none, 0, NONE)
HSV_KFD_IOCTL(DESTROY_EVENT,             kfd_ioctl_destroy_event_args,             FRONT, none, none, 0, NONE)
HSV_KFD_IOCTL(SET_EVENT,                 kfd_ioctl_set_event_args,                 FRONT, none, none, 0, NONE)
HSV_KFD_IOCTL(RESET_EVENT,               kfd_ioctl_reset_event_args,               FRONT, none, none, 0, NONE)
HSV_KFD_IOCTL(WAIT_EVENTS,               kfd_ioctl_wait_events_args,               FRONT, none, none, 0, NONE)
HSV_KFD_IOCTL(DBG_REGISTER_DEPRECATED,   kfd_ioctl_dbg_register_args,              CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(DBG_UNREGISTER_DEPRECATED, kfd_ioctl_dbg_unregister_args,            CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(DBG_ADDRESS_WATCH_DEPRECATED, kfd_ioctl_dbg_address_watch_args,      CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(DBG_WAVE_CONTROL_DEPRECATED, kfd_ioctl_dbg_wave_control_args,        CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(SET_SCRATCH_BACKING_VA,    kfd_ioctl_set_scratch_backing_va_args,    CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(GET_TILE_CONFIG,           kfd_ioctl_get_tile_config_args,           CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(SET_TRAP_HANDLER,          kfd_ioctl_set_trap_handler_args,          CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(GET_PROCESS_APERTURES_NEW, kfd_ioctl_get_process_apertures_new_args, CORE,  kfd_process_device_apertures_ptr, num_of_nodes, sizeof(struct kfd_process_device_apertures), OUT)
HSV_KFD_IOCTL(ACQUIRE_VM,                kfd_ioctl_acquire_vm_args,                CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(ALLOC_MEMORY_OF_GPU,       kfd_ioctl_alloc_memory_of_gpu_args,       CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(FREE_MEMORY_OF_GPU,        kfd_ioctl_free_memory_of_gpu_args,        CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(MAP_MEMORY_TO_GPU,         kfd_ioctl_map_memory_to_gpu_args,         CORE,  device_ids_array_ptr, n_devices, 4, IN)
HSV_KFD_IOCTL(UNMAP_MEMORY_FROM_GPU,     kfd_ioctl_unmap_memory_from_gpu_args,     CORE,  device_ids_array_ptr, n_devices, 4, IN)
HSV_KFD_IOCTL(SET_CU_MASK,               kfd_ioctl_set_cu_mask_args,               CORE,  cu_mask_ptr, num_cu_mask, 1, IN /* num_cu_mask counts bits */)
HSV_KFD_IOCTL(GET_QUEUE_WAVE_STATE,      kfd_ioctl_get_queue_wave_state_args,      CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(GET_DMABUF_INFO,           kfd_ioctl_get_dmabuf_info_args,           FRONT, none, none, 0, NONE)
HSV_KFD_IOCTL(IMPORT_DMABUF,             kfd_ioctl_import_dmabuf_args,             CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(ALLOC_QUEUE_GWS,           kfd_ioctl_alloc_queue_gws_args,           CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(SMI_EVENTS,                kfd_ioctl_smi_events_args,                FRONT, none, none, 0, NONE)
HSV_KFD_IOCTL(SVM,                       kfd_ioctl_svm_args,                       CORE,  attrs, nattr, sizeof(struct kfd_ioctl_svm_attribute), TAIL)
HSV_KFD_IOCTL(SET_XNACK_MODE,            kfd_ioctl_set_xnack_mode_args,            CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(AVAILABLE_MEMORY,          kfd_ioctl_get_available_memory_args,      CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(EXPORT_DMABUF,             kfd_ioctl_export_dmabuf_args,             CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(RUNTIME_ENABLE,            kfd_ioctl_runtime_enable_args,            CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(IPC_IMPORT_HANDLE,         kfd_ioctl_ipc_import_handle_args,         CORE,  none, none, 0, NONE)
HSV_KFD_IOCTL(IPC_EXPORT_HANDLE,         kfd_ioctl_ipc_export_handle_args,         CORE,  none, none, 0, NONE)
/* clang-format on */
