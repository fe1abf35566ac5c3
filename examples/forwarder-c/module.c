#include "module.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 65536, CACHE_LINE = 64 };

void module_open(struct module *module) {
  wasm_rt_init();
  Z_network_init_module();
  Z_network_instantiate(&module->instance);
  module->linear = Z_networkZ_memory(&module->instance);
  if (!vrfc_fits(module->linear->data)) {
    fprintf(stderr, "network.wasm speaks another binary interface than vrfc.h\n");
    exit(1);
  }
  module->heap = vrfc_heap(module->linear->data);
}

void module_close(struct module *module) {
  Z_network_free(&module->instance);
  wasm_rt_free();
}

uint32_t module_allocate(struct module *module, uint32_t bytes) {
  const uint32_t offset = (module->heap + CACHE_LINE - 1) & ~(uint32_t)(CACHE_LINE - 1);
  const uint64_t end = (uint64_t)offset + bytes;
  const uint64_t missing = end > module->linear->size ? end - module->linear->size : 0;
  if (missing > 0 && wasm_rt_grow_memory(module->linear, (uint32_t)((missing + PAGE - 1) / PAGE)) == UINT32_MAX) {
    fprintf(stderr, "no memory: %u bytes asked for\n", bytes);
    exit(1);
  }
  module->heap = (uint32_t)end;
  return offset;
}

uint32_t module_batch(struct module *module, uint32_t capacity, uint32_t slot_size) {
  const uint32_t batch = module_allocate(module, vrfc_batch_bytes(capacity, slot_size));
  vrfc_batch_init(module_memory(module), batch, capacity, slot_size);
  return batch;
}
