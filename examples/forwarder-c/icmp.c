/* ICMP and ICMPv6 that this host sends: errors, echo replies; and resets that chains ask for. All leave by the program, as OUTPUT. */
#include "forwarder.h"

enum { ICMP_HEADER = 8, UNREACH = 3, REDIRECT = 5, TIME_EXCEEDED = 11, PARAMETER_PROBLEM = 12, ECHO = 8, ECHO_REPLY = 0 };
enum { UNREACH6 = 1, TOO_BIG6 = 2, ECHO6 = 128, ECHO_REPLY6 = 129, FIRST_MLD = 130, LAST_MLD = 132, MLD2_REPORT = 143 };
enum { ERROR_MAX = 576, IPV6_MIN_MTU = 1280, ND_REDIRECT = 137 };

static const uint8_t any[16];

/*
 * Errors to one destination, as inet_peer_xrlim_allow and icmp_ratelimit have it: one a second, six at once. Two destinations of the
 * same place share them.
 */
static bool may_send(const struct forwarder *f, const uint8_t *destination, uint32_t bytes, uint32_t vrf) {
  enum { PLACES = 1024, BURST = 6, SECOND = 1000000 };
  static struct { uint64_t tokens, last; } places[PLACES];
  uint32_t hash = vrf;
  for (uint32_t i = 0; i < bytes; i++) hash = (hash ^ destination[i]) * 16777619u;
  const uint32_t place = (hash ^ hash >> 16) % PLACES;
  const uint64_t tokens = places[place].tokens + f->now - places[place].last;
  places[place].last = f->now;
  places[place].tokens = tokens > BURST * SECOND ? BURST * SECOND : tokens;
  if (places[place].tokens < SECOND) return false;
  places[place].tokens -= SECOND;
  return true;
}

static void output(struct forwarder *f, uint32_t device, uint32_t flags, const uint8_t *packet, uint32_t length) {
  const struct entry entry = {.entry = VRFC_ENTRY_OUTPUT, .device = device, .flags = flags};
  host_run(f, &entry, packet, length);
}

/* Type, code, second word, data: a message at `at`, without its checksum. Returns its length. */
static uint32_t write_message(uint8_t *at, uint8_t type, uint8_t code, uint32_t rest, const uint8_t *data, uint32_t length) {
  at[0] = type;
  at[1] = code;
  put16(at + 2, 0);
  put32(at + 4, rest);
  memmove(at + ICMP_HEADER, data, length);
  return ICMP_HEADER + length;
}

static void send4(struct forwarder *f, uint32_t vrf, uint8_t tos, const uint8_t *from, const uint8_t *to, uint8_t *packet,
                  uint32_t message) {
  put16(packet + IPV4_HEADER + 2, fold16(sum16(packet + IPV4_HEADER, message)));
  write_ipv4(packet, IPV4_HEADER + message, tos, f->default_ttl, PROTO_ICMP, from, to);
  put16(packet + 4, ++f->identification);
  finish_ipv4_checksum(packet);
  output(f, vrf, 0, packet, IPV4_HEADER + message);
}

/* The checksum covers the source, so that it must be known: without one the route's own is taken. */
static void send6(struct forwarder *f, uint32_t device, const uint8_t *from, const uint8_t *to, uint8_t *packet,
                  uint32_t message) {
  uint8_t source[16];
  memcpy(source, from, 16);
  if (memcmp(source, any, 16) == 0 && !route_source(f, device, true, to, source)) return;
  write_ipv6(packet, message, 64, PROTO_ICMPV6, source, to);
  const uint64_t sum = pseudo_header(packet, PROTO_ICMPV6, message) + sum16(packet + IPV6_HEADER, message);
  put16(packet + IPV6_HEADER + 2, fold16(sum));
  output(f, device, VRFC_PACKET_FLAG_OIF_UNBOUND, packet, IPV6_HEADER + message);
}

/* ---- errors */

static bool is_error4(uint8_t type) {
  return type == UNREACH || type == 4 || type == REDIRECT || type == TIME_EXCEEDED || type == PARAMETER_PROBLEM;
}

/* RFC 1122 section 3.2.2: not to a group, not about a later fragment, not about an ICMP error. */
static bool may_answer4(const struct offender *o, const struct upper *upper) {
  const uint8_t *to = o->packet + 16;
  if (o->to_group || to[0] >= 224 || (get16(o->packet + 6) & 0x1fff) != 0) return false;
  return upper->protocol != PROTO_ICMP || (upper->offset < o->length && !is_error4(o->packet[upper->offset]));
}

