/**
 * The grammar, as chevrotain builds its concrete syntax tree (CST); dsl/build-ast.ts makes the AST from it.
 *
 *   file           = statements(topItem)
 *   statements(x)  = { x Separator }
 *   block(x)       = [surplusWords] [ "{" statements(x) "}" ]
 *   topItem        = ( kernel | namespace | test | item ) [surplus]
 *   item           = ( ITEM | unknown ) [surplus]        property, tableItem, testItem: likewise
 *   ITEM           = sysctl | vrf | interface | table | route | rule | noRule | neighbour | nexthop | filter
 *   kernel         = "kernel" Value
 *   namespace      = "namespace" NAME block(item)
 *   vrf, interface = ("vrf" | "interface") NAME block(property)
 *   table          = "table" NAME block(tableItem)
 *   route          = "route" ["append"] [FAMILY] [TYPE] ["to"] PREFIX { routeAttribute | "nexthop" { hopAttribute } }
 *   rule           = "rule" [FAMILY] [PREFERENCE] { ruleAttribute }
 *   neighbour      = "neighbour" ["to"] ADDRESS { neighbourAttribute }
 *   nexthop        = "nexthop" [FAMILY] ["id"] NUMBER { nexthopAttribute }
 *   test           = "test" NAME block(testItem)
 *   step           = ["in" NAME] ( ping | listen | connect )
 *   ping           = "ping" ADDRESS { pingAttribute }
 *   listen         = "listen" ("tcp" | "udp") ENDPOINT { listenAttribute }
 *   connect        = "connect" ("tcp" | "udp") ENDPOINT { connectAttribute }
 *
 * Three things keep one mistake from hiding the next. Every statement ends in an optional `surplus`, which takes whatever
 * words (and balanced block) are left of it, and every list of statements has the alternative `unknown`; build-ast
 * reports both. What remains for chevrotain's recovery is a statement that ends too early: a missing name is made up, so
 * that the block behind it is read, or it resynchronises at the Separator. Deleting tokens is off: it would delete the end
 * of the line and take the missing word from the next.
 */
import type { CstNode, IParserConfig, IToken, ParserMethod, TokenType } from "chevrotain";
import { CstParser } from "./chevrotain.ts";
import { oneToken } from "./lookahead.ts";
import { Equals, Integer, K, LBrace, Preference, RBrace, Separator, Value, vocabulary } from "./tokens.ts";

type Rule = ParserMethod<[], CstNode>;

/** What a value is called in the CST; messages say what was expected by it (dsl/expected.ts). */
export type ValueLabel =
  | ("namespaceName" | "deviceName" | "vrfName" | "tableName" | "testName" | "fileName" | "scopeName" | "protocolName")
  | ("kernelVersion" | "sysctlKey" | "sysctlValue" | "deviceType" | "qdiscName" | "mac" | "interfaceAddress")
  | ("ipAddress" | "prefix" | "routePrefix" | "number" | "tos" | "mark" | "range" | "ipProtocol" | "nexthopGroup")
  | ("bindTarget" | "errno" | "shownValue" | "endpoint" | "filterName");

/** A keyword and what follows it. */
type Attribute = readonly [TokenType, (ValueLabel | Rule)?];

export class Parser extends CstParser {
  /** Open braces of the block that `skippedBlock` passes over. */
  private depth = 0;

  /** @param config for tests: with chevrotain's checks of the grammar, which take longer than most texts */
  constructor(config: IParserConfig = { lookaheadStrategy: oneToken, skipValidations: true }) {
    super(vocabulary, { recoveryEnabled: true, maxLookahead: 1, nodeLocationTracking: "onlyOffset", ...config });
    this.performSelfAnalysis();
  }

  protected override canTokenTypeBeDeletedInRecovery(): boolean {
    return false;
  }

  // Shapes that several rules share.

  /** A word or string that is called `label` in the CST. */
  private value(label: ValueLabel, i = 0): void {
    this.consume(i, Value, { LABEL: label });
  }

