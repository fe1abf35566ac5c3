/**
 * What a host does with frames for itself, as a real kernel did (Debian's 6.1.192): fragments in every order, of one VRF or several,
 * that overlap, contradict each other, are too much or come too late; ICMP timestamp requests; VLAN tags.
 */
import { testFrames } from "./frames.ts";

testFrames("local.json.gz");
