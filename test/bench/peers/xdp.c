/*
 * Whole packets by XDP programs (xdp.bpf.c) in BPF_PROG_TEST_RUN, one process that another one asks to run them in turn (../xdp-peer.ts):
 *
 *   xdp OBJECT FOLDER SLOTS SLOT_BYTES
 *
 *   FOLDER/devices   records of struct device and its ifindex     FOLDER/hops     struct hop, by number from 1
 *   FOLDER/routes    u32 vrf, network, length, hop                FOLDER/frames   SLOTS of struct slot
 *
 *   -> ready NAME | skip NAME REASON, for each way; then done
 *   <- check NAME                -> checksum N      of all frames, after each was judged once
 *   <- run NAME                  -> ns X            for all frames
 *
 * `fib` wants to be started in a network namespace that has the routes, rules and neighbours.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/btf.h>
#include <linux/types.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "xdp.h"

struct route {
	uint32_t vrf, network, length, hop;
};

static struct bpf_object *object;
static uint8_t *frames;
static struct slot *pristine;
static size_t slots, slot_bytes;
/* A frame starts with a TTL of 255. */
static int lives;
#define LIVES 200

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(2);
}

static void *read_file(const char *folder, const char *name, size_t *size)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		fail(path);
	fseek(f, 0, SEEK_END);
	*size = ftell(f);
	rewind(f);
	void *bytes = malloc(*size + 1);
	if (bytes == NULL || fread(bytes, 1, *size, f) != *size)
		fail(path);
	fclose(f);
	return bytes;
}

static void *global(const char *name, size_t *size)
{
	struct bpf_map *map = NULL;
	bpf_object__for_each_map(map, object) if (strstr(bpf_map__name(map), name) != NULL)
	{
		*size = bpf_map__value_size(map);
		void *at = mmap(NULL, (*size + 4095) & ~4095ul, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
		return at == MAP_FAILED ? NULL : at;
	}
	return NULL;
}

static void restore(void)
{
	for (size_t i = 0; i < slots; i++)
		memcpy(frames + i * slot_bytes, &pristine[i], sizeof *pristine);
	lives = LIVES;
}

static double run(const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);
	static uint8_t in[64], out[4096];
	if (lives-- == 0)
		restore();
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = 60, .data_out = out,
		    .data_size_out = sizeof out, .repeat = slots);
	if (bpf_prog_test_run_opts(bpf_program__fd(program), &options) != 0)
		fail("BPF_PROG_TEST_RUN");
	/* Whole nanoseconds a run; the kernel's clock stands still while it lets other processes run. */
	return (double)options.duration * slots;
}

static uint32_t checksum(void)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < slots; i++)
		for (int w = 0; w < 15; w++) {
			uint32_t word;
			memcpy(&word, frames + i * slot_bytes + offsetof(struct slot, bytes) + 4 * w, 4);
			sum = sum * 31 + word;
		}
	return sum;
}

/* Routes come shortest first, so that longer ones write over them. */
static void fill(const struct route *routes, size_t count, uint16_t (*cells)[1 << 24], uint16_t (*blocks)[256])
{
	struct bpf_map *trie = bpf_object__find_map_by_name(object, "routes");
	uint32_t used = 0;
	for (size_t i = 0; i < count; i++) {
		const struct route *r = &routes[i];
		const uint32_t key[3] = { 32 + r->length, r->vrf, htobe32(r->network) };
		if (bpf_map_update_elem(bpf_map__fd(trie), key, &r->hop, BPF_ANY) != 0)
			fail("LPM_TRIE");
		uint16_t *own = cells[r->vrf];
		if (r->length <= 24) {
			for (uint32_t c = 0; c < 1u << (24 - r->length); c++)
				own[(r->network >> 8) + c] = r->hop;
			continue;
		}
		uint16_t *cell = &own[r->network >> 8];
		if (!(*cell & LONG)) {
			if (used == LONG_BLOCKS)
				fail("too many blocks of long prefixes");
			for (int c = 0; c < 256; c++)
				blocks[used][c] = *cell;
			*cell = LONG | used++;
		}
		for (uint32_t c = 0; c < 1u << (32 - r->length); c++)
			blocks[*cell & (LONG_BLOCKS - 1)][(r->network & 255) + c] = r->hop;
	}
}

/* Where a global stands in its map. */
static void *place(void *bss, const char *name)
{
	const struct btf *btf = bpf_object__btf(object);
	int id = btf__find_by_name_kind(btf, ".bss", BTF_KIND_DATASEC);
	const struct btf_type *section = btf__type_by_id(btf, id);
	const struct btf_var_secinfo *var = btf_var_secinfos(section);
	for (int i = 0; i < btf_vlen(section); i++)
		if (strcmp(btf__name_by_offset(btf, btf__type_by_id(btf, var[i].type)->name_off), name) == 0)
			return (uint8_t *)bss + var[i].offset;
	fail(name);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	/* A map whose values have another size than in its BTF is said to be made without. */
	libbpf_set_print(NULL);
	slots = strtoul(argv[3], NULL, 10);
	slot_bytes = strtoul(argv[4], NULL, 10);
	object = bpf_object__open_file(argv[1], NULL);
	if (object == NULL)
		fail(argv[1]);
	struct bpf_map *map = bpf_object__find_map_by_name(object, "frames");
	bpf_map__set_value_size(map, slot_bytes);
	bpf_map__set_max_entries(map, slots);
	if (bpf_object__load(object) != 0)
		fail("bpf(2)");
	size_t size, count;
	frames = mmap(NULL, slots * slot_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	uint8_t *bss = global(".bss", &size);
	if (frames == MAP_FAILED || bss == NULL)
		fail("mmap");
	struct {
		uint32_t ifindex;
		struct device device;
	} *devices = read_file(argv[2], "devices", &size);
	struct device *known = place(bss, "devices");
	for (size_t i = 0; i < size / sizeof *devices; i++)
		known[devices[i].ifindex] = devices[i].device;
	struct hop *hops = read_file(argv[2], "hops", &size);
	memcpy((struct hop *)place(bss, "hops") + 1, hops, size);
	struct route *routes = read_file(argv[2], "routes", &count);
	fill(routes, count / sizeof *routes, place(bss, "cells"), place(bss, "long_cells"));
	pristine = read_file(argv[2], "frames", &size);
	uint32_t *wrap = global(".data", &size);
	if (wrap == NULL)
		fail("mmap");
	*wrap = slots;
	for (int i = 0; i < 4; i++)
		printf("ready %s\n", ((const char *[]){ "floor_of", "dir24", "trie", "fib" })[i]);
	puts("done");
	fflush(stdout);
	char command[16], name[32];
	while (scanf("%15s %31s", command, name) == 2) {
		if (strcmp(command, "check") == 0) {
			restore();
			run(name);
			printf("checksum %u\n", checksum());
		} else {
			printf("ns %.0f\n", run(name));
		}
		fflush(stdout);
	}
	return 0;
}
