/** Made from dsl/parser.ts by `npm run cst`. */
import type { CstNode, ICstVisitor, IToken } from "chevrotain";

export interface FamilyCstNode extends CstNode {
  name: "family";
  children: FamilyCstChildren;
}

export type FamilyCstChildren = {
  Inet?: IToken[];
  Inet6?: IToken[];
};

export interface GatewayCstNode extends CstNode {
  name: "gateway";
  children: GatewayCstChildren;
}

export type GatewayCstChildren = {
  family?: FamilyCstNode[];
  ipAddress: IToken[];
};

export interface SkippedBlockCstNode extends CstNode {
  name: "skippedBlock";
  children: SkippedBlockCstChildren;
}

export type SkippedBlockCstChildren = {
  LBrace: (IToken)[];
  Value?: IToken[];
  Equals?: IToken[];
  Separator?: IToken[];
  RBrace?: IToken[];
};

export interface SurplusWordsCstNode extends CstNode {
  name: "surplusWords";
  children: SurplusWordsCstChildren;
}

export type SurplusWordsCstChildren = {
  Value?: IToken[];
  Equals?: IToken[];
};

export interface SurplusCstNode extends CstNode {
  name: "surplus";
  children: SurplusCstChildren;
}

export type SurplusCstChildren = {
  surplusWords?: SurplusWordsCstNode[];
  skippedBlock?: (SkippedBlockCstNode)[];
};

export interface UnknownCstNode extends CstNode {
  name: "unknown";
  children: UnknownCstChildren;
}

export type UnknownCstChildren = {
  surplus: SurplusCstNode[];
};

export interface FilterCstNode extends CstNode {
  name: "filter";
  children: FilterCstChildren;
}

export type FilterCstChildren = {
  FilterTable?: IToken[];
  Chain?: IToken[];
  Program?: IToken[];
  Set?: IToken[];
  Map?: IToken[];
  Counter?: IToken[];
  Limit?: IToken[];
  surplus?: SurplusCstNode[];
};

export interface AddressAttributeCstNode extends CstNode {
  name: "addressAttribute";
  children: AddressAttributeCstChildren;
}

export type AddressAttributeCstChildren = {
  Peer?: IToken[];
  prefix?: IToken[];
  Scope?: IToken[];
  scopeName?: IToken[];
  Metric?: IToken[];
  number?: (IToken)[];
  Priority?: IToken[];
  Noprefixroute?: IToken[];
};

export interface AddressCstNode extends CstNode {
  name: "address";
  children: AddressCstChildren;
}

export type AddressCstChildren = {
  Address: IToken[];
  interfaceAddress: IToken[];
  addressAttribute?: AddressAttributeCstNode[];
};

export interface PeerCstNode extends CstNode {
  name: "peer";
  children: PeerCstChildren;
}

export type PeerCstChildren = {
  Peer: IToken[];
  namespaceName: IToken[];
  deviceName: IToken[];
};

export interface SimplePropertyCstNode extends CstNode {
  name: "simpleProperty";
  children: SimplePropertyCstChildren;
}

export type SimplePropertyCstChildren = {
  Table?: IToken[];
  tableName?: IToken[];
  Type?: IToken[];
  deviceType?: IToken[];
  Master?: IToken[];
  vrfName?: (IToken)[];
  Vrf?: IToken[];
  Lladdr?: IToken[];
  mac?: IToken[];
  Mtu?: IToken[];
  number?: (IToken)[];
  Group?: IToken[];
  Qdisc?: IToken[];
  qdiscName?: IToken[];
  Index?: IToken[];
  Up?: IToken[];
  Down?: IToken[];
};

export interface PropertyCstNode extends CstNode {
  name: "property";
  children: PropertyCstChildren;
}

export type PropertyCstChildren = {
  simpleProperty?: SimplePropertyCstNode[];
  address?: AddressCstNode[];
  peer?: PeerCstNode[];
  unknown?: UnknownCstNode[];
  surplus?: SurplusCstNode[];
};

export interface VrfCstNode extends CstNode {
  name: "vrf";
  children: VrfCstChildren;
}

export type VrfCstChildren = {
  Vrf: IToken[];
  vrfName: IToken[];
  surplusWords?: SurplusWordsCstNode[];
  LBrace?: IToken[];
  property?: PropertyCstNode[];
  Separator?: IToken[];
  RBrace?: IToken[];
};

export interface InterfaceCstNode extends CstNode {
  name: "interface";
  children: InterfaceCstChildren;
}

