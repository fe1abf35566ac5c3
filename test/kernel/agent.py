"""Runs in the guest: reads scenarios (src/scenario.ts) from fw_cfg, writes a line of JSON an answer to the virtio port.

    scenarios --fork--> Scenario: a network namespace of its own
                          set-up   commands, `ip` in batches
                          queries  RTM_GETROUTE
                          frames   AF_PACKET out of a port; what arrives at every port; hooks
                          pings    commands; hooks
                          sockets  servers and a client, closed again after each exchange

A scenario's answer also holds `setup`, a status for every command, and with `dump` what `ip -j` shows. A frame's answer
holds `at`: when it was sent, in microseconds of the kernel's own tick (CLOCK_MONOTONIC_COARSE, which moves with jiffies), so
that limits in time can be replayed; `counted_at` says so of the counters.
"""
import contextlib, ctypes, errno, ipaddress, json, os, re, select, socket, struct, subprocess, time, traceback

FW_CFG = "/sys/firmware/qemu_fw_cfg/by_name/opt/vrfc/scenarios/raw"
PORT = "/dev/vport0p1"
QUIET = 0.02  # seconds without a frame after which nothing more is expected
COMMAND_TIMEOUT = 30
CLOCK_MONOTONIC_COARSE = 6


# ---- set-up --------------------------------------------------------------------------------------------------------------
def shell(command, namespace=None, data=None):
    argv = ["bash", "-c", command]
    if namespace not in (None, "."):
        argv = ["ip", "netns", "exec", namespace] + argv
    try:
        done = subprocess.run(argv, input=data, capture_output=True, text=True, errors="replace", timeout=COMMAND_TIMEOUT)
        return done.returncode, done.stdout, done.stderr.strip()
    except subprocess.TimeoutExpired:
        return 124, "", "timed out"


def plain_ip(command):
    """(options, rest) of an `ip` command that needs no shell and can be a line of a batch; else None."""
    if not command.startswith("ip ") or re.search(r"[|;&<>$`'\"\\*?\n]", command):
        return None
    words, options = command.split()[1:], []
    while words and words[0].startswith("-"):
        if words[0] in ("-n", "-netns") and len(words) > 1:
            options += ["-n", words[1]]
            words = words[2:]
        elif words[0] in ("-4", "-6"):
            options.append(words.pop(0))
        else:
            return None
    if not words or words[0] in ("netns", "vrf", "monitor"):
        return None
    return options, " ".join(words)


# No object of `ip` begins so: as a line of a batch it fails, and thereby says that the line before it was done with.
MARKER = "marker"


def run_batch(options, lines):
    """(status, error) of `ip` commands run by one process. With -force a batch goes on after a command that fails, and names
    its line; but some faults end the process, so that the rest needs another."""
    results = []
    while len(results) < len(lines):
        rest = lines[len(results):]
        text = "".join(f"{line}\n{MARKER}\n" for line in rest)
        done = subprocess.run(["ip", "-force", *options, "-batch", "-"], input=text, capture_output=True, text=True, errors="replace")
        failed, said = False, []
        for line in done.stderr.splitlines():
            at = re.match(r"Command failed -:(\d+)", line)
            if at is None:
                said.append(line.strip())
            elif int(at[1]) % 2 == 1:  # a command
                failed = True
            else:  # the marker behind it, which has said its own line last
                message = "\n".join(line for line in said[:-1] if line)
                results.append((2, message) if failed else (0, ""))
                failed, said = False, []
        if len(results) < len(lines):
            results.append((2, "\n".join(line for line in said if line)))
    return results


def set_up(commands):
    answers, pending = [], []  # pending: plain commands of the same options

    def flush():
        if pending:
            results = run_batch(pending[0][1], [rest for _, _, rest in pending])
            answers.extend(answer(command, *result) for (command, _, _), result in zip(pending, results))
            pending.clear()

    def answer(command, rc, err):
        return {"cmd": command, "rc": rc, "err": err} if err else {"cmd": command, "rc": rc}

    for command in commands:
        plain = plain_ip(command)
        if plain is None or (pending and pending[0][1] != plain[0]):
            flush()
        if plain is None:
            rc, _, err = shell(command)
            answers.append(answer(command, rc, err))
        else:
            pending.append((command, *plain))
    flush()
    return answers


