/*
 * What every C host does with a module's memory: batches, counters, neighbours. The twin of runtime/batch.ts and
 * runtime/neighbour.ts; no allocation, no dependency but vrfc.h.
 *
 *   uint8_t *memory   linear memory, as the host's wasm engine gives it; may move when it grows, so it is asked for anew each time
 *   offsets           u32, from the start of linear memory
 */
#ifndef VRFC_HOST_H
#define VRFC_HOST_H

#include <stdint.h>
#include <string.h>

#include "vrfc.h"

/* Memory is little-endian, and so must the host be. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "vrfc_host.h reads linear memory as it lies: little-endian hosts only"
#endif

static inline uint32_t vrfc_word(const uint8_t *memory, uint32_t offset) {
  uint32_t value;
  memcpy(&value, memory + offset, 4);
  return value;
}

static inline void vrfc_set_word(uint8_t *memory, uint32_t offset, uint32_t value) { memcpy(memory + offset, &value, 4); }

static inline uint64_t vrfc_word64(const uint8_t *memory, uint32_t offset) {
  uint64_t value;
  memcpy(&value, memory + offset, 8);
  return value;
}

/* Whether the memory is that of a module which this header describes. */
static inline int vrfc_fits(const uint8_t *memory) {
  return vrfc_word(memory, VRFC_IMAGE_MAGIC) == VRFC_MAGIC &&
         vrfc_word(memory, VRFC_IMAGE_VERSION) == VRFC_ABI_VERSION;
}

/* First byte that is the host's, rounded up to a cache line. */
static inline uint32_t vrfc_heap(const uint8_t *memory) { return (vrfc_word(memory, VRFC_IMAGE_HEAP) + 63u) & ~63u; }

/* ---- batches */

static inline uint32_t vrfc_slots_offset(uint32_t capacity) {
  return (VRFC_BATCH_HEADER_SIZE + VRFC_COLUMNS * capacity * 4u + 63u) & ~63u;
}

/* Bytes that a batch occupies. */
static inline uint32_t vrfc_batch_bytes(uint32_t capacity, uint32_t slot_size) {
  return vrfc_slots_offset(capacity) + capacity * slot_size;
}

/* `batch` with vrfc_batch_bytes of room behind it. */
static inline void vrfc_batch_init(uint8_t *memory, uint32_t batch, uint32_t capacity, uint32_t slot_size) {
  memset(memory + batch, 0, vrfc_slots_offset(capacity));
  vrfc_set_word(memory, batch + VRFC_BATCH_HEADER_CAPACITY, capacity);
  vrfc_set_word(memory, batch + VRFC_BATCH_HEADER_SLOT_SIZE, slot_size);
  vrfc_set_word(memory, batch + VRFC_BATCH_HEADER_SLOTS, batch + vrfc_slots_offset(capacity));
}

/* Offset of packet `i`'s field in a column, VRFC_COLUMN_*. */
static inline uint32_t vrfc_cell(const uint8_t *memory, uint32_t batch, uint32_t column, uint32_t i) {
  return batch + VRFC_BATCH_HEADER_SIZE + (column * vrfc_word(memory, batch + VRFC_BATCH_HEADER_CAPACITY) + i) * 4u;
}

static inline uint32_t vrfc_get(const uint8_t *memory, uint32_t batch, uint32_t column, uint32_t i) {
  return vrfc_word(memory, vrfc_cell(memory, batch, column, i));
}

static inline void vrfc_set(uint8_t *memory, uint32_t batch, uint32_t column, uint32_t i, uint32_t value) {
  vrfc_set_word(memory, vrfc_cell(memory, batch, column, i), value);
}

/* Where the bytes of packet `i` are to be put: room for slot_size - VRFC_HEADROOM of them. */
static inline uint32_t vrfc_packet_room(const uint8_t *memory, uint32_t batch, uint32_t i) {
  return vrfc_word(memory, batch + VRFC_BATCH_HEADER_SLOTS) + i * vrfc_word(memory, batch + VRFC_BATCH_HEADER_SLOT_SIZE) +
         VRFC_HEADROOM;
}