export type InterfaceCstChildren = {
  Interface: IToken[];
  deviceName: IToken[];
  surplusWords?: SurplusWordsCstNode[];
  LBrace?: IToken[];
  property?: PropertyCstNode[];
  Separator?: IToken[];
  RBrace?: IToken[];
};

export interface RouteTypeCstNode extends CstNode {
  name: "routeType";
  children: RouteTypeCstChildren;
}

export type RouteTypeCstChildren = {
  Unicast?: IToken[];
  Local?: IToken[];
  Broadcast?: IToken[];
  Anycast?: IToken[];
  Multicast?: IToken[];
  Blackhole?: IToken[];
  Unreachable?: IToken[];
  Prohibit?: IToken[];
  Throw?: IToken[];
};

export interface HopAttributeCstNode extends CstNode {
  name: "hopAttribute";
  children: HopAttributeCstChildren;
}

export type HopAttributeCstChildren = {
  Via?: IToken[];
  gateway?: GatewayCstNode[];
  Dev?: IToken[];
  deviceName?: IToken[];
  Weight?: IToken[];
  number?: IToken[];
  Onlink?: IToken[];
  StateMark?: IToken[];
};

export interface HopCstNode extends CstNode {
  name: "hop";
  children: HopCstChildren;
}

export type HopCstChildren = {
  Nexthop: IToken[];
  hopAttribute?: HopAttributeCstNode[];
};

export interface RouteAttributeCstNode extends CstNode {
  name: "routeAttribute";
  children: RouteAttributeCstChildren;
}

export type RouteAttributeCstChildren = {
  Via?: IToken[];
  gateway?: GatewayCstNode[];
  Dev?: IToken[];
  deviceName?: IToken[];
  Onlink?: IToken[];
  Table?: IToken[];
  tableName?: IToken[];
  Vrf?: IToken[];
  vrfName?: IToken[];
  Proto?: IToken[];
  protocolName?: IToken[];
  Scope?: IToken[];
  scopeName?: IToken[];
  Src?: IToken[];
  ipAddress?: IToken[];
  Metric?: IToken[];
  number?: (IToken)[];
  Priority?: IToken[];
  Tos?: IToken[];
  tos?: IToken[];
  Mtu?: IToken[];
  Nhid?: IToken[];
  Pref?: IToken[];
  shownValue?: (IToken)[];
  Error?: IToken[];
  StateMark?: IToken[];
};

export interface RouteCstNode extends CstNode {
  name: "route";
  children: RouteCstChildren;
}

export type RouteCstChildren = {
  Route: IToken[];
  Append?: IToken[];
  family?: FamilyCstNode[];
  routeType?: RouteTypeCstNode[];
  To?: IToken[];
  routePrefix: IToken[];
  routeAttribute?: RouteAttributeCstNode[];
  hop?: HopCstNode[];
};

export interface RoutesCstNode extends CstNode {
  name: "routes";
  children: RoutesCstChildren;
}

export type RoutesCstChildren = {
  Routes: IToken[];
  From: IToken[];
  fileName: IToken[];
};

export interface TableItemCstNode extends CstNode {
  name: "tableItem";
  children: TableItemCstChildren;
}

export type TableItemCstChildren = {
  route?: RouteCstNode[];
  routes?: RoutesCstNode[];
  unknown?: UnknownCstNode[];
  surplus?: SurplusCstNode[];
};

export interface TableCstNode extends CstNode {
  name: "table";
  children: TableCstChildren;
}

export type TableCstChildren = {
  Table: IToken[];
  tableName: IToken[];
  surplusWords?: SurplusWordsCstNode[];
  LBrace?: IToken[];
  tableItem?: TableItemCstNode[];
  Separator?: IToken[];
  RBrace?: IToken[];
};

export interface NexthopAttributeCstNode extends CstNode {
  name: "nexthopAttribute";
  children: NexthopAttributeCstChildren;
}

export type NexthopAttributeCstChildren = {
  Via?: IToken[];
  gateway?: GatewayCstNode[];
  Dev?: IToken[];
  deviceName?: IToken[];
  Onlink?: IToken[];
  Blackhole?: IToken[];
  Group?: IToken[];
  nexthopGroup?: IToken[];
  Scope?: IToken[];
  shownValue?: (IToken)[];
  Proto?: IToken[];
  StateMark?: IToken[];
};

export interface NexthopCstNode extends CstNode {
  name: "nexthop";
  children: NexthopCstChildren;
}

