"""A UDP relay before a hub: loses, repeats, reorders and spoils datagrams both ways, and keeps books of what it did."""
import random
import resource
import selectors
import socket
import threading
import time


def request_of(datagram):
    """(session, counter, lane) of a request."""
    return datagram[:8], datagram[8:14], datagram[14]


def answered_by(datagram):
    """The same, named by a reply."""
    return datagram[:8], datagram[16:22], datagram[22]


class Relay:
    """Each copy goes to the hub from one of several sockets, so that copies meet different pollers."""

    SOCKETS = 6

    def __init__(self, to, seed, lose=0.05, repeat=0.1, hold=0.1, spoil=0.05):
        self.to, self.random, self.odds = to, random.Random(seed), (lose, repeat, hold, spoil)
        self.front = self.socket()
        self.front.bind(("127.0.0.1", 0))
        self.port = self.front.getsockname()[1]
        # A machine under load makes clients begin again, from other ports: there may be more sockets than select() takes.
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        self.all, self.hubs = selectors.DefaultSelector(), selectors.DefaultSelector()  # hubs: the sockets to the hub alone
        self.all.register(self.front, selectors.EVENT_READ)
        self.backs = {}  # socket to the hub: (client's address)
        self.by_client = {}
        self.held = []
        self.requests, self.copies, self.answers = set(), 0, {}  # delivered sound; copies of those; answers of the hub to each
        self.counts = {"lost": 0, "repeated": 0, "held": 0, "spoiled": 0, "up": 0, "down": 0}
        self.spoiled_up = 0
        self.ending = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @staticmethod
    def socket():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        return s

    def pass_on(self, send, datagram, up):
        """One datagram's fate."""
        lose, repeat, hold, spoil = self.odds
        if self.random.random() < lose:
            self.counts["lost"] += 1
            return
        if self.random.random() < spoil:
            self.counts["spoiled"] += 1
            bit = self.random.randrange(len(datagram) * 8)
            datagram = bytearray(datagram)
            datagram[bit // 8] ^= 1 << bit % 8
            send(bytes(datagram), False)
            return
        copies = 1
        if self.random.random() < repeat:
            self.counts["repeated"] += 1
            copies = 2
        for _ in range(copies):
            if self.random.random() < hold:
                self.counts["held"] += 1
                self.held.append([self.random.randrange(1, 20), send, datagram])
            else:
                send(datagram, True)
        for one in self.held:
            one[0] -= 1
        due = [one for one in self.held if one[0] <= 0]
        self.held = [one for one in self.held if one[0] > 0]
        for _, later, data in due:
            later(data, True)

    def up(self, client):
        if client not in self.by_client:
            self.by_client[client] = [self.socket() for _ in range(self.SOCKETS)]
            for s in self.by_client[client]:
                s.connect(self.to)
                self.backs[s] = client
                self.all.register(s, selectors.EVENT_READ)
                self.hubs.register(s, selectors.EVENT_READ)

        def send(datagram, sound):
            self.counts["up"] += 1
            if not sound:
                self.spoiled_up += 1
            elif request_of(datagram) in self.requests:
                self.copies += 1
            else:
                self.requests.add(request_of(datagram))
            self.random.choice(self.by_client[client]).send(datagram)

        return send

    def down(self, client):
        def send(datagram, _):
            self.counts["down"] += 1
            self.front.sendto(datagram, client)

        return send

    def run(self):
        while not self.ending:
            for s in (key.fileobj for key, _ in self.all.select(0.05)):
                try:
                    if s is self.front:
                        datagram, client = s.recvfrom(2048)
                        self.pass_on(self.up(client), datagram, True)
                    else:
                        datagram = s.recv(2048)
                        name = answered_by(datagram)
                        self.answers[name] = self.answers.get(name, 0) + 1
                        self.pass_on(self.down(self.backs[s]), datagram, False)
                except OSError:
                    pass

    def drain(self):
        """What is held goes out, and each answer that is to come is waited for; then the books are whole."""
        self.ending = True
        self.thread.join()
        for _, send, datagram in self.held:
            send(datagram, True)
        self.held = []
        until = time.monotonic() + 20
        while self.hear(0.5) or (self.requests - set(self.answers) and time.monotonic() < until):
            pass

    def hear(self, seconds):
        """Takes what has come; False: nothing within that time."""
        come = self.hubs.select(seconds)
        for s in (key.fileobj for key, _ in come):
            name = answered_by(s.recv(2048))
            self.answers[name] = self.answers.get(name, 0) + 1
        return bool(come)

    def lost_by_kernel(self):
        """Datagrams that found no room in a socket of the hub's or of ours, which are nobody's fault."""
        ports = {self.to[1], *(s.getsockname()[1] for s in self.backs)}
        with open("/proc/net/udp", encoding="ascii") as f:
            lines = [line.split() for line in f.read().splitlines()[1:]]
        return sum(int(words[-1]) for words in lines if int(words[1].rsplit(":", 1)[1], 16) in ports)
