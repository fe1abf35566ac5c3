/*
 * The look-up libraries of DPDK, one process that another one asks to run them in turn (peers.ts):
 *
 *   dpdk 4|6 TABLE [slow]        TABLE: records of 24 bytes: 16 address (network order, IPv4 in the first 4), 1 length,
 *                                3 nothing, 4 value (little endian)
 *
 *   -> ready NAME BUILD_MS       one line for each way to look up that holds the table, `skip NAME REASON` for the others
 *   -> done
 *   <- stream FILE               addresses as they are looked up: u32 in host order, or 16 bytes in network order
 *   -> addresses COUNT
 *   <- check NAME                -> checksum N      sum of value * (index + 1) modulo 2^32, 0 for no match
 *   <- run NAME                  -> ns X            for all addresses, in bursts of 256 whose results are overwritten; behind
 *                                                   a run that is not timed, as the others have it (harness.ts)
 *
 * rte_lpm is only tried with `slow`: its rte_lpm_add searches the rules of a length one by one, minutes for a full table.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_ip.h>
#include <rte_lpm.h>
#include <rte_lpm6.h>

#include "peer.h"

#define BURST 256
#define LONG_BLOCKS_4 (1 << 14)
#define LONG_BLOCKS_6 (1 << 19)

struct route {
	uint8_t address[16];
	uint8_t length;
	uint8_t nothing[3];
	uint32_t value;
};

/* One way to look up a burst; results are 4 or 8 bytes wide. */
struct peer {
	char name[48];
	void *table;
	int select; /* lookup function of rte_fib and rte_fib6, chosen before each run: ways share a table */
	void (*look)(void *table, void *addresses, void *results, unsigned n);
	uint32_t (*result)(const void *results, unsigned i);
};

static struct peer peers[16];
static unsigned peer_count;
static struct route *routes;
static size_t route_count;
static uint8_t *addresses;
static size_t address_count;

static uint32_t address4(const struct route *r)
{
	uint32_t network;
	memcpy(&network, r->address, 4);
	return rte_be_to_cpu_32(network);
}

/* ---- rte_fib, rte_fib6 ---- */

static void fib_look(void *table, void *ips, void *results, unsigned n)
{
	rte_fib_lookup_bulk(table, ips, results, n);
}

static void fib6_look(void *table, void *ips, void *results, unsigned n)
{
	rte_fib6_lookup_bulk(table, ips, results, n);
}

static uint32_t result64(const void *results, unsigned i)
{
	return ((const uint64_t *)results)[i];
}

static void enter(const char *name, void *table, int select, void *look, void *result, double ms)
{
	struct peer *p = &peers[peer_count];
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->table = table;
	p->select = select;
	p->look = look;
	p->result = result;
	if (select >= 0) {
		int refused = look == (void *)fib_look ? rte_fib_select_lookup(table, select) :
							 rte_fib6_select_lookup(table, select);
		if (refused) {
			printf("skip %s AVX-512 is not there\n", name);
			return;
		}
	}
	printf("ready %s %.0f\n", name, ms);
	peer_count++;
}

static void build_fib(unsigned entry_log2, enum rte_fib_dir24_8_nh_sz entry)
{
	char name[48], vector[48];
	snprintf(name, sizeof(name), "rte_fib-%uB-scalar", 1 << entry_log2);
	snprintf(vector, sizeof(vector), "rte_fib-%uB-avx512", 1 << entry_log2);
	struct rte_fib_conf conf = {
		.type = RTE_FIB_DIR24_8,
		.max_routes = route_count + 1,
		.dir24_8 = { .nh_sz = entry, .num_tbl8 = entry_log2 == 0 ? 127 : LONG_BLOCKS_4 },
	};
	double start = now_ns();
	struct rte_fib *fib = rte_fib_create(name, SOCKET_ID_ANY, &conf);
	int error = fib == NULL ? -rte_errno : 0;
	for (size_t i = 0; i < route_count && error == 0; i++)
		error = rte_fib_add(fib, address4(&routes[i]), routes[i].length, routes[i].value);
	double ms = (now_ns() - start) / 1e6;
	if (error) {
		printf("skip %s entries of %u bytes do not hold the table: %s\n", name, 1 << entry_log2, strerror(-error));
		if (fib != NULL)
			rte_fib_free(fib);
		return;
	}
	enter(name, fib, RTE_FIB_LOOKUP_DIR24_8_SCALAR_MACRO, fib_look, result64, ms);
	enter(vector, fib, RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512, fib_look, result64, ms);
}

