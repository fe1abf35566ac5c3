/* What xdp.c and xdp.bpf.c share. */
#define VRFS 4
#define LONG_BLOCKS 1024
#define MAX_HOPS 256
#define MAX_DEVICES 64
/* A cell of dir24: the block of the longer prefixes; and the hop that is this host. */
#define LONG 0x8000
#define LOCAL 0x7fff

enum way { WAY_FLOOR, WAY_DIR24, WAY_TRIE, WAY_FIB };

struct slot {
	__u32 ifindex;
	__u32 length;
	__u8 bytes[64];
};

struct hop {
	__u32 ifindex;
	__u32 mtu;
	__u8 neighbour[6];
	__u8 mac[6];
};

struct device {
	__u32 up;
	__u32 mtu;
	__u32 vrf;
	__u8 mac[6];
};
