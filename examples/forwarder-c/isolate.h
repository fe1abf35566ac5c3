/*
 * What keeps the kernel's own stack off the devices that are forwarded between, and hands its sockets' packets over: the programs of
 * src/forward/bpf.ts, which has the drawing, at tcx hooks (Linux 6.6). They end with the process, however it ends.
 */
#ifndef ISOLATE_H
#define ISOLATE_H

#include <stdbool.h>
#include <stdint.h>

/* skb->mark of what is let in at a device; arbitrary. */
enum { MARK = 0x76726663 };
/* A source address that names a device begins with these two bytes; its ifindex follows, little-endian. */
enum { NAMING_0 = 0x02, NAMING_1 = 0x76 };

/* What sockets send by the device comes out of the tap. Returns false with a reason on stderr. `links` hold while they are open. */
bool isolate_device(int ifindex, int tap, int links[2]);
/* Frames written to the tap that name a device come in there. Returns the link, -1 with a reason on stderr. */
int redirect_from_tap(int ifindex);

#endif