static void build_fib6(unsigned entry_log2, enum rte_fib_trie_nh_sz entry)
{
	char name[48], vector[48];
	snprintf(name, sizeof(name), "rte_fib6-%uB-scalar", 1 << entry_log2);
	snprintf(vector, sizeof(vector), "rte_fib6-%uB-avx512", 1 << entry_log2);
	struct rte_fib6_conf conf = {
		.type = RTE_FIB6_TRIE,
		.max_routes = route_count + 1,
		.trie = { .nh_sz = entry, .num_tbl8 = entry_log2 == 1 ? 32767 : LONG_BLOCKS_6 },
	};
	double start = now_ns();
	struct rte_fib6 *fib = rte_fib6_create(name, SOCKET_ID_ANY, &conf);
	int error = fib == NULL ? -rte_errno : 0;
	for (size_t i = 0; i < route_count && error == 0; i++)
		error = rte_fib6_add(fib, routes[i].address, routes[i].length, routes[i].value);
	double ms = (now_ns() - start) / 1e6;
	if (error) {
		printf("skip %s entries of %u bytes do not hold the table: %s\n", name, 1 << entry_log2, strerror(-error));
		if (fib != NULL)
			rte_fib6_free(fib);
		return;
	}
	enter(name, fib, RTE_FIB6_LOOKUP_TRIE_SCALAR, fib6_look, result64, ms);
	enter(vector, fib, RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512, fib6_look, result64, ms);
}

/* ---- rte_lpm, rte_lpm6 ---- */

static void lpm_look(void *table, void *ips, void *results, unsigned n)
{
	rte_lpm_lookup_bulk((struct rte_lpm *)table, ips, results, n);
}

static uint32_t lpm_result(const void *results, unsigned i)
{
	uint32_t entry = ((const uint32_t *)results)[i];
	return entry & RTE_LPM_LOOKUP_SUCCESS ? entry & 0xffffff : 0;
}

static void lpm6_look(void *table, void *ips, void *results, unsigned n)
{
	rte_lpm6_lookup_bulk_func(table, ips, results, n);
}

static uint32_t lpm6_result(const void *results, unsigned i)
{
	int32_t hop = ((const int32_t *)results)[i];
	return hop < 0 ? 0 : hop;
}

static void build_lpm(bool slow)
{
	if (!slow && route_count > 1 << 16) {
		printf("skip rte_lpm-bulk its build takes minutes; --slow waits for it\n");
		return;
	}
	struct rte_lpm_config conf = { .max_rules = route_count + 1, .number_tbl8s = LONG_BLOCKS_4 };
	double start = now_ns();
	struct rte_lpm *lpm = rte_lpm_create("lpm", SOCKET_ID_ANY, &conf);
	int error = lpm == NULL ? -rte_errno : 0;
	for (size_t i = 0; i < route_count && error == 0; i++)
		error = rte_lpm_add(lpm, address4(&routes[i]), routes[i].length, routes[i].value);
	if (error)
		printf("skip rte_lpm-bulk %s\n", strerror(-error));
	else
		enter("rte_lpm-bulk", lpm, -1, lpm_look, lpm_result, (now_ns() - start) / 1e6);
}

