/* SPDX-License-Identifier: MIT */
/* reference.c - random kernels (generate.py) for the CPU, as a library: -DKERNELS="file". */
#include "random.h"
#include KERNELS