# Routers of tests start silent: no solicitations, no detection of duplicates, no limits but those per peer.
SETTINGS = {
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/default/router_solicitations": 0,
    "ipv4/icmp_ratelimit": 0,
    "ipv6/icmp/ratelimit": 0,
}
# Of the whole machine, not of a namespace.
MACHINE_SETTINGS = {"netfilter/nf_log_all_netns": 1, "ipv4/icmp_msgs_per_sec": 1000000, "ipv4/icmp_msgs_burst": 1000000}


def write_settings(settings):
    for key, value in settings.items():
        with open(f"/proc/sys/net/{key}", "w") as file:
            file.write(str(value))


CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_PRIVATE, MS_REC = 0x40000, 0x4000


def new_namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    libc.mount(b"run", b"/run", b"tmpfs", 0, None)  # where `ip netns` keeps its names
    write_settings(SETTINGS)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def dumps(namespaces):
    commands = {
        "link": "ip -j -d link", "addr": "ip -j addr", "nexthop": "ip -j nexthop",
        "rule": "ip -j -4 rule", "rule6": "ip -j -6 rule",
        "route": "ip -j -d -4 route show table all", "route6": "ip -j -d -6 route show table all",
    }
    def dump(namespace, command):
        return json.loads(shell(command, namespace)[1] or "[]")
    return {ns: {key: dump(ns, command) for key, command in commands.items()} for ns in namespaces}


# ---- nftables ------------------------------------------------------------------------------------------------------------
def load_rules(namespace, text):
    """Loads a rule set without the lines that nft refuses; returns what was loaded."""
    while True:
        rc, _, err = shell("nft -f -", namespace, text)
        if rc == 0:
            return text
        refused = {int(line) for line in re.findall(r"^/dev/stdin:(\d+):", err, re.M)}
        kept = [line for number, line in enumerate(text.split("\n"), 1) if number not in refused]
        if not refused:
            raise RuntimeError(err)
        text = "\n".join(kept)


def counters(namespace):
    listed = json.loads(shell("nft -j list ruleset", namespace)[1])["nftables"]
    statements = [statement for item in listed for statement in item.get("rule", {}).get("expr", []) if isinstance(statement, dict)]
    counted = [statement["counter"] for statement in statements if isinstance(statement.get("counter"), dict)]
    return [[counter["packets"], counter["bytes"]] for counter in counted]


# ---- netfilter hooks: a rule at the front of each writes to the kernel's log ------------------------------------------------
HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
FIRST = -500
# Of ICMPv6: what a kernel says on its own (MLD, router and neighbour discovery).
CHATTER = {130, 131, 132, 133, 134, 135, 136, 143}


class HookLog:
    ENTRY = re.compile(r";vrfc\|([^|]+)\|(\w+) (IN=.*)")

    def __init__(self, namespaces):
        chains = "".join(
            f'chain {hook} {{ type filter hook {hook} priority {FIRST}; log prefix "vrfc|%s|{hook} "; }}\n' for hook in HOOKS)
        for namespace in namespaces:
            rc, _, err = shell("nft -f -", namespace, "table inet vrfc_hooks {\n" + chains.replace("%s", namespace) + "}\n")
            if rc:
                raise RuntimeError(err)
        self.file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.file, 0, os.SEEK_END)

    def take(self):
        """Hooks passed since the last call."""
        found = []
        while True:
            try:
                entry = self.ENTRY.search(os.read(self.file, 16384).decode(errors="replace"))
            except BlockingIOError:
                return [hook for hook in found if not (hook["proto"] == "ICMPv6" and hook.get("icmp_type") in CHATTER)]
            except BrokenPipeError:  # the ring overran this reader
                raise RuntimeError("hooks were lost: the log buffer is too small")
            if entry:
                found.append(self.parse(*entry.groups()))

    @staticmethod
    def parse(namespace, hook, text):
        # Of an ICMP error the packet it quotes follows in brackets, with the same keys.
        words = {}
        for key, value in re.findall(r"(\w+)=(\S*)", text.split("[")[0]):
            words.setdefault(key, value)
        answer = {"ns": namespace, "hook": hook, "iif": words.get("IN") or None, "oif": words.get("OUT") or None,
                  "saddr": words.get("SRC"), "daddr": words.get("DST"), "proto": words.get("PROTO")}
        for key, names in (("ttl", ("TTL", "HOPLIMIT")), ("icmp_type", ("TYPE",))):
            answer.update({key: int(words[name]) for name in names if words.get(name)})
        return answer


