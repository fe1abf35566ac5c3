/*
 * judge REQUESTS ANSWERS: the compiled network as an oracle, for whoever drives batches from outside. A request is five words, little-
 * endian: 0 (process) or 1 (trace), namespace, offset of the batch, packets, bytes; then as many bytes of linear memory, from 0 on. The
 * answer is these bytes after the call.
 */
#include <stdio.h>
#include <stdlib.h>

#include "module.h"

int main(int argc, char **argv) {
  enum { PROCESS, TRACE, WHAT = 0, NET, BATCH, COUNT, BYTES, WORDS };
  static struct module module;
  uint32_t request[WORDS];
  FILE *requests = argc == 3 ? fopen(argv[1], "rb") : NULL, *answers = requests == NULL ? NULL : fopen(argv[2], "wb");
  if (answers == NULL) {
    fprintf(stderr, "usage: judge REQUESTS ANSWERS (named pipes)\n");
    return 2;
  }
  module_open(&module);
  while (fread(request, sizeof request, 1, requests) == 1) {
    const uint32_t bytes = request[BYTES];
    if (bytes > module.linear->size) {
      module.heap = (uint32_t)module.linear->size;
      module_allocate(&module, bytes - module.heap);
    }
    if (fread(module_memory(&module), 1, bytes, requests) != bytes) return 1;
    if (request[WHAT] == PROCESS) module_process(&module, request[NET], request[BATCH], request[COUNT]);
    else module_trace(&module, request[NET], request[BATCH], request[COUNT]);
    if (fwrite(module_memory(&module), 1, bytes, answers) != bytes || fflush(answers) != 0) return 1;
  }
  module_close(&module);
  return 0;
}