static void build_lpm6(void)
{
	struct rte_lpm6_config conf = { .max_rules = route_count + 1, .number_tbl8s = LONG_BLOCKS_6 };
	double start = now_ns();
	struct rte_lpm6 *lpm = rte_lpm6_create("lpm6", SOCKET_ID_ANY, &conf);
	int error = lpm == NULL ? -rte_errno : 0;
	for (size_t i = 0; i < route_count && error == 0; i++)
		error = rte_lpm6_add(lpm, routes[i].address, routes[i].length, routes[i].value);
	if (error)
		printf("skip rte_lpm6-bulk %s\n", strerror(-error));
	else
		enter("rte_lpm6-bulk", lpm, -1, lpm6_look, lpm6_result, (now_ns() - start) / 1e6);
}

/* ---- commands ---- */

static void select_look(const struct peer *p)
{
	if (p->look == fib_look)
		rte_fib_select_lookup(p->table, p->select);
	else if (p->look == fib6_look)
		rte_fib6_select_lookup(p->table, p->select);
}

static uint32_t check(const struct peer *p, unsigned address_bytes)
{
	uint64_t results[BURST];
	uint32_t sum = 0;
	for (size_t i = 0; i < address_count; i += BURST) {
		p->look(p->table, addresses + i * address_bytes, results, BURST);
		for (unsigned k = 0; k < BURST; k++)
			sum += p->result(results, k) * (uint32_t)(i + k + 1);
	}
	return sum;
}

static double pass(const struct peer *p, unsigned address_bytes)
{
	uint64_t results[BURST];
	double start = now_ns();
	for (size_t i = 0; i < address_count; i += BURST) {
		p->look(p->table, addresses + i * address_bytes, results, BURST);
		asm volatile("" : : "r"(results) : "memory");
	}
	return now_ns() - start;
}

static const struct peer *find(const char *name)
{
	for (unsigned i = 0; i < peer_count; i++)
		if (strcmp(peers[i].name, name) == 0)
			return &peers[i];
	fprintf(stderr, "no peer %s\n", name);
	exit(2);
}

static void serve(unsigned address_bytes)
{
	char line[4096], word[16], argument[4000];
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (sscanf(line, "%15s %3999s", word, argument) != 2)
			continue;
		if (strcmp(word, "stream") == 0) {
			size_t size;
			free(addresses);
			addresses = read_file(argument, &size);
			address_count = size / address_bytes / BURST * BURST;
			printf("addresses %zu\n", address_count);
			continue;
		}
		const struct peer *p = find(argument);
		select_look(p);
		if (strcmp(word, "check") == 0)
			printf("checksum %u\n", check(p, address_bytes));
		else {
			pass(p, address_bytes);
			printf("ns %.0f\n", pass(p, address_bytes));
		}
	}
}

int main(int argc, char **argv)
{
	char *eal[] = { argv[0], "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m", "8192",
			"-l", "0", "--log-level", "error", "--force-max-simd-bitwidth", "512", NULL };
	if (argc < 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	cpu_set_t everywhere; /* the EAL pins its thread; the scheduler may keep choosing, as it does for those compared */
	sched_getaffinity(0, sizeof(everywhere), &everywhere);
	if (rte_eal_init(sizeof(eal) / sizeof(*eal) - 1, eal) < 0)
		return 2;
	sched_setaffinity(0, sizeof(everywhere), &everywhere);

	size_t size;
	routes = read_file(argv[2], &size);
	route_count = size / sizeof(struct route);
	if (argv[1][0] == '4') {
		build_fib(0, RTE_FIB_DIR24_8_1B);
		build_fib(1, RTE_FIB_DIR24_8_2B);
		build_fib(2, RTE_FIB_DIR24_8_4B);
		build_lpm(argc > 3);
	} else {
		build_fib6(1, RTE_FIB6_TRIE_2B);
		build_fib6(2, RTE_FIB6_TRIE_4B);
		build_lpm6();
	}
	printf("done\n");
	serve(argv[1][0] == '4' ? 4 : 16);
	return 0;
}
