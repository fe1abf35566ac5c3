/**
 * IPv6 frames as a real kernel answered them (Debian's 6.1.192): three random networks of one to three VRFs. Among the frames are
 * extension headers, link-local addresses, redirects (also to this host itself), closed ports and errors of every kind.
 */
import { testFrames } from "./frames.ts";

testFrames("frames6.json.gz");
