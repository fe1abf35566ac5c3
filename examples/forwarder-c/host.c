/* What verdicts ask of a host (runtime/verdict.ts), and packets that the host itself sends. */
#include "forwarder.h"

void host_open(struct forwarder *f) {
  for (int i = 0; i < DEPTH; i++) f->host_batches[i] = module_batch(&f->module, 1 + COPIES, HOST_SLOT_SIZE);
}

static uint32_t put(struct forwarder *f, const struct entry *entry, const uint8_t *packet, uint32_t length) {
  uint8_t *memory = memory_of(f);
  const uint32_t batch = f->host_batches[f->depth], room = vrfc_packet_room(memory, batch, 0);
  memmove(memory + room, packet, length);
  vrfc_received(memory, batch, 0, entry->device, length);
  vrfc_set(memory, batch, VRFC_COLUMN_ENTRY, 0, entry->entry);
  vrfc_set(memory, batch, VRFC_COLUMN_MARK, 0, entry->mark);
  vrfc_set(memory, batch, VRFC_COLUMN_PRIORITY, 0, entry->priority);
  const uint32_t family_flag = entry->next_hop_family == 6 ? VRFC_PACKET_FLAG_NEXT_HOP_IPV6 : 0;
  vrfc_set(memory, batch, VRFC_COLUMN_FLAGS, 0, entry->flags | family_flag);
  if (entry->next_hop_family != 0) {
    const uint32_t at = room - VRFC_HEADROOM + VRFC_NEXT_HOP_IN_SLOT;
    memcpy(memory + at, entry->next_hop, entry->next_hop_family == 6 ? 16 : 4);
    vrfc_set(memory, batch, VRFC_COLUMN_NEXT_HOP, 0, at);
  }
  return batch;
}

uint32_t host_ask(struct forwarder *f, const struct entry *entry, const uint8_t *packet, uint32_t length) {
  const uint32_t batch = put(f, entry, packet, length);
  module_process(&f->module, f->net, batch, 1);
  return batch;
}

void host_run(struct forwarder *f, const struct entry *entry, const uint8_t *packet, uint32_t length) {
  /* One place is kept for host_ask. */
  if (f->depth + 1 == DEPTH || length > HOST_ROOM) return;
  const uint32_t batch = put(f, entry, packet, length);
  f->depth++;
  const uint32_t count = module_process(&f->module, f->net, batch, 1);
  if (entry->by_socket && column(f, batch, 0, VRFC_COLUMN_VERDICT) == VRFC_VERDICT_SEND_ERROR) {
    uint8_t answer[1280];
    const uint32_t bytes = socket_error(packet, length, column(f, batch, 0, VRFC_COLUMN_ERROR), answer);
    if (bytes > 0) sockets_deliver(f, answer, bytes, vrf_of(f, entry->device), entry->device);
  }
  for (uint32_t i = 0; i < count; i++) host_act(f, batch, i);
  f->depth--;
}

bool route_source(struct forwarder *f, uint32_t device, bool ipv6, const uint8_t *destination, uint8_t *source) {
  static const uint8_t any[16];
  uint8_t question[IPV6_HEADER + 8] = {0};
  if (ipv6) write_ipv6(question, 8, 64, PROTO_ICMPV6, any, destination);
  else write_ipv4(question, IPV4_HEADER, 0, 64, 0, any, destination);
  const struct entry entry = {.entry = VRFC_ENTRY_LOOKUP, .device = device, .flags = ipv6 ? VRFC_PACKET_FLAG_OIF_UNBOUND : 0};
  const uint32_t batch = host_ask(f, &entry, question, ipv6 ? sizeof question : IPV4_HEADER);
  const uint32_t at = column(f, batch, 0, VRFC_COLUMN_SOURCE);
  if (column(f, batch, 0, VRFC_COLUMN_VERDICT) != VRFC_VERDICT_FOUND || at == 0) return false;
  memcpy(source, memory_of(f) + at, ipv6 ? 16 : 4);
  return true;
}

void host_transmit(struct forwarder *f, uint32_t ifindex, const uint8_t *frame, uint32_t length) {
  struct port *port = port_of(f, ifindex);
  if (port != NULL) port_send(port, frame, length);
}

/* ip_do_fragment: each piece goes on to the neighbour. IPv6 packets are cut by who sends them, which is never this host. */
static void fragment(struct forwarder *f, const struct entry *next, const uint8_t *packet, uint32_t length, uint32_t mtu) {
  enum { MORE = 0x2000, OFFSET = 0x1fff, LARGEST_HEADER = 60 };
  static uint8_t piece[65536];
  const uint32_t header = ipv4_header_bytes(packet), fields = get16(packet + 6);
  if (is_ipv6(packet) || mtu < header + 8 || header < IPV4_HEADER) return;
  const uint32_t room = (mtu - header) & ~7u;
  for (uint32_t at = header; at < length; at += room) {
    const bool last = length - at <= room;
    const uint32_t bytes = last ? length - at : room;
    memcpy(piece, packet, header);
    memcpy(piece + header, packet + at, bytes);
    put16(piece + 2, header + bytes);
    const uint32_t offset = (fields & OFFSET) + (at - header) / 8;
    put16(piece + 6, (fields & ~(uint32_t)(OFFSET | MORE)) | offset | (last ? fields & MORE : MORE));
    finish_ipv4_checksum(piece);
    host_run(f, next, piece, header + bytes);
  }
}

