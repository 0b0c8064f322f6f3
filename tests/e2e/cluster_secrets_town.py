"""A cluster in which every bank's numbers, names and amounts are unmistakable; what its nodes send each other is captured; and a search for marks
in memory, on disk and in what was captured (tests/e2e/marks.c)."""
import contextlib
import ctypes
import socket
import struct
from town import *

MARKS = os.environ["MARKS"]
REFERS = "kind,number,owner_id,currency,amount,date,issuer_id,contract_no,refers_to\n"
FLUSH_MARK = b"what was sent before is here"
SOL_PACKET, PACKET_STATISTICS, PACKET_OUTGOING, SO_RCVBUFFORCE, SO_ATTACH_FILTER = 263, 6, 4, 33, 26


def attach_filter(into, network):
    """Classic BPF (the kernel's Documentation/networking/filter.rst): packets that came in, from or to network/24; all else never gets
    here."""
    number = int.from_bytes(socket.inet_aton(network)) & 0xFFFFFF00
    program = ((0x28, 0, 0, 0xFFFFF004), (0x15, 7, 0, PACKET_OUTGOING), (0x20, 0, 0, 26), (0x54, 0, 0, 0xFFFFFF00), (0x15, 3, 0, number), (0x20, 0, 0, 30),
               (0x54, 0, 0, 0xFFFFFF00), (0x15, 0, 1, number), (0x6, 0, 0, 0xFFFFFFFF), (0x6, 0, 0, 0))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    into.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))


def money(seed, i, least=300000000000):
    """An amount whose hundredths have six bytes of their own."""
    return f"{seed * 7000000013 % 90000000000 + least + 1000003 * i}.{31 + i}"


def cents(text):
    return int(text.replace(".", ""))


class Side:
    """A bank, its customers and what they do: nothing of it is any other bank's."""

    def __init__(self, seed, id_, words):
        self.seed, self.id, self.node = seed, id_, f"bank{id_}"
        self.enterprise, self.name = 90000000 + seed * 101, words[0]
        self.uscc, self.enrolled = words[1], words[2]
        self.papers = [declaration(seed * 100003 + i) for i in range(5)]
        self.invoice, self.contract = f"KHINV{seed * 7919}", f"KHCON{seed * 7901}"
        self.bases, self.amounts = [money(seed, i) for i in range(6)], [money(seed, 40 + i, 100000000000) for i in range(5)]
        self.financings = [seed * 10000000019 + i for i in range(1, 7)]
        self.grant, self.product, self.subject = seed * 70000100001, f"product_{seed * 3100}", f"ACCOUNT{seed * 8111}"

    def documents(self):
        return [f"export_declaration:{n}" for n in self.papers] + [f"invoice:{self.invoice}@{self.uscc}"]

    def import_lines(self):
        owners = (self.uscc, self.uscc, self.enrolled, self.uscc, self.uscc)
        lines = [f"export_declaration,{n},{owner},USD,{base},2026-11-01,,{self.contract}," for n, owner, base in zip(self.papers, owners, self.bases)]
        return lines + [f"invoice,{self.invoice},{self.uscc},USD,{self.bases[5]},2026-11-01,{self.uscc},{self.contract},"]

    def marks(self, key_of):
        texts = [self.enterprise, self.name, self.name.split()[0], self.uscc, self.enrolled, self.invoice, self.contract, self.grant, self.product, self.subject, *self.papers, *self.bases, *self.amounts,
                 *self.financings]
        found = [str(t).encode() for t in texts] + [json.dumps(self.name)[1:-1].encode()]
        found += [str(cents(a)).encode() for a in (*self.bases, *self.amounts)]
        found += [struct.pack("<Q", n) for n in (self.grant, *self.financings, *map(cents, (*self.bases, *self.amounts)))]
        keys = [key_of(d) for d in self.documents()]
        return sorted(set(found + keys + [k.hex().encode() for k in keys]))


