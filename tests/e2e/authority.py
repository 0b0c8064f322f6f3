"""A certificate authority for tests, by openssl: parties' certificates as a hub wants them, and some that nobody should believe."""
import os
import subprocess


def openssl(*words, **more):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, **more)


class Authority:
    def __init__(self, folder, name="test"):
        self.folder, self.name = folder, name
        self.cert, self.key = os.path.join(folder, name + "-ca.pem"), os.path.join(folder, name + "-ca.key")
        self._key(self.key)
        openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name} authority", "-days", 30, "-out", self.cert,
                "-addext", "basicConstraints=critical,CA:TRUE")

    @staticmethod
    def _key(path):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
        os.chmod(path, 0o600)

    def issue(self, name, subject, san=None, days=30):
        """(certificate, key) of a subject; days < 0: it has expired."""
        cert, key, request, extensions = (os.path.join(self.folder, f"{self.name}-{name}.{e}") for e in ("pem", "key", "csr", "ext"))
        self._key(key)
        openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
        with open(extensions, "w") as f:
            f.write("basicConstraints=CA:FALSE\n" + (f"subjectAltName={san}\n" if san else ""))
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days, "-extfile", extensions,
                "-out", cert)
        return cert, key

    def server(self, name="server", san="IP:127.0.0.1,DNS:localhost", days=30):
        return self.issue(name, "/O=Kanhe/CN=hub", san, days)

    def party(self, id_, role):
        return self.issue(f"party-{id_}", f"/O=Kanhe/OU={role}/CN={id_}")


class Lists:
    """An authority's list of revoked certificates, as `openssl ca` writes it: FOLDER/NAME.pem."""

    def __init__(self, cert, key, folder, name="crl"):
        self.cert, self.key, self.folder, self.list = cert, key, os.path.join(folder, name + ".d"), os.path.join(folder, name + ".pem")
        os.mkdir(self.folder)
        open(os.path.join(self.folder, "index"), "w").close()
        with open(os.path.join(self.folder, "number"), "w") as f:
            f.write("01\n")
        self.conf = os.path.join(self.folder, "ca.conf")
        with open(self.conf, "w") as f:
            f.write(f"[ca]\ndefault_ca=a\n[a]\ndatabase={self.folder}/index\ncrlnumber={self.folder}/number\ndefault_md=sha256\n")
        self.write()

    def _ca(self, *words):
        openssl("ca", "-config", self.conf, "-cert", self.cert, "-keyfile", self.key, *words)

    def write(self, *dates):
        self._ca("-gencrl", "-out", self.list, *(dates or ("-crldays", "30")))

    def revoke(self, cert):
        self._ca("-revoke", cert)
        self.write()