/* A frame of `length` bytes at vrfc_packet_room, received by the device with this ifindex: packet `i`. */
static inline void vrfc_received(uint8_t *memory, uint32_t batch, uint32_t i, uint32_t ifindex, uint32_t length) {
  for (uint32_t column = 0; column < VRFC_COLUMN_VERDICT; column++) vrfc_set(memory, batch, column, i, 0);
  vrfc_set(memory, batch, VRFC_COLUMN_ENTRY, i, VRFC_ENTRY_RECEIVE);
  vrfc_set(memory, batch, VRFC_COLUMN_DEVICE, i, ifindex);
  vrfc_set(memory, batch, VRFC_COLUMN_DATA, i, vrfc_packet_room(memory, batch, i));
  vrfc_set(memory, batch, VRFC_COLUMN_LENGTH, i, length);
}

/* ---- devices, counters and neighbours of a namespace, by its number in the manifest */

static inline uint32_t vrfc_net(const uint8_t *memory, uint32_t net) {
  return vrfc_word(memory, VRFC_IMAGE_NETS_OFFSET) + net * VRFC_NET_SIZE;
}

/* Offset of the DEVICE record with this ifindex, 0: none. */
static inline uint32_t vrfc_device(const uint8_t *memory, uint32_t net, uint32_t ifindex) {
  const uint32_t first = vrfc_word(memory, vrfc_net(memory, net) + VRFC_NET_DEVICES);
  const uint32_t count = vrfc_word(memory, vrfc_net(memory, net) + VRFC_NET_DEVICE_COUNT);
  for (uint32_t i = 0; i < count; i++)
    if (vrfc_word(memory, first + i * VRFC_DEVICE_SIZE + VRFC_DEVICE_IFINDEX) == ifindex) return first + i * VRFC_DEVICE_SIZE;
  return 0;
}

static inline uint64_t vrfc_verdicts(const uint8_t *memory, uint32_t net, enum vrfc_verdict verdict) {
  return vrfc_word64(memory, vrfc_word(memory, vrfc_net(memory, net) + VRFC_NET_COUNTERS) + VRFC_COUNTERS_VERDICTS + verdict * 8u);
}

static inline uint64_t vrfc_drops(const uint8_t *memory, uint32_t net, enum vrfc_drop_reason reason) {
  return vrfc_word64(memory, vrfc_word(memory, vrfc_net(memory, net) + VRFC_NET_COUNTERS) + VRFC_COUNTERS_REASONS + reason * 8u);
}

static inline uint32_t vrfc_neighbours(const uint8_t *memory, uint32_t net) {
  return vrfc_word(memory, vrfc_net(memory, net) + VRFC_NET_NEIGHBOURS);
}

/* Counts a change of the table, from `count` on: next hops remember MACs for as long as it is the same. */
static inline void vrfc_count_change(uint8_t *memory, uint32_t table, uint32_t count) {
  vrfc_set_word(memory, table + VRFC_NEIGHBOUR_TABLE_CHANGES, count == VRFC_MOST_CHANGES ? 1 : count + 1);
}

/* To be called behind a change of a device's flags, MTU or MAC, which next hops remember too. */
static inline void vrfc_device_changed(uint8_t *memory, uint32_t net) {
  const uint32_t table = vrfc_neighbours(memory, net);
  vrfc_count_change(memory, table, vrfc_word(memory, table + VRFC_NEIGHBOUR_TABLE_CHANGES));
}

/* Bytes of a table of `slots` slots, a power of two. */
static inline uint32_t vrfc_neighbour_bytes(uint32_t slots) { return VRFC_NEIGHBOUR_TABLE_SLOTS + slots * VRFC_NEIGHBOUR_SIZE; }

/* The entry's slot; where there is none, the free slot that ends the search. */
static inline uint32_t vrfc_neighbour_slot(const uint8_t *memory, uint32_t table, uint32_t ifindex, uint32_t family,
                                           const uint8_t address[16]) {
  const uint32_t mask = vrfc_word(memory, table + VRFC_NEIGHBOUR_TABLE_MASK);
  uint32_t hash = ifindex;
  for (int i = 0; i < 4; i++) {
    uint32_t word;
    memcpy(&word, address + 4 * i, 4);
    hash ^= word;
  }
  hash = (hash ^ (hash >> 16)) * VRFC_NEIGHBOUR_HASH_FACTOR;
  for (uint32_t at = hash ^ (hash >> 16);; at++) {
    const uint32_t slot = table + VRFC_NEIGHBOUR_TABLE_SLOTS + (at & mask) * VRFC_NEIGHBOUR_SIZE;
    const uint32_t owner = vrfc_word(memory, slot + VRFC_NEIGHBOUR_DEVICE);
    if (owner == 0) return slot;
    if (owner == ifindex && vrfc_word(memory, slot + VRFC_NEIGHBOUR_FAMILY) == family &&
        memcmp(memory + slot + VRFC_NEIGHBOUR_ADDRESS, address, 16) == 0)
      return slot;
  }
}

