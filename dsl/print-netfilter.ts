/**
 * Chains, sets and programs of a model as text (`vrfc dump --stage model`): every step that a packet takes, a line each.
 *
 *   netfilter
 *     hooks
 *       forward IPv4: inet user edge
 *     table inet user
 *       set ports: inet_service interval { 22, 80, 1000-1999 }
 *       chain edge: filter forward priority 0 policy drop                                     line 7
 *         rule                                                                                line 9
 *           meta l4proto == 6
 *           transport[2..3] in @ports
 *           counter #0
 *           jump web
 *
 * A field of a header is its bytes from the first to the last, `transport[2..3]`; values are decimal to 16 bits and
 * hexadecimal above, devices are ifindexes with their names.
 */
import { COUNTER_TYPE } from "../runtime/hooks.ts";
import type {
  BaseChain,
  Chain,
  Decision,
  Expr,
  Field,
  FilterRule,
  KeyRange,
  Limit,
  Netfilter,
  Program,
  SetDef,
  SetElement,
  SetId,
  Step,
  Value,
} from "./chain-model.ts";
import { deviceName, words } from "./iproute2.ts";
import type { Net, Origin } from "./model.ts";

interface Line {
  readonly text: string;
  readonly origin?: Origin;
}

/** Nothing when the namespace has none of it. */
export function netfilterLines(net: Net): Line[] {
  const { netfilter } = net;
  const { tables, hooks, programs } = netfilter;
  if (tables.length === 0 && programs.length === 0) return [];
  return [
    { text: "  netfilter" },
    ...(hooks.length === 0 ? [] : [{ text: "    hooks" }]),
    ...hooks.map(({ hook, family, device, chains }) => {
      const where = device === null ? `IPv${family}` : deviceName(net, device);
      const names = chains.map((id) => fullName(netfilter, netfilter.chains[id]));
      return { text: `      ${hook} ${where}: ${names.join(", ")}` };
    }),
    ...tables.flatMap((_, table) => tableLines(net, table)),
    ...programs.flatMap((program) => programLines(net, program)),
  ];
}

const tableName = ({ tables }: Netfilter, table: number): string =>
  words([tables[table].family, tables[table].name ?? "(no table)"]);
const fullName = (netfilter: Netfilter, { table, name }: Chain): string => `${tableName(netfilter, table)} ${name}`;

function tableLines(net: Net, table: number): Line[] {
  const { netfilter } = net;
  const own = <T extends { readonly table: number }>(list: readonly T[]): T[] =>
    list.filter((one) => one.table === table);
  const named = own(netfilter.counters).filter((counter) => counter.name !== null);
  return [
    { text: `    table ${tableName(netfilter, table)}` },
    ...own(netfilter.sets).map((set) => ({ text: `      ${setText(net, set)}`, origin: set.origin })),
    ...named.map(({ id, name, packets, bytes }) => ({
      text: `      counter #${id} ${name}: packets ${packets} bytes ${bytes}`,
    })),
    ...own(netfilter.limits).map((limit) => ({ text: `      ${limitText(limit)}` })),
    ...own(netfilter.chains).flatMap((chain) => chainLines(net, chain)),
  ];
}

function setText(net: Net, { id, name, key, value, interval, storage, size, elements }: SetDef): string {
  const gives = value === null ? "" : value === "verdict" ? " : verdict" : ` : ${value.type}`;
  const said = words([
    value === null ? "set" : "map",
    `${name ?? `#${id}`}:`,
    key.map(({ type }) => type).join(" . ") + gives,
    interval && "interval",
    storage !== null && `kind ${storage}`,
    size !== null && `size ${size}`,
  ]);
  return `${said} ${elementsText(net, key, value, elements)}`;
}

const elementsText = (
  net: Net,
  key: readonly Field[],
  value: SetDef["value"],
  elements: readonly SetElement[],
): string =>
  elements.length === 0 ? "{ }" : `{ ${elements.map((one) => elementText(net, key, value, one)).join(", ")} }`;

