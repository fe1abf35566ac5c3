#include "port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "wire.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

enum { FRAME_SIZE = 2048, BLOCK_SIZE = 65536, RECEIVED = 16384, SENT = 4096, BUFFER_BYTES = 16 << 20 };
/* Where the kernel looks for a frame that it is to send. */
enum { SENT_DATA = TPACKET2_HDRLEN - sizeof(struct sockaddr_ll) };

bool real_device(const char *name, struct real_device *device) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  bool known = fd >= 0 && ioctl(fd, SIOCGIFINDEX, &request) == 0;
  device->ifindex = request.ifr_ifindex;
  known = known && ioctl(fd, SIOCGIFMTU, &request) == 0;
  device->mtu = (uint32_t)request.ifr_mtu;
  known = known && ioctl(fd, SIOCGIFFLAGS, &request) == 0;
  device->up = (request.ifr_flags & IFF_UP) != 0;
  known = known && ioctl(fd, SIOCGIFHWADDR, &request) == 0;
  device->ethernet = request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
  memcpy(device->mac, request.ifr_hwaddr.sa_data, MAC_BYTES);
  if (fd >= 0) close(fd);
  return known;
}

static bool set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static uint8_t *map_ring(int fd, int option, uint32_t frames) {
  struct tpacket_req request = {.tp_block_size = BLOCK_SIZE,
                                .tp_block_nr = frames * FRAME_SIZE / BLOCK_SIZE,
                                .tp_frame_size = FRAME_SIZE,
                                .tp_frame_nr = frames};
  if (setsockopt(fd, SOL_PACKET, option, &request, sizeof request) != 0) return NULL;
  void *ring = mmap(NULL, (size_t)frames * FRAME_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return ring == MAP_FAILED ? NULL : ring;
}

static bool bind_to(int fd, int ifindex, uint16_t protocol) {
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = ifindex};
  return bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

/* Protocol 0: nothing is received before all is set and the device is bound. */
static bool open_receiver(struct port *port, int ifindex, uint32_t ignored_mark) {
  struct sock_filter unmarked[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)},
                                   {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, ignored_mark},
                                   {BPF_RET | BPF_K, 0, 0, 0},
                                   {BPF_RET | BPF_K, 0, 0, UINT32_MAX}};
  struct sock_fprog filter = {.len = 4, .filter = unmarked};
  /* Solicited-node groups are too many to join one by one. */
  struct packet_mreq every_group = {.mr_ifindex = ifindex, .mr_type = PACKET_MR_ALLMULTI};
  const int fd = port->receiver = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return fd >= 0 && set(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES) && set(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2) &&
         set(fd, SOL_PACKET, PACKET_VNET_HDR, 1) && set(fd, SOL_PACKET, PACKET_COPY_THRESH, 1) &&
         set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1) && set(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1) &&
         setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0 &&
         (port->received = map_ring(fd, PACKET_RX_RING, RECEIVED)) != NULL && bind_to(fd, ifindex, ETH_P_ALL) &&
         setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &every_group, sizeof every_group) == 0;
}

static bool open_sender(struct port *port, int ifindex) {
  const int fd = port->sender = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  return fd >= 0 && set(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2) && set(fd, SOL_PACKET, PACKET_LOSS, 1) &&
         set(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1) && set(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES) &&
         (port->sent = map_ring(fd, PACKET_TX_RING, SENT)) != NULL && bind_to(fd, ifindex, 0);
}

bool port_open(struct port *port, int ifindex, uint32_t ignored_mark) {
  if (open_receiver(port, ifindex, ignored_mark) && open_sender(port, ifindex)) {
    port->real = ifindex;
    return true;
  }
  fprintf(stderr, "%s: AF_PACKET: %s\n", port->name, strerror(errno));
  port_close(port);
  return false;
}

void port_close(struct port *port) {
  if (port->received != NULL) munmap(port->received, (size_t)RECEIVED * FRAME_SIZE);
  if (port->sent != NULL) munmap(port->sent, (size_t)SENT * FRAME_SIZE);
  if (port->receiver >= 0) close(port->receiver);
  if (port->sender >= 0) close(port->sender);
  port->received = port->sent = NULL;
  port->receiver = port->sender = -1;
  port->next_received = port->next_sent = port->pending = 0;
  port->real = 0;
}

