/*
 * DPDK's rte_acl with all its methods, one process that another one asks to run them in turn (chains.ts):
 *
 *   acl FAMILY RULES             4 or 6; records of 44 bytes, little endian: u32 src[4], u32 dst[4] (IPv4: their first words), u16 sport first,
 *                                last, u16 dport first, last, u8 src length, dst length, protocol, its mask; the first match wins
 *
 *   -> ready NAME BUILD_MS BYTES AGAIN_MS    one line for each method and burst that this processor has, `skip NAME REASON` for the others;
 *                                AGAIN_MS: the build repeated for half a second, five times at least, median of the last five
 *   -> done
 *   <- stream FILE               frames of 64 bytes, Ethernet and IP without options, then ports; each gets a place of 128 bytes
 *   -> addresses COUNT
 *   <- check NAME                -> checksum N      sum of (rule + 1) * (index + 1) modulo 2^32
 *   <- run NAME                  -> ns X            for all frames
 *
 * As DPDK's l3fwd-acl does it, keys are the bytes of the frames where they stand: a burst is an array of pointers to the protocol byte of
 * IP headers, filled within the time, and no field is packed. Nothing is asked of a frame besides. Each match counts a packet and its bytes.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_acl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "peer.h"

#define MOST_BURST 256
#define FRAME 64
#define PLACE 128

struct rule {
	uint32_t src[4], dst[4];
	uint16_t sport[2], dport[2];
	uint8_t src_length, dst_length, protocol, protocol_mask;
};

/* Where in a frame the protocol stands, and from there on the source, with the destination and the ports behind it. */
struct family {
	unsigned words, protocol_at, source;
};
static const struct family ipv4 = { 1, 23, 3 }, ipv6 = { 4, 20, 2 };
static const struct family *family;

/* A field for the protocol, one for each word of the addresses, two for the ports. */
#define MOST_FIELDS (1 + 2 * 4 + 2)

RTE_ACL_RULE_DEF(acl_rule, MOST_FIELDS);

static unsigned define(struct rte_acl_field_def *defs)
{
	unsigned count = 0, at = family->source;
	defs[count++] = (struct rte_acl_field_def){ .type = RTE_ACL_FIELD_TYPE_BITMASK, .size = 1 };
	for (unsigned w = 0; w < 2 * family->words; w++, count++, at += 4)
		defs[count] = (struct rte_acl_field_def){ .type = RTE_ACL_FIELD_TYPE_MASK, .size = 4,
			.field_index = count, .input_index = count, .offset = at };
	for (unsigned port = 0; port < 2; port++, count++, at += 2)
		defs[count] = (struct rte_acl_field_def){ .type = RTE_ACL_FIELD_TYPE_RANGE, .size = 2,
			.field_index = count, .input_index = 2 * family->words + 1, .offset = at };
	return count;
}

/* The words of a prefix, each with its own length. */
static struct rte_acl_field *prefix(struct rte_acl_field *field, const uint32_t *address, int length)
{
	for (unsigned w = 0; w < family->words; w++, field++, length -= 32) {
		field->value.u32 = address[w];
		field->mask_range.u32 = length < 0 ? 0 : length > 32 ? 32 : length;
	}
	return field;
}

static struct rte_acl_field *range(struct rte_acl_field *field, const uint16_t *port)
{
	field->value.u16 = port[0];
	field->mask_range.u16 = port[1];
	return field + 1;
}

struct counter {
	uint64_t packets, bytes;
};

struct peer {
	char name[48];
	enum rte_acl_classify_alg alg;
	unsigned burst;
};

static struct peer peers[32];
static unsigned peer_count;
static struct rte_acl_ctx *ctx;
static struct counter *counters;
static uint8_t *frames;
static size_t frame_count;

static size_t heap_bytes(void)
{
	struct rte_malloc_socket_stats stats;
	rte_malloc_get_socket_stats(0, &stats);
	return stats.heap_allocsz_bytes;
}

#define AGAIN 5

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* What was built before is freed within the time, as it would be. */
static double build_ms(const struct rte_acl_config *config)
{
	double start = now_ns();
	if (ctx == NULL || rte_acl_build(ctx, config) != 0) {
		fprintf(stderr, "rte_acl does not build: %s\n", rte_strerror(rte_errno));
		exit(2);
	}
	return (now_ns() - start) / 1e6;
}

