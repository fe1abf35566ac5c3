/**
 * Ethernet frames as a real kernel answered them (Debian's 6.1.192): six random networks of one to three VRFs, with what
 * came out of every port, byte for byte, and the netfilter hooks passed. Among the frames are IP options, good and bad,
 * redirects, broadcasts that come back to their sender, errors of every kind and the limits on them.
 */
import { testFrames } from "./frames.ts";

testFrames("frames.json.gz");
