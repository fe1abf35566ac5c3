/**
 * runtime/c/vrfc.h: the binary interface for hosts written in C, made from the tables that the runtime itself works with. Numbers have
 * one home, runtime/; `npm run header` writes the file anew, and a test fails when it is not what is here.
 *
 *   #define VRFC_<RECORD>_<FIELD>   offset of a field          #define VRFC_<RECORD>_SIZE    size of a record
 *   enum vrfc_<table>               verdicts, reasons, ...     #define VRFC_COLUMN_<NAME>    place of a batch's column
 */
import * as abi from "../runtime/abi.ts";
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
import { DropReason, Entry, Errno, Verdict } from "../runtime/verdict.ts";

/** Records of the image, with their sizes where they have one. Their drawings stand in runtime/abi.ts. */
const RECORDS: readonly (readonly [string, Readonly<Record<string, number>>, number | null])[] = [
  ["IMAGE", abi.IMAGE, abi.IMAGE_BYTES],
  ["NET", abi.NET, abi.NET_BYTES],
  ["DEVICE", abi.DEVICE, abi.DEVICE_BYTES],
  ["ADDRESS6", abi.ADDRESS6, abi.ADDRESS6_BYTES],
  ["TABLE", abi.TABLE, abi.TABLE_BYTES],
  ["NEIGHBOUR_TABLE", abi.NEIGHBOUR_TABLE, null],
  ["NEIGHBOUR", abi.NEIGHBOUR, abi.NEIGHBOUR_BYTES],
  ["COUNTERS", abi.COUNTERS, abi.COUNTERS_BYTES],
  ["FILTER_COUNTER", abi.FILTER_COUNTER, abi.FILTER_COUNTER_BYTES],
  ["MAP", abi.MAP, abi.MAP_BYTES],
  ["LINK", abi.LINK, abi.LINK_BYTES],
  ["STATE", abi.STATE, null],
  ["BATCH_HEADER", BATCH_HEADER, BATCH_HEADER_BYTES],
];

const POINTS = Object.fromEntries(abi.LINK_POINTS.map(({ hook, family }, place) => [pointName(hook, family), place]));

const TABLES: readonly (readonly [string, Readonly<Record<string, number>>, string])[] = [
  ["verdict", Verdict, "column verdict"],
  ["drop_reason", DropReason, "column reason: enum skb_drop_reason, and below 32 places without a name in it"],
  ["entry", Entry, "column entry: where a packet enters"],
  ["packet_flag", PacketFlag, "column flags, bits"],
  ["device_flag", abi.DeviceFlag, "VRFC_DEVICE_FLAGS, bits"],
  ["route_type", abi.RouteTypeCode, "column routeType"],
  ["errno", Errno, "column error of SEND_ERROR"],
  ["point", POINTS, "where programs are attached: heads of lists at VRFC_NET_LINKS, and bits of VRFC_NET_LINKED"],
];

const NUMBERS: Readonly<Record<string, number>> = {
  ABI_VERSION: abi.ABI_VERSION,
  MOST_CHANGES: abi.MOST_CHANGES,
  MAGIC: abi.IMAGE_MAGIC,
  NEIGHBOUR_GONE: abi.NEIGHBOUR_GONE,
  NEIGHBOUR_HASH_FACTOR: abi.NEIGHBOUR_HASH_FACTOR,
  HEADROOM,
  NEXT_HOP_IN_SLOT,
  DEFAULT_SLOT_SIZE,
};

/** The text of the header. */
export function cHeader(): string {
  return `/*
 * The binary interface of a module compiled by vrfc, for hosts written in C. Made by src/c-header.ts: do not change it here.
 * What the numbers mean stands in runtime/ABI.md, runtime/abi.ts, runtime/batch.ts and runtime/verdict.ts.
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
${[...abi.PROGRAM_REGISTERS.reads, ...abi.PROGRAM_REGISTERS.sets].map((name) => `  REGISTER(${name}) \\`).join("\n")}

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
