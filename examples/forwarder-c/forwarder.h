/*
 * A forwarder: the compiled program between real devices, and the little that a host does besides.
 *
 *   devices                  linear memory                                devices
 *   RX ring --copy--> slots of a batch --process--> TRANSMIT --copy--> TX ring
 *                              |
 *   tap of a VRF --> OUTPUT    '--all else--> host.c: ICMP errors, echo, fragments     neighbour.c: ARP, neighbour discovery
 *   (sockets)                                 sockets.c: what is for the machine's own sockets
 */
#ifndef FORWARDER_H
#define FORWARDER_H

#include "module.h"
#include "port.h"
#include "wire.h"

enum { MOST_DEVICES = 64, BATCH = 128, COPIES = 32, SLOT_SIZE = 2048, ROOM = SLOT_SIZE - VRFC_HEADROOM };
/* Packets that the host has judged, one because of another: an error about a packet, a request for the error's next hop, ... */
enum { DEPTH = 6, HOST_SLOT_SIZE = 66 * 1024, HOST_ROOM = HOST_SLOT_SIZE - VRFC_HEADROOM };

/* How a packet enters, besides its bytes. */
struct entry {
  uint32_t entry, device, flags, mark, priority;
  /* For VRFC_ENTRY_NEIGHBOUR: 4 or 6, and the address. */
  uint32_t next_hop_family;
  const uint8_t *next_hop;
  /* Sent by a socket of this machine, which is told of an error. */
  bool by_socket;
};

struct neighbours;
struct sockets;

struct forwarder {
  struct module module;
  uint32_t net;
  const char *net_name;
  uint8_t default_ttl;
  bool ignore_echo, ignore_group_echo;
  struct port ports[MOST_DEVICES];
  uint32_t port_count;
  /* Filled from a ring; those of the host, of which `depth` are in use. */
  uint32_t batch, host_batches[DEPTH], depth;
  struct neighbours *neighbours;
  struct sockets *sockets;
  /* Microseconds, of a clock that never goes back. */
  uint64_t now;
  uint16_t identification;
};

static inline uint8_t *memory_of(const struct forwarder *f) { return module_memory(&f->module); }
static inline uint32_t column(const struct forwarder *f, uint32_t batch, uint32_t i, uint32_t which) {
  return vrfc_get(memory_of(f), batch, which, i);
}

/* ---- devices, by the network's ifindex */

uint32_t device_word(const struct forwarder *f, uint32_t ifindex, uint32_t field);
const uint8_t *device_mac(const struct forwarder *f, uint32_t ifindex);
bool device_is(const struct forwarder *f, uint32_t ifindex, enum vrfc_device_flag flag);
/* The VRF of a slave, a VRF itself, 0 for all else. */
uint32_t vrf_of(const struct forwarder *f, uint32_t ifindex);
/* Has the device this IPv6 address? */
bool device_has6(const struct forwarder *f, uint32_t ifindex, const uint8_t *address);
/* The device of the VRF, or the VRF, that has it; 0: none. */
uint32_t owner6(const struct forwarder *f, uint32_t vrf, const uint8_t *address);
/* An address of the device for a packet to `destination`: of the same scope; NULL: none. */
const uint8_t *source6(const struct forwarder *f, uint32_t ifindex, const uint8_t *destination);
struct port *port_of(struct forwarder *f, uint32_t ifindex);

/* ---- host.c */

void host_open(struct forwarder *f);
/* Has a packet judged, and does what its verdict asks for. */
void host_run(struct forwarder *f, const struct entry *entry, const uint8_t *packet, uint32_t length);
/* Has a packet judged only. Returns a batch whose packet 0 it is, valid until the next of these calls. */
uint32_t host_ask(struct forwarder *f, const struct entry *entry, const uint8_t *packet, uint32_t length);
/* Does what the verdict of packet `i` asks for. */
void host_act(struct forwarder *f, uint32_t batch, uint32_t i);
void host_transmit(struct forwarder *f, uint32_t ifindex, const uint8_t *frame, uint32_t length);
/* The route's own source address for a packet to `destination` by `device`; false: no route. */
bool route_source(struct forwarder *f, uint32_t device, bool ipv6, const uint8_t *destination, uint8_t *source);

/* ---- icmp.c */

struct offender {
  /* From its IP header on. */
  const uint8_t *packet;
  uint32_t length;
  /* skb->dev, and the device of the wire (0: a socket's). */
  uint32_t device, received_by;
  bool to_group;
};
/* Tells the sender of a packet what became of it, unless that is forbidden (icmp_send, icmp6_send). */
void icmp_error(struct forwarder *f, const struct offender *offender, uint8_t type, uint8_t code, uint32_t info);
/* A packet of ICMP for this machine: answers an echo request. Returns false: it is for sockets. */
bool icmp_receive(struct forwarder *f, const struct offender *request, const struct upper *upper, uint32_t route_type);
/* What a socket is told whose packet has no way: into `answer`, 1280 bytes. Returns its length, 0: nothing. */
uint32_t socket_error(const uint8_t *packet, uint32_t length, uint32_t error, uint8_t *answer);
void tcp_reset(struct forwarder *f, const uint8_t *packet, uint32_t length, uint32_t device);

/* ---- neighbour.c */

void neighbours_open(struct forwarder *f);
/* A packet waits for the link-layer address of `next_hop`. */
void neighbour_queue(struct forwarder *f, const struct entry *next, const struct offender *waiting);
void arp_receive(struct forwarder *f, uint32_t device, const uint8_t *frame, uint32_t length);
/* Neighbour discovery for this machine. `upper`: where ICMPv6 begins. Returns false: it is something else. */
bool ndisc_receive(struct forwarder *f, const struct offender *packet, const struct upper *upper);
/* Asks again, gives up, forgets. */
void neighbours_tick(struct forwarder *f);
void neighbours_flush(struct forwarder *f, uint32_t device);

/* ---- sockets.c */

/* Makes the taps and tells the kernel of addresses and routes. Returns false with a reason on stderr. */
bool sockets_open(struct forwarder *f);
void sockets_close(struct forwarder *f);
/* Opens a device, and keeps the kernel's stack off it. Returns false with a reason on stderr. */
bool sockets_attach(struct forwarder *f, struct port *port, const struct real_device *real);
void port_detach(struct port *port);
/* A packet for a socket of this machine. */
void sockets_deliver(struct forwarder *f, const uint8_t *packet, uint32_t length, uint32_t vrf, uint32_t received_by);
struct pollfd;
/* Adds the taps' descriptors; reads from those that are ready. */
uint32_t sockets_poll(const struct forwarder *f, struct pollfd *polled);
void sockets_read(struct forwarder *f, const struct pollfd *polled);

#endif
