/*
 * Sockets of this machine: a tap for each VRF, of its name and with its addresses (`ping -I vrf`). What they send comes out of the tap's
 * descriptor, what is for them is written to it; a frame's source address may name a device, by which the kernel has sent it or is to
 * receive it (isolate.h). The kernel is told of addresses and routes by `ip -batch`, and that is undone at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "forwarder.h"
#include "isolate.h"
#include "network-names.h"

enum { FLOWS = 4096, FLOW_KEY = 38, TAP_FRAME = 65536 + 64 };

struct tap {
  /* The VRF in the network, 0: the side of devices without one. */
  uint32_t vrf;
  int fd, ifindex, link;
  uint8_t mac[MAC_BYTES];
};

/* By which device a socket sent a flow: Linux shows packets of it to sockets bound to the slave, the kernel without a VRF to one. */
struct flow {
  uint8_t key[FLOW_KEY];
  uint32_t device;
};

struct sockets {
  struct tap taps[MOST_DEVICES];
  uint32_t count;
  bool told;
  struct flow flows[FLOWS];
};

/* ---- what the kernel is told */

static const struct setting { uint32_t net, family; const char *add, *remove; } settings[] = {
#define SETTING(net, family, add, remove) {net, family, add, remove},
    VRFC_SETTINGS(SETTING)
#undef SETTING
    {UINT32_MAX, 0, "", ""}};
enum { SETTINGS = sizeof settings / sizeof *settings - 1 };

/* `only`: the routes by this device, NULL: all. */
static bool tell(uint32_t net, uint32_t family, bool undo, const char *only) {
  FILE *ip = popen(undo ? (family == 4 ? "ip -4 -force -batch - >/dev/null 2>&1" : "ip -6 -force -batch - >/dev/null 2>&1")
                        : (family == 4 ? "ip -4 -batch -" : "ip -6 -batch -"),
                   "w");
  if (ip == NULL) return false;
  char by[IFNAMSIZ + 8];
  snprintf(by, sizeof by, " dev %s ", only == NULL ? "" : only);
  for (int i = 0; i < SETTINGS; i++) {
    const struct setting *setting = &settings[undo ? SETTINGS - 1 - i : i];
    const char *line = undo ? setting->remove : setting->add;
    if (setting->net != net || setting->family != family || line[0] == 0) continue;
    if (only == NULL || (strncmp(line, "route ", 6) == 0 && strstr(line, by) != NULL)) fprintf(ip, "%s\n", line);
  }
  return pclose(ip) == 0;
}

static bool write_file(const char *tap, const char *setting, const char *value) {
  char path[128];
  snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/%s", tap, setting);
  FILE *file = fopen(path, "w");
  return file != NULL && (fputs(value, file), fclose(file) == 0);
}

/* ---- taps */

static bool open_tap(struct sockets *s, const char *name, uint32_t vrf) {
  struct tap *tap = &s->taps[s->count];
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | (short)IFF_TUN_EXCL};
  struct real_device real;
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  *tap = (struct tap){.vrf = vrf, .link = -1, .fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)};
  if (tap->fd < 0 || ioctl(tap->fd, TUNSETIFF, &request) != 0) {
    fprintf(stderr, "tap device %s, for sockets of the VRF: %s\n", name, strerror(errno));
    if (tap->fd >= 0) close(tap->fd);
    return false;
  }
  s->count++;
  if (!real_device(request.ifr_name, &real)) return false;
  tap->ifindex = real.ifindex;
  memcpy(tap->mac, real.mac, MAC_BYTES);
  /* What the host tells this machine's own sockets comes from one of its own addresses. */
  return write_file(request.ifr_name, "accept_local", "1") && write_file(request.ifr_name, "rp_filter", "0") &&
         (tap->link = redirect_from_tap(real.ifindex)) >= 0;
}

