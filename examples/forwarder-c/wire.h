/* Bytes as they stand on the wire: numbers in network order, Internet checksums (RFC 1071). */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { ETHERNET_HEADER = 14, IPV4_HEADER = 20, IPV6_HEADER = 40, MAC_BYTES = 6 };
enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806, ETHERTYPE_IPV6 = 0x86dd };
enum { PROTO_ICMP = 1, PROTO_IGMP = 2, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMPV6 = 58 };

static inline uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static inline uint32_t get32(const uint8_t *at) { return (uint32_t)get16(at) << 16 | get16(at + 2); }
static inline void put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}
static inline void put32(uint8_t *at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

/* The sum of 16-bit words, not yet folded; `length` odd: a zero byte follows. Sums of less than 64 KiB do not overflow. */
static inline uint64_t sum16(const uint8_t *bytes, uint32_t length) {
  uint64_t sum = 0;
  uint32_t i = 0;
  for (; i + 1 < length; i += 2) sum += get16(bytes + i);
  return i < length ? sum + (uint32_t)(bytes[i] << 8) : sum;
}

static inline uint16_t fold16(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static inline bool is_ipv6(const uint8_t *packet) { return packet[0] >> 4 == 6; }
static inline uint32_t ipv4_header_bytes(const uint8_t *packet) { return (packet[0] & 15u) * 4; }

static inline void finish_ipv4_checksum(uint8_t *packet) {
  put16(packet + 10, 0);
  put16(packet + 10, fold16(sum16(packet, ipv4_header_bytes(packet))));
}

/* The sum of a pseudo header: addresses of either family, protocol and length. */
static inline uint64_t pseudo_header(const uint8_t *packet, uint32_t protocol, uint32_t length) {
  return (is_ipv6(packet) ? sum16(packet + 8, 32) : sum16(packet + 12, 8)) + protocol + (length & 0xffff) + (length >> 16);
}

/* An IPv4 header without options, its checksum done; addresses in network order. */
static inline void write_ipv4(uint8_t *at, uint32_t length, uint8_t tos, uint8_t ttl, uint8_t protocol, const uint8_t *from,
                              const uint8_t *to) {
  memset(at, 0, IPV4_HEADER);
  at[0] = 0x45;
  at[1] = tos;
  put16(at + 2, length);
  at[8] = ttl;
  at[9] = protocol;
  memcpy(at + 12, from, 4);
  memcpy(at + 16, to, 4);
  finish_ipv4_checksum(at);
}

/* An IPv6 header; `payload` bytes follow it. */
static inline void write_ipv6(uint8_t *at, uint32_t payload, uint8_t hop_limit, uint8_t protocol, const uint8_t *from,
                              const uint8_t *to) {
  memset(at, 0, 8);
  at[0] = 0x60;
  put16(at + 4, payload);
  at[6] = protocol;
  at[7] = hop_limit;
  memcpy(at + 8, from, 16);
  memcpy(at + 24, to, 16);
}

static inline void write_ethernet(uint8_t *at, const uint8_t *destination, const uint8_t *source, uint32_t type) {
  memcpy(at, destination, MAC_BYTES);
  memcpy(at + 6, source, MAC_BYTES);
  put16(at + 12, type);
}

/* What stands behind the IPv6 extension headers that may be skipped. */
struct upper {
  uint8_t protocol;
  uint32_t offset;
  bool fragment;
};

/* Returns false when a header is cut short. A fragment ends the walk. */
static inline bool find_upper6(const uint8_t *packet, uint32_t length, struct upper *upper) {
  enum { HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };
  *upper = (struct upper){packet[6], IPV6_HEADER, false};
  while (upper->protocol == HOP || upper->protocol == ROUTING || upper->protocol == DESTINATION ||
         upper->protocol == FRAGMENT) {
    if (upper->offset + 8 > length) return false;
    const uint8_t *header = packet + upper->offset;
    if (upper->protocol == FRAGMENT) {
      upper->fragment = true;
      upper->protocol = header[0];
      upper->offset += 8;
      return true;
    }
    upper->protocol = header[0];
    upper->offset += 8 + header[1] * 8u;
  }
  return upper->offset <= length;
}

static inline bool find_upper(const uint8_t *packet, uint32_t length, struct upper *upper) {
  if (length >= IPV6_HEADER && is_ipv6(packet)) return find_upper6(packet, length, upper);
  if (length < IPV4_HEADER || packet[0] >> 4 != 4) return false;
  *upper = (struct upper){packet[9], ipv4_header_bytes(packet), (get16(packet + 6) & 0x3fff) != 0};
  return upper->offset >= IPV4_HEADER && upper->offset <= length;
}

#endif