export type NexthopCstChildren = {
  Nexthop: IToken[];
  family?: FamilyCstNode[];
  Id?: IToken[];
  number: IToken[];
  nexthopAttribute?: NexthopAttributeCstNode[];
};

export interface NeighbourAttributeCstNode extends CstNode {
  name: "neighbourAttribute";
  children: NeighbourAttributeCstChildren;
}

export type NeighbourAttributeCstChildren = {
  Lladdr?: IToken[];
  mac?: IToken[];
  Dev?: IToken[];
  deviceName?: IToken[];
  StateMark?: IToken[];
};

export interface NeighbourCstNode extends CstNode {
  name: "neighbour";
  children: NeighbourCstChildren;
}

export type NeighbourCstChildren = {
  Neighbour: IToken[];
  To?: IToken[];
  ipAddress: IToken[];
  neighbourAttribute?: NeighbourAttributeCstNode[];
};

export interface PreferenceCstNode extends CstNode {
  name: "preference";
  children: PreferenceCstChildren;
}

export type PreferenceCstChildren = {
  Integer?: IToken[];
  Preference?: IToken[];
};

export interface RuleAttributeCstNode extends CstNode {
  name: "ruleAttribute";
  children: RuleAttributeCstChildren;
}

export type RuleAttributeCstChildren = {
  Pref?: IToken[];
  number?: (IToken)[];
  Priority?: IToken[];
  Order?: IToken[];
  Not?: IToken[];
  From?: IToken[];
  prefix?: (IToken)[];
  To?: IToken[];
  Tos?: IToken[];
  tos?: IToken[];
  Fwmark?: IToken[];
  mark?: IToken[];
  Iif?: IToken[];
  deviceName?: (IToken)[];
  Dev?: IToken[];
  Oif?: IToken[];
  L3mdev?: IToken[];
  Uidrange?: IToken[];
  range?: (IToken)[];
  Ipproto?: IToken[];
  ipProtocol?: IToken[];
  Sport?: IToken[];
  Dport?: IToken[];
  Lookup?: IToken[];
  tableName?: (IToken)[];
  Table?: IToken[];
  Goto?: IToken[];
  Nop?: IToken[];
  Blackhole?: IToken[];
  Unreachable?: IToken[];
  Prohibit?: IToken[];
  SuppressPrefixlength?: IToken[];
  SuppressIfgroup?: IToken[];
  Proto?: IToken[];
  protocolName?: IToken[];
  StateMark?: IToken[];
};

export interface RuleCstNode extends CstNode {
  name: "rule";
  children: RuleCstChildren;
}

export type RuleCstChildren = {
  Rule: IToken[];
  family?: FamilyCstNode[];
  preference?: PreferenceCstNode[];
  ruleAttribute?: RuleAttributeCstNode[];
};

export interface NoRuleCstNode extends CstNode {
  name: "noRule";
  children: NoRuleCstChildren;
}

export type NoRuleCstChildren = {
  No: IToken[];
  rule: RuleCstNode[];
};

export interface SysctlCstNode extends CstNode {
  name: "sysctl";
  children: SysctlCstChildren;
}

export type SysctlCstChildren = {
  Sysctl: IToken[];
  sysctlKey: IToken[];
  Equals?: IToken[];
  sysctlValue: IToken[];
};

export interface ItemCstNode extends CstNode {
  name: "item";
  children: ItemCstChildren;
}

export type ItemCstChildren = {
  sysctl?: SysctlCstNode[];
  vrf?: VrfCstNode[];
  interface?: InterfaceCstNode[];
  table?: TableCstNode[];
  route?: RouteCstNode[];
  rule?: RuleCstNode[];
  noRule?: NoRuleCstNode[];
  neighbour?: NeighbourCstNode[];
  nexthop?: NexthopCstNode[];
  filter?: FilterCstNode[];
  unknown?: UnknownCstNode[];
  surplus?: SurplusCstNode[];
};

export interface NamespaceCstNode extends CstNode {
  name: "namespace";
  children: NamespaceCstChildren;
}

export type NamespaceCstChildren = {
  Namespace: IToken[];
  namespaceName: IToken[];
  surplusWords?: SurplusWordsCstNode[];
  LBrace?: IToken[];
  item?: ItemCstNode[];
  Separator?: IToken[];
  RBrace?: IToken[];
};

export interface KernelCstNode extends CstNode {
  name: "kernel";
  children: KernelCstChildren;
}

export type KernelCstChildren = {
  Kernel: IToken[];
  kernelVersion: IToken[];
};

