/*
 * A forwarder in C, as small as it gets: the module that vrfc made of router.vrf, translated to C by wasm2c, judges two frames.
 * What a real one does with the verdicts stands in runtime/verdict.ts.
 */
#include <stdio.h>

#include "router.h"
#include "vrfc_host.h"

enum { LEFT = 3, RIGHT = 4, CAPACITY = 256, SLOT_SIZE = 2048 };

/* An IPv4 header with nothing in it, to 192.0.2.1, from 10.0.0.2 by `left`. */
static const uint8_t frame[] = {
    0x02, 0, 0, 0, 0, 0x03, 0x02, 0, 0, 0, 0, 0x02, 0x08, 0x00,                                             /* Ethernet */
    0x45, 0, 0, 20, 0, 0, 0x40, 0, 64, 17, 0x6e, 0xd6, 10, 0, 0, 2, 192, 0, 2, 1,                           /* IPv4 */
};

static void show(const uint8_t *memory, uint32_t batch, uint32_t i) {
  const uint32_t verdict = vrfc_get(memory, batch, VRFC_COLUMN_VERDICT, i);
  const uint8_t *bytes = memory + vrfc_get(memory, batch, VRFC_COLUMN_DATA, i);
  if (verdict == VRFC_VERDICT_TRANSMIT)
    printf("send %u bytes out of device %u to %02x:%02x:%02x:%02x:%02x:%02x, ttl %u\n",
           vrfc_get(memory, batch, VRFC_COLUMN_LENGTH, i), vrfc_get(memory, batch, VRFC_COLUMN_OUT_DEVICE, i), bytes[0],
           bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[22]);
  else if (verdict == VRFC_VERDICT_UNRESOLVED)
    printf("ask for the link-layer address of the next hop on device %u\n",
           vrfc_get(memory, batch, VRFC_COLUMN_OUT_DEVICE, i));
  else
    printf("verdict %u, reason %u\n", verdict, vrfc_get(memory, batch, VRFC_COLUMN_REASON, i));
}

int main(void) {
  static Z_router_instance_t router;
  static const uint8_t next_hop[16] = {10, 0, 1, 2}, mac[6] = {0x02, 0, 0, 0, 0, 0xb2};
  wasm_rt_init();
  Z_router_init_module();
  Z_router_instantiate(&router);
  wasm_rt_memory_t *linear = Z_routerZ_memory(&router);
  if (!vrfc_fits(linear->data)) {
    fprintf(stderr, "router.wasm speaks another binary interface than vrfc.h\n");
    return 1;
  }
  const uint32_t batch = vrfc_heap(linear->data);
  const uint64_t end = (uint64_t)batch + vrfc_batch_bytes(CAPACITY, SLOT_SIZE);
  if (end > linear->size && wasm_rt_grow_memory(linear, (uint32_t)((end - linear->size + 65535) / 65536)) == UINT32_MAX) {
    fprintf(stderr, "no memory for a batch\n");
    return 1;
  }
  uint8_t *memory = linear->data;
  vrfc_batch_init(memory, batch, CAPACITY, SLOT_SIZE);

  for (int known = 0; known < 2; known++) {
    if (known && !vrfc_set_neighbour(memory, 0, RIGHT, 4, next_hop, mac)) return 1;
    memcpy(memory + vrfc_packet_room(memory, batch, 0), frame, sizeof frame);
    vrfc_received(memory, batch, 0, LEFT, sizeof frame);
    Z_routerZ_process(&router, 0, batch, 1);
    show(memory, batch, 0);
  }
  printf("sent %llu\n", (unsigned long long)vrfc_verdicts(memory, 0, VRFC_VERDICT_TRANSMIT));
  Z_router_free(&router);
  wasm_rt_free();
  return 0;
}
