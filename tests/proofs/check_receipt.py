"""check_receipt: the second checker of receipts, written from docs/PROOFS.md alone, with Python's standard library and nothing else.

check_receipt.py RECEIPT GENESIS       prints the verdict; exit status 0 proven, 1 not proven, 2 usage
"""
import hashlib
import json
import re
import sys


class Wrong(Exception):
    """A step that failed: args[0] its name, args[1] why."""


def H(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def le(value, size):
    return value.to_bytes(size, "little")


# ---- curves: Ed25519 (RFC 8032) and sm2p256v1 (GB/T 32918) ----

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def ed_add(p, q):
    x1, y1, z1, t1 = p
    x2, y2, z2, t2 = q
    a = (y1 - x1) * (y2 - x2) % P
    b = (y1 + x1) * (y2 + x2) % P
    c = 2 * t1 * t2 * D % P
    d = 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def ed_decode(data):
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == P - u and u != 0:
        x = x * SQRT_M1 % P
    if v * x * x % P != u:
        return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def ed_encode(p):
    x, y, z, _ = p
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


ED_B = ed_decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
ED_ZERO = (0, 1, 1, 0)


def joint(add, zero, a, p, b, q):
    """[a]p + [b]q, both at once."""
    both, r = add(p, q), zero
    for i in range(max(a.bit_length(), b.bit_length()) - 1, -1, -1):
        r = add(r, r)
        bits = a >> i & 1, b >> i & 1
        if bits == (1, 1):
            r = add(r, both)
        elif bits == (1, 0):
            r = add(r, p)
        elif bits == (0, 1):
            r = add(r, q)
    return r


def ed25519_good(key, message, signature):
    point, s = ed_decode(key), int.from_bytes(signature[32:], "little")
    if point is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    minus = (P - point[0]) % P, point[1], 1, (P - point[3]) % P
    return ed_encode(joint(ed_add, ED_ZERO, s, ED_B, k, minus)) == signature[:32]


def rotated(x, n):
    n %= 32
    return (x << n | x >> (32 - n)) & 0xFFFFFFFF


def sm3(message):
    v = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E]
    padded = message + b"\x80" + bytes(-(len(message) + 9) % 64) + (8 * len(message)).to_bytes(8, "big")
    for at in range(0, len(padded), 64):
        w = [int.from_bytes(padded[at + 4 * i:at + 4 * i + 4], "big") for i in range(16)]
        for j in range(16, 68):
            x = w[j - 16] ^ w[j - 9] ^ rotated(w[j - 3], 15)
            w.append(x ^ rotated(x, 15) ^ rotated(x, 23) ^ rotated(w[j - 13], 7) ^ w[j - 6])
        a, b, c, d, e, f, g, h = v
        for j in range(64):
            ss1 = rotated(rotated(a, 12) + e + rotated(0x79CC4519 if j < 16 else 0x7A879D8A, j) & 0xFFFFFFFF, 7)
            ss2 = ss1 ^ rotated(a, 12)
            ff = a ^ b ^ c if j < 16 else a & b | a & c | b & c
            gg = e ^ f ^ g if j < 16 else e & f | ~e & 0xFFFFFFFF & g
            tt1 = ff + d + ss2 + (w[j] ^ w[j + 4]) & 0xFFFFFFFF
            tt2 = gg + h + ss1 + w[j] & 0xFFFFFFFF
            a, b, c, d = tt1, a, rotated(b, 9), c
            e, f, g, h = tt2 ^ rotated(tt2, 9) ^ rotated(tt2, 17), e, rotated(f, 19), g
        v = [x ^ y for x, y in zip(v, (a, b, c, d, e, f, g, h))]
    return b"".join(x.to_bytes(4, "big") for x in v)


SM_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
SM_A = SM_P - 3
SM_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
SM_N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
SM_G = (0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
        0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0, 1)
SM_ZERO = (1, 1, 0)


def sm_double(p):
    x, y, z = p
    if z == 0:
        return SM_ZERO
    yy, zz = y * y % SM_P, z * z % SM_P
    s, m = 4 * x * yy % SM_P, 3 * (x - zz) * (x + zz) % SM_P
    x3 = (m * m - 2 * s) % SM_P
    return x3, (m * (s - x3) - 8 * yy * yy) % SM_P, 2 * y * z % SM_P


