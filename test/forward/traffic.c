/*
 * Traffic between two network namespaces, sent and counted by one process. Each end is a veth; what arrives is held against what was
 * sent by the other, by a number in each packet.
 *
 *   traffic load    NS DEVICE MAC  NS DEVICE MAC  BYTES RATE MILLISECONDS WAYS    UDP packets in frames of BYTES (as on the wire, without
 *                                                                               its check sequence), RATE a second (0: as many as can be);
 *                                                                               WAYS 1: from the first end, 2: from both in turn
 *   traffic lengths NS DEVICE MAC STEP                                          frames of 0, STEP, 2 STEP, ... 65,535 bytes: twice each, as
 *                                                                               an IPv4 packet and as random bytes
 *
 * NS: a file under /run/netns; MAC: whom the end sends to. Packets of end 0 are for 198.18.0.0/16, of end 1 for 198.19.0.0/16. Prints one
 * line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

enum { ENDS = 2, BURST = 32, FLOWS = 256, LARGEST = 65536, MARK_AT = 42, MAGIC = 0x74726166, UDP_HEADER = 8 };
enum { BLOCK = 1 << 18, BLOCKS = 256, BUFFER = 64 << 20 };

struct end {
  int sender, receiver;
  uint8_t *ring;
  uint8_t own[MAC_BYTES], to[MAC_BYTES];
  uint64_t sent, refused, strange;
  volatile uint64_t received;
};

static struct end ends[ENDS];
/* One bit for each packet sent, set when it arrives. */
static uint8_t *arrived;
static uint64_t arrived_bits, duplicates;
static volatile bool done;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void set(int fd, int option, int value) {
  if (setsockopt(fd, SOL_PACKET, option, &value, sizeof value) != 0) fail("setsockopt");
}

static int open_socket(const char *device, int protocol, uint8_t *mac) {
  const int fd = socket(AF_PACKET, SOCK_RAW, 0);
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
  if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) != 0) fail(device);
  memcpy(mac, request.ifr_hwaddr.sa_data, MAC_BYTES);
  if (ioctl(fd, SIOCGIFINDEX, &request) != 0) fail(device);
  const int buffer = BUFFER;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
  if (protocol != 0) {
    struct tpacket_req3 ring = {.tp_block_size = BLOCK, .tp_block_nr = BLOCKS, .tp_frame_size = 2048,
                                .tp_frame_nr = BLOCK / 2048 * BLOCKS, .tp_retire_blk_tov = 10};
    set(fd, PACKET_VERSION, TPACKET_V3);
    set(fd, PACKET_IGNORE_OUTGOING, 1);
    if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) != 0) fail("PACKET_RX_RING");
  } else {
    set(fd, PACKET_QDISC_BYPASS, 1);
  }
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = request.ifr_ifindex};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
  return fd;
}