static void error4(struct forwarder *f, const struct offender *o, const struct upper *upper, uint8_t type, uint8_t code,
                   uint32_t info) {
  enum { TOS_MASK = 0x1e, INTERNETCONTROL = 0xc0 };
  const uint32_t vrf = vrf_of(f, o->device);
  const uint8_t *to = o->packet + 12;
  if (!may_answer4(o, upper)) return;
  if ((type != UNREACH || code != 4) && !may_send(f, to, 4, vrf)) return;
  uint8_t packet[ERROR_MAX];
  const uint32_t room = ERROR_MAX - IPV4_HEADER - ICMP_HEADER;
  const uint32_t quoted = o->length < room ? o->length : room;
  const uint32_t message = write_message(packet + IPV4_HEADER, type, code, info, o->packet, quoted);
  send4(f, vrf, (o->packet[1] & TOS_MASK) | INTERNETCONTROL, any, to, packet, message);
}

/* RFC 4443 section 2.4 (e). */
static bool may_answer6(const struct offender *o, const struct upper *upper, uint8_t type) {
  const uint8_t *from = o->packet + 8, *to = o->packet + 24;
  if ((to[0] == 0xff || o->to_group) && type != TOO_BIG6) return false;
  if (from[0] == 0xff || memcmp(from, any, 16) == 0) return false;
  if (upper->protocol != PROTO_ICMPV6 || upper->offset >= o->length) return true;
  return o->packet[upper->offset] >= 128 && o->packet[upper->offset] != ND_REDIRECT;
}

static void error6(struct forwarder *f, const struct offender *o, const struct upper *upper, uint8_t type, uint8_t code,
                   uint32_t info) {
  const uint8_t *to = o->packet + 8, *asked = o->packet + 24;
  const uint32_t vrf = vrf_of(f, o->device);
  const uint32_t receiver = o->received_by != 0 ? o->received_by : o->device;
  if (!may_answer6(o, upper, type) || (type != TOO_BIG6 && !may_send(f, to, 16, vrf))) return;
  const bool link_local = to[0] == 0xfe && (to[1] & 0xc0) == 0x80;
  const uint8_t *own = source6(f, receiver, to);
  const uint8_t *from = owner6(f, vrf, asked) != 0 ? asked : own != NULL ? own : any;
  uint8_t packet[IPV6_MIN_MTU];
  const uint32_t room = IPV6_MIN_MTU - IPV6_HEADER - ICMP_HEADER;
  const uint32_t quoted = o->length < room ? o->length : room;
  const uint32_t message = write_message(packet + IPV6_HEADER, type, code, info, o->packet, quoted);
  send6(f, link_local ? receiver : vrf, from, to, packet, message);
}

void icmp_error(struct forwarder *f, const struct offender *o, uint8_t type, uint8_t code, uint32_t info) {
  struct upper upper;
  if (!find_upper(o->packet, o->length, &upper)) return;
  (is_ipv6(o->packet) ? error6 : error4)(f, o, &upper, type, code, info);
}

/* ---- echo */

static void echo6(struct forwarder *f, const struct offender *o, const struct upper *upper) {
  static uint8_t packet[65536 + IPV6_HEADER];
  const uint8_t *to = o->packet + 8, *asked = o->packet + 24, *request = o->packet + upper->offset;
  const bool link_local = asked[0] == 0xfe && (asked[1] & 0xc0) == 0x80;
  const uint32_t owner = link_local ? 0 : owner6(f, vrf_of(f, o->device), asked);
  const uint32_t data = o->length - upper->offset - ICMP_HEADER;
  const uint32_t message = write_message(packet + IPV6_HEADER, ECHO_REPLY6, 0, get32(request + 4), request + ICMP_HEADER, data);
  send6(f, owner != 0 ? owner : o->received_by, asked[0] == 0xff ? any : asked, to, packet, message);
}

static void echo4(struct forwarder *f, const struct offender *o, const struct upper *upper, uint32_t route_type) {
  static uint8_t packet[65536 + IPV4_HEADER];
  const uint8_t *to = o->packet + 12, *request = o->packet + upper->offset;
  const uint8_t *from = route_type == VRFC_ROUTE_TYPE_LOCAL ? o->packet + 16 : any;
  const uint32_t data = o->length - upper->offset - ICMP_HEADER;
  const uint32_t message = write_message(packet + IPV4_HEADER, ECHO_REPLY, 0, get32(request + 4), request + ICMP_HEADER, data);
  send4(f, vrf_of(f, o->device), o->packet[1], from, to, packet, message);
}

bool icmp_receive(struct forwarder *f, const struct offender *o, const struct upper *upper, uint32_t route_type) {
  const uint8_t *message = o->packet + upper->offset;
  const uint32_t length = o->length - upper->offset;
  const bool ipv6 = is_ipv6(o->packet), to_group = route_type != VRFC_ROUTE_TYPE_LOCAL;
  if (length < ICMP_HEADER) return true;
  if (fold16(sum16(message, length) + (ipv6 ? pseudo_header(o->packet, PROTO_ICMPV6, length) : 0)) != 0) return true;
  if (ipv6 && ((message[0] >= FIRST_MLD && message[0] <= LAST_MLD) || message[0] == MLD2_REPORT)) return true;
  if (message[0] != (ipv6 ? ECHO6 : ECHO)) return false;
  if (ipv6) echo6(f, o, upper);
  else if (!f->ignore_echo && !(to_group && f->ignore_group_echo)) echo4(f, o, upper, route_type);
  return true;
}