def sm_add(p, q):
    if p is q:
        return sm_double(p)
    x1, y1, z1 = p
    x2, y2, z2 = q
    if z1 == 0:
        return q
    if z2 == 0:
        return p
    zz1, zz2 = z1 * z1 % SM_P, z2 * z2 % SM_P
    u1, u2 = x1 * zz2 % SM_P, x2 * zz1 % SM_P
    s1, s2 = y1 * z2 * zz2 % SM_P, y2 * z1 * zz1 % SM_P
    if u1 == u2:
        return sm_double(p) if s1 == s2 else SM_ZERO
    h, r = u2 - u1, s2 - s1
    hh = h * h % SM_P
    hhh, v = h * hh % SM_P, u1 * hh % SM_P
    x3 = (r * r - hhh - 2 * v) % SM_P
    return x3, (r * (v - x3) - s1 * hhh) % SM_P, z1 * z2 * h % SM_P


def sm2_good(key, message, signature):
    x, y = int.from_bytes(key[:32], "big"), int.from_bytes(key[32:], "big")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (0 < r < SM_N and 0 < s < SM_N and x < SM_P and y < SM_P) or (y * y - x * x * x - SM_A * x - SM_B) % SM_P != 0:
        return False
    identity = b"1234567812345678"
    z = sm3(b"\x00\x80" + identity + b"".join(v.to_bytes(32, "big") for v in (SM_A, SM_B, SM_G[0], SM_G[1], x, y)))
    e, t = int.from_bytes(sm3(z + message), "big"), (r + s) % SM_N
    if t == 0:
        return False
    x1, _, z1 = joint(sm_add, SM_ZERO, s, SM_G, t, (x, y, 1))
    if z1 == 0:
        return False
    return (e + x1 * pow(z1 * z1, SM_P - 2, SM_P) % SM_P) % SM_N == r


verified = {}


def good(suite, key, message, signature):
    """Is it this key's signature? Each is computed once: batches ask about the same ones again and again."""
    asked = suite, key, message, signature
    if asked not in verified:
        if suite == "intl":
            verified[asked] = key[32:] == bytes(32) and ed25519_good(key[:32], message, signature)
        else:
            verified[asked] = sm2_good(key, message, signature)
    return verified[asked]


# ---- trees, CometBFT ----

def leaf_hash(data):
    return H(b"\x00", data)


def root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return H(b"\x01", root(leaves[:k]), root(leaves[k:]))


def walk(data, path):
    h = leaf_hash(data)
    for side, x in path:
        h = H(b"\x01", x, h) if side == "l" else H(b"\x01", h, x)
    return h


def varint(v):
    out = b""
    while v >= 128:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def unless_zero(tag, v):
    return b"" if v == 0 else bytes([tag]) + varint(v)


def field(tag, data):
    return bytes([tag]) + varint(len(data)) + data


def block_id(b):
    return field(0x0A, b["hash"]) + field(0x12, unless_zero(0x08, b["total"]) + field(0x12, b["part_hash"]))


def time_of(o):
    return unless_zero(0x08, o["time_s"]) + unless_zero(0x10, o["time_ns"])


HASHES = ["last_commit_hash", "data_hash", "validators_hash", "next_validators_hash", "consensus_hash", "app_hash", "last_results_hash",
          "evidence_hash"]


def header_hash(h, chain_id):
    leaves = [unless_zero(0x08, h["version_block"]) + unless_zero(0x10, h["version_app"]), field(0x0A, chain_id), b"\x08" + varint(h["height"]), time_of(h),
              block_id(h["last_block_id"])] + [field(0x0A, h[name]) for name in HASHES] + [field(0x0A, h["proposer"])]
    return root([leaf_hash(data) for data in leaves])


def sign_bytes(chain_id, height, commit, signature):
    v = b"\x08\x02\x11" + le(height, 8)
    if commit["round"] > 0:
        v += b"\x19" + le(commit["round"], 8)
    v += field(0x22, block_id(commit["block_id"])) + field(0x2A, time_of(signature)) + field(0x32, chain_id)
    return varint(len(v)) + v


def address(key):
    return H(key)[:20]


def set_hash(keys, power=3):
    return root([leaf_hash(b"\x0a\x22\x0a\x20" + key + b"\x10" + varint(power)) for key in keys])


# ---- the text ----