SIDES = [Side(4417, 11, ("Abalonexylo Works 鲍木厂", "XYLOABALONE7741", "ENROLLEDXY99171")), Side(6653, 12, ("Zephyrinekiln Ltd 风窑公司", "KILNZEPHYR88537", "ENROLLEDKI99377")),
         Side(5281, 13, ("Quincerubble Mills 榅桲厂", "RUBBLEQUINC3319", "ENROLLEDQU55813")), Side(7793, 14, ("Thistlebrocade Co 蓟锦公司", "BROCADETHIS6627", "ENROLLEDTH22791"))]


def key_of(document):
    library = ctypes.CDLL(os.path.join(os.environ["KH_BUILD_ROOT"], "engine", "client", "libkanhe-client.so"))
    room = ctypes.create_string_buffer(32)
    at = (ctypes.addressof(room) + 15) & ~15
    assert library.kh_client_document_id(document.encode(), ctypes.c_void_p(at))
    return ctypes.string_at(at, 16)


class Capture(threading.Thread):
    """What goes over loopback from or to these addresses, a file a stream and direction."""

    def __init__(self, addresses, folder):
        super().__init__(daemon=True)
        self.addresses = {socket.inet_aton(a) for a in addresses}
        self.folder, self.files, self.sizes, self.going, self.marked = folder, {}, {}, True, False
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
        attach_filter(self.socket, next(iter(addresses)))
        self.socket.bind(("lo", 0x0800))
        self.socket.settimeout(0.2)
        os.makedirs(folder, exist_ok=True)
        self.start()

    def run(self):
        with contextlib.suppress(PermissionError):  # of this thread: before those whose packets it has to see
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -15)
        while self.going:
            try:
                frame, where = self.socket.recvfrom(1 << 17)
            except TimeoutError:
                continue
            packet = frame[14:]
            if where[2] != PACKET_OUTGOING and packet[9:10] == b"\x11" and packet.endswith(FLUSH_MARK):
                self.marked = True
                continue
            if where[2] == PACKET_OUTGOING or len(packet) < 40 or packet[9] != 6 or not {packet[12:16], packet[16:20]} & self.addresses:
                continue
            tcp = packet[(packet[0] & 15) * 4 :]
            payload = tcp[(tcp[12] >> 4) * 4 : int.from_bytes(packet[2:4]) - (packet[0] & 15) * 4 or None]
            if not payload:
                continue
            name = "{}:{}-{}:{}".format(socket.inet_ntoa(packet[12:16]), int.from_bytes(tcp[:2]), socket.inet_ntoa(packet[16:20]), int.from_bytes(tcp[2:4]))
            if name not in self.files:
                self.files[name] = open(os.path.join(self.folder, name), "ab")
            self.files[name].write(payload)
            self.sizes[name] = self.sizes.get(name, 0) + len(payload)

    def flush(self):
        """All that was sent until now is in the files: a datagram to nobody that comes by here marks the place."""
        self.marked, until = False, time.monotonic() + 60
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not self.marked and time.monotonic() < until:
                out.sendto(FLUSH_MARK, (socket.inet_ntoa(next(iter(self.addresses))), 9))
                time.sleep(0.5)
        assert self.marked, "the capture does not keep up"
        for f in list(self.files.values()):
            f.flush()

    def end(self):
        self.going = False
        self.join()
        seen, lost = struct.unpack("=II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        for f in self.files.values():
            f.close()
        return seen, lost

    def bytes_at(self, port):
        """Bytes to or from a port, by address."""
        sums = {}
        for name, n in list(self.sizes.items()):
            for end in name.split("-"):
                if end.endswith(f":{port}"):
                    sums[end.split(":")[0]] = sums.get(end.split(":")[0], 0) + n
        return sums


def search(root, marks, *things):
    """[(mark, where)] and how many bytes were read."""
    with open(os.path.join(root, "patterns"), "wb") as f:
        for mark in marks:
            f.write(struct.pack("<I", len(mark)) + mark)
    done = subprocess.run([MARKS, f.name, *things], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode(errors="replace").splitlines()
    return [(marks[int(line.split(" ", 1)[0])], line.split(" ", 1)[1]) for line in lines[:-1]], int(lines[-1].split()[1])
