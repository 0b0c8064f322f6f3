"""A hundred thousand idle connections, held by processes of 17,000 each, while a party works: no more stay than the hub is to have, the
idle longest go first, memory grows no further, and the party's connection is not among those that go."""
import atexit
import multiprocessing
import multiprocessing.connection
import resource
import select
import socket
import sys
from hub import *

tap = Tap()
ALL, HOLDERS, EACH, MOST = 100_000, 6, 16, 8192  # MOST: kanhed's own default
SHARE = ALL // HOLDERS // EACH * EACH + EACH
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
if hard < max(SHARE + 200, MOST + 1024):
    print(f"1..0 # SKIP a process may open {hard} files here: {max(SHARE + 200, MOST + 1024)} are needed")
    sys.exit(0)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def hold(number, pipe, host, port):
    """Opens its share, each address its 16, and tells at every tenth and in the end how many were made, and which are left."""
    made = []
    for k in range(SHARE // EACH):
        source = f"127.{number + 2}.{k // 250}.{k % 250 + 1}"
        for _ in range(EACH):
            s = socket.socket()
            s.settimeout(60)
            s.bind((source, 0))
            try:
                s.connect((host, port))
                made.append(s)
            except OSError:
                s.close()
        if k % (SHARE // EACH // 10) == 0:
            pipe.send(len(made))
    pipe.send(None)
    pipe.recv()  # all have opened theirs
    poll = select.poll()
    at = {s.fileno(): i for i, s in enumerate(made)}
    for fd in at:
        poll.register(fd, select.POLLIN | select.POLLHUP)
    while True:  # until a second brings no more ends
        ended = poll.poll(1000)
        for fd, _ in ended:
            poll.unregister(fd)
            del at[fd]
        if not ended:
            break
    pipe.send((len(made), sorted(at.values())))
    pipe.recv()


def resident():
    with open(f"/proc/{hub.pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1]) << 10


hub = Hub(keys="idle_s = 600;")
atexit.register(hub.close)
hub.start()
bank = hub.client(11)
tap.same(bank.call("GET", "/v1/me")[0], 200, "a party is connected")
pipes, holders = [], []
for number in range(HOLDERS):
    ours, theirs = multiprocessing.Pipe()
    holders.append(multiprocessing.Process(target=hold, args=(number, theirs, hub.host, hub.port), daemon=True))
    pipes.append(ours)
    holders[-1].start()
made, opening, asked, served, early, peak = [0] * HOLDERS, set(pipes), 0, 0, 0, 0
while opening:
    for pipe in multiprocessing.connection.wait(opening, 0.2):
        told = pipe.recv()
        if told is None:
            opening.remove(pipe)
        else:
            made[pipes.index(pipe)] = told
    asked += 1
    served += bank.call("GET", "/v1/me")[0] == 200
    peak = max(peak, resident())
    if sum(made) < ALL * 3 // 10:
        early = peak
for pipe in pipes:
    pipe.send("count")
told = [pipe.recv() for pipe in pipes]
opened, left = sum(n for n, _ in told), [i / n for n, stay in told for i in stay]
tap.ok(opened >= ALL, f"{opened} connections were made")
tap.ok(0 < len(left) <= MOST, f"of them {len(left)} stay: {MOST} at most")
tap.ok(sum(left) / max(len(left), 1) > 0.8, f"the idle longest went first: those that stay came when {100 * sum(left) / max(len(left), 1):.0f} % were there, in the middle")
tap.same(served, asked, f"each of the party's {asked} calls meanwhile was answered, on the connection that it had before")
tap.ok(peak < early * 1.25 + (64 << 20), f"memory stays where it was at three tenths of them: {early >> 20} MiB, then {peak >> 20} MiB")
tap.same(hub.call(12, "GET", "/v1/me")[0], 200, "another party comes in through the crowd")
tap.same(bank.call("GET", "/v1/me")[0], 200, "and the first is still there")
for pipe in pipes:
    pipe.send("end")
for holder in holders:
    holder.join(30)
tap.same(hub.stop(), 0, "the hub stops cleanly")
hub.close()
tap.end()
