// SPDX-License-Identifier: MIT
/* The empty kernel of dispatch-latency; compiled to empty.gfx900.co and empty.gfx90a.co. */
__kernel void empty(void)
{
}