function elementText(net: Net, key: readonly Field[], value: SetDef["value"], element: SetElement): string {
  const keys = element.key.map((range, i) => rangeText(net, range, key[i])).join(" . ");
  if (value === null || element.value === null) return keys;
  if (typeof element.value === "object") return `${keys} : ${decisionText(net, element.value)}`;
  if (value === "verdict" || value.type === COUNTER_TYPE) return keys;
  return `${keys} : ${isDevice(value) ? deviceText(net, element.value) : plainText(element.value, value)}`;
}

function rangeText(net: Net, { first, last }: KeyRange, field: Field): string {
  const text = (value: Value): string => (isDevice(field) ? deviceText(net, value) : plainText(value, field));
  return first === last ? text(first) : `${text(first)}-${text(last)}`;
}

const isDevice = ({ type }: Field): boolean => type === "ifname" || type === "iface_index";

/** `0: none` of an ifindex; names that no device has compare unequal to every ifindex. */
function deviceText(net: Net, value: Value): string {
  const device = net.devices.find((one) => one.ifindex === value);
  return device === undefined ? String(value) : `${value} (${device.name})`;
}

const plainText = (value: Value, { bits }: { readonly bits: number }): string =>
  bits <= 16 ? String(value) : `0x${value.toString(16)}`;

function limitText({ id, name, unit, rate, per, burst, over }: Limit): string {
  const tail = words([name ?? "", over && "over"]);
  return `limit #${id}${tail && ` ${tail}`}: ${rate} ${unit} each ${per} ns, burst ${burst}`;
}

// Chains and programs.

function chainLines(net: Net, { name, base, rules, origin }: Chain): Line[] {
  const head = base === null ? `chain ${name}` : `chain ${name}: ${baseText(net, base)}`;
  return [{ text: `      ${head}`, origin }, ...rules.flatMap((rule) => ruleLines(net, rule))];
}

const baseText = (net: Net, { type, hook, devices, priority, policy }: BaseChain): string =>
  words([
    type,
    hook,
    devices.length > 0 && `on ${devices.map((device) => deviceName(net, device)).join(", ")}`,
    `priority ${priority} policy ${policy}`,
  ]);

function programLines(net: Net, { name, hook, device, priority, rules, policy, origin }: Program): Line[] {
  const order = hook === "xdp" ? "" : ` priority ${priority}`;
  const otherwise = policy === null ? "" : ` policy ${decisionText(net, policy)}`;
  const head = `    program ${name}: ${hook} ${deviceName(net, device)}${order}${otherwise}`;
  return [{ text: head, origin }, ...rules.flatMap((rule) => ruleLines(net, rule))];
}

const ruleLines = (net: Net, { steps, comment, origin }: FilterRule): Line[] => [
  { text: comment === null ? "        rule" : `        rule "${comment}"`, origin },
  ...steps.map((step) => ({ text: `          ${stepText(net, step)}` })),
];

const OPERATORS = { eq: "==", ne: "!=", lt: "<", le: "<=", gt: ">", ge: ">=" } as const;