export interface ReplyAttributeCstNode extends CstNode {
  name: "replyAttribute";
  children: ReplyAttributeCstChildren;
}

export type ReplyAttributeCstChildren = {
  Ttl?: IToken[];
  number?: IToken[];
  From?: IToken[];
  ipAddress?: IToken[];
};

export interface UnreachableCodeCstNode extends CstNode {
  name: "unreachableCode";
  children: UnreachableCodeCstChildren;
}

export type UnreachableCodeCstChildren = {
  Net?: IToken[];
  Host?: IToken[];
  Prohibited?: IToken[];
};

export interface ExpectationCstNode extends CstNode {
  name: "expectation";
  children: ExpectationCstChildren;
}

export type ExpectationCstChildren = {
  Reply?: IToken[];
  replyAttribute?: ReplyAttributeCstNode[];
  Unreachable?: IToken[];
  unreachableCode?: UnreachableCodeCstNode[];
  From?: (IToken)[];
  ipAddress?: (IToken)[];
  Exceeded?: IToken[];
  Error?: IToken[];
  errno?: IToken[];
  Drop?: IToken[];
  By?: IToken[];
  filterName?: IToken[];
  Rule?: IToken[];
  number?: IToken[];
  In?: IToken[];
  namespaceName?: IToken[];
  Connected?: IToken[];
  Refused?: IToken[];
  Timeout?: IToken[];
  Nothing?: IToken[];
};

export interface PingAttributeCstNode extends CstNode {
  name: "pingAttribute";
  children: PingAttributeCstChildren;
}

export type PingAttributeCstChildren = {
  BindOption?: IToken[];
  bindTarget?: IToken[];
  TtlOption?: IToken[];
  number?: (IToken)[];
  MarkOption?: IToken[];
  CountOption?: IToken[];
  shownValue?: IToken[];
  Expect?: IToken[];
  expectation?: ExpectationCstNode[];
};

export interface PingCstNode extends CstNode {
  name: "ping";
  children: PingCstChildren;
}

export type PingCstChildren = {
  Ping: IToken[];
  ipAddress: IToken[];
  pingAttribute?: PingAttributeCstNode[];
};

export interface TransportCstNode extends CstNode {
  name: "transport";
  children: TransportCstChildren;
}

export type TransportCstChildren = {
  Tcp?: IToken[];
  Udp?: IToken[];
};

export interface ListenAttributeCstNode extends CstNode {
  name: "listenAttribute";
  children: ListenAttributeCstChildren;
}

export type ListenAttributeCstChildren = {
  BindOption?: IToken[];
  deviceName?: IToken[];
  Expect?: IToken[];
  expectation?: ExpectationCstNode[];
};

export interface ListenCstNode extends CstNode {
  name: "listen";
  children: ListenCstChildren;
}

export type ListenCstChildren = {
  Listen: IToken[];
  transport: TransportCstNode[];
  endpoint: IToken[];
  listenAttribute?: ListenAttributeCstNode[];
};

export interface ConnectAttributeCstNode extends CstNode {
  name: "connectAttribute";
  children: ConnectAttributeCstChildren;
}

export type ConnectAttributeCstChildren = {
  BindOption?: IToken[];
  deviceName?: IToken[];
  From?: IToken[];
  ipAddress?: IToken[];
  MarkOption?: IToken[];
  number?: IToken[];
  Expect?: IToken[];
  expectation?: ExpectationCstNode[];
};

export interface ConnectCstNode extends CstNode {
  name: "connect";
  children: ConnectCstChildren;
}

export type ConnectCstChildren = {
  Connect: IToken[];
  transport: TransportCstNode[];
  endpoint: IToken[];
  connectAttribute?: ConnectAttributeCstNode[];
};

export interface StepCstNode extends CstNode {
  name: "step";
  children: StepCstChildren;
}

export type StepCstChildren = {
  In?: IToken[];
  namespaceName?: IToken[];
  ping?: PingCstNode[];
  listen?: ListenCstNode[];
  connect?: ConnectCstNode[];
};

export interface TestItemCstNode extends CstNode {
  name: "testItem";
  children: TestItemCstChildren;
}

export type TestItemCstChildren = {
  namespace?: NamespaceCstNode[];
  step?: StepCstNode[];
  unknown?: UnknownCstNode[];
  surplus?: SurplusCstNode[];
};

export interface TestCstNode extends CstNode {
  name: "test";
  children: TestCstChildren;
}

