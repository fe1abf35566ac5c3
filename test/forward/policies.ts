/** What the tests' routers forward by: the seed's network without its other namespaces, and more of it. */

/** The seed's router, with IPv6. */
export const SEED_ROUTER = `
  sysctl net.ipv4.ip_forward = 1
  sysctl net.ipv6.conf.all.forwarding = 1
  vrf vrf { table 100; address 1.1.1.1/32 }
  interface vethr1 { master vrf; address 10.0.0.1/24; address 2001:db8:0::1/64 }
  interface vethr2 { master vrf; address 10.0.1.1/24; address 2001:db8:1::1/64 }
`;

/** The network of the seed's case 6, and a rule that counts. */
export const WIDER = `${SEED_ROUTER}
  route 2.2.2.2 via 10.0.0.7 vrf vrf src 1.1.1.1
  route prohibit 10.0.2.0/24 vrf vrf
  counter echoes
  chain counted { type filter hook forward priority 0; icmp type echo-request counter name echoes }
`;
