/*
 * XDP programs with the duties of a whole packet (../packets.ts): Ethernet, IPv4 checks with checksum, VRF, rules, longest match, source
 * validation, TTL, checksum, addresses, counters. Each run takes the next frame of `frames`, so that what a test run repeats is not
 * one frame that never leaves the caches.
 *
 *   floor    takes a frame, and does nothing
 *   dir24    looks up in a DIR-24-8 of two-byte cells, one for each VRF, in a global array
 *   trie     looks up in a BPF_MAP_TYPE_LPM_TRIE whose keys begin with the VRF
 *   fib      bpf_fib_lookup: the kernel's rules, tables and neighbours; sources are looked up by it too
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "xdp.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct slot);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
} frames SEC(".maps");

struct key {
	__u32 length;
	__u32 vrf;
	__u32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct key);
	__type(value, __u32);
	__uint(max_entries, 1 << 23);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} routes SEC(".maps");

__u16 cells[VRFS][1 << 24];
__u16 long_cells[LONG_BLOCKS][256];
struct hop hops[MAX_HOPS];
struct device devices[MAX_DEVICES];
__u64 counters[4];
__u32 next;
__u32 slots = 1;

static __always_inline __u32 in_dir24(__u32 vrf, __u32 address)
{
	__u32 cell = cells[vrf & (VRFS - 1)][address >> 8];
	if (cell & LONG)
		cell = long_cells[cell & (LONG_BLOCKS - 1)][address & 255];
	return cell;
}

static __always_inline __u32 in_trie(__u32 vrf, __u32 address)
{
	struct key key = { 64, vrf, bpf_htonl(address) };
	__u32 *hop = bpf_map_lookup_elem(&routes, &key);
	return hop == 0 ? 0 : *hop;
}

/* 1.0.0.0 to 223.255.255.255 without 127/8. */
static __always_inline int is_unicast(__u32 address)
{
	return address - 0x01000000 < 0xdf000000 && address >> 24 != 127;
}

static __always_inline int same_address(const __u8 *a, const __u8 *b)
{
	return *(const __u32 *)a == *(const __u32 *)b && *(const __u16 *)(a + 4) == *(const __u16 *)(b + 4);
}

static __always_inline int sums_up(const __u16 *words)
{
	__u32 sum = 0;
#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

static __always_inline int forward(struct xdp_md *context, int way)
{
	__u32 index = next;
	next = index + 1 == slots ? 0 : index + 1;
	struct slot *slot = bpf_map_lookup_elem(&frames, &index);
	if (slot == 0)
		return XDP_ABORTED;
	if (way == WAY_FLOOR)
		return XDP_PASS;
	struct ethhdr *ethernet = (void *)slot->bytes;
	struct iphdr *ip = (void *)(slot->bytes + ETH_HLEN);
	const struct device *in = &devices[slot->ifindex & (MAX_DEVICES - 1)];
	if (!in->up || slot->length < ETH_HLEN + sizeof *ip || slot->length > in->mtu + ETH_HLEN)
		goto pass;
	if (ethernet->h_proto != bpf_htons(ETH_P_IP) || !same_address(ethernet->h_dest, in->mac))
		goto pass;
	__u32 total = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl != 5 || ip->ttl < 2 || !sums_up((void *)ip))
		goto pass;
	if (total < sizeof *ip || total > slot->length - ETH_HLEN)
		goto pass;
	__u32 source = bpf_ntohl(ip->saddr), destination = bpf_ntohl(ip->daddr);
	if (!is_unicast(source) || !is_unicast(destination))
		goto pass;
	if (way == WAY_FIB) {
		struct bpf_fib_lookup fib = { .family = 2, .ifindex = slot->ifindex, .tot_len = total };
		/* The source: a way back must be there. */
		fib.ipv4_dst = ip->saddr;
		fib.ipv4_src = ip->daddr;
		long said = bpf_fib_lookup(context, &fib, sizeof fib, BPF_FIB_LOOKUP_SKIP_NEIGH);
		if (said != BPF_FIB_LKUP_RET_SUCCESS)
			goto pass;
		fib.ifindex = slot->ifindex;
		fib.tot_len = total;
		fib.ipv4_dst = ip->daddr;
		fib.ipv4_src = ip->saddr;
		if (bpf_fib_lookup(context, &fib, sizeof fib, 0) != BPF_FIB_LKUP_RET_SUCCESS)
			goto pass;
		__builtin_memcpy(ethernet->h_dest, fib.dmac, 6);
		__builtin_memcpy(ethernet->h_source, fib.smac, 6);
	} else {
		/* Rule 0, table local: all of it is in 127/8, or in the VRF's table. Rule 1000: that. */
		__u32 back = way == WAY_TRIE ? in_trie(in->vrf, source) : in_dir24(in->vrf, source);
		if (back == LOCAL)
			goto pass;
		__u32 number = way == WAY_TRIE ? in_trie(in->vrf, destination) : in_dir24(in->vrf, destination);
		const struct hop *hop = &hops[number & (MAX_HOPS - 1)];
		if (hop->ifindex == 0 || hop->ifindex == slot->ifindex || total > hop->mtu)
			goto pass;
		__builtin_memcpy(ethernet->h_dest, hop->neighbour, 6);
		__builtin_memcpy(ethernet->h_source, hop->mac, 6);
	}
	__u32 check = ip->check + 1;
	ip->check = check + (check >= 0xffff);
	ip->ttl--;
	counters[1]++;
	return XDP_PASS;
pass:
	counters[0]++;
	return XDP_PASS;
}

SEC("xdp") int floor_of(struct xdp_md *context) { return forward(context, WAY_FLOOR); }
SEC("xdp") int dir24(struct xdp_md *context) { return forward(context, WAY_DIR24); }
SEC("xdp") int trie(struct xdp_md *context) { return forward(context, WAY_TRIE); }
SEC("xdp") int fib(struct xdp_md *context) { return forward(context, WAY_FIB); }

char _license[] SEC("license") = "GPL";