static void open_end(struct end *end, char **words, bool receives) {
  char path[256];
  snprintf(path, sizeof path, "/run/netns/%s", words[0]);
  const int netns = open(path, O_RDONLY);
  if (netns < 0 || setns(netns, CLONE_NEWNET) != 0) fail(path);
  unsigned mac[MAC_BYTES];
  if (sscanf(words[2], "%x:%x:%x:%x:%x:%x", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != MAC_BYTES) fail(words[2]);
  for (int i = 0; i < MAC_BYTES; i++) end->to[i] = (uint8_t)mac[i];
  end->sender = open_socket(words[1], 0, end->own);
  if (!receives) return;
  end->receiver = open_socket(words[1], ETH_P_IP, end->own);
  end->ring = mmap(NULL, (size_t)BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, end->receiver, 0);
  if (end->ring == MAP_FAILED) fail("mmap");
}

/* ---- load */

static void write_packet(uint8_t *frame, uint32_t bytes, int from, uint64_t number) {
  const struct end *end = &ends[from];
  const uint32_t flow = (uint32_t)(number % FLOWS);
  const uint8_t source[4] = {10, 0, (uint8_t)from, 7}, destination[4] = {198, (uint8_t)(18 + from), (uint8_t)flow, 1};
  memset(frame, 0, bytes);
  write_ethernet(frame, end->to, end->own, ETHERTYPE_IPV4);
  write_ipv4(frame + ETHERNET_HEADER, bytes - ETHERNET_HEADER, 0, 64, PROTO_UDP, source, destination);
  uint8_t *udp = frame + ETHERNET_HEADER + IPV4_HEADER;
  put16(udp, 1024 + flow);
  put16(udp + 2, 9);
  put16(udp + 4, bytes - ETHERNET_HEADER - IPV4_HEADER);
  put32(frame + MARK_AT, MAGIC);
  memcpy(frame + MARK_AT + 4, &number, 8);
}

static void count_frame(struct end *end, const uint8_t *frame, uint32_t length) {
  const uint8_t *destination = frame + ETHERNET_HEADER + 16;
  uint64_t number;
  if (length < MARK_AT + 12 || get32(frame + MARK_AT) != MAGIC) return;
  memcpy(&number, frame + MARK_AT + 4, 8);
  /* Of the other end, its header right, its TTL one less. */
  const int from = end == &ends[0];
  const bool right = destination[0] == 198 && destination[1] == 18 + from && destination[2] == number % FLOWS &&
                     frame[ETHERNET_HEADER + 8] == 63 && fold16(sum16(frame + ETHERNET_HEADER, IPV4_HEADER)) == 0 &&
                     memcmp(frame, end->own, MAC_BYTES) == 0 && number < arrived_bits;
  if (!right) {
    end->strange++;
    return;
  }
  if (arrived[number / 8] & 1 << number % 8) duplicates++;
  else end->received++;
  arrived[number / 8] |= (uint8_t)(1 << number % 8);
}

static void *receive(void *context) {
  uint32_t next[ENDS] = {0};
  (void)context;
  while (!done) {
    struct pollfd polled[ENDS];
    for (int e = 0; e < ENDS; e++) polled[e] = (struct pollfd){.fd = ends[e].receiver, .events = POLLIN};
    poll(polled, ENDS, 20);
    for (int e = 0; e < ENDS; e++)
      for (;;) {
        struct tpacket_block_desc *block = (void *)(ends[e].ring + (size_t)next[e] * BLOCK);
        if ((__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) break;
        const uint8_t *at = (uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;
        for (uint32_t i = 0; i < block->hdr.bh1.num_pkts; i++) {
          const struct tpacket3_hdr *header = (const void *)at;
          count_frame(&ends[e], at + header->tp_mac, header->tp_snaplen);
          at += header->tp_next_offset;
        }
        __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        next[e] = (next[e] + 1) % BLOCKS;
      }
  }
  return NULL;
}

static uint64_t ring_drops(const struct end *end) {
  struct tpacket_stats_v3 stats = {0};
  socklen_t length = sizeof stats;
  return getsockopt(end->receiver, SOL_PACKET, PACKET_STATISTICS, &stats, &length) == 0 ? stats.tp_drops : 0;
}

/* Sends a burst. Returns how many the device took. */
static int send_burst(struct end *end, uint8_t frames[][LARGEST], uint32_t bytes, int count) {
  struct mmsghdr messages[BURST] = {0};
  struct iovec parts[BURST];
  for (int i = 0; i < count; i++) {
    parts[i] = (struct iovec){frames[i], bytes};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  }
  const int sent = sendmmsg(end->sender, messages, (unsigned)count, 0);
  return sent < 0 ? 0 : sent;
}

/* What is still on its way: until all is here, or nothing has come for a second. A router that is behind has not lost anything. */
static void wait_for_rest(void) {
  const struct timespec pause = {.tv_nsec = 20000000};
  uint64_t seen = 0;
  for (int idle = 0; idle < 50; idle++) {
    const uint64_t now = ends[0].received + ends[1].received;
    if (now == ends[0].sent + ends[1].sent) return;
    if (now != seen) idle = 0;
    seen = now;
    nanosleep(&pause, NULL);
  }
}

static void load(uint32_t bytes, uint64_t rate, uint64_t milliseconds, int ways) {
  static uint8_t frames[BURST][LARGEST];
  const uint64_t start = nanoseconds(), end = start + milliseconds * 1000000;
  uint64_t number = 0;
  for (uint64_t now = start; now < end; now = nanoseconds()) {
    const uint64_t due = rate == 0 ? UINT64_MAX : (now - start) * rate / 1000000000u;
    if (due <= number) {
      const struct timespec pause = {.tv_nsec = 20000};
      nanosleep(&pause, NULL);
      continue;
    }
    const int count = due - number < BURST ? (int)(due - number) : BURST;
    const int from = ways == 1 ? 0 : (int)(number / BURST % 2);
    if (number + BURST > arrived_bits) break;
    for (int i = 0; i < count; i++) write_packet(frames[i], bytes, from, number + (uint64_t)i);
    const int sent = send_burst(&ends[from], frames, bytes, count);
    ends[from].sent += (uint64_t)sent;
    ends[from].refused += (uint64_t)(count - sent);
    /* Numbers of those that the device refused are never used again. */
    number += (uint64_t)count;
  }
  const double seconds = (double)(nanoseconds() - start) / 1e9;
  const uint64_t in_time = ends[0].received + ends[1].received;
  wait_for_rest();
  done = true;
  printf("{\"seconds\":%.4f,\"sent\":%llu,\"refused\":%llu,\"inTime\":%llu", seconds,
         (unsigned long long)(ends[0].sent + ends[1].sent), (unsigned long long)(ends[0].refused + ends[1].refused),
         (unsigned long long)in_time);
}

static void run_load(char **words) {
  const uint64_t milliseconds = strtoull(words[8], NULL, 10);
  open_end(&ends[0], words, true);
  open_end(&ends[1], words + 3, true);
  arrived_bits = milliseconds * 8000 + 1000000;
  arrived = calloc(arrived_bits / 8 + 1, 1);
  pthread_t receiver;
  if (arrived == NULL || pthread_create(&receiver, NULL, receive, NULL) != 0) fail("receiver");
  load((uint32_t)strtoul(words[6], NULL, 10), strtoull(words[7], NULL, 10), milliseconds, atoi(words[9]));
  pthread_join(receiver, NULL);
  printf(",\"received\":%llu,\"strange\":%llu,\"duplicates\":%llu,\"unseen\":%llu}\n",
         (unsigned long long)(ends[0].received + ends[1].received), (unsigned long long)(ends[0].strange + ends[1].strange),
         (unsigned long long)duplicates, (unsigned long long)(ring_drops(&ends[0]) + ring_drops(&ends[1])));
}

/* ---- lengths */

static uint32_t random_state = 2463534242u;
static uint32_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

static void run_lengths(char **words) {
  static uint8_t frame[LARGEST];
  uint64_t sent = 0, refused = 0;
  const uint32_t step = (uint32_t)atoi(words[3]);
  open_end(&ends[0], words, false);
  for (uint32_t bytes = 0; bytes < LARGEST; bytes += step)
    for (int as_packet = 0; as_packet < 2; as_packet++) {
      for (uint32_t i = 0; i < bytes; i++) frame[i] = (uint8_t)next_random();
      if (bytes >= MARK_AT + 12 && as_packet) write_packet(frame, bytes, 0, bytes);
      else memcpy(frame, ends[0].to, MAC_BYTES);
      static const uint16_t types[] = {ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_ARP, 0x8100, 0x88cc};
      if (!as_packet && bytes >= ETHERNET_HEADER) put16(frame + 12, types[next_random() % 5]);
      /* A burst of frames this large is more than sockets hold. */
      if (bytes % 64 == 0) nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
      if (send(ends[0].sender, frame, bytes, 0) < 0) refused++;
      else sent++;
    }
  printf("{\"sent\":%llu,\"refused\":%llu}\n", (unsigned long long)sent, (unsigned long long)refused);
}

int main(int argc, char **argv) {
  if (argc == 12 && strcmp(argv[1], "load") == 0) run_load(argv + 2);
  else if (argc == 6 && strcmp(argv[1], "lengths") == 0) run_lengths(argv + 2);
  else {
    fprintf(stderr, "usage: traffic load NS DEVICE MAC NS DEVICE MAC BYTES RATE MILLISECONDS WAYS | lengths NS DEVICE MAC STEP\n");
    return 2;
  }
  return 0;
}