/* The rules themselves, which only the build reads, are not among the bytes. */
static void build(const struct rule *rules, size_t count)
{
	struct rte_acl_config config = { .num_categories = 1 };
	config.num_fields = define(config.defs);
	struct rte_acl_param param = {
		.name = "acl", .socket_id = SOCKET_ID_ANY, .rule_size = RTE_ACL_RULE_SZ(config.num_fields), .max_rule_num = count,
	};
	ctx = rte_acl_create(&param);
	for (size_t i = 0; i < count && ctx != NULL; i++) {
		const struct rule *r = &rules[i];
		struct acl_rule a = { .data = { .category_mask = 1, .priority = count - i, .userdata = i + 1 } };
		a.field[0].value.u8 = r->protocol;
		a.field[0].mask_range.u8 = r->protocol_mask;
		range(range(prefix(prefix(a.field + 1, r->src, r->src_length), r->dst, r->dst_length), r->sport), r->dport);
		if (rte_acl_add_rules(ctx, (struct rte_acl_rule *)&a, 1) != 0) {
			fprintf(stderr, "rte_acl refuses rule %zu\n", i);
			exit(2);
		}
	}
	size_t before = heap_bytes();
	double ms = build_ms(&config);
	size_t bytes = heap_bytes() - before;
	double again[AGAIN], since = now_ns();
	for (size_t i = 0; i < AGAIN || now_ns() - since < 5e8; i++)
		again[i % AGAIN] = build_ms(&config);
	qsort(again, AGAIN, sizeof(*again), ascending);
	static const struct { const char *name; enum rte_acl_classify_alg alg; } methods[] = {
		{ "scalar", RTE_ACL_CLASSIFY_SCALAR }, { "sse", RTE_ACL_CLASSIFY_SSE }, { "avx2", RTE_ACL_CLASSIFY_AVX2 },
		{ "avx512x16", RTE_ACL_CLASSIFY_AVX512X16 }, { "avx512x32", RTE_ACL_CLASSIFY_AVX512X32 },
	};
	for (unsigned m = 0; m < sizeof(methods) / sizeof(*methods); m++)
		for (unsigned burst = 32; burst <= MOST_BURST; burst *= 8) {
			struct peer *p = &peers[peer_count];
			snprintf(p->name, sizeof(p->name), "rte_acl-%s-b%u", methods[m].name, burst);
			p->alg = methods[m].alg;
			p->burst = burst;
			if (rte_acl_set_ctx_classify(ctx, p->alg) != 0) {
				printf("skip %s this processor does not have it\n", p->name);
				continue;
			}
			printf("ready %s %.3g %zu %.3g\n", p->name, ms, bytes, again[AGAIN / 2]);
			peer_count++;
		}
}

static void classify(const struct peer *p, size_t from, uint32_t *results)
{
	const uint8_t *data[MOST_BURST];
	for (unsigned k = 0; k < p->burst; k++)
		data[k] = frames + (from + k) * PLACE + family->protocol_at;
	rte_acl_classify_alg(ctx, data, results, p->burst, 1, p->alg);
}

static uint32_t check(const struct peer *p)
{
	uint32_t results[MOST_BURST];
	uint32_t sum = 0;
	for (size_t i = 0; i < frame_count; i += p->burst) {
		classify(p, i, results);
		for (unsigned k = 0; k < p->burst; k++)
			sum += results[k] * (uint32_t)(i + k + 1);
	}
	return sum;
}

static double run(const struct peer *p)
{
	uint32_t results[MOST_BURST];
	double start = now_ns();
	for (size_t i = 0; i < frame_count; i += p->burst) {
		classify(p, i, results);
		for (unsigned k = 0; k < p->burst; k++) {
			counters[results[k]].packets += 1;
			counters[results[k]].bytes += FRAME;
		}
	}
	double ns = now_ns() - start;
	asm volatile("" : : "r"(counters) : "memory");
	return ns;
}

static void stream(const char *path)
{
	size_t size;
	uint8_t *packed = read_file(path, &size);
	frame_count = size / FRAME / MOST_BURST * MOST_BURST;
	free(frames);
	frames = aligned_alloc(64, frame_count * PLACE);
	for (size_t i = 0; i < frame_count; i++)
		memcpy(frames + i * PLACE, packed + i * FRAME, FRAME);
	free(packed);
	printf("addresses %zu\n", frame_count);
}

static const struct peer *find(const char *name)
{
	for (unsigned i = 0; i < peer_count; i++)
		if (strcmp(peers[i].name, name) == 0)
			return &peers[i];
	fprintf(stderr, "no peer %s\n", name);
	exit(2);
}

static void serve(void)
{
	char line[4096], word[16], argument[4000];
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (sscanf(line, "%15s %3999s", word, argument) != 2)
			continue;
		if (strcmp(word, "stream") == 0)
			stream(argument);
		else if (strcmp(word, "check") == 0)
			printf("checksum %u\n", check(find(argument)));
		else
			printf("ns %.0f\n", run(find(argument)));
	}
}

int main(int argc, char **argv)
{
	char *eal[] = { argv[0], "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m", "1024",
			"-l", "0", "--log-level", "error", "--force-max-simd-bitwidth", "512", NULL };
	if (argc < 3)
		return 2;
	family = argv[1][0] == '6' ? &ipv6 : &ipv4;
	setvbuf(stdout, NULL, _IOLBF, 0);
	cpu_set_t everywhere; /* the EAL pins its thread; the scheduler may keep choosing, as it does for those compared */
	sched_getaffinity(0, sizeof(everywhere), &everywhere);
	if (rte_eal_init(sizeof(eal) / sizeof(*eal) - 1, eal) < 0)
		return 2;
	sched_setaffinity(0, sizeof(everywhere), &everywhere);
	size_t size;
	struct rule *rules = read_file(argv[2], &size);
	counters = calloc(size / sizeof(*rules) + 1, sizeof(*counters));
	build(rules, size / sizeof(*rules));
	printf("done\n");
	serve();
	return 0;
}
