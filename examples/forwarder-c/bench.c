/*
 * bench FRAMES: the translated module on batches of another program, timed by its own clock. FRAMES holds, little-endian: the namespace,
 * frames of a batch, bytes of a slot, runs until frames are put back, number of frames; then for each frame its device, its length and
 * its bytes. Judges all once, and says on standard output "ready", the number of packets that are sent and a sum over their bytes.
 * Then each line of standard input is a number of runs, and the answer nanoseconds for them all.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "module.h"

enum { NET, BATCH, SLOT, LIVES, FRAMES, WORDS };

static struct module module;
static uint32_t head[WORDS], batches;
static uint32_t *batch_at;
static uint8_t *frames;

static uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Every frame into its slot, as it came. */
static void restore(void) {
  uint8_t *memory = module_memory(&module);
  const uint8_t *at = frames;
  for (uint32_t i = 0; i < head[FRAMES]; i++) {
    const uint32_t batch = batch_at[i / head[BATCH]], place = i % head[BATCH];
    const uint32_t device = vrfc_word(at, 0), length = vrfc_word(at, 4);
    memcpy(memory + vrfc_packet_room(memory, batch, place), at + 8, length);
    vrfc_received(memory, batch, place, device, length);
    at += 8 + length;
  }
}

static void run(void) {
  for (uint32_t b = 0; b < batches; b++) module_process(&module, head[NET], batch_at[b], head[BATCH]);
}

static void read_frames(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL || fread(head, sizeof head, 1, file) != 1 || head[BATCH] == 0 || head[FRAMES] % head[BATCH] != 0) {
    fprintf(stderr, "bench: %s holds no frames, or not whole batches of them\n", path);
    exit(2);
  }
  const long start = ftell(file);
  fseek(file, 0, SEEK_END);
  const size_t bytes = (size_t)(ftell(file) - start);
  fseek(file, start, SEEK_SET);
  frames = malloc(bytes);
  batches = head[FRAMES] / head[BATCH];
  batch_at = malloc(batches * sizeof *batch_at);
  if (frames == NULL || batch_at == NULL || fread(frames, 1, bytes, file) != bytes) exit(1);
  fclose(file);
}

/* How many packets are sent, and what their bytes and devices add up to. */
static void show_first(void) {
  const uint8_t *memory = module_memory(&module);
  uint32_t sent = 0, sum = 0;
  for (uint32_t i = 0; i < head[FRAMES]; i++) {
    const uint32_t batch = batch_at[i / head[BATCH]], place = i % head[BATCH];
    const uint32_t data = vrfc_get(memory, batch, VRFC_COLUMN_DATA, place);
    if (vrfc_get(memory, batch, VRFC_COLUMN_VERDICT, place) != VRFC_VERDICT_TRANSMIT) continue;
    sent++;
    sum = sum * 31 + vrfc_get(memory, batch, VRFC_COLUMN_OUT_DEVICE, place);
    for (uint32_t b = 0; b < vrfc_get(memory, batch, VRFC_COLUMN_LENGTH, place); b++) sum = sum * 31 + memory[data + b];
  }
  printf("ready %" PRIu32 " %" PRIu32 "\n", sent, sum);
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: bench FRAMES\n");
    return 2;
  }
  read_frames(argv[1]);
  module_open(&module);
  for (uint32_t b = 0; b < batches; b++) batch_at[b] = module_batch(&module, head[BATCH], head[SLOT]);
  restore();
  run();
  show_first();
  uint32_t count, lived = 1;
  while (scanf("%" SCNu32, &count) == 1) {
    const uint64_t start = nanoseconds();
    for (uint32_t i = 0; i < count; i++) {
      if (++lived % head[LIVES] == 0) restore();
      run();
    }
    printf("%" PRIu64 "\n", nanoseconds() - start);
    fflush(stdout);
  }
  return 0;
}
