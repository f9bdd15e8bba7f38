// SPDX-License-Identifier: MIT
/* control.cl - what a dispatch costs when there is nothing to do. */
kernel void empty(void)
{
}
