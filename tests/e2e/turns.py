"""A bank sends more operations at once than its probe tokens: those that its own operations hold are waited for, not refused; one body
that can never have them is refused; and tokens that probing used up make nobody wait."""
import ctypes
import struct
from hub import *
from two_banks_town import op_apply

BURST, BATCH, THREADS, ROUNDS = 300, 100, 12, 10
tap = Tap()
library = ctypes.CDLL(os.path.join(os.environ["KH_BUILD_ROOT"], "engine/client/libkanhe-client.so"))
hub = Hub(limits=f'probe_limit = "{BURST}/1"; address_limit = "off";', keys="max_connections_per_address = 256;")
hub.start()
status, _ = hub.call(201, "POST", "/v1/documents?name=d.csv", declarations(BATCH), kind="text/csv")
tap.same(status, 200, "documents are there")


def key(serial):
    buffer = ctypes.create_string_buffer(32)
    at = (ctypes.addressof(buffer) + 15) & ~15
    assert library.kh_client_document_id(f"export_declaration:{declaration(serial)}".encode(), ctypes.c_void_p(at))
    return ctypes.string_at(at, 16)


keys = [key(i + 1) for i in range(BATCH)]
lock, statuses, next_id = threading.Lock(), {}, 1


def answers(client, ids, on, query=""):
    body = b"".join(op_apply(11, id_, 1, 101, on[i % len(on)]) for i, id_ in enumerate(ids))
    client.connection.request("POST", "/v1/operations" + query, body, {"Content-Type": "application/octet-stream", "Accept": "application/octet-stream"})
    response = client.connection.getresponse()
    return response.status, response.read()


def send(client, ids, on):
    return answers(client, ids, on)[0]


def work(number):
    client = hub.client(11)
    for turn in range(ROUNDS):
        first = 1 + (number * ROUNDS + turn) * BATCH
        status = send(client, range(first, first + BATCH), keys)
        with lock:
            statuses[status] = statuses.get(status, 0) + 1
    client.close()


threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(120)
tap.same(statuses, {200: THREADS * ROUNDS}, f"{THREADS} bodies of {BATCH} at once with {BURST} tokens: all are answered")

# ---- short answers, and the library that asks for them
client = hub.client(11)
ids = range(5 * 10**8, 5 * 10**8 + BATCH)
status, whole = answers(client, ids, keys)
height, size = struct.unpack_from("<QI", whole)
again, short = answers(client, ids, keys, "?short=true")
tap.same((status, again, len(whole), len(short)), (200, 200, BATCH * (12 + size), BATCH * 48), "receipts are whole, or 48 bytes")
fields = [struct.unpack_from("<QQQQIHHHHBBBB", short, 48 * i) for i in range(BATCH)]
tap.same([(f[0], f[2], f[3], f[5], f[8], f[12]) for f in fields], [(height, id_, 1, 0, 840, 0) for id_ in ids], "sent again, short: height, financing, amount, code and currency of the first time")
tap.same(answers(client, [1], keys, "?short=1")[0], 400, "short is true or false")
client.close()


class Options(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("url", "ca", "cert", "key")] + [("timeout_s", ctypes.c_double), ("sign", ctypes.c_char_p), ("sources", ctypes.c_char_p), ("sign_found", ctypes.c_bool), ("no_datagrams", ctypes.c_bool)]


def submit(ids, on, batch, in_flight, no_datagrams=False):
    """kh_client_submit, twice, with one client: [(code, amount)] and heights of each."""
    cert, key_file = hub.authority.party(11, "bank")
    options, handle, why = Options(f"https://127.0.0.1:{hub.port}".encode(), hub.authority.ca.encode(), cert.encode(), key_file.encode(), 30.0, None, None, False, no_datagrams), ctypes.c_void_p(), ctypes.create_string_buffer(600)
    assert library.kh_client_open(ctypes.byref(options), why, ctypes.c_size_t(600), ctypes.byref(handle)) == 0, why.value
    product = ctypes.c_char_p(b"x")
    requests = b"".join(struct.pack("<QQ16sIIH6xQ8x", id_, 1, on[i % len(on)], 11, 101, 840, ctypes.cast(product, ctypes.c_void_p).value) for i, id_ in enumerate(ids))
    room, said = ctypes.create_string_buffer(len(requests) + 16), ctypes.create_string_buffer(24 * len(ids))
    at = (ctypes.addressof(room) + 15) & ~15
    ctypes.memmove(at, requests, len(requests))
    library.kh_client_message.restype = ctypes.c_char_p
    for _ in range(2):
        got = library.kh_client_submit(handle, ctypes.c_void_p(at), len(ids), batch, in_flight, said)
        assert got == 0, library.kh_client_message(handle)
        rows = [struct.unpack_from("<H6xQQ", said, 24 * i) for i in range(len(ids))]
        yield [row[:2] for row in rows], [row[2] for row in rows]
    library.kh_client_close(handle)


def of_datagrams():
    """How many datagrams with operations the hub has taken."""
    return sum(int(n) for n in re.findall(r"^kanhe_datagram_operations_total(?:{[^}]*})? (\d+)$", hub.call(1, "GET", "/metrics", headers={})[1], re.M))


for at, size, alone, way in ((6, 1007, False, "over HTTPS, since they are few"), (7, 2013, True, "over HTTPS alone"), (8, 2013, False, "in datagrams, then over HTTPS")):
    ids, before = range(at * 10**8, at * 10**8 + size), of_datagrams()
    (first, heights), (again, same) = submit(ids, keys, BATCH, 4, alone)
    tap.same(first, [(0, 1)] * len(ids), f"the library submits {size} applications {way}, more under way than there are tokens")
    tap.same((again, same, min(heights) > height), (first, heights, True), "and the same again: the same outcomes, of the same heights")
    tap.same(of_datagrams() > before, at == 8, f"{way}: what the hub counted")

client = hub.client(11)
tap.same(send(client, range(10**9, 10**9 + BURST + 1), keys), 429, "a body that wants more tokens than there can be")
unknown = [key(50000000 + i) for i in range(BATCH)]
said = [send(client, range(10**9 + 1000 * i, 10**9 + 1000 * i + BATCH), unknown) for i in range(BURST // BATCH)]
tap.same(said, [200] * len(said), "papers that are not there use the tokens up")
tap.same(send(client, range(2 * 10**9, 2 * 10**9 + BATCH), keys), 429, "then nothing is waited for: refused")
client.close()
tap.same(hub.stop(), 0, "it stops well")
hub.close()
tap.end()
