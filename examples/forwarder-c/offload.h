/*
 * What a sender left to the hardware, done (struct virtio_net_hdr): a checksum completed, a super-frame cut into segments, a VLAN tag
 * put back. A veth pair has no hardware, so that whoever reads raw frames must do it.
 */
#ifndef OFFLOAD_H
#define OFFLOAD_H

#include "port.h"

static inline bool is_super_frame(const struct frame *frame) {
  return (frame->offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_NONE;
}

/* Completes the checksum of a frame in place, where its sender did not. */
void complete_checksum(uint8_t *bytes, uint32_t length, const struct virtio_net_hdr *offload);

/* The segments of a super-frame, in order (tcp_gso_segment, __udp_gso_segment); none of a kind that is not known. */
void cut_segments(const struct frame *frame, void (*take)(void *context, uint8_t *segment, uint32_t length), void *context);

/* Writes the frame with its VLAN tag to `tagged`, which has 4 bytes more. */
void restore_vlan_tag(uint8_t *tagged, const uint8_t *bytes, uint32_t length, uint32_t tag);

#endif
