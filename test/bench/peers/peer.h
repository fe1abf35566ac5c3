/* What peers in C have in common: a clock, and files read whole. */
#ifndef VRFC_BENCH_PEER_H
#define VRFC_BENCH_PEER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* The file's bytes at a multiple of 64, with room behind them. */
static void *read_file(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL) {
		perror(path);
		exit(2);
	}
	fseek(f, 0, SEEK_END);
	*size = ftell(f);
	rewind(f);
	void *bytes = aligned_alloc(64, (*size + 127) & ~(size_t)63);
	if (bytes == NULL || fread(bytes, 1, *size, f) != *size) {
		fprintf(stderr, "%s: cannot read\n", path);
		exit(2);
	}
	fclose(f);
	return bytes;
}

#endif
