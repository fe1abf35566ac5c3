/*
 * The neighbour cache, ARP (RFC 826) and neighbour discovery (RFC 4861), as runtime/host/neighbours.ts has them:
 *
 *   (none) --first packet--> INCOMPLETE --answer, or a request of theirs--> REACHABLE (the program knows the address)
 *                               | three requests, one a second, unanswered        | not heard of for 30 s, three requests unanswered
 *                               v                                                 v
 *                            (none), the packets' senders are told             (none)
 */
#include <stdio.h>
#include <stdlib.h>

#include "forwarder.h"

enum { MOST = 4096, BUCKETS = 1024, PROBES = 3, MOST_WAITING = 101, TABLE_SLOTS = 4 * MOST };
enum { RETRANS = 1004000, REACHABLE_TIME = 30000000 };

struct waiting {
  struct waiting *next;
  uint32_t length, received_by, mark, priority;
  uint8_t packet[];
};

enum state { FREE, INCOMPLETE, REACHABLE, PERMANENT };

struct neighbour {
  enum state state;
  uint32_t device, family;
  uint8_t address[16], mac[MAC_BYTES];
  uint32_t probes;
  /* When to ask again. */
  uint64_t due;
  struct waiting *oldest, **newest;
  uint32_t count;
  /* Of the same bucket; of those that are free. */
  struct neighbour *next;
};

struct neighbours {
  struct neighbour all[MOST], *buckets[BUCKETS], *free;
};

