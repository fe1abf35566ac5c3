#include "offload.h"

#include "wire.h"

/* Of Linux 6.2 and later. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

void complete_checksum(uint8_t *bytes, uint32_t length, const struct virtio_net_hdr *offload) {
  const uint32_t start = offload->csum_start, at = start + offload->csum_offset;
  if ((offload->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 || at + 2 > length) return;
  const uint16_t sum = fold16(sum16(bytes + start, length - start));
  /* A UDP checksum of 0 would say that there is none. */
  put16(bytes + at, sum == 0 ? 0xffff : sum);
}

static void finish_tcp(uint8_t *tcp, uint32_t offset, bool first, bool last) {
  enum { SEQUENCE = 4, FLAGS = 13, FIN = 1, PSH = 8, CWR = 0x80 };
  put32(tcp + SEQUENCE, get32(tcp + SEQUENCE) + offset);
  if (!last) tcp[FLAGS] &= (uint8_t)~(FIN | PSH);
  if (!first) tcp[FLAGS] &= (uint8_t)~CWR;
}

/* Lengths, identification and both checksums. */
static void finish_ip(uint8_t *segment, uint32_t length, uint32_t transport, uint32_t index, uint8_t protocol) {
  enum { TCP_CHECKSUM = 16, UDP_CHECKSUM = 6 };
  uint8_t *ip = segment + ETHERNET_HEADER, *upper = segment + transport;
  const uint32_t upper_length = length - transport;
  if (is_ipv6(ip)) {
    put16(ip + 4, length - ETHERNET_HEADER - IPV6_HEADER);
  } else {
    put16(ip + 2, length - ETHERNET_HEADER);
    put16(ip + 4, get16(ip + 4) + index);
    finish_ipv4_checksum(ip);
  }
  const uint32_t at = protocol == PROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
  put16(upper + at, 0);
  const uint16_t sum = fold16(pseudo_header(ip, protocol, upper_length) + sum16(upper, upper_length));
  put16(upper + at, sum == 0 ? 0xffff : sum);
}

void cut_segments(const struct frame *frame, void (*take)(void *, uint8_t *, uint32_t), void *context) {
  static uint8_t segment[LARGEST_FRAME];
  enum { TCP_DATA_OFFSET = 12, UDP_LENGTH = 4, UDP_HEADER = 8, LEAST_TCP_HEADER = 20 };
  const uint32_t type = frame->offload.gso_type & ~(uint32_t)VIRTIO_NET_HDR_GSO_ECN;
  const bool tcp = type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6;
  const uint32_t size = frame->offload.gso_size, transport = frame->offload.csum_start, length = frame->length;
  if (!(tcp || type == VIRTIO_NET_HDR_GSO_UDP_L4) || size == 0) return;
  if (transport < ETHERNET_HEADER + IPV4_HEADER || transport + LEAST_TCP_HEADER > length || length > LARGEST_FRAME) return;
  const uint32_t header = tcp ? (frame->bytes[transport + TCP_DATA_OFFSET] >> 4) * 4u : UDP_HEADER;
  const uint32_t payload = transport + header;
  if (payload > length) return;
  for (uint32_t start = payload, index = 0; start < length || index == 0; start += size, index++) {
    const uint32_t bytes = length - start < size ? length - start : size;
    memcpy(segment, frame->bytes, payload);
    memcpy(segment + payload, frame->bytes + start, bytes);
    if (tcp) finish_tcp(segment + transport, start - payload, index == 0, start + size >= length);
    else put16(segment + transport + UDP_LENGTH, UDP_HEADER + bytes);
    finish_ip(segment, payload + bytes, transport, index, tcp ? PROTO_TCP : PROTO_UDP);
    take(context, segment, payload + bytes);
  }
}

void restore_vlan_tag(uint8_t *tagged, const uint8_t *bytes, uint32_t length, uint32_t tag) {
  enum { ADDRESSES = 12, TAG = 4 };
  memcpy(tagged, bytes, ADDRESSES);
  put32(tagged + ADDRESSES, tag);
  memcpy(tagged + ADDRESSES + TAG, bytes + ADDRESSES, length - ADDRESSES);
}