/* ---- sockets of this machine, and chains */

uint32_t socket_error(const uint8_t *packet, uint32_t length, uint32_t error, uint8_t *answer) {
  enum { QUOTED = 548, NET = 0, HOST = 1, FILTERED = 13, NO_ROUTE6 = 0, PROHIBITED6 = 1, ADDRESS6 = 3 };
  const bool ipv6 = is_ipv6(packet);
  uint8_t code;
  switch (error) {
    case VRFC_ERRNO_ENETUNREACH: code = ipv6 ? NO_ROUTE6 : NET; break;
    case VRFC_ERRNO_EHOSTUNREACH: code = ipv6 ? ADDRESS6 : HOST; break;
    case VRFC_ERRNO_EACCES:
    case VRFC_ERRNO_EPERM: code = ipv6 ? PROHIBITED6 : FILTERED; break;
    default: return 0;
  }
  const uint32_t header = ipv6 ? IPV6_HEADER : IPV4_HEADER;
  const uint32_t room = ipv6 ? IPV6_MIN_MTU - IPV6_HEADER - ICMP_HEADER : QUOTED;
  if (length < header) return 0;
  const uint8_t *source = packet + (ipv6 ? 8 : 12);
  if (memcmp(source, any, ipv6 ? 16 : 4) == 0) return 0;
  uint8_t *at = answer + header;
  const uint32_t message = write_message(at, ipv6 ? UNREACH6 : UNREACH, code, 0, packet, length < room ? length : room);
  if (ipv6) write_ipv6(answer, message, 64, PROTO_ICMPV6, source, source);
  else write_ipv4(answer, header + message, 0, 64, PROTO_ICMP, source, source);
  put16(at + 2, fold16(sum16(at, message) + (ipv6 ? pseudo_header(answer, PROTO_ICMPV6, message) : 0)));
  return header + message;
}

void tcp_reset(struct forwarder *f, const uint8_t *packet, uint32_t length, uint32_t device) {
  enum { SEQ = 4, ACK = 8, DATA_OFFSET = 12, FLAGS = 13, CHECKSUM = 16, TCP_HEADER = 20, DONT_FRAGMENT = 0x4000 };
  enum { FIN = 1, SYN = 2, RST = 4, ACK_FLAG = 16 };
  struct upper upper;
  if (!find_upper(packet, length, &upper) || upper.protocol != PROTO_TCP || upper.offset + TCP_HEADER > length) return;
  const uint8_t *segment = packet + upper.offset;
  if (segment[FLAGS] & RST) return;
  const bool ipv6 = is_ipv6(packet);
  const uint32_t header = ipv6 ? IPV6_HEADER : IPV4_HEADER;
  uint8_t answer[IPV6_HEADER + TCP_HEADER] = {0}, *reset = answer + header;
  if (ipv6) write_ipv6(answer, TCP_HEADER, 64, PROTO_TCP, packet + 24, packet + 8);
  else write_ipv4(answer, IPV4_HEADER + TCP_HEADER, 0, f->default_ttl, PROTO_TCP, packet + 16, packet + 12);
  if (!ipv6) {
    put16(answer + 6, DONT_FRAGMENT);
    finish_ipv4_checksum(answer);
  }
  memcpy(reset, segment + 2, 2);
  memcpy(reset + 2, segment, 2);
  reset[DATA_OFFSET] = TCP_HEADER / 4 << 4;
  if (segment[FLAGS] & ACK_FLAG) {
    memcpy(reset + SEQ, segment + ACK, 4);
    reset[FLAGS] = RST;
  } else {
    const uint32_t data = length - upper.offset - (segment[DATA_OFFSET] >> 4) * 4u;
    const uint32_t counted = ((segment[FLAGS] & SYN) != 0) + ((segment[FLAGS] & FIN) != 0);
    put32(reset + ACK, get32(segment + SEQ) + data + counted);
    reset[FLAGS] = RST | ACK_FLAG;
  }
  put16(reset + CHECKSUM, fold16(pseudo_header(answer, PROTO_TCP, TCP_HEADER) + sum16(reset, TCP_HEADER)));
  output(f, device, VRFC_PACKET_FLAG_ANYSRC | VRFC_PACKET_FLAG_OIF_UNBOUND | VRFC_PACKET_FLAG_KERNEL_SOCKET, answer,
         header + TCP_HEADER);
}
