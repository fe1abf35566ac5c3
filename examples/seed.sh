ip netns add ns0
ip netns add ns1
ip l add dev vrf type vrf table 100
ifconfig vrf up
ip l add dev vethr1 type veth peer name veth1 netns ns0
ip l add dev vethr2 type veth peer name veth2 netns ns1
ip l set dev vethr1 master vrf
ip l set dev vethr2 master vrf
ifconfig vethr1 10.0.0.1/24 up
ifconfig vethr2 10.0.1.1/24 up
ip netns exec ns0 ifconfig veth1 10.0.0.7/24 up
ip netns exec ns1 ifconfig veth2 10.0.1.7/24 up
ip netns exec ns1 ip r a default via 10.0.1.1
ip netns exec ns0 ip r a default via 10.0.0.1


# case 1
ip netns exec ns0 ping 10.0.1.7

#case 2
ip netns exec ns0 ping 10.0.0.1

#case 3 (localout do route 1)
ping 10.0.0.7 -I vrf/vethr1

#case 4 (localout do route 2)
ip r a 10.0.0.0/24 dev vrf
ping 10.0.0.7

#case 5 (localout do route 3)
ip r a 10.0.0.0/24 dev vethr1
ping 10.0.0.7

#case 6
ip a a 1.1.1.1/32 dev vrf
ip r a 2.2.2.2 via 10.0.0.7 src 1.1.1.1 vrf vrf
ip netns exec ns0 ip a a dev lo 2.2.2.2/32
ping 2.2.2.2 -I vrf/vethr1

