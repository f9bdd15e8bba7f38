// SPDX-License-Identifier: MIT
/*
 * rocprim - rocPRIM's and hipCUB's device-wide, block and warp primitives, against the C++ library on the host: sort, scan, reduce, select, partition, run-length,
 * histogram, merge, search, and the segmented ones. All are templates, so that what runs is compiled here for both GPUs; the sizes go over the borders
 * of lanes, waves, work-groups and single-kernel limits.
 */
#include <hipcub/hipcub.hpp>
#include <rocprim/rocprim.hpp>

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <type_traits>

#include "tests/libraries/library.h"

/* Calls f twice, as all device-wide primitives want: for the size of its temporary memory, and with it. */
template <typename F> static void with_storage(F f)
{
	size_t bytes = 0;
	void *storage;

	CHECK(f((void *)nullptr, bytes));
	CHECK(hipMalloc(&storage, bytes + 1));
	CHECK(f(storage, bytes));
	CHECK(hipDeviceSynchronize());
	CHECK(hipFree(storage));
}

template <typename T> static const char *name_of();
#define NAME(type) \
	template <> const char *name_of<type>() { return #type; }
NAME(int) NAME(float)
#ifndef QUICK
NAME(double) NAME(long)
#endif

/* All bit patterns of integers; floats without NaN. few: from a small set, so that equal ones are many. */
template <typename T> static void any(std::vector<T> &v, bool few = false)
{
	for (T &x : v) {
		if (few)
			x = (T)below(17);
		else if (std::is_floating_point<T>::value)
			x = (T)(number() * std::exp2((double)below(40) - 20));
		else
			x = (T)tap_random();
	}
}

template <typename T> static void sorts(size_t n)
{
	array<T> in(n), out(n);
	array<unsigned> values(n), moved(n);
	std::vector<T> want;
	std::vector<unsigned> order(n);

	any(in.host, n % 2);
	in.push();
	std::iota(values.host.begin(), values.host.end(), 0u);
	values.push();
	want = in.host;
	std::stable_sort(want.begin(), want.end());
	with_storage([&](void *s, size_t &b) { return rocprim::radix_sort_keys(s, b, in.gpu, out.gpu, n); });
	out.pull();
	tap(out.host == want, "radix_sort_keys of %zu %s", n, name_of<T>());

	std::reverse(want.begin(), want.end());
	order = values.host;
	std::stable_sort(order.begin(), order.end(), [&](unsigned a, unsigned b) { return in[a] > in[b]; });
	with_storage([&](void *s, size_t &b) { return hipcub::DeviceRadixSort::SortPairsDescending(s, b, in.gpu, out.gpu, values.gpu, moved.gpu, n); });
	out.pull();
	moved.pull();
	tap(out.host == want && moved.host == order, "SortPairsDescending of %zu %s", n, name_of<T>());

	order = values.host;
	std::stable_sort(order.begin(), order.end(), [&](unsigned a, unsigned b) { return in[a] < in[b]; });
	std::reverse(want.begin(), want.end());
	with_storage([&](void *s, size_t &b) { return rocprim::merge_sort(s, b, in.gpu, out.gpu, values.gpu, moved.gpu, n); });
	out.pull();
	moved.pull();
	tap(out.host == want && moved.host == order, "merge_sort of %zu %s", n, name_of<T>());
}

template <typename T> static void scans(size_t n)
{
	array<T> in(n), out(n);
	std::vector<T> want(n);
	double off = 0;

	any(in.host, true); /* small whole numbers: float sums are exact, too */
	in.push();
	std::partial_sum(in.host.begin(), in.host.end(), want.begin());
	with_storage([&](void *s, size_t &b) { return rocprim::inclusive_scan(s, b, in.gpu, out.gpu, n, rocprim::plus<T>()); });
	out.pull();
	tap(out.host == want, "inclusive_scan of %zu %s", n, name_of<T>());

	for (size_t i = n; i-- > 1;)
		want[i] = want[i - 1] + (T)5;
	if (n)
		want[0] = 5;
	with_storage([&](void *s, size_t &b) { return rocprim::exclusive_scan(s, b, in.gpu, out.gpu, (T)5, n, rocprim::plus<T>()); });
	out.pull();
	tap(out.host == want, "exclusive_scan of %zu %s", n, name_of<T>());

	any(in.host);
	in.push();
	std::partial_sum(in.host.begin(), in.host.end(), want.begin(), [](T a, T b) { return std::max(a, b); });
	with_storage([&](void *s, size_t &b) { return hipcub::DeviceScan::InclusiveScan(s, b, in.gpu, out.gpu, hipcub::Max(), n); });
	out.pull();
	for (size_t i = 0; i < n; i++)
		off = farther(off, out[i], want[i]);
	tap(off == 0, "InclusiveScan by maximum of %zu %s", n, name_of<T>());
}

template <typename T> static void scan_by_key(size_t n)
{
	array<int> keys(n);
	array<T> in(n), out(n);
	std::vector<T> want(n);

	for (size_t i = 0; i < n; i++)
		keys[i] = (int)(i ? keys[i - 1] + !below(9) : 0);
	keys.push();
	any(in.host, true);
	in.push();
	for (size_t i = 0; i < n; i++)
		want[i] = i && keys[i] == keys[i - 1] ? (T)(want[i - 1] + in[i]) : in[i];
	with_storage([&](void *s, size_t &b) { return rocprim::inclusive_scan_by_key(s, b, keys.gpu, in.gpu, out.gpu, n); });
	out.pull();
	tap(out.host == want, "inclusive_scan_by_key of %zu %s", n, name_of<T>());
}

template <typename T> static void reduces(size_t n)
{
	array<T> in(n), out(1);
	array<hipcub::KeyValuePair<int, T>> best(1);
	T want = 0;

	any(in.host, true);
	in.push();
	for (T x : in.host)
		want += x;
	with_storage([&](void *s, size_t &b) { return rocprim::reduce(s, b, in.gpu, out.gpu, n, rocprim::plus<T>()); });
	out.pull();
	tap(out[0] == want, "reduce of %zu %s", n, name_of<T>());
	any(in.host);
	in.push();
	with_storage([&](void *s, size_t &b) { return hipcub::DeviceReduce::Min(s, b, in.gpu, out.gpu, n); });
	out.pull();
	tap(out[0] == *std::min_element(in.host.begin(), in.host.end()), "Min of %zu %s", n, name_of<T>());
	with_storage([&](void *s, size_t &b) { return hipcub::DeviceReduce::ArgMax(s, b, in.gpu, best.gpu, n); });
	best.pull();
	tap(best[0].key == std::max_element(in.host.begin(), in.host.end()) - in.host.begin() && best[0].value == in[best[0].key], "ArgMax of %zu %s", n, name_of<T>());
}

struct odd {
	template <typename T> __host__ __device__ bool operator()(T x) const { return (long)x & 1; }
};

template <typename T> static void selects(size_t n)
{
	array<T> in(n), out(n);
	array<unsigned char> flags(n);
	array<size_t> count(1);
	std::vector<T> want, rest;
	auto same = [&](const std::vector<T> &w) {
		out.pull();
		count.pull();
		return count[0] == w.size() && std::equal(w.begin(), w.end(), out.host.begin());
	};

	any(in.host, true);
	in.push();
	for (unsigned char &f : flags.host)
		f = (unsigned char)below(2);
	flags.push();
	for (size_t i = 0; i < n; i++)
		if (flags[i])
			want.push_back(in[i]);
	with_storage([&](void *s, size_t &b) { return rocprim::select(s, b, in.gpu, flags.gpu, out.gpu, count.gpu, n); });
	tap(same(want), "select by flags of %zu %s", n, name_of<T>());

	want.clear();
	std::copy_if(in.host.begin(), in.host.end(), std::back_inserter(want), odd());
	with_storage([&](void *s, size_t &b) { return rocprim::select(s, b, in.gpu, out.gpu, count.gpu, n, odd()); });
	tap(same(want), "select by predicate of %zu %s", n, name_of<T>());

	/* The others come after them, backwards. */
	with_storage([&](void *s, size_t &b) { return rocprim::partition(s, b, in.gpu, out.gpu, count.gpu, n, odd()); });
	bool good = same(want);
	std::copy_if(in.host.begin(), in.host.end(), std::back_inserter(rest), std::not_fn(odd()));
	tap(good && std::equal(rest.begin(), rest.end(), out.host.rbegin()), "partition of %zu %s", n, name_of<T>());

	want.clear();
	std::unique_copy(in.host.begin(), in.host.end(), std::back_inserter(want));
	with_storage([&](void *s, size_t &b) { return rocprim::unique(s, b, in.gpu, out.gpu, count.gpu, n); });
	tap(same(want), "unique of %zu %s", n, name_of<T>());
}

template <typename T> static void runs(size_t n)
{
	array<T> in(n), unique(n), sums(n);
	array<unsigned> lengths(n), count(1);
	std::vector<T> want, sum;
	std::vector<unsigned> long_;

	for (size_t i = 0; i < n; i++)
		in[i] = i && below(4) ? in[i - 1] : (T)below(100);
	in.push();
	for (size_t i = 0; i < n; i++) {
		if (!i || in[i] != in[i - 1]) {
			want.push_back(in[i]);
			long_.push_back(0);
			sum.push_back(0);
		}
		long_.back()++;
		sum.back() += in[i];
	}
	auto same = [&](auto &a, auto &b) {
		a.pull();
		return std::equal(b.begin(), b.end(), a.host.begin());
	};
	with_storage([&](void *s, size_t &b) { return rocprim::run_length_encode(s, b, in.gpu, (unsigned)n, unique.gpu, lengths.gpu, count.gpu); });
	count.pull();
	tap(count[0] == want.size() && same(unique, want) && same(lengths, long_), "run_length_encode of %zu %s", n, name_of<T>());
	with_storage([&](void *s, size_t &b) { return rocprim::reduce_by_key(s, b, in.gpu, in.gpu, (unsigned)n, unique.gpu, sums.gpu, count.gpu); });
	count.pull();
	tap(count[0] == want.size() && same(unique, want) && same(sums, sum), "reduce_by_key of %zu %s", n, name_of<T>());
}

template <typename T> static void segments(size_t n)
{
	array<T> in(n), out(n);
	std::vector<int> ends{0};
	std::vector<T> want;

	/* Some are empty, some of a few elements, some large: they take different ways. */
	while ((size_t)ends.back() < n)
		ends.push_back((int)std::min<size_t>(n, ends.back() + (below(8) ? below(40) : below(3000))));
	int count = (int)ends.size() - 1;
	array<int> offsets(ends);
	array<T> sums(count);
	any(in.host);
	in.push();
	want = in.host;
	for (int i = 0; i < count; i++)
		std::sort(want.begin() + ends[i], want.begin() + ends[i + 1]);
	with_storage([&](void *s, size_t &b) { return rocprim::segmented_radix_sort_keys(s, b, in.gpu, out.gpu, n, count, offsets.gpu, offsets.gpu + 1); });
	out.pull();
	tap(out.host == want, "segmented_radix_sort_keys of %zu %s in %d", n, name_of<T>(), count);

	any(in.host, true);
	in.push();
	want.assign(count, 0);
	for (int i = 0; i < count; i++)
		for (int k = ends[i]; k < ends[i + 1]; k++)
			want[i] += in[k];
	with_storage([&](void *s, size_t &b) { return rocprim::segmented_reduce(s, b, in.gpu, sums.gpu, count, offsets.gpu, offsets.gpu + 1, rocprim::plus<T>(), (T)0); });
	sums.pull();
	tap(sums.host == want, "segmented_reduce of %zu %s in %d", n, name_of<T>(), count);

	want.assign(n, 0);
	for (int i = 0; i < count; i++)
		for (int k = ends[i]; k < ends[i + 1]; k++)
			want[k] = (k == ends[i] ? (T)0 : want[k - 1]) + in[k];
	with_storage([&](void *s, size_t &b) { return rocprim::segmented_inclusive_scan(s, b, in.gpu, out.gpu, count, offsets.gpu, offsets.gpu + 1, rocprim::plus<T>()); });
	out.pull();
	tap(out.host == want, "segmented_inclusive_scan of %zu %s in %d", n, name_of<T>(), count);
}

[[maybe_unused]] static void others(size_t n)
{
	array<float> in(n);
	array<int> bins(64), sorted(n), needles(n / 3 + 1), merged(n + n / 3 + 1);
	array<unsigned> found(n / 3 + 1);
	std::vector<int> want(64);
	std::vector<unsigned> places;

	for (float &x : in.host)
		x = (float)number();
	in.push();
	for (float x : in.host)
		if (x >= -0.5f && x < 0.5f)
			want[std::min(63, (int)((x + 0.5f) * 64))]++;
	with_storage([&](void *s, size_t &b) { return hipcub::DeviceHistogram::HistogramEven(s, b, in.gpu, bins.gpu, 65, -0.5f, 0.5f, (int)n); });
	bins.pull();
	tap(bins.host == want, "HistogramEven of %zu float", n);

	any(sorted.host);
	std::sort(sorted.host.begin(), sorted.host.end());
	sorted.push();
	any(needles.host);
	needles.push();
	for (int x : needles.host)
		places.push_back((unsigned)(std::lower_bound(sorted.host.begin(), sorted.host.end(), x) - sorted.host.begin()));
	with_storage([&](void *s, size_t &b) { return rocprim::lower_bound(s, b, sorted.gpu, needles.gpu, found.gpu, n, needles.size(), rocprim::less<int>()); });
	found.pull();
	tap(found.host == places, "lower_bound of %zu int", n);

	std::sort(needles.host.begin(), needles.host.end());
	needles.push();
	want.resize(merged.size());
	std::merge(sorted.host.begin(), sorted.host.end(), needles.host.begin(), needles.host.end(), want.begin());
	with_storage([&](void *s, size_t &b) { return rocprim::merge(s, b, sorted.gpu, needles.gpu, merged.gpu, n, needles.size()); });
	merged.pull();
	tap(merged.host == want, "merge of %zu int", n);

	want.resize(n);
	array<int> out(n);
	std::adjacent_difference(sorted.host.begin(), sorted.host.end(), want.begin(), [](int a, int b) { return (int)((unsigned)a - (unsigned)b); });
	with_storage([&](void *s, size_t &b) { return rocprim::adjacent_difference(s, b, sorted.gpu, out.gpu, n, rocprim::minus<unsigned>()); });
	out.pull();
	tap(out.host == want, "adjacent_difference of %zu int", n);
}

/* ---- inside a kernel ---- */

template <unsigned SIZE> __global__ void in_warps(const int *in, int *out, int n)
{
	using scan = rocprim::warp_scan<int, SIZE>;
	using reduce = rocprim::warp_reduce<int, SIZE, true>;
	using sort = rocprim::warp_sort<int, SIZE>;
	__shared__ typename scan::storage_type scans[256 / SIZE];
	__shared__ typename reduce::storage_type reduces[256 / SIZE];
	__shared__ typename sort::storage_type sorts[256 / SIZE];
	int t = threadIdx.x, i = blockIdx.x * 256 + t, x = in[i], y;

	scan().inclusive_scan(x, y, scans[t / SIZE]);
	out[i] = y;
	reduce().reduce(x, y, reduces[t / SIZE]);
	out[n + i] = y;
	sort().sort(x, sorts[t / SIZE]);
	out[2 * n + i] = x;
}

template <unsigned SIZE> static void warps()
{
	const int n = 1024;
	array<int> in(n), out(3 * n);
	std::vector<int> want(3 * n);

	for (int &x : in.host)
		x = (int)below(100000);
	in.push();
	in_warps<SIZE><<<n / 256, 256>>>(in.gpu, out.gpu, n);
	out.pull();
	for (int i = 0; i < n; i += SIZE) {
		auto from = in.host.begin() + i, to = from + SIZE;

		std::partial_sum(from, to, want.begin() + i);
		std::fill_n(want.begin() + n + i, SIZE, std::accumulate(from, to, 0));
		std::copy(from, to, want.begin() + 2 * n + i);
		std::sort(want.begin() + 2 * n + i, want.begin() + 2 * n + i + SIZE);
	}
	tap(std::equal(want.begin(), want.begin() + n, out.host.begin()), "warp_scan of %u", SIZE);
	tap(std::equal(want.begin() + n, want.begin() + 2 * n, out.host.begin() + n), "warp_reduce of %u", SIZE);
	tap(std::equal(want.begin() + 2 * n, want.end(), out.host.begin() + 2 * n), "warp_sort of %u", SIZE);
}

template <unsigned BLOCK, unsigned ITEMS> __global__ void in_block(const int *in, int *out)
{
	using load = rocprim::block_load<int, BLOCK, ITEMS, rocprim::block_load_method::block_load_transpose>;
	using store = rocprim::block_store<int, BLOCK, ITEMS, rocprim::block_store_method::block_store_transpose>;
	using scan = rocprim::block_scan<int, BLOCK, rocprim::block_scan_algorithm::reduce_then_scan>;
	using sort = rocprim::block_radix_sort<int, BLOCK, ITEMS>;
	__shared__ union {
		typename load::storage_type load;
		typename store::storage_type store;
		typename scan::storage_type scan;
		typename sort::storage_type sort;
	} storage;
	int x[ITEMS];

	load().load(in, x, storage.load);
	__syncthreads();
	sort().sort(x, storage.sort);
	__syncthreads();
	scan().inclusive_scan(x, x, storage.scan);
	__syncthreads();
	store().store(out, x, storage.store);
}

template <unsigned BLOCK, unsigned ITEMS> static void block()
{
	array<int> in(BLOCK * ITEMS), out(BLOCK * ITEMS);
	std::vector<int> want;

	for (int &x : in.host)
		x = (int)below(100000) - 50000;
	in.push();
	in_block<BLOCK, ITEMS><<<1, BLOCK>>>(in.gpu, out.gpu);
	out.pull();
	want = in.host;
	std::sort(want.begin(), want.end());
	std::partial_sum(want.begin(), want.end(), want.begin());
	tap(out.host == want, "block load, sort, scan and store of %u by %u", BLOCK, ITEMS);
}

int main(int argc, char **argv)
{
	[[maybe_unused]] bool all = !quick(argc, argv);

	warps<64>();
	block<256, 4>();
	sorts<int>(3000);
	scans<int>(5001);
	reduces<float>(4097);
	selects<int>(2049);
	runs<int>(5000);
	segments<int>(7000);
#ifndef QUICK /* which is compiled without, too, as that takes long */
	if (!all)
		return tap_end();
	warps<16>();
	block<128, 7>();
	block<1024, 2>();
	for (size_t n : {1, 63, 1024, 70000}) {
		sorts<int>(n);
		sorts<double>(n);
		scans<int>(n);
		scans<double>(n);
		scan_by_key<float>(n);
		reduces<float>(n);
		reduces<long>(n);
		selects<int>(n);
		selects<double>(n);
		runs<int>(n);
		others(n);
	}
	sorts<int>(1200000);
	scans<int>(1500000);
	reduces<float>(300000);
	selects<int>(1000000);
	segments<int>(60000);
#endif
	return tap_end();
}