/* A packet for this machine: neighbour discovery and echo are answered, the rest is for its sockets. */
static void deliver(struct forwarder *f, const struct offender *packet, uint32_t route_type) {
  struct upper upper;
  if (!find_upper(packet->packet, packet->length, &upper) || upper.protocol == PROTO_IGMP) return;
  const bool icmp = upper.protocol == (is_ipv6(packet->packet) ? PROTO_ICMPV6 : PROTO_ICMP);
  if (icmp && !upper.fragment) {
    if (is_ipv6(packet->packet) && ndisc_receive(f, packet, &upper)) return;
    if (icmp_receive(f, packet, &upper, route_type)) return;
  }
  sockets_deliver(f, packet->packet, packet->length, vrf_of(f, packet->device), packet->received_by);
}

static uint32_t ip_length(const uint8_t *packet, uint32_t present) {
  if (present < IPV4_HEADER) return present;
  const uint32_t said = is_ipv6(packet) ? IPV6_HEADER + get16(packet + 4) : get16(packet + 2);
  return said < present ? said : present;
}

/* The sender is told of a better next hop, which stands at an offset of the memory; 0: there is none. Those of IPv6 are not sent. */
static void redirect(struct forwarder *f, const struct offender *packet, uint32_t next_hop) {
  enum { ICMP_REDIRECT = 5, HOST = 1 };
  if (next_hop != 0 && packet->received_by != 0 && !is_ipv6(packet->packet))
    icmp_error(f, packet, ICMP_REDIRECT, HOST, get32(memory_of(f) + next_hop));
}

void host_act(struct forwarder *f, uint32_t batch, uint32_t i) {
  uint8_t *memory = memory_of(f);
  const uint32_t entry = column(f, batch, i, VRFC_COLUMN_ENTRY), device = column(f, batch, i, VRFC_COLUMN_DEVICE);
  const uint32_t data = column(f, batch, i, VRFC_COLUMN_DATA), length = column(f, batch, i, VRFC_COLUMN_LENGTH);
  const uint32_t l3 = column(f, batch, i, VRFC_COLUMN_L3), out = column(f, batch, i, VRFC_COLUMN_OUT_DEVICE);
  const uint32_t error = column(f, batch, i, VRFC_COLUMN_ERROR), info = column(f, batch, i, VRFC_COLUMN_INFO);
  const bool received = entry == VRFC_ENTRY_RECEIVE;
  const uint32_t skb_device = column(f, batch, i, VRFC_COLUMN_SKB_DEVICE), sdif = column(f, batch, i, VRFC_COLUMN_SDIF);
  const uint8_t *ip = memory + l3;
  struct offender packet = {.packet = ip,
                            .length = l3 == 0 ? 0 : ip_length(ip, data + length - l3),
                            .device = skb_device != 0 ? skb_device : device,
                            .received_by = received ? device : 0,
                            .to_group = received && (memory[vrfc_packet_room(memory, batch, i)] & 1) != 0};
  const struct entry next = {.entry = VRFC_ENTRY_NEIGHBOUR,
                             .device = out,
                             .mark = column(f, batch, i, VRFC_COLUMN_MARK),
                             .priority = column(f, batch, i, VRFC_COLUMN_PRIORITY),
                             .next_hop_family = column(f, batch, i, VRFC_COLUMN_FLAGS) & VRFC_PACKET_FLAG_NEXT_HOP_IPV6 ? 6 : 4,
                             .next_hop = memory + column(f, batch, i, VRFC_COLUMN_NEXT_HOP)};
  redirect(f, &packet, column(f, batch, i, VRFC_COLUMN_REDIRECT));
  switch ((enum vrfc_verdict)column(f, batch, i, VRFC_COLUMN_VERDICT)) {
    case VRFC_VERDICT_TRANSMIT:
      host_transmit(f, out, memory + data, length);
      break;
    case VRFC_VERDICT_UNRESOLVED:
      neighbour_queue(f, &next, &packet);
      break;
    case VRFC_VERDICT_FRAGMENT:
      fragment(f, &next, ip, packet.length, info);
      break;
    case VRFC_VERDICT_LOCAL:
      packet.received_by = sdif != 0 ? sdif : skb_device;
      deliver(f, &packet, column(f, batch, i, VRFC_COLUMN_ROUTE_TYPE));
      break;
    case VRFC_VERDICT_ICMP_ERROR:
      icmp_error(f, &packet, (uint8_t)(error >> 8), (uint8_t)error, info);
      break;
    case VRFC_VERDICT_TCP_RESET:
      tcp_reset(f, ip, packet.length, out);
      break;
    case VRFC_VERDICT_PASS:
      if (received) arp_receive(f, device, memory + data, length);
      break;
    case VRFC_VERDICT_NONE:
    case VRFC_VERDICT_DROP:
    case VRFC_VERDICT_REJECT_FRAME:
    case VRFC_VERDICT_SEND_ERROR:
    case VRFC_VERDICT_FOUND:
      break;
  }
}