static inline int vrfc_neighbour_put(uint8_t *memory, uint32_t table, uint32_t ifindex, uint32_t family,
                                     const uint8_t address[16], const uint8_t mac[6]) {
  const uint32_t slots = vrfc_word(memory, table + VRFC_NEIGHBOUR_TABLE_MASK) + 1;
  const uint32_t used = vrfc_word(memory, table + VRFC_NEIGHBOUR_TABLE_USED);
  const uint32_t slot = vrfc_neighbour_slot(memory, table, ifindex, family, address);
  const int fresh = vrfc_word(memory, slot + VRFC_NEIGHBOUR_DEVICE) == 0;
  if (fresh && (used + 1) * 2 > slots) return 0;
  vrfc_set_word(memory, slot + VRFC_NEIGHBOUR_FAMILY, family);
  memcpy(memory + slot + VRFC_NEIGHBOUR_MAC, mac, 6);
  memcpy(memory + slot + VRFC_NEIGHBOUR_ADDRESS, address, 16);
  if (fresh) vrfc_set_word(memory, table + VRFC_NEIGHBOUR_TABLE_USED, used + 1);
  /* The device comes last: from here on searches find it. */
  vrfc_set_word(memory, slot + VRFC_NEIGHBOUR_DEVICE, ifindex);
  vrfc_count_change(memory, table, vrfc_word(memory, table + VRFC_NEIGHBOUR_TABLE_CHANGES));
  return 1;
}

/*
 * Learns a link-layer address. `address`: 16 bytes as on the wire, IPv4 in the first 4, the rest 0; `family`: 4 or 6.
 * Returns 0 when half of the slots are taken: searches would grow long, and the host gives the table more room (vrfc_move_neighbours).
 */
static inline int vrfc_set_neighbour(uint8_t *memory, uint32_t net, uint32_t ifindex, uint32_t family,
                                     const uint8_t address[16], const uint8_t mac[6]) {
  return vrfc_neighbour_put(memory, vrfc_neighbours(memory, net), ifindex, family, address, mac);
}

/* Forgets one. Its slot stays taken until the table is moved. */
static inline void vrfc_forget_neighbour(uint8_t *memory, uint32_t net, uint32_t ifindex, uint32_t family,
                                         const uint8_t address[16]) {
  const uint32_t table = vrfc_neighbours(memory, net);
  const uint32_t slot = vrfc_neighbour_slot(memory, table, ifindex, family, address);
  if (vrfc_word(memory, slot + VRFC_NEIGHBOUR_DEVICE) == 0) return;
  vrfc_set_word(memory, slot + VRFC_NEIGHBOUR_DEVICE, VRFC_NEIGHBOUR_GONE);
  vrfc_count_change(memory, table, vrfc_word(memory, table + VRFC_NEIGHBOUR_TABLE_CHANGES));
}

/* Moves the table to vrfc_neighbour_bytes(slots) at `table`, which has at least twice as many slots as there are neighbours. */
static inline void vrfc_move_neighbours(uint8_t *memory, uint32_t net, uint32_t table, uint32_t slots) {
  const uint32_t old = vrfc_neighbours(memory, net);
  const uint32_t count = vrfc_word(memory, old + VRFC_NEIGHBOUR_TABLE_MASK) + 1;
  memset(memory + table, 0, vrfc_neighbour_bytes(slots));
  vrfc_set_word(memory, table + VRFC_NEIGHBOUR_TABLE_MASK, slots - 1);
  vrfc_count_change(memory, table, vrfc_word(memory, old + VRFC_NEIGHBOUR_TABLE_CHANGES));
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t slot = old + VRFC_NEIGHBOUR_TABLE_SLOTS + i * VRFC_NEIGHBOUR_SIZE;
    const uint32_t owner = vrfc_word(memory, slot + VRFC_NEIGHBOUR_DEVICE);
    if (owner != 0 && owner != VRFC_NEIGHBOUR_GONE)
      vrfc_neighbour_put(memory, table, owner, vrfc_word(memory, slot + VRFC_NEIGHBOUR_FAMILY),
                         memory + slot + VRFC_NEIGHBOUR_ADDRESS, memory + slot + VRFC_NEIGHBOUR_MAC);
  }
  /* From here on the program finds the new one. */
  vrfc_set_word(memory, vrfc_net(memory, net) + VRFC_NET_NEIGHBOURS, table);
}