  private keywords(name: string, ...types: readonly TokenType[]): Rule {
    return this.RULE(name, () => {
      this.OR(types.map((type) => ({ ALT: () => this.CONSUME(type) })));
    });
  }

  /** One of the attributes; a statement says them in any order. */
  private oneOf(name: string, ...attributes: readonly Attribute[]): Rule {
    return this.RULE(name, () => {
      this.OR(attributes.map((attribute, i) => ({ ALT: () => this.attribute(i, attribute) })));
    });
  }

  private attribute(i: number, [keyword, value]: Attribute): void {
    this.consume(i, keyword);
    if (typeof value === "string") this.value(value, i);
    else if (value !== undefined) this.subrule(i, value);
  }

  /** One of the statements. `unknown` begins with any word, keywords included: tried last, so no real ambiguity. */
  private statement(name: string, ...alternatives: readonly Rule[]): Rule {
    return this.RULE(name, () => {
      this.OR({
        DEF: [...alternatives, this.unknown].map((rule) => ({ ALT: () => this.SUBRULE(rule) })),
        IGNORE_AMBIGUITIES: true,
      });
      this.OPTION(() => this.SUBRULE(this.surplus));
    });
  }

  /** Every statement has its Separator, written or not (dsl/tokens.ts): the one place to resynchronise at. */
  private statements(rule: Rule): void {
    this.MANY(() => {
      this.SUBRULE(rule);
      this.CONSUME(Separator);
    });
  }

  private block(rule: Rule): void {
    this.OPTION(() => this.SUBRULE1(this.surplusWords));
    this.OPTION1(() => {
      this.CONSUME(LBrace);
      this.statements(rule);
      this.CONSUME(RBrace);
    });
  }

  // Values that are more than one word.

  private readonly family = this.keywords("family", K.Inet, K.Inet6);

  private readonly gateway: Rule = this.RULE("gateway", () => {
    this.OPTION(() => this.SUBRULE(this.family));
    this.value("ipAddress");
  });

  // What is left over.

  private readonly skippedBlock: Rule = this.RULE("skippedBlock", () => {
    this.CONSUME(LBrace);
    this.nest(1, true);
    this.MANY({
      GATE: () => this.depth > 0,
      DEF: () => {
        this.OR([
          { ALT: () => this.CONSUME(Value) },
          { ALT: () => this.CONSUME(Equals) },
          { ALT: () => this.CONSUME(Separator) },
          { ALT: () => this.nest(1, false, this.CONSUME1(LBrace)) },
          { ALT: () => this.nest(-1, false, this.CONSUME(RBrace)) },
        ]);
      },
    });
  });

  /** A counter instead of recursion: a text of a hundred thousand braces must not overflow the stack. */
  private nest(by: 1 | -1, anew: boolean, _brace?: IToken): void {
    this.ACTION(() => {
      this.depth = anew ? by : this.depth + by;
    });
  }

  private readonly surplusWords: Rule = this.RULE("surplusWords", () => {
    this.AT_LEAST_ONE(() => {
      this.OR([{ ALT: () => this.CONSUME(Value) }, { ALT: () => this.CONSUME(Equals) }]);
    });
  });

  private readonly surplus: Rule = this.RULE("surplus", () => {
    this.OR([
      {
        ALT: () => {
          this.SUBRULE(this.surplusWords);
          this.OPTION(() => this.SUBRULE(this.skippedBlock));
        },
      },
      { ALT: () => this.SUBRULE1(this.skippedBlock) },
    ]);
  });

  private readonly unknown: Rule = this.RULE("unknown", () => {
    this.SUBRULE(this.surplus);
  });

  /** Chains, programs, sets and maps: their words and blocks are read by dsl/nft/read.ts. */
  private readonly filter: Rule = this.RULE("filter", () => {
    const keywords = [K.FilterTable, K.Chain, K.Program, K.Set, K.Map, K.Counter, K.Limit];
    this.OR(keywords.map((type) => ({ ALT: () => this.CONSUME(type) })));
    this.OPTION(() => this.SUBRULE(this.surplus));
  });

