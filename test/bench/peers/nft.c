/*
 * nftables' plain rules, one process that another one asks to run them in turn (chains.ts), to be started in a network namespace of its own:
 *
 *   nft BASE RULES               files for `nft -f`: chain `plain` of table `ip bench`, at prerouting, whose rules count and drop; BASE has one rule
 *
 *   -> ready nft LOAD_MS         how long `nft -f` took
 *   -> done
 *   <- stream FILE               frames of 64 bytes, Ethernet and IPv4
 *   -> addresses COUNT
 *   <- check nft                 -> checksum N      sum of (rule + 1) * (packets counted by it) modulo 2^32, of all frames once
 *   <- run nft                   -> ns X            for all frames, above what they take with BASE
 *
 * A frame's IPv4 packet is written to a tun device, whose namespace has the rules: ip_rcv and the chain run within the system call, and nothing
 * behind them. What the call takes besides is measured by a second device in a namespace with BASE, by turns of BLOCK packets.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include "peer.h"

#define FRAME 64
#define ETHERNET 14
#define BLOCK 256
/* Packets of a sample: of thousands of rules a packet takes tens of microseconds. */
#define TIMED 8192

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

/* A tun device of the namespace that the process is in, up. */
static int open_tun(void)
{
	struct ifreq request = { .ifr_name = "bench", .ifr_flags = IFF_TUN | IFF_NO_PI };
	int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (tun < 0 || ioctl(tun, TUNSETIFF, &request) < 0)
		fail("/dev/net/tun");
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (control < 0 || ioctl(control, SIOCSIFFLAGS, &request) < 0)
		fail("SIOCSIFFLAGS");
	close(control);
	return tun;
}

/* -> milliseconds */
static double load(const char *file)
{
	char command[4096];
	snprintf(command, sizeof command, "nft -f '%s'", file);
	double from = now_ns();
	if (system(command) != 0)
		exit(2);
	return (now_ns() - from) / 1e6;
}

/* What the rules of the namespace have counted, each times its number. */
static uint32_t counted(void)
{
	FILE *list = popen("nft list chain ip bench plain", "r");
	char *line = NULL;
	size_t size = 0;
	uint32_t sum = 0, rule = 0;
	if (list == NULL)
		fail("nft list");
	while (getline(&line, &size, list) > 0) {
		const char *counter = strstr(line, "counter packets ");
		if (counter != NULL)
			sum += ++rule * (uint32_t)strtoull(counter + 16, NULL, 10);
	}
	free(line);
	pclose(list);
	return sum;
}

static const uint8_t *frames;
static uint32_t count;

static double send_block(int tun, uint32_t from, uint32_t to)
{
	double start = now_ns();
	for (uint32_t i = from; i < to; i++)
		if (write(tun, frames + FRAME * i + ETHERNET, FRAME - ETHERNET) < 0)
			fail("write");
	return now_ns() - start;
}

static double above(int base, int rules)
{
	uint32_t timed = count < TIMED ? count : TIMED;
	double ns = 0;
	for (uint32_t from = 0; from < timed; from += BLOCK) {
		uint32_t to = from + BLOCK < timed ? from + BLOCK : timed;
		ns -= send_block(base, from, to);
		ns += send_block(rules, from, to);
	}
	return ns * count / timed;
}

int main(int argc, char **argv)
{
	char line[4096], what[16], rest[4000];
	if (argc != 3)
		return 2;
	int base = open_tun();
	load(argv[1]);
	if (unshare(CLONE_NEWNET) < 0)
		fail("unshare");
	int rules = open_tun();
	printf("ready nft %.1f\ndone\n", load(argv[2]));
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) != NULL && sscanf(line, "%15s %3999s", what, rest) == 2) {
		if (strcmp(what, "stream") == 0) {
			size_t size;
			free((void *)frames);
			frames = read_file(rest, &size);
			count = size / FRAME;
			printf("addresses %u\n", count);
		} else if (strcmp(what, "check") == 0) {
			uint32_t before = counted();
			send_block(rules, 0, count);
			printf("checksum %u\n", counted() - before);
		} else {
			printf("ns %.0f\n", above(base, rules));
		}
		fflush(stdout);
	}
	return 0;
}