export type TestCstChildren = {
  Test: IToken[];
  testName: IToken[];
  surplusWords?: SurplusWordsCstNode[];
  LBrace?: IToken[];
  testItem?: TestItemCstNode[];
  Separator?: IToken[];
  RBrace?: IToken[];
};

export interface TopItemCstNode extends CstNode {
  name: "topItem";
  children: TopItemCstChildren;
}

export type TopItemCstChildren = {
  kernel?: KernelCstNode[];
  namespace?: NamespaceCstNode[];
  test?: TestCstNode[];
  item?: ItemCstNode[];
  surplus?: SurplusCstNode[];
};

export interface FileCstNode extends CstNode {
  name: "file";
  children: FileCstChildren;
}

export type FileCstChildren = {
  topItem?: TopItemCstNode[];
  Separator?: IToken[];
};

export interface ICstNodeVisitor<IN, OUT> extends ICstVisitor<IN, OUT> {
  family(children: FamilyCstChildren, param?: IN): OUT;
  gateway(children: GatewayCstChildren, param?: IN): OUT;
  skippedBlock(children: SkippedBlockCstChildren, param?: IN): OUT;
  surplusWords(children: SurplusWordsCstChildren, param?: IN): OUT;
  surplus(children: SurplusCstChildren, param?: IN): OUT;
  unknown(children: UnknownCstChildren, param?: IN): OUT;
  filter(children: FilterCstChildren, param?: IN): OUT;
  addressAttribute(children: AddressAttributeCstChildren, param?: IN): OUT;
  address(children: AddressCstChildren, param?: IN): OUT;
  peer(children: PeerCstChildren, param?: IN): OUT;
  simpleProperty(children: SimplePropertyCstChildren, param?: IN): OUT;
  property(children: PropertyCstChildren, param?: IN): OUT;
  vrf(children: VrfCstChildren, param?: IN): OUT;
  interface(children: InterfaceCstChildren, param?: IN): OUT;
  routeType(children: RouteTypeCstChildren, param?: IN): OUT;
  hopAttribute(children: HopAttributeCstChildren, param?: IN): OUT;
  hop(children: HopCstChildren, param?: IN): OUT;
  routeAttribute(children: RouteAttributeCstChildren, param?: IN): OUT;
  route(children: RouteCstChildren, param?: IN): OUT;
  routes(children: RoutesCstChildren, param?: IN): OUT;
  tableItem(children: TableItemCstChildren, param?: IN): OUT;
  table(children: TableCstChildren, param?: IN): OUT;
  nexthopAttribute(children: NexthopAttributeCstChildren, param?: IN): OUT;
  nexthop(children: NexthopCstChildren, param?: IN): OUT;
  neighbourAttribute(children: NeighbourAttributeCstChildren, param?: IN): OUT;
  neighbour(children: NeighbourCstChildren, param?: IN): OUT;
  preference(children: PreferenceCstChildren, param?: IN): OUT;
  ruleAttribute(children: RuleAttributeCstChildren, param?: IN): OUT;
  rule(children: RuleCstChildren, param?: IN): OUT;
  noRule(children: NoRuleCstChildren, param?: IN): OUT;
  sysctl(children: SysctlCstChildren, param?: IN): OUT;
  item(children: ItemCstChildren, param?: IN): OUT;
  namespace(children: NamespaceCstChildren, param?: IN): OUT;
  kernel(children: KernelCstChildren, param?: IN): OUT;
  replyAttribute(children: ReplyAttributeCstChildren, param?: IN): OUT;
  unreachableCode(children: UnreachableCodeCstChildren, param?: IN): OUT;
  expectation(children: ExpectationCstChildren, param?: IN): OUT;
  pingAttribute(children: PingAttributeCstChildren, param?: IN): OUT;
  ping(children: PingCstChildren, param?: IN): OUT;
  transport(children: TransportCstChildren, param?: IN): OUT;
  listenAttribute(children: ListenAttributeCstChildren, param?: IN): OUT;
  listen(children: ListenCstChildren, param?: IN): OUT;
  connectAttribute(children: ConnectAttributeCstChildren, param?: IN): OUT;
  connect(children: ConnectCstChildren, param?: IN): OUT;
  step(children: StepCstChildren, param?: IN): OUT;
  testItem(children: TestItemCstChildren, param?: IN): OUT;
  test(children: TestCstChildren, param?: IN): OUT;
  topItem(children: TopItemCstChildren, param?: IN): OUT;
  file(children: FileCstChildren, param?: IN): OUT;
}
