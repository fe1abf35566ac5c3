/* What the image says of the network's devices. */
#include "forwarder.h"

uint32_t device_word(const struct forwarder *f, uint32_t ifindex, uint32_t field) {
  const uint32_t device = vrfc_device(memory_of(f), f->net, ifindex);
  return device == 0 ? 0 : vrfc_word(memory_of(f), device + field);
}

const uint8_t *device_mac(const struct forwarder *f, uint32_t ifindex) {
  return memory_of(f) + vrfc_device(memory_of(f), f->net, ifindex) + VRFC_DEVICE_MAC;
}

bool device_is(const struct forwarder *f, uint32_t ifindex, enum vrfc_device_flag flag) {
  return (device_word(f, ifindex, VRFC_DEVICE_FLAGS) & flag) != 0;
}

uint32_t vrf_of(const struct forwarder *f, uint32_t ifindex) {
  if (device_is(f, ifindex, VRFC_DEVICE_FLAG_VRF)) return ifindex;
  const uint32_t master = device_word(f, ifindex, VRFC_DEVICE_MASTER);
  return master == 0 ? 0 : vrfc_word(memory_of(f), master + VRFC_DEVICE_IFINDEX);
}

/* The device's address number `i`, NULL behind the last. */
static const uint8_t *address6(const struct forwarder *f, uint32_t ifindex, uint32_t i) {
  if (i >= device_word(f, ifindex, VRFC_DEVICE_ADDRESS_COUNT6)) return NULL;
  return memory_of(f) + device_word(f, ifindex, VRFC_DEVICE_ADDRESSES6) + i * VRFC_ADDRESS6_SIZE + VRFC_ADDRESS6_ADDRESS;
}

bool device_has6(const struct forwarder *f, uint32_t ifindex, const uint8_t *address) {
  const uint8_t *own;
  for (uint32_t i = 0; (own = address6(f, ifindex, i)) != NULL; i++)
    if (memcmp(own, address, 16) == 0) return true;
  return false;
}

uint32_t owner6(const struct forwarder *f, uint32_t vrf, const uint8_t *address) {
  const uint8_t *memory = memory_of(f);
  const uint32_t net = vrfc_net(memory, f->net), first = vrfc_word(memory, net + VRFC_NET_DEVICES);
  for (uint32_t i = 0; i < vrfc_word(memory, net + VRFC_NET_DEVICE_COUNT); i++) {
    const uint32_t ifindex = vrfc_word(memory, first + i * VRFC_DEVICE_SIZE + VRFC_DEVICE_IFINDEX);
    if (vrf_of(f, ifindex) == vrf && device_has6(f, ifindex, address)) return ifindex;
  }
  return 0;
}

static bool is_link_local6(const uint8_t *address) { return address[0] == 0xfe && (address[1] & 0xc0) == 0x80; }
static bool is_link_scope6(const uint8_t *address) {
  return is_link_local6(address) || (address[0] == 0xff && (address[1] & 15) == 2);
}

const uint8_t *source6(const struct forwarder *f, uint32_t ifindex, const uint8_t *destination) {
  const uint8_t *own, *any = NULL;
  for (uint32_t i = 0; (own = address6(f, ifindex, i)) != NULL; i++) {
    if (is_link_local6(own) == is_link_scope6(destination)) return own;
    any = own;
  }
  return any;
}

struct port *port_of(struct forwarder *f, uint32_t ifindex) {
  for (uint32_t i = 0; i < f->port_count; i++)
    if (f->ports[i].ifindex == ifindex) return &f->ports[i];
  return NULL;
}
