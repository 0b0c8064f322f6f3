"""kanhed with a DPDK port, its sandbox on: through af_packet, beside the kernel that serves its HTTPS on the same wire, and through
vhost-user with clients that die. As root, and as a user that root has it become. Needs root, for network namespaces."""
import ctypes
import pwd
import signal
from asking import *

tap = Tap()
LOAD = os.environ["VIRTIO_ASK"]
EAL = "--no-huge -m 128 --no-shconf --no-pci"
NEWNET = 0x40000000
PORT = 8444


def sh(command):
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


# ---- this process and the hub in one namespace, the parties in another, a veth pair between; all of it goes when the processes go
if ctypes.CDLL(None, use_errno=True).unshare(NEWNET) != 0:
    tap.ok(False, f"a network namespace can be made (as root): {os.strerror(ctypes.get_errno())}")
    tap.end()
holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE)
atexit.register(holder.kill)
holder.stdout.readline()
THERE = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
there = " ".join(THERE)
sh("ip link set lo up && ip link add kh-hub type veth peer name kh-party && ip link set kh-hub up && ip addr add 10.78.0.3/24 dev kh-hub && "
   f"ip link set kh-party netns {holder.pid} && {there} ip link set lo up && {there} ip link set kh-party up && "
   f"{there} ip addr add 10.78.0.2/24 dev kh-party && {there} ip addr add fd78::2/64 dev kh-party nodad")


class PacketHub(Hub):
    """HTTPS on the kernel's address `host`, datagrams on a DPDK port of addresses of its own."""

    def __init__(self, user, host, addresses, device, pollers=1):
        listen = ",".join(f"{address}:{PORT}" for address in addresses)
        super().__init__(keys=f'listen = "{host}:0"; datagrams = {{ listen = "{listen}"; address = "{addresses[0]}:{PORT}"; pollers = {pollers}; dpdk = "{EAL} {device}"; }};'
                         + (f'user = "{user}";' if user else ""), without=("listen", "datagrams"), limits='probe_limit = "off"; address_limit = "off";')
        atexit.register(self.close)
        self.authority.sign("hub", "/O=Kanhe/CN=hub", f"subjectAltName=IP:{host}")
        import_declarations(self)
        self.user, runtime = user, os.path.join(self.root, "run")
        os.mkdir(runtime, 0o700)
        if user:
            who = pwd.getpwnam(user)
            subprocess.run(["chown", "-R", f"{who.pw_uid}:{who.pw_gid}", self.data, runtime], check=True)
        # The module of DPDK is loaded by the user, who may not see the folder that this was built in: both are taken out of it.
        self.program = shutil.copy(KANHED, self.root)
        shutil.copy(os.environ["KH_DPDK_MODULE"], self.root)
        self.start(env={**os.environ, "RUNTIME_DIRECTORY": runtime})

    def rights(self):
        """What its threads may still do."""
        states = []
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{thread}/status") as f:
                states.append(dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line))
        event = [e for e in self.events() if e["event"] == "rights_dropped"][-1]
        who = pwd.getpwnam(self.user).pw_uid if self.user else 0
        tap.same({s["Uid"].split()[0] for s in states}, {str(who)}, f"every one of {len(states)} threads is the user's")
        tap.same({s["Seccomp"] for s in states}, {"2"} if event["seccomp"] else {"0"}, "and behind the filter, EAL's too")
        tap.same({(s["CapEff"], s["CapPrm"]) for s in states}, {("0" * 16,) * 2}, "no thread has a capability")


def over_the_wire(user, pollers):
    hub = PacketHub(user, "10.78.0.3", ["10.78.0.1", "[fd78::1]"], f"--vdev=net_af_packet0,iface=kh-hub,qpairs={pollers}", pollers)
    sh(f"{there} ip neigh flush dev kh-party")
    party = Ask(hub, 11, threads=8, prefix=THERE)
    six = Ask(hub, 12, threads=4, address=f"[fd78::1]:{PORT}", prefix=THERE)
    tap.ok(party.ready() and six.ready(), f"{user or 'root'}, {pollers} queues: parties are answered through af_packet, over IPv4 and IPv6")
    hub.rights()
    tap.ok(party.more(20) and six.more(20), "and go on to be")
    ends = party.end(), six.end()
    tap.ok(all(e["wrong"] == e["failed"] == e["silent"] == 0 for e in ends), "every answer is right, none is missing", (ends, party.said[-300:]))
    tap.ok(figure(hub, "kanhe_ingest_neighbours_total") >= 2, "it answered ARP and neighbour discovery")
    tap.ok(all(figure(hub, "kanhe_ingest_rx_total", f'poller="{p}"') > 0 for p in range(pollers)), "every poller had work")
    tap.same(hub.stop(), 0, "SIGTERM: 0")
    hub.close()


def virtual_machine(user):
    """Clients are killed under load; the daemon serves the next, and HTTPS all the while."""
    folder = tempfile.mkdtemp(prefix="kh-vhost-", dir="/var/tmp")  # not below what DPDK may write to anyway
    atexit.register(shutil.rmtree, folder, True)
    if user:
        shutil.chown(folder, user)
    socket_path = os.path.join(folder, "port")
    hub = PacketHub(user, "127.0.0.1", ["10.77.0.1"], f"--vdev=net_vhost0,iface={socket_path},queues=1")

    def client(seconds):
        cert, key = hub.authority.party(11, "bank")
        return [LOAD, socket_path, str(seconds), f"https://127.0.0.1:{hub.port}", hub.authority.ca, cert, key, str(COUNT)]

    for i in range(5):
        child = subprocess.Popen(client(30), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        loaded = child.stdout.readline()
        child.kill()
        why = child.communicate()[1]
        tap.ok(loaded == "loaded\n" and hub.process.poll() is None, f"{user or 'root'}: virtio client {i + 1} was killed under load, kanhed lives", why)
    hub.rights()
    tap.same(hub.call(11, "GET", "/v1/me")[0], 200, "and serves HTTPS")
    last = subprocess.run(client(1), capture_output=True, text=True, timeout=60)
    tap.ok(last.returncode == 0 and "answers" in last.stdout, f"the next client has right answers: {last.stdout.split()[-1:]}", last.stderr)
    child = subprocess.Popen(client(30), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    child.stdout.readline()
    tap.same(hub.stop(), 0, "SIGTERM under load: 0")
    child.kill()
    child.wait()
    audit, status = hub.kanhe_rows("audit")
    tap.same((audit[0]["ok"], status), (True, 0), "the log is whole")
    hub.close()


over_the_wire("", 2)
over_the_wire("nobody", 1)
virtual_machine("")
virtual_machine("nobody")
tap.end()