/** A step in a line. */
export function stepText(net: Net, step: Step): string {
  const expr = (one: Expr): string => exprText(net, one);
  switch (step.kind) {
    case "compare":
      return `${expr(step.left)} ${OPERATORS[step.op]} ${valueText(net, step.right, step.left)}`;
    case "range":
      return `${expr(step.left)} ${step.not ? "not in" : "in"} ${valueText(net, step.first, step.left)}-${valueText(net, step.last, step.left)}`;
    case "lookup":
      return `${step.key.map(expr).join(" . ")} ${step.not ? "not in" : "in"} ${setName(net, step.set)}`;
    case "limit":
      return limitText(net.netfilter.limits[step.limit]);
    case "counter":
      return `counter #${step.counter}`;
    case "count":
      return `count ${setName(net, step.map)}[${step.key.map(expr).join(" . ")}]`;
    case "log":
      return `log level ${step.level} "${step.prefix}"`;
    case "set meta":
      return `meta ${step.key} = ${expr(step.value)}`;
    case "write payload": {
      const place = bytesText(step.base, step.offset, step.length);
      const sum = step.checksum === null ? "" : `, checksum ${bytesText(step.base, step.checksum, 2)}`;
      return `${place} = ${expr(step.value)}${sum}${step.pseudo ? ", pseudo header" : ""}`;
    }
    case "write option":
      return `${bytesText(`${EXTENSIONS.tcp} ${step.type}`, step.offset, step.length)} = ${expr(step.value)}`;
    case "dup":
    case "fwd":
    case "redirect":
      return `${step.kind} to ${step.device.kind === "const" ? deviceText(net, step.device.value) : expr(step.device)}`;
    case "vmap":
      return `vmap ${step.key.map(expr).join(" . ")} ${setName(net, step.map)}`;
    case "reject":
      return words([
        "reject",
        step.icmp !== null && `icmp 3/${step.icmp}`,
        step.icmp6 !== null && `icmp6 1/${step.icmp6}`,
        step.tcpReset && "tcp reset",
      ]);
    default:
      return decisionText(net, step);
  }
}

function decisionText(net: Net, decision: Decision): string {
  switch (decision.kind) {
    case "jump":
    case "goto":
      return `${decision.kind} ${net.netfilter.chains[decision.chain].name}`;
    case "xdp":
    case "tc":
      return decision.action;
    default:
      return decision.kind;
  }
}

/** Most elements of a set between braces that are shown where it is used. */
const SHOWN_MAX = 8;

function setName(net: Net, id: SetId): string {
  const { name, key, value, elements } = net.netfilter.sets[id];
  if (name !== null) return `@${name}`;
  return elements.length > SHOWN_MAX ? `#${id}` : elementsText(net, key, value, elements);
}

/** A constant beside what it is compared with. */
function valueText(net: Net, value: Value, beside: Expr): string {
  const isIndex =
    beside.kind === "meta" ? /^([io]if|sdif)$/.test(beside.key) : beside.kind === "fib" && !beside.present;
  return isIndex && !(beside.kind === "fib" && beside.result === "type")
    ? deviceText(net, value)
    : plainText(value, beside);
}

const bytesText = (base: string, offset: number, length: number): string =>
  length === 1 ? `${base}[${offset}]` : `${base}[${offset}..${offset + length - 1}]`;

const EXTENSIONS = { ipv6: "ipv6 header", ipv4: "ip option", tcp: "tcp option" } as const;

function exprText(net: Net, expr: Expr): string {
  switch (expr.kind) {
    case "const":
      return plainText(expr.value, expr);
    case "payload":
      return bytesText(expr.base, expr.offset, expr.length);
    case "exthdr": {
      const what = `${EXTENSIONS[expr.op]} ${expr.type}`;
      return expr.present ? `${what} present` : bytesText(what, expr.offset, expr.length);
    }
    case "meta":
      return `meta ${expr.key}`;
    case "fib": {
      const flags = [expr.address, expr.mark && "mark", expr.iif && "iif", expr.oif && "oif"].filter((flag) => flag);
      return words(["fib", flags.join(" . "), expr.result, expr.present && "present"]);
    }
    case "ct":
      return `ct ${expr.key}`;
    case "bitwise": {
      const all = (1n << BigInt(expr.bits)) - 1n;
      const masked = BigInt(expr.mask) === all ? "" : ` & 0x${expr.mask.toString(16)}`;
      const flipped = BigInt(expr.xor) === 0n ? "" : ` ^ 0x${expr.xor.toString(16)}`;
      return `(${exprText(net, expr.operand)}${masked}${flipped})`;
    }
    case "shift":
      return `(${exprText(net, expr.operand)} ${expr.direction === "left" ? "<<" : ">>"} ${expr.by})`;
    case "map":
      return `${setName(net, expr.map)}[${expr.key.map((one) => exprText(net, one)).join(" . ")}]`;
  }
}
