"""A bank sends more operations at once than its probe tokens: those that its own operations hold are waited for, not refused; one body
that can never have them is refused; and tokens that probing used up make nobody wait."""
import ctypes
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


def send(client, ids, on):
    body = b"".join(op_apply(11, id_, 1, 101, on[i % len(on)]) for i, id_ in enumerate(ids))
    client.connection.request("POST", "/v1/operations", body, {"Content-Type": "application/octet-stream", "Accept": "application/octet-stream"})
    response = client.connection.getresponse()
    response.read()
    return response.status


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