  // Devices.

  private readonly addressAttribute = this.oneOf(
    "addressAttribute",
    [K.Peer, "prefix"],
    [K.Scope, "scopeName"],
    [K.Metric, "number"],
    [K.Priority, "number"],
    [K.Noprefixroute],
  );

  private readonly address: Rule = this.RULE("address", () => {
    this.CONSUME(K.Address);
    this.value("interfaceAddress");
    this.MANY(() => this.SUBRULE(this.addressAttribute));
  });

  private readonly peer: Rule = this.RULE("peer", () => {
    this.CONSUME(K.Peer);
    this.value("namespaceName");
    this.value("deviceName", 1);
  });

  private readonly simpleProperty = this.oneOf(
    "simpleProperty",
    [K.Table, "tableName"],
    [K.Type, "deviceType"],
    [K.Master, "vrfName"],
    [K.Vrf, "vrfName"],
    [K.Lladdr, "mac"],
    [K.Mtu, "number"],
    [K.Group, "number"],
    [K.Qdisc, "qdiscName"],
    [K.Index, "number"],
    [K.Up],
    [K.Down],
  );

  private readonly property = this.statement("property", this.simpleProperty, this.address, this.peer);

  private readonly vrf: Rule = this.RULE("vrf", () => {
    this.CONSUME(K.Vrf);
    this.value("vrfName");
    this.block(this.property);
  });

  private readonly interface: Rule = this.RULE("interface", () => {
    this.CONSUME(K.Interface);
    this.value("deviceName");
    this.block(this.property);
  });

  // Routes.

  private readonly routeType = this.keywords(
    "routeType",
    ...[K.Unicast, K.Local, K.Broadcast, K.Anycast, K.Multicast, K.Blackhole, K.Unreachable, K.Prohibit, K.Throw],
  );

  private readonly hopAttribute = this.oneOf(
    "hopAttribute",
    [K.Via, this.gateway],
    [K.Dev, "deviceName"],
    [K.Weight, "number"],
    [K.Onlink],
    [K.StateMark],
  );

  private readonly hop: Rule = this.RULE("hop", () => {
    this.CONSUME(K.Nexthop);
    this.MANY(() => this.SUBRULE(this.hopAttribute));
  });

  private readonly routeAttribute: Rule = this.oneOf(
    "routeAttribute",
    [K.Via, this.gateway],
    [K.Dev, "deviceName"],
    [K.Onlink],
    [K.Table, "tableName"],
    [K.Vrf, "vrfName"],
    [K.Proto, "protocolName"],
    [K.Scope, "scopeName"],
    [K.Src, "ipAddress"],
    [K.Metric, "number"],
    [K.Priority, "number"],
    [K.Tos, "tos"],
    [K.Mtu, "number"],
    [K.Nhid, "number"],
    [K.Pref, "shownValue"],
    [K.Error, "shownValue"],
    [K.StateMark],
  );

  private readonly route: Rule = this.RULE("route", () => {
    this.CONSUME(K.Route);
    this.OPTION(() => this.CONSUME(K.Append));
    this.OPTION1(() => this.SUBRULE(this.family));
    this.OPTION2(() => this.SUBRULE(this.routeType));
    this.OPTION3(() => this.CONSUME(K.To));
    this.value("routePrefix");
    this.MANY(() => {
      this.OR([{ ALT: () => this.SUBRULE(this.routeAttribute) }, { ALT: () => this.SUBRULE(this.hop) }]);
    });
  });

  private readonly routes: Rule = this.RULE("routes", () => {
    this.CONSUME(K.Routes);
    this.CONSUME(K.From);
    this.value("fileName");
  });

  private readonly tableItem = this.statement("tableItem", this.route, this.routes);

  private readonly table: Rule = this.RULE("table", () => {
    this.CONSUME(K.Table);
    this.value("tableName");
    this.block(this.tableItem);
  });