static const char *name_of(uint32_t net, uint32_t ifindex) {
#define DEVICE(its_net, its_ifindex, name) \
  if (net == its_net && ifindex == its_ifindex) return name;
  VRFC_DEVICES(DEVICE)
#undef DEVICE
  return NULL;
}

bool sockets_open(struct forwarder *f) {
  struct sockets *s = f->sockets = calloc(1, sizeof *s);
  bool without = false;
  if (s == NULL) return false;
  for (uint32_t i = 0; i < f->port_count; i++) {
    const uint32_t vrf = vrf_of(f, f->ports[i].ifindex);
    bool known = vrf == 0 && without;
    for (uint32_t j = 0; j < s->count; j++) known |= s->taps[j].vrf == vrf;
    if (known) continue;
    if (!open_tap(s, vrf == 0 ? "vrfc%d" : name_of(f->net, vrf), vrf)) return false;
    without |= vrf == 0;
  }
  /* Rules and routes of a forwarder that was killed. */
  for (uint32_t family = 4; family <= 6; family += 2) tell(f->net, family, true, NULL);
  s->told = true;
  return tell(f->net, 4, false, NULL) && tell(f->net, 6, false, NULL);
}

void sockets_close(struct forwarder *f) {
  if (f->sockets == NULL) return;
  for (uint32_t family = 4; f->sockets->told && family <= 6; family += 2) tell(f->net, family, true, NULL);
  for (uint32_t i = 0; i < f->sockets->count; i++) {
    close(f->sockets->taps[i].link);
    close(f->sockets->taps[i].fd);
  }
}

static const struct tap *tap_of(const struct forwarder *f, uint32_t vrf) {
  for (uint32_t i = 0; i < f->sockets->count; i++)
    if (f->sockets->taps[i].vrf == vrf) return &f->sockets->taps[i];
  return vrf == 0 ? NULL : tap_of(f, 0);
}

bool sockets_attach(struct forwarder *f, struct port *port, const struct real_device *real) {
  const struct tap *tap = tap_of(f, vrf_of(f, port->ifindex));
  if (tap == NULL || !isolate_device(real->ifindex, tap->ifindex, port->links)) return false;
  if (!port_open(port, real->ifindex, MARK)) return false;
  memcpy(port->mac, real->mac, MAC_BYTES);
  memcpy(memory_of(f) + vrfc_device(memory_of(f), f->net, port->ifindex) + VRFC_DEVICE_MAC, real->mac, MAC_BYTES);
  vrfc_device_changed(memory_of(f), f->net);
  /* Routes by a device go with it: one that is back needs them again. */
  if (port->was_gone && !(tell(f->net, 4, false, port->name) && tell(f->net, 6, false, port->name))) return false;
  return true;
}

void port_detach(struct port *port) {
  for (int i = 0; i < 2; i++)
    if (port->links[i] >= 0) close(port->links[i]);
  port->links[0] = port->links[1] = -1;
  port_close(port);
}

/* ---- flows */

/* Protocol, own end, other end: addresses and ports, or an echo's identifier. An error is of the flow that it complains of. */
static bool flow_key(const uint8_t *packet, uint32_t length, bool sent, uint8_t key[FLOW_KEY]) {
  enum { QUOTED = 8, ECHO_IDENTIFIER = 4 };
  struct upper upper;
  if (!find_upper(packet, length, &upper)) return false;
  const bool ipv6 = is_ipv6(packet);
  const uint8_t *at = packet + upper.offset, *source = packet + (ipv6 ? 8 : 12), *destination = packet + (ipv6 ? 24 : 16);
  const uint32_t rest = length - upper.offset, bytes = ipv6 ? 16 : 4;
  const bool icmp = upper.protocol == PROTO_ICMP || upper.protocol == PROTO_ICMPV6;
  if (icmp && rest > QUOTED && (upper.protocol == PROTO_ICMPV6 ? at[0] < 128 : at[0] == 3 || at[0] == 11 || at[0] == 12))
    return !sent && flow_key(at + QUOTED, rest - QUOTED, true, key);
  memset(key, 0, FLOW_KEY);
  key[0] = upper.protocol;
  memcpy(key + 2, sent ? source : destination, bytes);
  memcpy(key + 18, sent ? destination : source, bytes);
  if (icmp && rest >= 8) memcpy(key + 34, at + ECHO_IDENTIFIER, 2);
  if ((upper.protocol == PROTO_TCP || upper.protocol == PROTO_UDP) && rest >= 4) {
    memcpy(key + 34, at + (sent ? 0 : 2), 2);
    memcpy(key + 36, at + (sent ? 2 : 0), 2);
  }
  return true;
}

