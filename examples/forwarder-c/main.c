/*
 * forwarder [-n NAMESPACE] [DEVICE ...]: forwards between real devices as the compiled network says, until SIGINT or SIGTERM.
 * Devices have the names that the network gives them; without names it is all of the namespace's. No other device is touched.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "forwarder.h"
#include "network-names.h"
#include "offload.h"

enum { TICK_MS = 10, CARE = 250000, WRONG_USE = 2 };

static volatile sig_atomic_t ending, telling;
static void on_signal(int signal) {
  if (signal == SIGUSR1) telling = 1;
  else ending = 1;
}

/* ---- the network */

static const struct net { const char *name; uint8_t ttl; bool ignore_echo, ignore_group_echo; } nets[] = {
#define NET(name, ttl, ignore, ignore_group) {name, ttl, ignore, ignore_group},
    VRFC_NETS(NET)
#undef NET
};
enum { NETS = sizeof nets / sizeof *nets };

static const struct name { uint32_t net, ifindex; const char *name; } names[] = {
#define DEVICE(net, ifindex, name) {net, ifindex, name},
    VRFC_DEVICES(DEVICE)
#undef DEVICE
};
enum { NAMES = sizeof names / sizeof *names };

__attribute__((noreturn)) static void refuse(const char *why) {
  fprintf(stderr, "forwarder: %s\nusage: forwarder [-n NAMESPACE] [DEVICE ...]\nnamespaces and their devices:\n", why);
  for (uint32_t net = 0; net < NETS; net++) {
    fprintf(stderr, "  %s:", nets[net].name);
    for (int i = 0; i < NAMES; i++)
      if (names[i].net == net) fprintf(stderr, " %s", names[i].name);
    fputc('\n', stderr);
  }
  exit(WRONG_USE);
}

/* The namespace that this machine is: the one that is named, the only one, or `host`. */
static uint32_t choose_net(const char *name) {
  char why[256];
  for (uint32_t i = 0; i < NETS; i++)
    if (strcmp(nets[i].name, name == NULL ? "host" : name) == 0) return i;
  if (name == NULL && NETS == 1) return 0;
  if (name == NULL) refuse("which namespace is this machine?");
  snprintf(why, sizeof why, "the network has no namespace %s", name);
  refuse(why);
}

static void add_port(struct forwarder *f, const struct name *device) {
  for (uint32_t i = 0; i < f->port_count; i++)
    if (f->ports[i].ifindex == device->ifindex) return;
  if (f->port_count == MOST_DEVICES) refuse("more than 64 devices");
  struct port *port = &f->ports[f->port_count++];
  *port = (struct port){.ifindex = device->ifindex, .receiver = -1, .sender = -1, .links = {-1, -1}};
  snprintf(port->name, sizeof port->name, "%s", device->name);
}

static void choose_ports(struct forwarder *f, char **wanted, int count) {
  char why[256];
  for (int w = 0; w < count; w++) {
    bool found = false;
    for (int i = 0; i < NAMES; i++) {
      if (names[i].net != f->net || strcmp(names[i].name, wanted[w]) != 0) continue;
      snprintf(why, sizeof why, "%s is a VRF or a loopback: name what frames come in by", wanted[w]);
      if (!device_is(f, names[i].ifindex, VRFC_DEVICE_FLAG_VETH)) refuse(why);
      add_port(f, &names[i]);
      found = true;
    }
    snprintf(why, sizeof why, "namespace %s has no device %s", f->net_name, wanted[w]);
    if (!found) refuse(why);
  }
  for (int i = 0; count == 0 && i < NAMES; i++)
    if (names[i].net == f->net && device_is(f, names[i].ifindex, VRFC_DEVICE_FLAG_VETH)) add_port(f, &names[i]);
  if (f->port_count == 0) refuse("the namespace has no device that frames come in by");
}

/* Why the machine's device cannot be the network's; NULL: it can. */
static const char *obstacle(const struct forwarder *f, const struct port *port, const struct real_device *real) {
  if (!real->ethernet) return "is no Ethernet device";
  if (!real->up) return "is down (ip link set NAME up)";
  if (real->mtu < device_word(f, port->ifindex, VRFC_DEVICE_MTU)) return "has a smaller MTU than the network says";
  return NULL;
}