  private readonly nexthopAttribute = this.oneOf(
    "nexthopAttribute",
    [K.Via, this.gateway],
    [K.Dev, "deviceName"],
    [K.Onlink],
    [K.Blackhole],
    [K.Group, "nexthopGroup"],
    [K.Scope, "shownValue"],
    [K.Proto, "shownValue"],
    [K.StateMark],
  );

  private readonly nexthop: Rule = this.RULE("nexthop", () => {
    this.CONSUME(K.Nexthop);
    this.OPTION(() => this.SUBRULE(this.family));
    this.OPTION1(() => this.CONSUME(K.Id));
    this.value("number");
    this.MANY(() => this.SUBRULE(this.nexthopAttribute));
  });

  private readonly neighbourAttribute = this.oneOf(
    "neighbourAttribute",
    [K.Lladdr, "mac"],
    [K.Dev, "deviceName"],
    [K.StateMark],
  );

  private readonly neighbour: Rule = this.RULE("neighbour", () => {
    this.CONSUME(K.Neighbour);
    this.OPTION(() => this.CONSUME(K.To));
    this.value("ipAddress");
    this.MANY(() => this.SUBRULE(this.neighbourAttribute));
  });

  // Rules.

  private readonly preference: Rule = this.RULE("preference", () => {
    this.OR([{ ALT: () => this.CONSUME(Integer) }, { ALT: () => this.CONSUME(Preference) }]);
  });

  private readonly ruleAttribute = this.oneOf(
    "ruleAttribute",
    [K.Pref, "number"],
    [K.Priority, "number"],
    [K.Order, "number"],
    [K.Not],
    [K.From, "prefix"],
    [K.To, "prefix"],
    [K.Tos, "tos"],
    [K.Fwmark, "mark"],
    [K.Iif, "deviceName"],
    [K.Dev, "deviceName"],
    [K.Oif, "deviceName"],
    [K.L3mdev],
    [K.Uidrange, "range"],
    [K.Ipproto, "ipProtocol"],
    [K.Sport, "range"],
    [K.Dport, "range"],
    [K.Lookup, "tableName"],
    [K.Table, "tableName"],
    [K.Goto, "number"],
    [K.Nop],
    [K.Blackhole],
    [K.Unreachable],
    [K.Prohibit],
    [K.SuppressPrefixlength, "number"],
    [K.SuppressIfgroup, "number"],
    [K.Proto, "protocolName"],
    [K.StateMark],
  );

  private readonly rule: Rule = this.RULE("rule", () => {
    this.CONSUME(K.Rule);
    this.OPTION(() => this.SUBRULE(this.family));
    this.OPTION1(() => this.SUBRULE(this.preference));
    this.MANY(() => this.SUBRULE(this.ruleAttribute));
  });

  private readonly noRule: Rule = this.RULE("noRule", () => {
    this.CONSUME(K.No);
    this.SUBRULE(this.rule);
  });

  // Namespaces.

  private readonly sysctl: Rule = this.RULE("sysctl", () => {
    this.CONSUME(K.Sysctl);
    this.value("sysctlKey");
    this.OPTION(() => this.CONSUME(Equals));
    this.AT_LEAST_ONE(() => this.value("sysctlValue", 1));
  });

  private readonly items: readonly Rule[] = [
    ...[this.sysctl, this.vrf, this.interface, this.table, this.route],
    ...[this.rule, this.noRule, this.neighbour, this.nexthop, this.filter],
  ];

  private readonly item = this.statement("item", ...this.items);

  private readonly namespace: Rule = this.RULE("namespace", () => {
    this.CONSUME(K.Namespace);
    this.value("namespaceName");
    this.block(this.item);
  });

  private readonly kernel: Rule = this.RULE("kernel", () => {
    this.CONSUME(K.Kernel);
    this.value("kernelVersion");
  });

  // Tests.

  private readonly replyAttribute = this.oneOf("replyAttribute", [K.Ttl, "number"], [K.From, "ipAddress"]);
  private readonly unreachableCode = this.keywords("unreachableCode", K.Net, K.Host, K.Prohibited);