static struct flow *flow_place(struct sockets *s, const uint8_t key[FLOW_KEY]) {
  uint32_t hash = 0;
  for (int i = 0; i < FLOW_KEY; i++) hash = (hash ^ key[i]) * 16777619u;
  return &s->flows[(hash ^ hash >> 16) % FLOWS];
}

/* ---- packets */

static void name_device(uint8_t *frame, int ifindex) {
  frame[6] = NAMING_0;
  frame[7] = NAMING_1;
  memcpy(frame + 8, &ifindex, 4);
}

void sockets_deliver(struct forwarder *f, const uint8_t *packet, uint32_t length, uint32_t vrf, uint32_t received_by) {
  static uint8_t frame[TAP_FRAME];
  static const uint8_t nobody[MAC_BYTES] = {0x02};
  const struct tap *tap = tap_of(f, vrf);
  uint8_t key[FLOW_KEY];
  if (tap == NULL || length + ETHERNET_HEADER > TAP_FRAME || length == 0) return;
  uint32_t slave = vrf == 0 ? received_by : 0;
  if (vrf != 0 && flow_key(packet, length, false, key)) {
    const struct flow *flow = flow_place(f->sockets, key);
    if (memcmp(flow->key, key, FLOW_KEY) == 0) slave = flow->device;
  }
  const struct port *port = slave == 0 ? NULL : port_of(f, slave);
  const uint32_t type = is_ipv6(packet) ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;
  write_ethernet(frame, port != NULL ? port->mac : tap->mac, nobody, type);
  if (port != NULL) name_device(frame, port->real);
  memcpy(frame + ETHERNET_HEADER, packet, length);
  /* A tap that is full loses packets, as a device does. */
  if (write(tap->fd, frame, length + ETHERNET_HEADER) < 0) return;
}

/* The kernel asks, on a slave, for a neighbour's link-layer address: whatever it sends there comes here. */
static void answer_kernel(const struct tap *tap, const struct port *port, uint8_t *frame, uint32_t length) {
  enum { ARP = 28, SOLICITATION = 135, ADVERTISEMENT = 136, ND_MESSAGE = 24, SOLICITED_OVERRIDE = 3 << 29, TARGET_OPTION = 2 };
  static const uint8_t anybody[MAC_BYTES] = {0x02, 0x76};
  uint8_t answer[ETHERNET_HEADER + IPV6_HEADER + ND_MESSAGE + 8] = {0}, *at = answer + ETHERNET_HEADER;
  const uint8_t *asked = frame + ETHERNET_HEADER;
  uint32_t bytes = 0;
  if (get16(frame + 12) == ETHERTYPE_ARP && length >= ETHERNET_HEADER + ARP && get16(asked + 6) == 1 &&
      get32(asked + 14) != 0 && memcmp(asked + 14, asked + 24, 4) != 0) {
    memcpy(at, asked, 6);
    put16(at + 6, 2);
    memcpy(at + 8, anybody, MAC_BYTES);
    memcpy(at + 14, asked + 24, 4);
    memcpy(at + 18, asked + 8, MAC_BYTES + 4);
    bytes = ARP;
  }
  const uint8_t *message = asked + IPV6_HEADER;
  static const uint8_t any[16];
  if (get16(frame + 12) == ETHERTYPE_IPV6 && length >= ETHERNET_HEADER + IPV6_HEADER + ND_MESSAGE &&
      asked[6] == PROTO_ICMPV6 && message[0] == SOLICITATION && memcmp(asked + 8, any, 16) != 0) {
    uint8_t *told = at + IPV6_HEADER;
    bytes = IPV6_HEADER + ND_MESSAGE + 8;
    write_ipv6(at, ND_MESSAGE + 8, 255, PROTO_ICMPV6, message + 8, asked + 8);
    told[0] = ADVERTISEMENT;
    put32(told + 4, SOLICITED_OVERRIDE);
    memcpy(told + 8, message + 8, 16);
    told[ND_MESSAGE] = TARGET_OPTION;
    told[ND_MESSAGE + 1] = 1;
    memcpy(told + ND_MESSAGE + 2, anybody, MAC_BYTES);
    put16(told + 2, fold16(pseudo_header(at, PROTO_ICMPV6, ND_MESSAGE + 8) + sum16(told, ND_MESSAGE + 8)));
  }
  if (bytes == 0) return;
  write_ethernet(answer, port->mac, anybody, get16(frame + 12));
  name_device(answer, port->real);
  if (write(tap->fd, answer, ETHERNET_HEADER + bytes) < 0) return;
}

