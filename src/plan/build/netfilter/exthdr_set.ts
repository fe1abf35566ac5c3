/**
 * Fields of TCP options written by a rule, and the checksum mended (k:net/netfilter/nft_exthdr.c nft_exthdr_tcp_set_eval;
 * include/net/checksum.h csum_replace4).
 */
import type { OptionWrite } from "../../../../dsl/chain-model.ts";
import { TCP_CHECKSUM, TCP_HEADER_BYTES, TcpOption } from "../../../../runtime/net/tcp.ts";
import { call, eq, gt, guard, local, ne, packet, put, select, set, when } from "../../ir.ts";
import type { RuleCode } from "./code.ts";
import { evaluate } from "./expr.ts";
import { MALFORMED, tcpSettableOption } from "./exthdr.ts";
import { CSUM_REPLACE, change, changeOf, putBytes } from "./payload_set.ts";
import { thoff } from "./registers.ts";

const found = local("found");
const replaced = local("replaced");
export function writeOption(code: RuleCode, { type, offset, length, value: to }: OptionWrite): void {
  const value = code.holdAll(evaluate(code, to));
  const old = packet(found, offset, length);
  code.add(
    set(found, tcpSettableOption(type, offset + length)),
    when(eq(found, MALFORMED), code.breaks),
    when(found, [
      guard(found, offset + length, code.breaks),
      guard(thoff, TCP_HEADER_BYTES, code.breaks),
      // A larger segment size could stall the connection.
      when(type === TcpOption.MSS ? gt(old, value[0]) : ne(old, value[0]), [
        set(change, changeOf(found, offset, length, value)),
        set(replaced, call(CSUM_REPLACE, [packet(thoff, TCP_CHECKSUM, 2), change])),
        // A sum of 32 bits that is never 0: of the two forms of zero, the other one is written.
        put(thoff, TCP_CHECKSUM, 2, select(eq(replaced, 0xffff), 0, replaced)),
        ...putBytes(found, offset, length, value),
      ]),
    ]),
  );
}