  private readonly expectation: Rule = this.RULE("expectation", () => {
    this.OR([
      {
        ALT: () => {
          this.CONSUME(K.Reply);
          this.MANY(() => this.SUBRULE(this.replyAttribute));
        },
      },
      {
        ALT: () => {
          this.CONSUME(K.Unreachable);
          this.OPTION(() => this.SUBRULE(this.unreachableCode));
          this.OPTION1(() => this.attribute(1, [K.From, "ipAddress"]));
        },
      },
      {
        ALT: () => {
          this.CONSUME(K.Exceeded);
          this.OPTION2(() => this.attribute(2, [K.From, "ipAddress"]));
        },
      },
      {
        ALT: () => {
          this.CONSUME(K.Error);
          this.OPTION3(() => this.value("errno", 3));
        },
      },
      {
        ALT: () => {
          this.CONSUME(K.Drop);
          this.attribute(4, [K.By, "filterName"]);
          this.OPTION4(() => this.attribute(5, [K.Rule, "number"]));
          this.OPTION5(() => this.attribute(6, [K.In, "namespaceName"]));
        },
      },
      { ALT: () => this.CONSUME(K.Connected) },
      { ALT: () => this.CONSUME(K.Refused) },
      { ALT: () => this.CONSUME(K.Timeout) },
      { ALT: () => this.CONSUME(K.Nothing) },
    ]);
  });

  private readonly pingAttribute = this.oneOf(
    "pingAttribute",
    [K.BindOption, "bindTarget"],
    [K.TtlOption, "number"],
    [K.MarkOption, "number"],
    [K.CountOption, "shownValue"],
    [K.Expect, this.expectation],
  );

  private readonly ping: Rule = this.RULE("ping", () => {
    this.CONSUME(K.Ping);
    this.value("ipAddress");
    this.MANY(() => this.SUBRULE(this.pingAttribute));
  });

  private readonly transport = this.keywords("transport", K.Tcp, K.Udp);

  private readonly listenAttribute = this.oneOf(
    "listenAttribute",
    [K.BindOption, "deviceName"],
    [K.Expect, this.expectation],
  );

  private readonly listen: Rule = this.RULE("listen", () => {
    this.CONSUME(K.Listen);
    this.SUBRULE(this.transport);
    this.value("endpoint");
    this.MANY(() => this.SUBRULE(this.listenAttribute));
  });

  private readonly connectAttribute = this.oneOf(
    "connectAttribute",
    [K.BindOption, "deviceName"],
    [K.From, "ipAddress"],
    [K.MarkOption, "number"],
    [K.Expect, this.expectation],
  );

  private readonly connect: Rule = this.RULE("connect", () => {
    this.CONSUME(K.Connect);
    this.SUBRULE(this.transport);
    this.value("endpoint");
    this.MANY(() => this.SUBRULE(this.connectAttribute));
  });

  private readonly step: Rule = this.RULE("step", () => {
    this.OPTION(() => this.attribute(0, [K.In, "namespaceName"]));
    this.OR([this.ping, this.listen, this.connect].map((rule) => ({ ALT: () => this.SUBRULE(rule) })));
  });

  private readonly testItem = this.statement("testItem", this.namespace, this.step);

  private readonly test: Rule = this.RULE("test", () => {
    this.CONSUME(K.Test);
    this.value("testName");
    this.block(this.testItem);
  });

  private readonly topItem: Rule = this.RULE("topItem", () => {
    this.OR({
      DEF: [this.kernel, this.namespace, this.test, this.item].map((rule) => ({ ALT: () => this.SUBRULE(rule) })),
      IGNORE_AMBIGUITIES: true,
    });
    this.OPTION(() => this.SUBRULE(this.surplus));
  });

  readonly file: Rule = this.RULE("file", () => {
    this.statements(this.topItem);
  });
}

let instance: Parser | undefined;
/** The one parser: made when the first text is read, because analysing the grammar takes longer than a small text does. */
export const sharedParser = (): Parser => (instance ??= new Parser());