# ---- frames --------------------------------------------------------------------------------------------------------------
ETH_P_ALL, PACKET_OUTGOING = 3, 4
SOL_PACKET, PACKET_AUXDATA = 263, 8
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 0x10, 0x40


def as_on_the_wire(frame, control):
    """A VLAN tag that the kernel holds beside the frame is put back (struct tpacket_auxdata)."""
    for level, kind, data in control:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
            if status & TP_STATUS_VLAN_VALID:
                tpid = tpid if status & TP_STATUS_VLAN_TPID_VALID else 0x8100
                return frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
    return frame


def is_chatter(frame):
    """ARP, and ICMPv6 that a kernel sends on its own."""
    kind = frame[12:14]
    if kind == b"\x08\x06":
        return True
    if kind != b"\x86\xdd" or len(frame) < 55:
        return False
    following, at = frame[20], 54
    if following == 0:  # hop-by-hop options, which MLD has
        following, at = frame[54], 54 + 8 * (frame[55] + 1)
    return following == 58 and len(frame) > at and frame[at] in CHATTER


class Ports:
    def __init__(self, names):
        self.sockets = {name: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) for name in names}
        self.poll = select.poll()
        self.names = {}
        for name, port in self.sockets.items():
            port.bind((name, ETH_P_ALL))
            port.setblocking(False)
            port.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self.poll.register(port, select.POLLIN)
            self.names[port.fileno()] = name

    def receive(self, quiet):
        """Frames that come in until there were none for `quiet` seconds."""
        found = []
        while True:
            ready = self.poll.poll(quiet * 1000)
            if not ready:
                return found
            for fileno, _ in ready:
                name = self.names[fileno]
                try:
                    frame, control, _, address = self.sockets[name].recvmsg(1 << 16, 256)
                except OSError as error:
                    if error.errno not in (errno.ENETDOWN, errno.EAGAIN):
                        raise
                    continue
                frame = as_on_the_wire(frame, control)
                if address[2] != PACKET_OUTGOING and not is_chatter(frame):
                    found.append({"port": name, "hex": frame.hex()})

    def send(self, frame):
        """None, or the name of the error with which the device refused the frame."""
        try:
            self.sockets[frame["port"]].send(bytes.fromhex(frame["hex"]))
            return None
        except OSError as error:
            return errno.errorcode[error.errno]


def tick():
    """Microseconds of CLOCK_MONOTONIC_COARSE."""
    return time.clock_gettime_ns(CLOCK_MONOTONIC_COARSE) // 1000


def answer_frames(scenario):
    """Answers, and the tick that their times count from."""
    log, ports = HookLog(scenario.get("hooks_in", [])), Ports(scenario.get("ports", []))
    answers, start = [], None
    for frame in scenario["frames"]:
        ports.receive(0)
        log.take()
        now = tick()
        start = now if start is None else start
        refused = ports.send(frame)
        if refused:
            answers.append({"at": now - start, "refused": refused})
        else:
            frames = ports.receive(scenario.get("wait", QUIET))
            answers.append({"at": now - start, "frames": frames, "hooks": log.take()})
    return answers, start


# ---- look-ups: RTM_GETROUTE --------------------------------------------------------------------------------------------------
RTM_GETROUTE, NLM_F_REQUEST, NLMSG_ERROR = 26, 1, 2
RTM_F_LOOKUP_TABLE, RTM_F_FIB_MATCH = 0x1000, 0x2000
RTA_DST, RTA_SRC, RTA_IIF, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_MULTIPATH = 1, 2, 3, 4, 5, 6, 7, 9
RTA_TABLE, RTA_MARK, RTA_VIA, RTA_UID, RTA_IP_PROTO, RTA_SPORT, RTA_DPORT = 15, 16, 18, 25, 27, 28, 29
ROUTE_TYPES = ("unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw")
RTMSG = struct.Struct("=BBBBBBBBI")
NLMSGHDR = struct.Struct("=IHHII")


