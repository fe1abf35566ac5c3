/**
 * runtime/c/vrfc.h: the binary interface for hosts written in C, made from the tables that the runtime itself works with. Numbers have
 * one home, runtime/; `npm run header` writes the file anew, and a test fails when it is not what is here.
 *
 *   #define VRFC_<RECORD>_<FIELD>   offset of a field          #define VRFC_<RECORD>_SIZE    size of a record
 *   enum vrfc_<table>               verdicts, reasons, ...     #define VRFC_COLUMN_<NAME>    place of a batch's column
 */

import { ADDRESS6, ADDRESS6_BYTES, DEVICE, DEVICE_BYTES, DeviceFlag } from "../runtime/abi/device.ts";
import { TABLE, TABLE_BYTES } from "../runtime/abi/fib.ts";
import { ABI_VERSION, IMAGE, IMAGE_BYTES, IMAGE_MAGIC } from "../runtime/abi/image.ts";
import { LINK, LINK_BYTES, LINK_POINTS } from "../runtime/abi/links.ts";
import {
  MOST_CHANGES,
  NEIGHBOUR,
  NEIGHBOUR_BYTES,
  NEIGHBOUR_GONE,
  NEIGHBOUR_HASH_FACTOR,
  NEIGHBOUR_TABLE,
} from "../runtime/abi/neighbour.ts";
import { COUNTERS, COUNTERS_BYTES, NET, NET_BYTES } from "../runtime/abi/net.ts";
import { FILTER_COUNTER, FILTER_COUNTER_BYTES, MAP, MAP_BYTES } from "../runtime/abi/netfilter.ts";
import { PROGRAM_REGISTERS, STATE } from "../runtime/abi/program.ts";
import {
  BATCH_HEADER,
  BATCH_HEADER_BYTES,
  COLUMNS,
  DEFAULT_SLOT_SIZE,
  HEADROOM,
  NEXT_HOP_IN_SLOT,
  PacketFlag,
} from "../runtime/batch.ts";
import type { Hook } from "../runtime/hooks.ts";
import { RouteTypeCode } from "../runtime/net/route-types.ts";
import { DropReason, Entry, Errno, Verdict } from "../runtime/verdict.ts";

/** Records of the image, with their sizes where they have one. Their drawings stand in runtime/abi. */
const RECORDS: readonly (readonly [string, Readonly<Record<string, number>>, number | null])[] = [
  ["IMAGE", IMAGE, IMAGE_BYTES],
  ["NET", NET, NET_BYTES],
  ["DEVICE", DEVICE, DEVICE_BYTES],
  ["ADDRESS6", ADDRESS6, ADDRESS6_BYTES],
  ["TABLE", TABLE, TABLE_BYTES],
  ["NEIGHBOUR_TABLE", NEIGHBOUR_TABLE, null],
  ["NEIGHBOUR", NEIGHBOUR, NEIGHBOUR_BYTES],
  ["COUNTERS", COUNTERS, COUNTERS_BYTES],
  ["FILTER_COUNTER", FILTER_COUNTER, FILTER_COUNTER_BYTES],
  ["MAP", MAP, MAP_BYTES],
  ["LINK", LINK, LINK_BYTES],
  ["STATE", STATE, null],
  ["BATCH_HEADER", BATCH_HEADER, BATCH_HEADER_BYTES],
];

const POINTS = Object.fromEntries(LINK_POINTS.map(({ hook, family }, place) => [pointName(hook, family), place]));

const TABLES: readonly (readonly [string, Readonly<Record<string, number>>, string])[] = [
  ["verdict", Verdict, "column verdict"],
  ["drop_reason", DropReason, "column reason: enum skb_drop_reason, and below 32 places without a name in it"],
  ["entry", Entry, "column entry: where a packet enters"],
  ["packet_flag", PacketFlag, "column flags, bits"],
  ["device_flag", DeviceFlag, "VRFC_DEVICE_FLAGS, bits"],
  ["route_type", RouteTypeCode, "column routeType"],
  ["errno", Errno, "column error of SEND_ERROR"],
  ["point", POINTS, "where programs are attached: heads of lists at VRFC_NET_LINKS, and bits of VRFC_NET_LINKED"],
];

const NUMBERS: Readonly<Record<string, number>> = {
  ABI_VERSION: ABI_VERSION,
  MOST_CHANGES: MOST_CHANGES,
  MAGIC: IMAGE_MAGIC,
  NEIGHBOUR_GONE: NEIGHBOUR_GONE,
  NEIGHBOUR_HASH_FACTOR: NEIGHBOUR_HASH_FACTOR,
  HEADROOM,
  NEXT_HOP_IN_SLOT,
  DEFAULT_SLOT_SIZE,
};

/** The text of the header. */
export function cHeader(): string {
  return `/*
 * The binary interface of a module compiled by vrfc, for hosts written in C. Made by src/c-header.ts: do not change it here.
 * What the numbers mean stands in runtime/ABI.md, runtime/abi/, runtime/batch.ts and runtime/verdict.ts.
 */
#ifndef VRFC_H
#define VRFC_H

${Object.entries(NUMBERS)
  .map(([name, value]) => define(name, value))
  .join("\n")}

${RECORDS.map(record).join("\n\n")}

/* Columns of a batch: u32[capacity] each, from VRFC_BATCH_HEADER_SIZE on. */
${COLUMNS.map((name, place) => define(`COLUMN_${words(name)}`, place)).join("\n")}
${define("COLUMNS", COLUMNS.length)}

${TABLES.map(table).join("\n\n")}

/* REGISTER(name): globals \`skb.NAME\` that a program imports and the module that it is attached to exports. */
#define VRFC_PROGRAM_REGISTERS(REGISTER) \\
${[...PROGRAM_REGISTERS.reads, ...PROGRAM_REGISTERS.sets].map((name) => `  REGISTER(${name}) \\`).join("\n")}

#endif
`;
}

/** FORWARD_IPV4, TC_INGRESS */
export function pointName(hook: Hook, family: 4 | 6 | null): string {
  return `${hook}${family === null ? "" : ` IPv${family}`}`.replaceAll(" ", "_").toUpperCase();
}

const record = ([name, fields, bytes]: (typeof RECORDS)[number]): string =>
  [
    ...Object.entries(fields).map(([field, offset]) => define(`${name}_${words(field)}`, offset)),
    ...(bytes === null ? [] : [define(`${name}_SIZE`, bytes)]),
  ].join("\n");

const table = ([name, values, comment]: (typeof TABLES)[number]): string =>
  `/* ${comment} */\nenum vrfc_${name} {\n${Object.entries(values)
    .map(([key, value]) => `  VRFC_${name.toUpperCase()}_${key.toUpperCase()} = ${value},`)
    .join("\n")}\n};`;

const define = (name: string, value: number): string => `#define VRFC_${name} ${value}u`;

/** camelCase as UPPER_CASE. */
const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
