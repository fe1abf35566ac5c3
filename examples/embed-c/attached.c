/*
 * The router with two programs attached that are modules of their own (programs.vrf), all three translated to C by wasm2c: it judges the frames of a file,
 * a line each, and says what the programs have counted.
 *
 *   attached FRAMES        FRAMES: u32 ifindex, u32 length, bytes; again and again
 *
 * A program works in the router's memory and on its packet in flight: it imports both, and the router calls it through a table, at the place that a
 * LINK in a list of a point says. runtime/links does the same for hosts in JavaScript.
 */
#include <stdio.h>

#include "guard.h"
#include "router.h"
#include "scrub.h"
#include "vrfc_host.h"

#include "guard-program.h"
#include "scrub-program.h"

enum { NET = 0, CAPACITY = 1, SLOT_SIZE = 2048, RIGHT = 4 };

/* What a program imports, `vrfc` to it: one of these for each, as each has a state of its own. */
struct Z_vrfc_instance_t {
  Z_router_instance_t *router;
  u32 state;
};
wasm_rt_memory_t *Z_vrfcZ_memory(struct Z_vrfc_instance_t *host) { return Z_routerZ_memory(host->router); }
u32 *Z_vrfcZ_state(struct Z_vrfc_instance_t *host) { return &host->state; }
#define REGISTER(name) \
  u32 *Z_vrfcZ_skbZ2E##name(struct Z_vrfc_instance_t *host) { return Z_routerZ_skbZ2E##name(host->router); }
VRFC_PROGRAM_REGISTERS(REGISTER)

static Z_router_instance_t router;
static uint32_t heap;

static uint8_t *memory(void) { return Z_routerZ_memory(&router)->data; }

/* From the heap, for good; memory may move. */
static uint32_t allocate(uint32_t bytes) {
  wasm_rt_memory_t *linear = Z_routerZ_memory(&router);
  const uint32_t at = heap;
  heap = (heap + bytes + 63u) & ~63u;
  if (heap > linear->size) wasm_rt_grow_memory(linear, (uint32_t)((heap - linear->size + 65535) / 65536));
  return at;
}

/* An entry and what traces, at the end of the router's table. */
static uint32_t place(wasm_rt_function_ptr_t entry, wasm_rt_function_ptr_t traced, void *instance) {
  wasm_rt_funcref_table_t *table = Z_routerZ_programs(&router);
  const uint32_t type = wasm_rt_register_func_type(1, 1, WASM_RT_I32, WASM_RT_I32);
  const wasm_rt_funcref_t both[] = {{type, entry, instance}, {type, traced, instance}};
  const uint32_t at = wasm_rt_grow_funcref_table(table, 2, wasm_rt_funcref_null_value);
  memcpy(table->data + at, both, sizeof both);
  return at;
}

/* Instantiates PROGRAM and puts its ENTRY at POINT of DEVICE; `host` keeps where its state is. */
#define ATTACH(program, PROGRAM, entry, point, device, id) \
  do { \
    static const uint32_t maps[] = {PROGRAM##_MAPS(MAP) 0}; \
    program##_host = (struct Z_vrfc_instance_t){&router, allocate(sizeof program##_state)}; \
    vrfc_place_state(memory(), program##_host.state, program##_state, sizeof program##_state, maps, sizeof maps / 4 - 1); \
    Z_##program##_init_module(); \
    Z_##program##_instantiate(&program, &program##_host); \
    const uint32_t record = allocate(VRFC_LINK_SIZE); \
    const uint32_t at = place((wasm_rt_function_ptr_t)Z_##program##Z_##entry, \
                              (wasm_rt_function_ptr_t)Z_##program##Z_##entry##Z2Etrace, &program); \
    vrfc_link(memory(), NET, point, record, at, device, PROGRAM##_PRIORITY, id); \
  } while (0)
#define MAP(name, offset) offset,

static Z_guard_instance_t guard;
static Z_scrub_instance_t scrub;
static struct Z_vrfc_instance_t guard_host, scrub_host;

static void show_counters(const char *program, uint32_t first, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    printf("%s %u %llu\n", program, i,
           (unsigned long long)vrfc_word64(memory(), first + i * VRFC_FILTER_COUNTER_SIZE + VRFC_FILTER_COUNTER_PACKETS));
}

static int judge(FILE *frames) {
  const uint32_t batch = allocate(vrfc_batch_bytes(CAPACITY, SLOT_SIZE));
  vrfc_batch_init(memory(), batch, CAPACITY, SLOT_SIZE);
  for (uint32_t head[2]; fread(head, sizeof head, 1, frames) == 1;) {
    if (head[1] > SLOT_SIZE - VRFC_HEADROOM) return 1;
    if (fread(memory() + vrfc_packet_room(memory(), batch, 0), 1, head[1], frames) != head[1]) return 1;
    vrfc_received(memory(), batch, 0, head[0], head[1]);
    Z_routerZ_process(&router, NET, batch, 1);
    printf("%u %u %u\n", vrfc_get(memory(), batch, VRFC_COLUMN_VERDICT, 0), vrfc_get(memory(), batch, VRFC_COLUMN_REASON, 0),
           vrfc_get(memory(), batch, VRFC_COLUMN_OUT_DEVICE, 0));
  }
  return 0;
}

int main(int argc, char **argv) {
  static const uint8_t next_hop[16] = {10, 0, 1, 2}, mac[6] = {0x02, 0, 0, 0, 0, 0xb2};
  FILE *frames = argc == 2 ? fopen(argv[1], "rb") : NULL;
  if (frames == NULL) {
    fprintf(stderr, "attached FRAMES\n");
    return 2;
  }
  wasm_rt_init();
  Z_router_init_module();
  Z_router_instantiate(&router);
  heap = vrfc_heap(memory());
  if (!vrfc_fits(memory()) || !vrfc_set_neighbour(memory(), NET, RIGHT, 4, next_hop, mac)) return 1;
#define AT_DEVICE(device) ATTACH(scrub, SCRUB, frame, VRFC_POINT_TC_INGRESS, device, 1);
  SCRUB_DEVICES(AT_DEVICE)
  ATTACH(guard, GUARD, ip, VRFC_POINT_FORWARD_IPV4, 0, 2);
  const int status = judge(frames);
  show_counters("scrub", scrub_host.state + SCRUB_COUNTERS, SCRUB_COUNTER_COUNT);
  show_counters("guard", guard_host.state + GUARD_COUNTERS, GUARD_COUNTER_COUNT);
  fclose(frames);
  Z_guard_free(&guard);
  Z_scrub_free(&scrub);
  Z_router_free(&router);
  wasm_rt_free();
  return status;
}
