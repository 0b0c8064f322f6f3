"""Datagrams on a network: a network namespace of its own beside a kernel that knows nothing of it, and vhost-user with clients that die.
Needs root, for namespaces."""
import atexit
import os
import signal
import socket
import subprocess
import sys
import tempfile

HUB, LOAD = os.environ["ECHO_HUB"], os.environ.get("VIRTIO_LOAD")
PID = os.getpid()
DIR = tempfile.mkdtemp(prefix="kh-network-")
EAL = f"--no-huge -m 128 --no-shconf --no-pci --no-telemetry --file-prefix=h{PID}"
OURS, PORT = ["10.77.0.1", "fd77::1"], 8444
LISTEN = f"10.77.0.1:{PORT},[fd77::1]:{PORT}"
done = failed = 0


def check(good, name):
    global done, failed
    done += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {done} - {name}", flush=True)


class Hub:
    def __init__(self, *args):
        self.child = subprocess.Popen([HUB, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        atexit.register(self.child.kill)
        self.ready = self.child.stdout.readline()

    def stop(self):
        """Its exit status and its counters, those of all pollers added."""
        self.child.send_signal(signal.SIGTERM)
        text = self.child.communicate(timeout=30)[0]
        counters = {}
        for line in text.splitlines():
            name, value = line.rsplit(" ", 1)
            name = name.split("{")[0]
            counters[name] = counters.get(name, 0) + int(value)
        return self.child.returncode, counters


def sh(command):
    return subprocess.run(command, shell=True, capture_output=True, text=True)


CLIENT = r"""
import socket, sys
def talk(family, address, n):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((address, 8444))
    for i in range(n):
        text = (b"q%d " % i) * (i % 200 + 1)
        for _ in range(5):
            s.send(text)
            try: back = s.recv(2048)
            except socket.timeout: continue
            break
        assert back == b"Q" + text[1:], (text, back)
    s.send(b"late"); assert s.recv(2048) == b"Late"
    s.close()
for k in range(8):
    talk(socket.AF_INET, "10.77.0.1", 150)
    talk(socket.AF_INET6, "fd77::1", 150)
print("talked")
"""


def namespaces(pollers):
    """An ordinary kernel's sockets, ARP, neighbour discovery and ping on the other end of a veth pair."""
    here, there = f"kh{PID}a", f"kh{PID}b"
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 300"], stdout=subprocess.PIPE)
    atexit.register(holder.kill)
    holder.stdout.readline()
    inside = f"nsenter --net=/proc/{holder.pid}/ns/net"
    made = sh(f"ip link add {here} type veth peer name {there} && ip link set {there} netns {holder.pid} && "
              f"sysctl -qw net.ipv6.conf.{here}.disable_ipv6=1; ip link set {here} up && "
              f"{inside} ip link set {there} up && {inside} ip addr add 10.77.0.2/24 dev {there} && {inside} ip addr add fd77::2/64 dev {there} nodad")
    if made.returncode:
        check(False, f"a network namespace could be made: {made.stderr.strip()}")
        return
    try:
        hub = Hub(LISTEN, pollers, f"{EAL} --vdev=net_af_packet0,iface={here},qpairs={pollers}")
        check(hub.ready == f"ready {PORT}\n", f"af_packet starts, {pollers} queues")
        for address, name in zip(OURS, ("ARP", "neighbour discovery")):
            ping = sh(f"{inside} ping -n -c 3 -i 0.05 -W 5 -s 900 {address}")
            check(ping.returncode == 0 and " 0% packet loss" in ping.stdout, f"ping {address}, found by {name}")
        neighbours = sh(f"{inside} ip neigh").stdout
        mac = sh(f"cat /sys/class/net/{here}/address").stdout.strip()
        check(all(f"{a} dev {there} lladdr {mac}" in neighbours for a in OURS), "the kernel's neighbour table has both addresses")
        check(sh(f"{inside} ping -n -c 1 -W 0.3 10.77.0.99").returncode != 0, "no answer for another's address")
        talk = subprocess.run([*inside.split(), sys.executable, "-c", CLIENT], capture_output=True, text=True, timeout=120)
        check(talk.stdout == "talked\n", f"2,416 datagrams over IPv4 and IPv6 come back whole {talk.stderr[-300:]}")
        big = sh(f"{inside} ping -n -c 1 -W 0.3 -s 3000 10.77.0.1")
        check(big.returncode != 0, "fragments are not answered")
        status, counters = hub.stop()
        check(status == 0, f"ends with 0 ({status})")
        check(counters.get("kanhe_ingest_neighbours_total", 0) >= 8 and counters.get("kanhe_ingest_late_total") == 16
              and counters.get("kanhe_ingest_dropped_frames_total", 0) >= 1, f"counted: {counters}")
    finally:
        holder.kill()
        holder.wait()
        sh(f"ip link del {here}")


def vhost():
    """Clients are killed under load, one after another; the hub serves the next."""
    path = os.path.join(DIR, "vhost")
    hub = Hub(f"10.77.0.1:{PORT}", 1, f"{EAL} --vdev=net_vhost0,iface={path},queues=1")
    check(hub.ready == f"ready {PORT}\n", "a vhost-user socket is opened")
    for i in range(10):
        client = subprocess.Popen([LOAD, path, "30"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        loaded = client.stdout.readline()
        client.kill()
        client.wait()
        check(loaded == "loaded\n" and hub.child.poll() is None, f"client {i + 1} was killed under load, the hub lives")
    last = subprocess.run([LOAD, path, "1"], capture_output=True, text=True, timeout=60)
    check(last.returncode == 0 and "replies" in last.stdout, f"the next client is served: {last.stdout.split()[-1:]} {last.stderr}")
    status, counters = hub.stop()
    check(status == 0, f"ends with 0 ({status})")
    check(counters.get("kanhe_ingest_neighbours_total", 0) >= 11 and counters.get("kanhe_ingest_tx_total", 0) > 100000, f"counted: {counters}")
    os.path.exists(path) and os.unlink(path)


def stranger():
    """Junk on a vhost-user socket: whoever connects to it is not trusted either."""
    path = os.path.join(DIR, "junk")
    hub = Hub(f"10.77.0.1:{PORT}", 1, f"{EAL} --vdev=net_vhost0,iface={path},queues=1")
    for i in range(50):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        s.send(os.urandom(12 + i * 20))
        s.close()
    check(hub.child.poll() is None, "junk on the socket harms nothing")
    last = subprocess.run([LOAD, path, "1"], capture_output=True, text=True, timeout=60)
    check(last.returncode == 0, f"and the next client is served {last.stderr}")
    status, _ = hub.stop()
    check(status == 0, "ends with 0")


print("TAP version 13", flush=True)
namespaces(1)
namespaces(2)
vhost()
stranger()
try:
    os.rmdir(DIR)
except OSError:
    pass
print(f"1..{done}")
sys.exit(failed != 0)