static bool open_ports(struct forwarder *f) {
  for (uint32_t i = 0; i < f->port_count; i++) {
    struct port *port = &f->ports[i];
    struct real_device real;
    const bool present = real_device(port->name, &real);
    const char *why = present ? obstacle(f, port, &real) : "is not on this machine, in this network namespace";
    if (why != NULL) {
      fprintf(stderr, "forwarder: %s %s\n", port->name, why);
      return false;
    }
  }
  if (!sockets_open(f)) return false;
  for (uint32_t i = 0; i < f->port_count; i++) {
    struct real_device real;
    if (!real_device(f->ports[i].name, &real) || !sockets_attach(f, &f->ports[i], &real)) return false;
  }
  return true;
}

/* A device that is gone is left, and opened when there is one of its name again. */
static void look_after_ports(struct forwarder *f) {
  for (uint32_t i = 0; i < f->port_count; i++) {
    struct port *port = &f->ports[i];
    struct real_device real;
    const bool present = real_device(port->name, &real);
    if (port->receiver >= 0 && (!present || real.ifindex != port->real)) {
      fprintf(stderr, "%s: gone\n", port->name);
      port_detach(port);
      port->was_gone = true;
      neighbours_flush(f, port->ifindex);
    }
    if (port->receiver < 0 && present && obstacle(f, port, &real) == NULL) {
      if (sockets_attach(f, port, &real)) fprintf(stderr, "%s: back\n", port->name);
      else port_detach(port);
    }
  }
}

/* ---- frames */

struct filling {
  struct forwarder *f;
  struct port *port;
  uint32_t count;
};

static void judge(struct filling *filling) {
  struct forwarder *f = filling->f;
  if (filling->count == 0) return;
  const uint32_t count = module_process(&f->module, f->net, f->batch, filling->count);
  for (uint32_t i = 0; i < count; i++) host_act(f, f->batch, i);
  filling->count = 0;
}

/* ip_options_compile, as far as the program must know: are they wrong, is there a source route? */
static uint32_t option_flags(const uint8_t *frame, uint32_t length) {
  enum { OPTION_END = 0, NOOP = 1, LOOSE = 131, STRICT = 137 };
  const uint8_t *packet = frame + ETHERNET_HEADER;
  if (length < ETHERNET_HEADER + IPV4_HEADER || get16(frame + 12) != ETHERTYPE_IPV4 || packet[0] == 0x45) return 0;
  const uint32_t end = ipv4_header_bytes(packet);
  if (packet[0] >> 4 != 4 || end > length - ETHERNET_HEADER) return 0;
  for (uint32_t at = IPV4_HEADER, bytes; at < end && packet[at] != OPTION_END; at += bytes) {
    bytes = packet[at] == NOOP ? 1 : at + 1 < end ? packet[at + 1] : 0;
    if (packet[at] != NOOP && (bytes < 2 || at + bytes > end)) return VRFC_PACKET_FLAG_OPTIONS_INVALID;
    if (packet[at] == LOOSE || packet[at] == STRICT) return VRFC_PACKET_FLAG_OPTIONS_SOURCE_ROUTE;
  }
  return 0;
}

/* Appends a frame to the batch; one that is larger than its slots is judged by itself, in its turn. */
static void append(void *context, uint8_t *frame, uint32_t length) {
  struct filling *filling = context;
  struct forwarder *f = filling->f;
  const uint32_t flags = option_flags(frame, length);
  if (length > ROOM) {
    const struct entry entry = {.entry = VRFC_ENTRY_RECEIVE, .device = filling->port->ifindex, .flags = flags};
    judge(filling);
    host_run(f, &entry, frame, length);
    return;
  }
  if (filling->count == BATCH) judge(filling);
  const uint32_t i = filling->count++;
  uint8_t *memory = memory_of(f);
  memcpy(memory + vrfc_packet_room(memory, f->batch, i), frame, length);
  vrfc_received(memory, f->batch, i, filling->port->ifindex, length);
  vrfc_set(memory, f->batch, VRFC_COLUMN_FLAGS, i, flags);
}

static void append_as_sent(struct filling *filling, struct frame *frame) {
  static uint8_t whole[LARGEST_FRAME + 4];
  if (is_super_frame(frame)) {
    cut_segments(frame, append, filling);
    return;
  }
  uint8_t *bytes = (uint8_t *)frame->bytes;
  complete_checksum(bytes, frame->length, &frame->offload);
  if (frame->vlan != 0 && frame->length >= ETHERNET_HEADER && frame->length <= LARGEST_FRAME) {
    restore_vlan_tag(whole, bytes, frame->length, frame->vlan);
    append(filling, whole, frame->length + 4);
  } else {
    append(filling, bytes, frame->length);
  }
}