static const uint8_t every_station[MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t any[16];

static struct neighbour **bucket_of(struct neighbours *n, uint32_t device, const uint8_t address[16]) {
  uint32_t hash = device;
  for (int i = 0; i < 16; i++) hash = (hash ^ address[i]) * 16777619u;
  return &n->buckets[(hash ^ hash >> 15) % BUCKETS];
}

static struct neighbour *find(struct neighbours *n, uint32_t device, uint32_t family, const uint8_t address[16]) {
  struct neighbour *entry = *bucket_of(n, device, address);
  while (entry != NULL &&
         (entry->device != device || entry->family != family || memcmp(entry->address, address, 16) != 0))
    entry = entry->next;
  return entry;
}

/* NULL: there is no more room. */
static struct neighbour *create(struct neighbours *n, uint32_t device, uint32_t family, const uint8_t address[16]) {
  struct neighbour *entry = n->free, **bucket = bucket_of(n, device, address);
  if (entry == NULL) return NULL;
  n->free = entry->next;
  *entry = (struct neighbour){.device = device, .family = family, .next = *bucket};
  memcpy(entry->address, address, 16);
  entry->newest = &entry->oldest;
  *bucket = entry;
  return entry;
}

static void drop_waiting(struct neighbour *entry) {
  struct waiting *first = entry->oldest;
  entry->oldest = first->next;
  if (entry->oldest == NULL) entry->newest = &entry->oldest;
  entry->count--;
  free(first);
}

static void destroy(struct forwarder *f, struct neighbour *entry) {
  struct neighbour **link = bucket_of(f->neighbours, entry->device, entry->address);
  while (*link != entry) link = &(*link)->next;
  *link = entry->next;
  while (entry->oldest != NULL) drop_waiting(entry);
  if (entry->state == REACHABLE)
    vrfc_forget_neighbour(memory_of(f), f->net, entry->device, entry->family, entry->address);
  entry->state = FREE;
  entry->next = f->neighbours->free;
  f->neighbours->free = entry;
}

/* Those of the file are in the image. */
void neighbours_open(struct forwarder *f) {
  struct neighbours *n = f->neighbours = calloc(1, sizeof *n);
  const uint32_t table = module_allocate(&f->module, vrfc_neighbour_bytes(TABLE_SLOTS));
  if (n == NULL) abort();
  for (int i = MOST - 1; i >= 0; i--) {
    n->all[i].next = n->free;
    n->free = &n->all[i];
  }
  vrfc_move_neighbours(memory_of(f), f->net, table, TABLE_SLOTS);
  for (uint32_t i = 0; i < TABLE_SLOTS; i++) {
    const uint8_t *slot = memory_of(f) + table + VRFC_NEIGHBOUR_TABLE_SLOTS + i * VRFC_NEIGHBOUR_SIZE;
    const uint32_t device = vrfc_word(slot, VRFC_NEIGHBOUR_DEVICE);
    struct neighbour *entry =
        device == 0 ? NULL : create(n, device, vrfc_word(slot, VRFC_NEIGHBOUR_FAMILY), slot + VRFC_NEIGHBOUR_ADDRESS);
    if (entry != NULL) entry->state = PERMANENT;
  }
}

/* ---- messages */

static void send_arp(struct forwarder *f, uint32_t device, uint32_t operation, const uint8_t *sender, const uint8_t *target_mac,
                     const uint8_t *target, const uint8_t *to) {
  static const uint8_t ethernet_ipv4[] = {0, 1, 8, 0, MAC_BYTES, 4};
  uint8_t frame[ETHERNET_HEADER + 28], *arp = frame + ETHERNET_HEADER;
  write_ethernet(frame, to, device_mac(f, device), ETHERTYPE_ARP);
  memcpy(arp, ethernet_ipv4, sizeof ethernet_ipv4);
  put16(arp + 6, operation);
  memcpy(arp + 8, device_mac(f, device), MAC_BYTES);
  memcpy(arp + 14, sender, 4);
  memcpy(arp + 18, target_mac, MAC_BYTES);
  memcpy(arp + 24, target, 4);
  host_transmit(f, device, frame, sizeof frame);
}

enum { SOLICITATION = 135, ADVERTISEMENT = 136, SOURCE_OPTION = 1, TARGET_OPTION = 2, ND_MESSAGE = 24, ND_HOP_LIMIT = 255 };

static void send_ndisc(struct forwarder *f, uint32_t device, uint8_t type, uint32_t flags, const uint8_t *target,
                       const uint8_t *source, const uint8_t *destination, bool with_address) {
  uint8_t packet[IPV6_HEADER + ND_MESSAGE + 8] = {0}, *message = packet + IPV6_HEADER;
  const uint32_t length = with_address ? ND_MESSAGE + 8 : ND_MESSAGE;
  write_ipv6(packet, length, ND_HOP_LIMIT, PROTO_ICMPV6, source, destination);
  message[0] = type;
  put32(message + 4, flags);
  memcpy(message + 8, target, 16);
  message[ND_MESSAGE] = type == SOLICITATION ? SOURCE_OPTION : TARGET_OPTION;
  message[ND_MESSAGE + 1] = 1;
  memcpy(message + ND_MESSAGE + 2, device_mac(f, device), MAC_BYTES);
  put16(message + 2, fold16(pseudo_header(packet, PROTO_ICMPV6, length) + sum16(message, length)));
  const struct entry entry = {.entry = VRFC_ENTRY_NDISC, .device = device};
  host_run(f, &entry, packet, IPV6_HEADER + length);
}

static bool is_local4(struct forwarder *f, uint32_t device, const uint8_t *sender, const uint8_t *address) {
  uint8_t question[IPV4_HEADER];
  const struct entry entry = {.entry = VRFC_ENTRY_ROUTE_INPUT, .device = device};
  write_ipv4(question, IPV4_HEADER, 0, 64, 0, sender, address);
  const uint32_t batch = host_ask(f, &entry, question, sizeof question);
  return column(f, batch, 0, VRFC_COLUMN_VERDICT) == VRFC_VERDICT_FOUND &&
         column(f, batch, 0, VRFC_COLUMN_ROUTE_TYPE) == VRFC_ROUTE_TYPE_LOCAL;
}

/* arp_solicit, ndisc_solicit: from the waiting packet's source if it is this host's, else from an address of the device. */
static void solicit(struct forwarder *f, const struct neighbour *entry, const struct waiting *packet) {
  const uint32_t device = entry->device;
  if (entry->family == 4) {
    uint8_t sender[4] = {0};
    const bool announce = packet != NULL && packet->length >= IPV4_HEADER && !is_ipv6(packet->packet) &&
                          is_local4(f, device, entry->address, packet->packet + 12);
    if (announce) memcpy(sender, packet->packet + 12, 4);
    else if (!route_source(f, device, false, entry->address, sender))
      put32(sender, get32(memory_of(f) + vrfc_device(memory_of(f), f->net, device) + VRFC_DEVICE_SOURCE_LINK));
    send_arp(f, device, 1, sender, any, entry->address, every_station);
    return;
  }
  uint8_t group[16] = {0xff, 2, [11] = 1, [12] = 0xff};
  memcpy(group + 13, entry->address + 13, 3);
  const bool announce = packet != NULL && packet->length >= IPV6_HEADER && is_ipv6(packet->packet) &&
                        device_has6(f, device, packet->packet + 8);
  const uint8_t *source = announce ? packet->packet + 8 : source6(f, device, group);
  if (source != NULL) send_ndisc(f, device, SOLICITATION, 0, entry->address, source, group, true);
}

/* ---- the cache */

/* neigh_update. `create`: learn what nobody asked for; `override`: another address takes the place of a known one. */
static void update(struct forwarder *f, uint32_t device, uint32_t family, const uint8_t address[16], const uint8_t *mac,
                   bool make, bool override) {
  struct neighbour *entry = find(f->neighbours, device, family, address);
  if (entry == NULL && make) entry = create(f->neighbours, device, family, address);
  if (entry == NULL || entry->state == PERMANENT) return;
  const bool same = entry->state == REACHABLE && memcmp(entry->mac, mac, MAC_BYTES) == 0;
  if (entry->state == REACHABLE && !same && !override) return;
  entry->probes = 0;
  entry->due = f->now + REACHABLE_TIME;
  if (same) return;
  entry->state = REACHABLE;
  memcpy(entry->mac, mac, MAC_BYTES);
  if (!vrfc_set_neighbour(memory_of(f), f->net, device, family, address, mac)) {
    /* Slots of those that were forgotten are in the way: the other half of the place has none. */
    static uint32_t spare;
    const uint32_t old = vrfc_neighbours(memory_of(f), f->net);
    if (spare == 0) spare = module_allocate(&f->module, vrfc_neighbour_bytes(TABLE_SLOTS));
    vrfc_move_neighbours(memory_of(f), f->net, spare, TABLE_SLOTS);
    spare = old;
    vrfc_set_neighbour(memory_of(f), f->net, device, family, address, mac);
  }
  while (entry->state == REACHABLE && entry->oldest != NULL) {
    const struct waiting *w = entry->oldest;
    const struct entry next = {.entry = VRFC_ENTRY_NEIGHBOUR, .device = device, .mark = w->mark, .priority = w->priority,
                               .next_hop_family = family, .next_hop = address};
    host_run(f, &next, w->packet, w->length);
    drop_waiting(entry);
  }
}

void neighbour_queue(struct forwarder *f, const struct entry *next, const struct offender *packet) {
  uint8_t address[16] = {0};
  memcpy(address, next->next_hop, next->next_hop_family == 6 ? 16 : 4);
  struct neighbour *entry = find(f->neighbours, next->device, next->next_hop_family, address);
  const bool fresh = entry == NULL;
  if (fresh) entry = create(f->neighbours, next->device, next->next_hop_family, address);
  struct waiting *w = entry == NULL ? NULL : malloc(sizeof *w + packet->length);
  if (w == NULL) return;
  *w = (struct waiting){NULL, packet->length, packet->received_by, next->mark, next->priority};
  memcpy(w->packet, packet->packet, packet->length);
  if (entry->count == MOST_WAITING) drop_waiting(entry);
  *entry->newest = w;
  entry->newest = &w->next;
  entry->count++;
  if (!fresh) return;
  entry->state = INCOMPLETE;
  entry->probes = 1;
  entry->due = f->now + RETRANS;
  solicit(f, entry, w);
}

/* Nobody answered: dst_link_failure. skb->dev is the device that the packets were to leave by. */
static void fail(struct forwarder *f, struct neighbour *entry) {
  enum { UNREACH = 3, HOST = 1, UNREACH6 = 1, ADDRESS6 = 3 };
  const uint32_t device = entry->device;
  struct waiting *w = entry->oldest;
  entry->oldest = NULL;
  entry->newest = &entry->oldest;
  entry->count = 0;
  destroy(f, entry);
  while (w != NULL) {
    const struct offender packet = {.packet = w->packet, .length = w->length, .device = device, .received_by = w->received_by};
    const bool ipv6 = w->length > 0 && is_ipv6(w->packet);
    icmp_error(f, &packet, ipv6 ? UNREACH6 : UNREACH, ipv6 ? ADDRESS6 : HOST, 0);
    struct waiting *next = w->next;
    free(w);
    w = next;
  }
}

void neighbours_tick(struct forwarder *f) {
  for (uint32_t i = 0; i < MOST; i++) {
    struct neighbour *entry = &f->neighbours->all[i];
    if ((entry->state != INCOMPLETE && entry->state != REACHABLE) || f->now < entry->due) continue;
    if (entry->probes == PROBES) {
      if (entry->state == INCOMPLETE) fail(f, entry);
      else destroy(f, entry);
      continue;
    }
    entry->probes++;
    entry->due = f->now + RETRANS;
    solicit(f, entry, entry->oldest);
  }
}

void neighbours_flush(struct forwarder *f, uint32_t device) {
  for (uint32_t i = 0; i < MOST; i++) {
    struct neighbour *entry = &f->neighbours->all[i];
    if ((entry->state == INCOMPLETE || entry->state == REACHABLE) && entry->device == device) destroy(f, entry);
  }
}

/* ---- received */

/* arp_process: any local address is answered for. */
void arp_receive(struct forwarder *f, uint32_t device, const uint8_t *frame, uint32_t length) {
  enum { REQUEST = 1, REPLY = 2, ARP = 28 };
  const uint8_t *arp = frame + ETHERNET_HEADER, *own = device_mac(f, device);
  if (length < ETHERNET_HEADER + ARP || get16(frame + 12) != ETHERTYPE_ARP || port_of(f, device) == NULL) return;
  if ((frame[0] & 1) == 0 && memcmp(frame, own, MAC_BYTES) != 0) return;
  if ((get16(arp) != 1 && get16(arp) != 6) || get16(arp + 2) != ETHERTYPE_IPV4 || arp[4] != MAC_BYTES || arp[5] != 4) return;
  const uint32_t operation = get16(arp + 6);
  const uint8_t *sender_mac = arp + 8, *sender = arp + 14, *target = arp + 24;
  if ((operation != REQUEST && operation != REPLY) || target[0] >> 4 == 14 || target[0] == 127) return;
  uint8_t address[16] = {0};
  memcpy(address, sender, 4);
  const bool detection = get32(sender) == 0;
  /* Duplicate address detection (RFC 5227) is answered, not learned from; the target stands for the sender, whom nobody routes to. */
  if (operation == REQUEST && is_local4(f, device, detection ? target : sender, target)) {
    if (!detection) update(f, device, 4, address, sender_mac, true, true);
    send_arp(f, device, REPLY, target, sender_mac, sender, sender_mac);
  } else if (!detection) {
    update(f, device, 4, address, sender_mac, false, true);
  }
}

/* The link-layer address in an option of this type: false when options are malformed; `mac` NULL when there is none. */
static bool find_option(const uint8_t *message, uint32_t length, uint8_t type, const uint8_t **mac) {
  *mac = NULL;
  for (uint32_t at = ND_MESSAGE, bytes; at < length; at += bytes) {
    bytes = at + 1 < length ? message[at + 1] * 8u : 0;
    if (bytes == 0 || at + bytes > length) return false;
    if (message[at] == type && *mac == NULL) *mac = bytes == 8 ? message + at + 2 : NULL;
  }
  return true;
}

/* ndisc_recv_ns. */
static void receive_solicitation(struct forwarder *f, const struct offender *o, const uint8_t *target, const uint8_t *mac) {
  enum { ROUTER = 1u << 31, SOLICITED = 1 << 30, OVERRIDE = 1 << 29 };
  static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
  const uint32_t device = o->received_by, vrf = vrf_of(f, device);
  const uint8_t *source = o->packet + 8;
  const bool detection = memcmp(source, any, 16) == 0, to_group = o->packet[24] == 0xff;
  const uint32_t owner = device_has6(f, device, target) ? device : vrf != 0 && device_has6(f, vrf, target) ? vrf : 0;
  if (target[0] == 0xff || owner == 0 || (detection && (!to_group || mac != NULL))) return;
  const uint32_t router = device_is(f, owner, VRFC_DEVICE_FLAG_FORWARDING6) ? ROUTER : 0;
  const uint8_t *from = device_has6(f, device, target) ? target : source6(f, device, detection ? all_nodes : source);
  if (from == NULL) return;
  if (detection) {
    send_ndisc(f, device, ADVERTISEMENT, router | OVERRIDE, target, from, all_nodes, true);
    return;
  }
  if (mac != NULL) update(f, device, 6, source, mac, true, true);
  else if (to_group && find(f->neighbours, device, 6, source) == NULL) return;
  send_ndisc(f, device, ADVERTISEMENT, router | SOLICITED | (to_group ? OVERRIDE : 0), target, from, source, to_group);
}

bool ndisc_receive(struct forwarder *f, const struct offender *o, const struct upper *upper) {
  enum { FIRST = 133, LAST = 137, SOLICITED = 1 << 30, OVERRIDE = 1 << 29 };
  const uint8_t *message = o->packet + upper->offset, *mac;
  const uint32_t length = o->length - upper->offset;
  if (length == 0 || message[0] < FIRST || message[0] > LAST) return false;
  if (length < ND_MESSAGE || message[1] != 0 || o->packet[7] != ND_HOP_LIMIT) return true;
  if (fold16(pseudo_header(o->packet, PROTO_ICMPV6, length) + sum16(message, length)) != 0) return true;
  const uint8_t *target = message + 8;
  const uint32_t flags = get32(message + 4), device = o->received_by;
  if (message[0] == SOLICITATION && find_option(message, length, SOURCE_OPTION, &mac))
    receive_solicitation(f, o, target, mac);
  if (message[0] == ADVERTISEMENT && find_option(message, length, TARGET_OPTION, &mac) && mac != NULL && target[0] != 0xff &&
      !(o->packet[24] == 0xff && (flags & SOLICITED) != 0) && !device_has6(f, device, target))
    update(f, device, 6, target, mac, false, (flags & OVERRIDE) != 0);
  return true;
}