/* The kernel speaks for itself: neighbour discovery and group reports of its own addresses, which are nobody's here. */
static bool is_chatter(const uint8_t *packet, uint32_t length) {
  struct upper upper;
  if (!find_upper(packet, length, &upper)) return true;
  if (upper.protocol == PROTO_IGMP) return true;
  const uint8_t type = upper.offset < length ? packet[upper.offset] : 0;
  return upper.protocol == PROTO_ICMPV6 && ((type >= 130 && type <= 137) || type == 143);
}

static void read_frame(struct forwarder *f, const struct tap *tap, uint8_t *frame, uint32_t length) {
  const struct port *port = NULL;
  int sender;
  memcpy(&sender, frame + 8, 4);
  for (uint32_t i = 0; frame[6] == NAMING_0 && frame[7] == NAMING_1 && i < f->port_count; i++)
    if (f->ports[i].real == sender && sender != 0) port = &f->ports[i];
  if (port != NULL) answer_kernel(tap, port, frame, length);
  const uint32_t type = get16(frame + 12);
  const uint8_t *packet = frame + ETHERNET_HEADER;
  length -= ETHERNET_HEADER;
  if ((type != ETHERTYPE_IPV4 && type != ETHERTYPE_IPV6) || is_chatter(packet, length)) return;
  const uint32_t device = port != NULL ? port->ifindex : tap->vrf;
  uint8_t key[FLOW_KEY];
  if (flow_key(packet, length, true, key)) {
    struct flow *flow = flow_place(f->sockets, key);
    if (port != NULL) {
      memcpy(flow->key, key, FLOW_KEY);
      flow->device = device;
    }
  }
  const struct entry entry = {.entry = VRFC_ENTRY_OUTPUT, .device = device, .by_socket = true};
  host_run(f, &entry, packet, length);
}

uint32_t sockets_poll(const struct forwarder *f, struct pollfd *polled) {
  for (uint32_t i = 0; i < f->sockets->count; i++) polled[i] = (struct pollfd){.fd = f->sockets->taps[i].fd, .events = POLLIN};
  return f->sockets->count;
}

void sockets_read(struct forwarder *f, const struct pollfd *polled) {
  static uint8_t frame[TAP_FRAME];
  for (uint32_t i = 0; i < f->sockets->count; i++) {
    if ((polled[i].revents & POLLIN) == 0) continue;
    for (int n = 0; n < BATCH; n++) {
      const ssize_t length = read(polled[i].fd, frame, sizeof frame);
      if (length < ETHERNET_HEADER) break;
      read_frame(f, &f->sockets->taps[i], frame, (uint32_t)length);
    }
  }
}