static void receive(struct forwarder *f, struct port *port) {
  struct filling filling = {f, port, 0};
  struct frame frame;
  for (int n = 0; n < BATCH && port_receive(port, &frame); n++) {
    append_as_sent(&filling, &frame);
    port_release(port);
  }
  judge(&filling);
}

static void flush(struct forwarder *f) {
  for (uint32_t i = 0; i < f->port_count; i++) port_flush(&f->ports[i]);
}

static void show_counters(const struct forwarder *f) {
  static const char *const verdicts[] = {"none", "transmit", "local", "drop", "icmp_error", "unresolved", "send_error",
                                         "found", "pass", "fragment", "tcp_reset"};
  for (uint32_t i = 0; i < f->port_count; i++) {
    const struct port *p = &f->ports[i];
    printf("%s rx %llu packets %llu bytes tx %llu packets %llu bytes lost %llu\n", p->name,
           (unsigned long long)p->rx_packets, (unsigned long long)p->rx_bytes, (unsigned long long)p->tx_packets,
           (unsigned long long)p->tx_bytes, (unsigned long long)p->lost);
  }
  for (uint32_t v = 1; v < sizeof verdicts / sizeof *verdicts; v++) {
    const uint64_t packets = vrfc_verdicts(memory_of(f), f->net, (enum vrfc_verdict)v);
    if (packets > 0) printf("%s %llu\n", verdicts[v], (unsigned long long)packets);
  }
  fflush(stdout);
}

static uint64_t microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void forward(struct forwarder *f, const sigset_t *unblocked) {
  struct pollfd polled[2 * MOST_DEVICES];
  uint64_t cared = 0;
  while (!ending) {
    for (uint32_t i = 0; i < f->port_count; i++) polled[i] = (struct pollfd){.fd = f->ports[i].receiver, .events = POLLIN};
    const uint32_t all = f->port_count + sockets_poll(f, polled + f->port_count);
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000};
    const int ready = ppoll(polled, all, &tick, unblocked);
    f->now = microseconds();
    const uint64_t clock = f->now * 1000;
    memcpy(memory_of(f) + vrfc_net(memory_of(f), f->net) + VRFC_NET_CLOCK, &clock, sizeof clock);
    for (uint32_t i = 0; ready > 0 && i < f->port_count; i++) {
      if (polled[i].revents & POLLIN) receive(f, &f->ports[i]);
      else if (polled[i].revents != 0) cared = 0;
    }
    if (ready > 0) sockets_read(f, polled + f->port_count);
    if (f->now >= cared + CARE) {
      cared = f->now;
      look_after_ports(f);
      neighbours_tick(f);
    }
    flush(f);
    if (telling) show_counters(f);
    telling = 0;
  }
}

static struct forwarder forwarder;

int main(int argc, char **argv) {
  struct forwarder *f = &forwarder;
  const char *net = NULL;
  for (int option; (option = getopt(argc, argv, "n:")) != -1;) {
    if (option != 'n') refuse("an option that there is not");
    net = optarg;
  }
  f->net = choose_net(net);
  f->net_name = nets[f->net].name;
  f->default_ttl = nets[f->net].ttl;
  f->ignore_echo = nets[f->net].ignore_echo;
  f->ignore_group_echo = nets[f->net].ignore_group_echo;
  module_open(&f->module);
  choose_ports(f, argv + optind, argc - optind);
  f->batch = module_batch(&f->module, BATCH + COPIES, SLOT_SIZE);
  host_open(f);
  neighbours_open(f);

  /* Signals arrive in ppoll alone. */
  sigset_t blocked, unblocked;
  sigemptyset(&blocked);
  for (const int *s = (const int[]){SIGINT, SIGTERM, SIGUSR1, 0}; *s != 0; s++) {
    sigaddset(&blocked, *s);
    sigaction(*s, &(struct sigaction){.sa_handler = on_signal}, NULL);
  }
  sigprocmask(SIG_BLOCK, &blocked, &unblocked);

  const bool open = open_ports(f);
  if (open) {
    printf("forwarding for namespace %s:", f->net_name);
    for (uint32_t i = 0; i < f->port_count; i++) printf(" %s", f->ports[i].name);
    printf("\n");
    fflush(stdout);
    forward(f, &unblocked);
    show_counters(f);
  }
  for (uint32_t i = 0; i < f->port_count; i++) port_detach(&f->ports[i]);
  sockets_close(f);
  module_close(&f->module);
  return open ? 0 : 1;
}
