/* The compiled network, translated to C by wasm2c, and its linear memory. */
#ifndef MODULE_H
#define MODULE_H

#include <stdbool.h>

#include "network.h"
#include "vrfc_host.h"

struct module {
  Z_network_instance_t instance;
  wasm_rt_memory_t *linear;
  /* First byte that is not given out. */
  uint32_t heap;
};

/* Ends the program where there is no memory, or when the module speaks another binary interface. */
void module_open(struct module *module);
void module_close(struct module *module);

/* Takes bytes for good. Ends the program when there are none. */
uint32_t module_allocate(struct module *module, uint32_t bytes);
uint32_t module_batch(struct module *module, uint32_t capacity, uint32_t slot_size);

static inline uint8_t *module_memory(const struct module *module) { return module->linear->data; }

/* Judges packets 0 .. count-1. Returns how many there are with the copies that chains made. */
static inline uint32_t module_process(struct module *module, uint32_t net, uint32_t batch, uint32_t count) {
  vrfc_set_word(module_memory(module), batch + VRFC_BATCH_HEADER_COUNT, count);
  Z_networkZ_process(&module->instance, net, batch, count);
  return vrfc_word(module_memory(module), batch + VRFC_BATCH_HEADER_COUNT);
}

static inline uint32_t module_trace(struct module *module, uint32_t net, uint32_t batch, uint32_t count) {
  vrfc_set_word(module_memory(module), batch + VRFC_BATCH_HEADER_COUNT, count);
  Z_networkZ_trace(&module->instance, net, batch, count);
  return vrfc_word(module_memory(module), batch + VRFC_BATCH_HEADER_COUNT);
}

#endif