class Text:
    """Reads the one form; whatever is not as it must be is Wrong("form")."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def fail(self):
        raise Wrong("form", "from byte %d on" % self.at)

    def plain(self, text):
        if not self.data.startswith(text, self.at):
            self.fail()
        self.at += len(text)

    def match(self, pattern):
        found = pattern.match(self.data, self.at)
        if found is None:
            self.fail()
        self.at = found.end()
        return found.group(1)

    def number(self, most, _pattern=re.compile(rb'"(0|[1-9][0-9]{0,19})"')):
        value = int(self.match(_pattern))
        if value > most:
            self.fail()
        return value

    def hex(self, size=None, _pattern=re.compile(rb'"((?:[0-9a-f]{2})+)"')):
        value = bytes.fromhex(self.match(_pattern).decode())
        if (size is not None and len(value) != size) or (size is None and len(value) > 131072):
            self.fail()
        return value

    def chain_id(self, _pattern=re.compile(rb'"([!#-\[\]-~]{1,50})"')):
        return self.match(_pattern)

    def list(self, least, most, element):
        self.plain(b"[")
        out = []
        while not self.data.startswith(b"]", self.at):
            if len(out) == most:
                self.fail()
            if out:
                self.plain(b",")
            out.append(element())
        self.plain(b"]")
        if len(out) < least:
            self.fail()
        return out

    def neighbour(self, _pattern=re.compile(rb'"([lr][0-9a-f]{64})"')):
        text = self.match(_pattern).decode()
        return text[0], bytes.fromhex(text[1:])

    def path(self):
        return self.list(0, 32, self.neighbour)

    def object(self, fields):
        """fields: (name, how to read it), in order."""
        out = {}
        for i, (name, read) in enumerate(fields):
            self.plain((b"," if i else b"{") + b'"' + name.encode() + b'":')
            out[name] = read()
        self.plain(b"}")
        return out


N31, N32, N63, N64, NS = 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, 999999999


def read_receipt(data):
    t = Text(data)
    if len(data) > 8388608:
        t.fail()

    def n(most):
        return lambda: t.number(most)

    def x(size):
        return lambda: t.hex(size)

    def block():
        return t.object([("hash", x(32)), ("total", n(N32)), ("part_hash", x(32))])

    def header():
        return t.object([("version_block", n(N64)), ("version_app", n(N64)), ("height", n(N63)), ("time_s", n(N63)), ("time_ns", n(NS)), ("last_block_id", block)]
                        + [(name, x(32)) for name in HASHES] + [("proposer", x(20))])

    def signature():
        return t.object([("index", n(N32)), ("time_s", n(N63)), ("time_ns", n(NS)), ("signature", x(64))])

    def commit():
        return t.object([("round", n(N31)), ("block_id", block), ("signatures", lambda: t.list(1, 256, signature))])

    def change():
        return t.object([("header", header), ("commit", commit), ("next", lambda: t.list(1, 256, x(32)))])

    out = t.object([
        ("kanhe_receipt", lambda: t.plain(b'"1"')), ("chain_id", t.chain_id), ("height", n(N63)), ("header", header), ("commit", commit),
        ("app", lambda: t.object([("previous", x(32)), ("public_root", x(32))])),
        ("entry", lambda: t.object([("path", t.path), ("transaction", t.hex)])),
        ("hubs", lambda: t.object([("path", t.path), ("value", t.hex)])),
        ("attestations", lambda: t.list(1, 256, x(220))),
        ("bank", lambda: t.object([("party", n(N32)), ("path", t.path)])),
        ("output", lambda: t.object([("path", t.path), ("salt", x(16)), ("op_index", n(N32)), ("op_digest", x(32)), ("payload", t.hex)])),
        ("validator_changes", lambda: t.list(0, 64, change))])
    if t.at != len(data):
        t.fail()
    return out


# ---- genesis ----

def need(step, condition, why):
    if not condition:
        raise Wrong(step, why)


def read_genesis(data):
    def no_doubles(pairs):
        need("genesis", len(dict(pairs)) == len(pairs), "a doubled key")
        return dict(pairs)

    need("genesis", len(data) <= 16777216, "too long")
    try:
        k = json.loads(data.decode("utf-8"), object_pairs_hook=no_doubles)["app_state"]["kanhe"]
        return genesis_of(k)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as e:
        raise Wrong("genesis", repr(e)) from e


def genesis_of(k):
    def sound(condition, what="genesis.json"):
        need("genesis", condition, what)

    def text(value, most):
        sound(isinstance(value, str) and len(value.encode()) <= most)
        return value.encode()

    def number(value, most):
        sound(type(value) is int and 0 <= value <= most)
        return value

    def decimal(value, most):
        sound(isinstance(value, str) and re.fullmatch("0|[1-9][0-9]*", value, re.ASCII) is not None and len(value) <= 20)
        return number(int(value), most)

    def hexed(value, size, may_lack=False):
        if may_lack and value == "":
            return bytes(size)
        sound(isinstance(value, str) and re.fullmatch("([0-9a-f]{2})*", value) is not None)
        out = bytes.fromhex(value)
        sound(size is None or len(out) == size)
        return out

    def items(value, most):
        sound(isinstance(value, list) and len(value) <= most)
        return value

    chain_id = text(k["chain_id"], 50)
    sound(re.fullmatch(rb"[!#-\[\]-~]+", chain_id) is not None)
    sound(k["suite"] in ("intl", "gm") and isinstance(k["hubs_speak"], bool))
    initial = decimal(k["initial_height"], N63)
    sound(initial >= 1)
    opening = hexed(k["opening"], 32) if "opening" in k else b""
    sound(opening != bytes(32))
    g = (b"KHG2" if opening else b"KHG1") + bytes([1 if k["suite"] == "intl" else 2, int(k["hubs_speak"]), 0, 0, len(chain_id)]) + chain_id
    g += le(initial, 8) + le(decimal(k["time_ns"], N64), 8) + hexed(k["group"], 64) + hexed(k["checkpoint"], 32) + opening
    officers = items(k["officers"]["keys"], 16)
    g += le(number(k["officers"]["k"], 65535), 2) + le(len(officers), 2) + b"".join(hexed(key, 64) for key in officers)
    members, validators, before = items(k["members"], 256), [], -1
    g += le(len(members), 2)
    for m in members:
        identity, flags, name, uscc = number(m["id"], N32), number(m["flags"], 255), text(m["name"], 128), text(m["uscc"], 36)
        sound(identity > before)
        before = identity
        role = {"regulator": 1, "bank": 2, "source": 4, "hub": 16}[m["role"]]
        g += le(identity, 4) + bytes([role, flags, len(name), len(uscc)]) + name + uscc
        g += b"".join(hexed(m[key], 64, True) for key in ("sender", "ack", "attest", "box"))
        consensus = hexed(m["consensus"], 32, True)
        g += consensus
        if flags & 4:
            sound(consensus != bytes(32))
            validators.append(consensus)
    sound(validators and len(set(validators)) == len(validators))
    publics, before = items(k["public"], 65535), b""
    g += le(len(publics), 2)
    for leaf in publics:
        key, value = hexed(leaf["key"], None), hexed(leaf["value"], None)
        sound(1 <= len(key) <= 80 and len(value) <= 65535 and key > before)
        before = key
        g += bytes([len(key)]) + le(len(value), 2) + key + value
    return {"chain": H(b"kanhe/genesis\0" + g), "suite": k["suite"], "chain_id": chain_id, "initial_height": initial,
            "validators": sorted(validators, key=address)}


# ---- the steps ----

OPERATIONS = {1: "accept", 2: "approve", 3: "reject", 4: "withdraw", 5: "disburse", 6: "repay", 7: "reverse"}


def number_at(data, at, size):
    return int.from_bytes(data[at:at + size], "little")


def check_validators(g, r):
    """The header, and each that changed the validators, with the set that counts for it: [(header, commit, set)]."""
    current, hashes, out, above = g["validators"], [set_hash(g["validators"])], [], g["initial_height"] - 1

    def header_of(header, commit):
        need("validators", header["validators_hash"] == hashes[-1], "another set")
        need("validators", header_hash(header, g["chain_id"]) == commit["block_id"]["hash"], "the commit is for another header")
        out.append((header, commit, current))

    for change in r["validator_changes"]:
        header = change["header"]
        need("validators", above < header["height"] < r["header"]["height"], "heights")
        above = header["height"]
        header_of(header, change["commit"])
        addresses = [address(key) for key in change["next"]]
        need("validators", all(a < b for a, b in zip(addresses, addresses[1:])), "keys not in order")
        announced = set_hash(change["next"])
        need("validators", announced == header["next_validators_hash"], "a set that is not announced")
        need("validators", announced not in hashes, "a set twice")
        hashes.append(announced)
        current = change["next"]
    header_of(r["header"], r["commit"])
    return out


def check_commit(g, header, commit, keys):
    signatures = commit["signatures"]
    indexes = [s["index"] for s in signatures]
    need("commit", len(signatures) == 2 * len(keys) // 3 + 1, "not just more than two thirds")
    need("commit", all(a < b for a, b in zip(indexes, indexes[1:])) and all(i < len(keys) for i in indexes), "indexes")
    for s in signatures:
        message = sign_bytes(g["chain_id"], header["height"], commit, s)
        need("commit", good("intl", keys[s["index"]] + bytes(32), message, s["signature"]), "signature of %d" % s["index"])


def check(data, g):
    """What a proven receipt says, as a dict; else Wrong."""
    r = read_receipt(data)
    chain, height = g["chain"], r["height"]
    need("chain", r["chain_id"] == g["chain_id"], "another chain")
    need("chain", height >= g["initial_height"] and r["header"]["height"] == height + 1, "heights")

    tx = r["entry"]["transaction"]
    need("entry", len(tx) >= 104 and tx[:4] == b"\x01\x01\0\0" and tx[4:36] == chain, "no certificate of this chain")
    cnt = number_at(tx, 100, 2)
    need("entry", len(tx) == 104 + 68 * cnt and tx[102:104] == b"\0\0", "malformed")
    need("entry", all(tx[104 + 68 * i + 2:104 + 68 * i + 4] == b"\0\0" for i in range(cnt)), "malformed")
    batch = tx[68:100]

    entries_root = walk(b"\x01\0\0\0" + H(tx), r["entry"]["path"])
    app_hash = H(b"kanhe/app\0", r["app"]["previous"], le(height, 8), entries_root, r["app"]["public_root"])
    need("app_hash", app_hash == r["header"]["app_hash"], "differs")

    value = r["hubs"]["value"]
    need("hubs", len(value) >= 84, "malformed")
    epoch, cnt, quorum = number_at(value, 0, 4), number_at(value, 4, 2), number_at(value, 6, 2)
    need("hubs", 1 <= cnt <= 256 and len(value) == 84 + 68 * cnt and quorum == cnt // 2 + 1, "malformed")
    hubs = [(number_at(value, 84 + 68 * i, 4), value[88 + 68 * i:152 + 68 * i]) for i in range(cnt)]
    need("hubs", all(a[0] < b[0] for a, b in zip(hubs, hubs[1:])), "ids do not ascend")
    need("hubs", walk(b"\x01\0h" + value, r["hubs"]["path"]) == r["app"]["public_root"], "not under the public state")
    keys = dict(hubs)

    attestations = r["attestations"]
    need("attestations", len(attestations) == quorum, "not a quorum")
    statement, before = attestations[0][4:148], -1
    for a in attestations:
        hub = number_at(a, 148, 4)
        need("attestations", a[:4] == b"\x02\x01\0\0" and a[152:156] == bytes(4), "malformed")
        need("attestations", a[4:148] == statement and hub > before and hub in keys, "another statement, or hub")
        before = hub
    need("attestations", statement[:32] == chain and number_at(statement, 32, 8) == height and number_at(statement, 40, 4) >= epoch, "not of here")
    need("attestations", statement[44] == 0 and statement[48:80] == app_hash, "flags, or another app hash")
    outputs_root = statement[112:144]

    o, party = r["output"], r["bank"]["party"]
    leaf = b"\x01\0\0\0" + o["salt"] + chain + le(height, 8) + batch + le(o["op_index"], 4) + o["op_digest"] + H(o["payload"])
    subtree = walk(leaf, o["path"])
    need("output", walk(le(party, 4) + subtree, r["bank"]["path"]) == outputs_root, "not under what is attested")

    payload = o["payload"]
    need("payload", len(payload) >= 104 and payload[:4] == b"\x01\0\0\0", "no receipt")
    receipt = payload[8:]
    size, lines = number_at(receipt, 0, 4), number_at(receipt, 44, 4)
    need("payload", lines <= 256 and size == 96 + 40 * lines and size <= len(receipt), "malformed")
    need("payload", number_at(receipt, 16, 4) == party, "another party's")
    operation = "apply" if receipt[4] == 6 else OPERATIONS.get(receipt[11]) if receipt[4] == 7 else None
    need("payload", operation is not None, "no operation on a financing")

    counted = check_validators(g, r)
    for header, commit, members in counted:
        check_commit(g, header, commit, members)
    for a in attestations:
        hub = number_at(a, 148, 4)
        need("hub_signatures", good(g["suite"], keys[hub], b"kanhe/attest\0" + statement + le(hub, 4), a[156:]), "of %d" % hub)
    return {"bank": party, "financing": number_at(receipt, 48, 8), "operation": operation, "outcome": number_at(receipt, 6, 2), "height": height}


def main(argv):
    if len(argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    with open(argv[1], "rb") as receipt, open(argv[2], "rb") as genesis:
        data, genesis_data = receipt.read(), genesis.read()
    try:
        said = check(data, read_genesis(genesis_data))
    except Wrong as wrong:
        print("not proven: %s: %s" % wrong.args)
        return 1
    print("proven: " + ", ".join("%s %s" % item for item in said.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
