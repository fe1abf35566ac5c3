/*
 * A device of the network: frames come and go by two AF_PACKET sockets with a ring each (packet(7), TPACKET_V2), mapped into this
 * process. A frame that a ring has no room for takes the slow way: the kernel keeps it, and it is read by recvmsg (PACKET_COPY_THRESH).
 *
 *   kernel --> | frame | frame | frame | ... |   receive: status USER: ours, to be given back as KERNEL
 *              | header, virtio_net_hdr, Ethernet ... |
 *   kernel <-- | frame | frame | frame | ... |   send: status AVAILABLE: ours, given as SEND_REQUEST and then by send(2)
 */
#ifndef PORT_H
#define PORT_H

#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct port {
  char name[IFNAMSIZ];
  /* In the network, and on the machine (0: it is not there). */
  uint32_t ifindex;
  int real;
  uint8_t mac[6];
  bool was_gone;
  /* The sockets, -1: none; their rings, and the frame that comes next. */
  int receiver, sender;
  uint8_t *received, *sent;
  uint32_t next_received, next_sent, pending;
  uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, lost;
  /* Descriptors of what keeps the kernel's stack off (isolate.h). */
  int links[2];
};

/* One frame that was received; valid until `port_release`. */
struct frame {
  const uint8_t *bytes;
  uint32_t length;
  /* The VLAN tag that the kernel took out, with its protocol in front; 0: none. */
  uint32_t vlan;
  struct virtio_net_hdr offload;
};

/* What the machine says of a device (netdevice(7)). */
struct real_device {
  int ifindex;
  uint8_t mac[6];
  uint32_t mtu;
  bool up, ethernet;
};

/* Returns false: there is no such device. */
bool real_device(const char *name, struct real_device *device);

/* The largest frame that a device hands over: GSO makes them of 64 KiB. */
enum { LARGEST_FRAME = 65536 + 256 };

/* Ends the program's start with a reason on stderr and false. Frames that bear `ignored_mark` are not received. */
bool port_open(struct port *port, int ifindex, uint32_t ignored_mark);
void port_close(struct port *port);

bool port_receive(struct port *port, struct frame *frame);
void port_release(struct port *port);

/* Puts a frame into the ring; it goes with the next `port_flush`. One that cannot be sent is counted as lost. */
void port_send(struct port *port, const uint8_t *bytes, uint32_t length);
void port_flush(struct port *port);

#endif