/* ---- in */

static struct tpacket2_hdr *frame_at(uint8_t *ring, uint32_t i) {
  return (struct tpacket2_hdr *)(ring + (size_t)i * FRAME_SIZE);
}

static uint32_t status_of(const struct tpacket2_hdr *frame) { return __atomic_load_n(&frame->tp_status, __ATOMIC_ACQUIRE); }
static void set_status(struct tpacket2_hdr *frame, uint32_t status) {
  __atomic_store_n(&frame->tp_status, status, __ATOMIC_RELEASE);
}

/* The whole of a frame of which the ring has the beginning. Returns 0 where the kernel had no room to keep it. */
static uint32_t receive_whole(const struct port *port, struct virtio_net_hdr *offload, uint8_t *bytes) {
  struct iovec parts[] = {{offload, sizeof *offload}, {bytes, LARGEST_FRAME}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  const ssize_t length = recvmsg(port->receiver, &message, MSG_DONTWAIT);
  return length < (ssize_t)sizeof *offload ? 0 : (uint32_t)(length - (ssize_t)sizeof *offload);
}

bool port_receive(struct port *port, struct frame *frame) {
  static uint8_t whole[LARGEST_FRAME];
  for (;; port_release(port)) {
    if (port->receiver < 0) return false;
    struct tpacket2_hdr *header = frame_at(port->received, port->next_received);
    const uint32_t status = status_of(header);
    if ((status & TP_STATUS_USER) == 0) return false;
    frame->bytes = (uint8_t *)header + header->tp_mac;
    frame->length = header->tp_len;
    frame->vlan = status & TP_STATUS_VLAN_VALID
                      ? (uint32_t)(status & TP_STATUS_VLAN_TPID_VALID ? header->tp_vlan_tpid : ETH_P_8021Q) << 16 |
                            header->tp_vlan_tci
                      : 0;
    memcpy(&frame->offload, frame->bytes - sizeof frame->offload, sizeof frame->offload);
    if (status & TP_STATUS_COPY) {
      frame->length = receive_whole(port, &frame->offload, whole);
      frame->bytes = whole;
    } else if (header->tp_snaplen < header->tp_len) {
      frame->length = 0;
    }
    if (frame->length > 0) {
      port->rx_packets++;
      port->rx_bytes += frame->length;
      return true;
    }
    port->lost++;
  }
}

void port_release(struct port *port) {
  set_status(frame_at(port->received, port->next_received), TP_STATUS_KERNEL);
  port->next_received = (port->next_received + 1) % RECEIVED;
}

/* ---- out */

static void send_large(struct port *port, const uint8_t *bytes, uint32_t length) {
  struct virtio_net_hdr nothing_left = {0};
  struct iovec parts[] = {{&nothing_left, sizeof nothing_left}, {(void *)bytes, length}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  port_flush(port);
  if (sendmsg(port->receiver, &message, MSG_DONTWAIT) < 0) port->lost++;
}

void port_send(struct port *port, const uint8_t *bytes, uint32_t length) {
  if (port->sender < 0) return;
  port->tx_packets++;
  port->tx_bytes += length;
  if (length > FRAME_SIZE - SENT_DATA) {
    send_large(port, bytes, length);
    return;
  }
  struct tpacket2_hdr *header = frame_at(port->sent, port->next_sent);
  if (status_of(header) != TP_STATUS_AVAILABLE) port_flush(port);
  /* Refused frames stay as they were, and may be written anew; one that the kernel works on may not. */
  if (status_of(header) == TP_STATUS_SENDING) {
    port->lost++;
    return;
  }
  if (status_of(header) != TP_STATUS_AVAILABLE) port->lost++;
  memcpy((uint8_t *)header + SENT_DATA, bytes, length);
  header->tp_len = length;
  set_status(header, TP_STATUS_SEND_REQUEST);
  port->next_sent = (port->next_sent + 1) % SENT;
  port->pending++;
}

void port_flush(struct port *port) {
  if (port->pending == 0) return;
  /* An error is one frame's; the others go with the next call. */
  for (uint32_t tries = port->pending; tries > 0 && send(port->sender, NULL, 0, MSG_DONTWAIT) < 0 && errno != ENETDOWN; tries--)
    ;
  port->pending = 0;
}
