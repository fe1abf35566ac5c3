#include "isolate.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of headers newer than some that this is compiled with. */
enum { INGRESS = 46, EGRESS = 47, TCX_NEXT = -1, TCX_DROP = 2, ETH_SOURCE = 6, ADDRESS_AT = -10, IFINDEX_AT = -8 };
enum { NAMING_WORD = NAMING_0 | NAMING_1 << 8, SKB_MARK = 8 };

#define SET(dst, value) {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = dst, .imm = value}
#define COPY(dst, src) {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = dst, .src_reg = src}
#define ADD(dst, value) {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = dst, .imm = value}
#define LOAD(size, dst, src, at) {.code = BPF_LDX | BPF_MEM | size, .dst_reg = dst, .src_reg = src, .off = at}
#define STORE(size, dst, src, at) {.code = BPF_STX | BPF_MEM | size, .dst_reg = dst, .src_reg = src, .off = at}
#define UNLESS(dst, value, skip) {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = dst, .off = skip, .imm = value}
#define WHEN(dst, value, skip) {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = dst, .off = skip, .imm = value}
#define CALL(function) {.code = BPF_JMP | BPF_CALL, .imm = function}
#define END {.code = BPF_JMP | BPF_EXIT}

static int load(const struct bpf_insn *program, uint32_t count) {
  union bpf_attr attributes = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
                               .insn_cnt = count,
                               .insns = (uintptr_t)program,
                               .license = (uintptr_t)"MIT"};
  return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
}

static int attach(const struct bpf_insn *program, uint32_t count, int ifindex, uint32_t hook) {
  const int loaded = load(program, count);
  int link = -1;
  if (loaded >= 0) {
    union bpf_attr attributes = {
        .link_create = {.prog_fd = (uint32_t)loaded, .target_fd = (uint32_t)ifindex, .attach_type = hook}};
    link = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attributes, sizeof attributes);
  }
  if (link < 0)
    fprintf(stderr, "%s: %s\n", loaded < 0 ? "a BPF program" : "tcx (Linux 6.6 or later has it)", strerror(errno));
  if (loaded >= 0) close(loaded);
  return link;
}

#define ATTACH(program, ifindex, hook) attach(program, sizeof(program) / sizeof *(program), ifindex, hook)

bool isolate_device(int ifindex, int tap, int links[2]) {
  const struct bpf_insn isolate[] = {
      LOAD(BPF_W, 2, 1, SKB_MARK), WHEN(2, MARK, 2),          SET(0, TCX_DROP), END, SET(2, 0),
      STORE(BPF_W, 1, 2, SKB_MARK), SET(0, TCX_NEXT), END,
  };
  const struct bpf_insn hand_over[] = {
      SET(2, NAMING_WORD), STORE(BPF_H, 10, 2, ADDRESS_AT), SET(2, ifindex), STORE(BPF_W, 10, 2, IFINDEX_AT),
      SET(2, ETH_SOURCE),  COPY(3, 10),                     ADD(3, ADDRESS_AT), SET(4, 6),
      SET(5, 0),           CALL(BPF_FUNC_skb_store_bytes),  SET(1, tap),     SET(2, 0),
      CALL(BPF_FUNC_redirect), END,
  };
  links[0] = ATTACH(isolate, ifindex, INGRESS);
  links[1] = links[0] < 0 ? -1 : ATTACH(hand_over, ifindex, EGRESS);
  return links[1] >= 0;
}

int redirect_from_tap(int ifindex) {
  const struct bpf_insn redirect[] = {
      COPY(6, 1),         SET(2, ETH_SOURCE),           COPY(3, 10),
      ADD(3, ADDRESS_AT), SET(4, 6),                    CALL(BPF_FUNC_skb_load_bytes),
      UNLESS(0, 0, 8),    LOAD(BPF_H, 1, 10, ADDRESS_AT), UNLESS(1, NAMING_WORD, 6),
      SET(1, MARK),       STORE(BPF_W, 6, 1, SKB_MARK), LOAD(BPF_W, 1, 10, IFINDEX_AT),
      SET(2, BPF_F_INGRESS), CALL(BPF_FUNC_redirect),   END,
      SET(0, TCX_NEXT),   END,
  };
  return ATTACH(redirect, ifindex, INGRESS);
}