/* ---- programs attached: their modules' state, and the lists that packets find them by (runtime/links) */

/* The state of a program as it begins, at `state`, a multiple of 64, with its `bytes` to itself. `maps`: the MAP records in it. */
static inline void vrfc_place_state(uint8_t *memory, uint32_t state, const uint8_t *initial, uint32_t bytes,
                                    const uint32_t *maps, uint32_t count) {
  static const uint32_t places[] = {VRFC_MAP_STRUCTURE, VRFC_MAP_VALUES, VRFC_MAP_COLUMNS};
  memcpy(memory + state, initial, bytes);
  vrfc_set_word(memory, state + VRFC_STATE_SELF, state);
  for (uint32_t i = 0; i < count; i++)
    for (uint32_t p = 0; p < sizeof places / sizeof *places; p++) {
      const uint32_t at = state + maps[i] + places[p];
      const uint32_t offset = vrfc_word(memory, at);
      if (offset != 0) vrfc_set_word(memory, at, state + offset);
    }
}

static inline uint32_t vrfc_links(const uint8_t *memory, uint32_t net, uint32_t point) {
  return vrfc_net(memory, net) + VRFC_NET_LINKS + 4u * point;
}

/*
 * A LINK at `record`, VRFC_LINK_SIZE bytes of the host's, into the list of a point: packets meet it from the next batch on. `place`: of the program's
 * entry in the module's table, behind which stands the one that traces; `device`: ifindex, 0 at the hooks of the IP layer. Lower priorities come first;
 * of equals it comes before those that are there, at tc behind them.
 */
static inline void vrfc_link(uint8_t *memory, uint32_t net, uint32_t point, uint32_t record, uint32_t place, uint32_t device,
                             int32_t priority, uint32_t id) {
  const int is_tc = point == VRFC_POINT_TC_INGRESS || point == VRFC_POINT_TC_EGRESS;
  const uint32_t linked = vrfc_net(memory, net) + VRFC_NET_LINKED;
  uint32_t before = vrfc_links(memory, net, point);
  for (uint32_t at; (at = vrfc_word(memory, before)) != 0; before = at + VRFC_LINK_NEXT) {
    const int32_t other = (int32_t)vrfc_word(memory, at + VRFC_LINK_PRIORITY);
    if (is_tc ? other > priority : other >= priority) break;
  }
  vrfc_set_word(memory, record + VRFC_LINK_NEXT, vrfc_word(memory, before));
  vrfc_set_word(memory, record + VRFC_LINK_PLACE, place);
  vrfc_set_word(memory, record + VRFC_LINK_DEVICE, device);
  vrfc_set_word(memory, record + VRFC_LINK_PRIORITY, (uint32_t)priority);
  vrfc_set_word(memory, record + VRFC_LINK_ID, id);
  vrfc_set_word(memory, before, record);
  vrfc_set_word(memory, linked, vrfc_word(memory, linked) | 1u << point);
}

/* Takes it off again. */
static inline void vrfc_unlink(uint8_t *memory, uint32_t net, uint32_t point, uint32_t record) {
  const uint32_t head = vrfc_links(memory, net, point);
  const uint32_t linked = vrfc_net(memory, net) + VRFC_NET_LINKED;
  for (uint32_t before = head, at; (at = vrfc_word(memory, before)) != 0; before = at + VRFC_LINK_NEXT)
    if (at == record) {
      vrfc_set_word(memory, before, vrfc_word(memory, record + VRFC_LINK_NEXT));
      break;
    }
  if (vrfc_word(memory, head) == 0) vrfc_set_word(memory, linked, vrfc_word(memory, linked) & ~(1u << point));
}

#endif