def align(length):
    return (length + 3) & ~3


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(align(len(data)) - len(data))


def attributes(data):
    """{kind: content} of a run of netlink attributes."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind] = data[4:length]
        data = data[align(length):]
    return found


def device_name(index):
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"if{index}"


class RouteClient:
    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def ask(self, query):
        try:
            self.socket.send(self.request(query))
        except OSError as error:  # no such device
            return {"error": errno.errorcode.get(error.errno, "ENODEV")}
        data = self.socket.recv(1 << 16)
        length, kind = struct.unpack_from("=IH", data)
        if kind == NLMSG_ERROR:
            return {"error": errno.errorcode.get(-struct.unpack_from("=i", data, NLMSGHDR.size)[0], "?")}
        return self.answer(data[NLMSGHDR.size:length])

    @staticmethod
    def request(query):
        destination = ipaddress.ip_address(query["dst"])
        family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
        bits, source = destination.max_prefixlen, query.get("src")
        flags = RTM_F_LOOKUP_TABLE | (RTM_F_FIB_MATCH if query.get("fibmatch") else 0)
        body = RTMSG.pack(family, bits, bits if source else 0, query.get("tos", 0), 0, 0, 0, 0, flags)
        body += attribute(RTA_DST, destination.packed)
        if source:
            body += attribute(RTA_SRC, ipaddress.ip_address(source).packed)
        for key, kind, form in (("iif", RTA_IIF, "=I"), ("oif", RTA_OIF, "=I"), ("mark", RTA_MARK, "=I"), ("uid", RTA_UID, "=I"),
                                ("proto", RTA_IP_PROTO, "=B"), ("sport", RTA_SPORT, ">H"), ("dport", RTA_DPORT, ">H")):
            value = query.get(key)
            if value is not None:
                number = socket.if_nametoindex(value) if key in ("iif", "oif") else value
                body += attribute(kind, struct.pack(form, number))
        return NLMSGHDR.pack(NLMSGHDR.size + len(body), RTM_GETROUTE, NLM_F_REQUEST, 1, 0) + body

    def answer(self, body):
        family, length, _, _, table, _, _, kind, _ = RTMSG.unpack_from(body)
        found = attributes(body[RTMSG.size:])
        u32 = lambda key: struct.unpack("=I", found[key])[0]
        answer = {"type": ROUTE_TYPES[kind], "table": u32(RTA_TABLE) if RTA_TABLE in found else table}
        if RTA_DST in found:
            answer["dst"] = f"{socket.inet_ntop(family, found[RTA_DST])}/{length}"
        if RTA_PREFSRC in found:
            answer["prefsrc"] = socket.inet_ntop(family, found[RTA_PREFSRC])
        if RTA_PRIORITY in found:
            answer["priority"] = u32(RTA_PRIORITY)
        if RTA_OIF in found:
            answer["dev"] = device_name(u32(RTA_OIF))
        answer.update(self.gateway(family, found))
        if RTA_MULTIPATH in found:
            answer["nexthops"] = list(self.hops(family, found[RTA_MULTIPATH]))
        return answer

    @staticmethod
    def gateway(family, found):
        if RTA_GATEWAY in found:
            return {"gateway": socket.inet_ntop(family, found[RTA_GATEWAY])}
        if RTA_VIA in found:
            return {"gateway": socket.inet_ntop(struct.unpack_from("=H", found[RTA_VIA])[0], found[RTA_VIA][2:])}
        return {}

    def hops(self, family, data):
        while len(data) >= 8:
            length, _, weight, index = struct.unpack_from("=HBBi", data)
            yield {"dev": device_name(index), "weight": weight + 1, **self.gateway(family, attributes(data[8:length]))}
            data = data[align(length):]


# ---- pings ---------------------------------------------------------------------------------------------------------------
def answer_pings(scenario):
    log, answers = HookLog(scenario.get("hooks_in", [])), []
    for command in scenario["pings"]:
        log.take()
        rc, out, err = shell(command)
        time.sleep(QUIET)
        answers.append({"cmd": command, "rc": rc, "out": out.strip(), "err": err, "hooks": log.take()})
    return answers


# ---- sockets -------------------------------------------------------------------------------------------------------------
IP_PKTINFO, IP_RECVERR, IPV6_RECVERR, MSG_ERRQUEUE = 8, 11, 25, 0x2000
EXTENDED_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err; behind it the sockaddr of who sent the error
ORIGIN_ICMP, ORIGIN_ICMP6 = 2, 3
PORT_UNREACHABLE = {ORIGIN_ICMP: (3, 3), ORIGIN_ICMP6: (1, 4)}
PATIENCE = 5.0  # seconds that a client waits


@contextlib.contextmanager
def inside(namespace):
    """What is made here stays in the namespace."""
    libc, home = ctypes.CDLL(None, use_errno=True), os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = home if namespace == "." else os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        libc.setns(home, CLONE_NEWNET)
        for file in {there, home}:
            os.close(file)


def socket_for(call):
    """An IPv6 socket takes no IPv4, unless it is for the address *."""
    address = call["address"]
    family = socket.AF_INET if "." in address else socket.AF_INET6
    made = socket.socket(family, socket.SOCK_STREAM if call["transport"] == "tcp" else socket.SOCK_DGRAM)
    made.setblocking(False)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address == "*" else 1)
    if "device" in call:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, call["device"].encode())
    return made


def close(made):
    """TCP with a reset: no port is left in TIME-WAIT."""
    if made.type == socket.SOCK_STREAM:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
    made.close()


def without_zone(address):
    return address.split("%")[0]


class Server:
    """Accepts connections, or sends datagrams back from the address and by the device that they came to."""

    def __init__(self, call):
        self.call, self.namespace = call, call.get("ns", ".")
        self.error, self.connections, self.heard = None, [], []
        with inside(self.namespace):
            self.socket = socket_for(call)
        if call["transport"] == "udp":
            self.socket.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            if self.socket.family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        try:
            self.socket.bind(("::" if call["address"] == "*" else call["address"], call["port"]))
            if call["transport"] == "tcp":
                self.socket.listen()
        except OSError as error:
            self.error = errno.errorcode[error.errno]

    def serve(self):
        if self.call["transport"] == "tcp":
            connection, peer = self.socket.accept()
            self.connections.append(connection)
            device = connection.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0").decode() or None
            self.hear(peer, device)
        else:
            data, control, _, peer = self.socket.recvmsg(64, 256)
            info = next(item for _, kind, item in control if kind in (IP_PKTINFO, socket.IPV6_PKTINFO))
            index = struct.unpack_from("=I", info, 0 if len(info) == 12 else 16)[0]
            with inside(self.namespace):
                self.hear(peer, device_name(index))
            # Without the scope that a link-local address came with: in a VRF that is the VRF, which then contradicts the device.
            with contextlib.suppress(OSError):
                self.socket.sendmsg([data], control, 0, peer[:2])

    def hear(self, peer, device):
        self.heard.append({"ns": self.namespace, "from": without_zone(peer[0]), "device": device})

    def close(self):
        for made in [self.socket, *self.connections]:
            close(made)


def failure(call, error):
    return {"outcome": "error", "call": call, "error": errno.errorcode[error.errno]}


class Client:
    """Sets a TCP connection up, or sends a datagram and waits for it to come back."""

    def __init__(self, call):
        with inside(call.get("ns", ".")):
            self.socket = socket_for(call)
        self.tcp = call["transport"] == "tcp"
        level, option = (socket.IPPROTO_IP, IP_RECVERR) if self.socket.family == socket.AF_INET else (socket.IPPROTO_IPV6, IPV6_RECVERR)
        self.socket.setsockopt(level, option, 1)
        self.answer = self.begin(call)

    def begin(self, call):
        step = "bind"
        try:
            if "source" in call:
                self.socket.bind((call["source"], 0))
            step = "connect"
            with contextlib.suppress(BlockingIOError):
                self.socket.connect((call["address"], call["port"]))
            step = "sendmsg"
            if not self.tcp:
                self.socket.send(b"Hello world")
        except OSError as error:
            return {"outcome": "refused"} if self.tcp and error.errno == errno.ECONNREFUSED else failure(step, error)

    @property
    def awaits(self):
        return select.POLLOUT if self.tcp else select.POLLIN

    def proceed(self, event):
        if event & select.POLLERR:
            self.answer = self.icmp_error()
        if self.answer is None:
            self.answer = self.connected() if self.tcp else self.received()

    def icmp_error(self):
        """What the error queue says, if anything."""
        try:
            control = self.socket.recvmsg(0, 512, MSG_ERRQUEUE)[1]
        except BlockingIOError:
            return None
        found = control[-1][2]
        _, origin, kind, code, _, _, _ = EXTENDED_ERROR.unpack_from(found)
        if origin not in PORT_UNREACHABLE:
            return None
        offender = found[EXTENDED_ERROR.size:]
        sender = socket.inet_ntop(socket.AF_INET, offender[4:8]) if origin == ORIGIN_ICMP else socket.inet_ntop(socket.AF_INET6, offender[8:24])
        if (kind, code) == PORT_UNREACHABLE[origin]:
            return {"outcome": "refused"}
        return {"outcome": "icmp", "from": sender, "type": kind, "code": code}

    def connected(self):
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error == 0:
            return {"outcome": "connected"}
        if error == errno.ECONNREFUSED:
            return {"outcome": "refused"}
        return failure("connect", OSError(error, ""))

    def received(self):
        try:
            return {"outcome": "reply", "from": without_zone(self.socket.recvfrom(64)[1][0])}
        except BlockingIOError:
            return None
        except OSError as error:
            return failure("recvmsg", error)


def answer_exchange(exchange):
    servers = [Server(call) for call in exchange.get("servers", [])]
    listening = {server.socket.fileno(): server for server in servers if server.error is None}
    poll = select.poll()
    for fileno in listening:
        poll.register(fileno, select.POLLIN)
    answer = {"servers": [{"error": server.error} if server.error else {} for server in servers]}
    if "client" in exchange:
        client = Client(exchange["client"])
        answer["client"] = converse(client, listening, poll)
        close(client.socket)
    answer["heard"] = [heard for server in servers for heard in server.heard]
    for server in servers:
        server.close()
    return answer


def converse(client, listening, poll):
    """Until the client has its answer or no more patience, and the servers nothing left to do."""
    until, number = time.monotonic() + PATIENCE, client.socket.fileno()
    if client.answer is None:
        poll.register(number, client.awaits)
    while True:
        left = QUIET if client.answer else until - time.monotonic()
        ready = poll.poll(left * 1000) if left > 0 else []
        if not ready:
            return client.answer or {"outcome": "timeout"}
        for fileno, event in ready:
            if fileno in listening:
                listening[fileno].serve()
            else:
                client.proceed(event)
                if client.answer:
                    poll.unregister(number)


# ---- all of it -----------------------------------------------------------------------------------------------------------
def answer(scenario):
    new_namespace()
    result = {"name": scenario["name"], "setup": set_up(scenario.get("setup", []))}
    time.sleep(scenario.get("settle", 0))
    rules = scenario.get("nft", {})
    if rules:
        result["nft"] = {namespace: load_rules(namespace, text) for namespace, text in rules.items()}
    if scenario.get("dump"):
        result["dump"] = dumps([".", *scenario.get("netns", [])])
    if scenario.get("queries"):
        client = RouteClient()
        result["answers"] = [client.ask(query) for query in scenario["queries"]]
    if scenario.get("frames"):
        result["outputs"], start = answer_frames(scenario)
        if rules:
            result["counted_at"] = tick() - start
            result["counters"] = {namespace: counters(namespace) for namespace in rules}
    if scenario.get("pings"):
        result["pings"] = answer_pings(scenario)
    if scenario.get("sockets"):
        result["sockets"] = [answer_exchange(exchange) for exchange in scenario["sockets"]]
    return result


def answer_apart(scenario):
    """In a process of its own, whose end is the end of the scenario's namespaces."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            result = answer(scenario)
        except BaseException:
            result = {"name": scenario["name"], "setup": [], "failed": traceback.format_exc()}
        with os.fdopen(writer, "w") as pipe:
            pipe.write(json.dumps(result))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


def main():
    write_settings(MACHINE_SETTINGS)
    with open(FW_CFG) as file:
        scenarios = json.load(file)
    with open(PORT, "w") as port:
        for scenario in scenarios:
            port.write(answer_apart(scenario) + "\n")
            port.flush()


main()
