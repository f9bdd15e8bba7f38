/* SPDX-License-Identifier: MIT */
/* kernels.cl - random kernels (generate.py), for the GPU: -DKERNELS="file". */
#include "random.h"
#include KERNELS
