#!/usr/bin/env python3
"""Tries what docs/security.md lists against a running `orrery serve`, and prints
what came of it. Standard library only.

    scripts/attacks.py ./orrery

It starts three servers of its own, on loopback: with a key, without one, and with
one in front of a model server that says what it should not."""
import json, os, re, socket, statistics, subprocess, sys, tempfile, threading, time, http.client
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY, MARK = "sk-attack-0123456789abcdef", "PURPLE-ELEPHANT-7731"
ORRERY = sys.argv[1]
rows = []


def row(what, came, held):
    rows.append(held)
    print(f"{'held' if held else 'BROKE':6} {what:58} {came}", flush=True)


class Serve:
    def __init__(self, *args, key=KEY):
        self.dir = tempfile.mkdtemp()
        env = dict(os.environ, XDG_DATA_HOME=self.dir)
        env.pop("ORRERY_API_KEYS", None)
        if key:
            env["ORRERY_API_KEYS"] = key
        self.log = open(os.path.join(self.dir, "log"), "w+")
        self.p = subprocess.Popen([ORRERY, "serve", "--listen", "127.0.0.1:0", "--json", "--log", "--drain", "1s", *args],
                                  env=env, stdout=subprocess.PIPE, stderr=self.log, text=True)
        text = ""
        while not text.rstrip().endswith("}"):
            text += self.p.stdout.readline()
        host, port = json.loads(text)["address"].rsplit(":", 1)
        self.host, self.port = host, int(port)

    def raw(self, data, timeout=5):
        s = socket.create_connection((self.host, self.port), timeout=timeout)
        out = b""
        try:
            s.sendall(data)
            while True:
                b = s.recv(65536)
                if not b:
                    break
                out += b
        except OSError:
            pass
        s.close()
        return out

    def ask(self, path="/v1/chat/completions", body=None, method=None, **headers):
        c = http.client.HTTPConnection(self.host, self.port, timeout=20)
        h = {"Authorization": "Bearer " + KEY} if "Authorization" not in headers else {}
        h.update({k.replace("_", "-"): v for k, v in headers.items() if v is not None})
        c.request(method or ("POST" if body is not None else "GET"), path, body, h)
        r = c.getresponse()
        data = r.read()
        c.close()
        return r.status, dict(r.getheaders()), data

    def text(self):
        self.log.flush()
        return open(self.log.name).read()

    def stop(self):
        self.p.terminate()
        return self.p.wait(30)


def question(text, **more):
    return json.dumps({"messages": [{"role": "user", "content": text}], "max_tokens": 50, **more})


def status(reply):
    return [int(x) for x in re.findall(rb"HTTP/1\.1 (\d+)", reply)]


s = Serve()
body = question("Compute 1 + 1.").encode()
post = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n"
hidden = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
for name, head in {
    "both Content-Length and Transfer-Encoding": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "two different Content-Lengths": b"Content-Length: 4\r\nContent-Length: 400\r\n",
    "Transfer-Encoding with a blank before its colon": b"Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding: xchunked": b"Transfer-Encoding: xchunked\r\n",
    "a negative Content-Length": b"Content-Length: -1\r\n",
    "a line break in a header's value": b"X: a\rContent-Length: 500\r\n",
}.items():
    got = status(s.raw(post + head + b"\r\n0\r\n\r\n" + hidden, 3))
    row("smuggling: " + name, f"answers {got}", 200 not in got)
got = status(s.raw(post + b"Content-Length: %d\r\nX-Big: %s\r\n\r\n" % (len(body), b"x" * 200000)))
row("200 kB of headers", f"answers {got}", got == [431])

before = time.time()
loris = []
for i in range(200):
    c = socket.create_connection((s.host, s.port))
    c.sendall(post[: 20 + i % 40])
    loris.append(c)
code = s.ask("/v1/models")[0]
open_after = None
while time.time() - before < 45:
    for c in loris:
        try:
            c.sendall(b"")
        except OSError:
            pass
    loris[0].settimeout(1)
    try:
        if loris[0].recv(1) == b"":
            open_after = time.time() - before
            break
    except TimeoutError:
        continue
    except OSError:
        open_after = time.time() - before
        break
row("slow-loris: 200 connections that never end their headers", f"others are answered ({code}); cut off after {open_after or -1:.0f} s", code == 200 and open_after is not None)
for c in loris:
    c.close()

got = status(s.raw(post + b"Content-Length: 1073741824\r\n\r\n" + b"x" * (2 << 20), 10))
row("a body of 1 GiB", f"answers {got}", got == [413])
got = status(s.raw(post + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 40, 10))
row("chunks without end", f"answers {got}", got == [413])
code = s.ask(body='{"orrery": ' + "[" * 500000)[0]
row("500,000 open brackets", f"answers {code}", code == 400)
code = s.ask(body=question("x", stop=["a" * 1024] * 17))[0]
row("17 stop strings of 1 KiB", f"answers {code}", code == 400)

bad = []
for path in ["/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/..\\..\\etc\\passwd", "/static/../../go.mod", "/report/../../etc/passwd",
             "/report/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/api/runs/..%2f..%2fetc%2fpasswd", "/v1/models/..%2f..%2fetc", "//etc/passwd", "/app.js/../../../etc/passwd"]:
    code, _, data = s.ask(path)
    if b"root:" in data or b"module orrery" in data:
        bad.append(path)
row("path traversal, 11 forms", f"{len(bad)} gave a file {bad}", not bad)

none = [s.ask(p, Authorization="")[0] for p in ["/v1/models", "/api/history", "/api/runs", "/api/events", "/metrics"]]
row("without the key: API, history, runs, events, metrics", f"answers {none}", set(none) == {401})
wrong = [s.ask("/v1/models", Authorization=a)[0] for a in ["Bearer", "Bearer " + KEY[:-1], "Bearer " + KEY + "x", "Basic " + KEY, KEY, "Bearer \x00", "bearer  " + "x" * 5000]]
row("seven wrong keys", f"answers {wrong}", set(wrong) <= {400, 401})


def times(key, n=1500):
    c, out = http.client.HTTPConnection(s.host, s.port), []
    for _ in range(n):
        t = time.perf_counter_ns()
        c.request("GET", "/v1/models", headers={"Authorization": "Bearer " + key})
        c.getresponse().read()
        out.append((time.perf_counter_ns() - t) / 1000)
    return out


near, far = [], []
for _ in range(4):
    near += times(KEY[:-1] + "!")
    far += times("!" * len(KEY))
a, b = statistics.median(near), statistics.median(far)
spread = statistics.quantiles(far, n=4)
row("key timing: all but the last letter right against none", f"medians {a:.1f} and {b:.1f} µs, quartiles {spread[0]:.1f} to {spread[2]:.1f}", abs(a - b) < spread[2] - spread[0])

code, h, _ = s.ask(body=question("x"), Origin="https://evil.example", Sec_Fetch_Site="cross-site", Content_Type="text/plain")
row("a page of another origin posts a form", f"answers {code}", code == 403)
code, h, _ = s.ask(method="OPTIONS", Origin="https://evil.example", Access_Control_Request_Method="POST")
row("its preflight", f"answers {code}, allows {h.get('Access-Control-Allow-Origin')}", "Access-Control-Allow-Origin" not in h)

for stream in (False, True):
    s.ask(body=question("Remember " + MARK, stream=stream))
s.ask(body=question(MARK, n=2))
s.ask(body='{"messages": "' + MARK + '"}')
s.ask(body=MARK)
s.ask("/v1/models/" + "x", Authorization="Bearer " + MARK)
log = s.text()
row("questions and keys in the log", f"{log.count(MARK)} of the mark, {log.count(KEY)} of the key in {log.count(chr(10))} lines", MARK not in log and KEY not in log)
s.stop()
kept = subprocess.run([ORRERY, "runs", "--json"], env=dict(os.environ, XDG_DATA_HOME=s.dir), capture_output=True, text=True).stdout
mode = [oct(os.stat(os.path.join(s.dir, "orrery", f)).st_mode & 0o777) for f in sorted(os.listdir(os.path.join(s.dir, "orrery")))]
row("keys in the record; who may read its files", f"{kept.count(KEY)} of the key; modes {sorted(set(mode))}", KEY not in kept and set(mode) <= {"0o600"})

o = Serve(key=None)
code, _, _ = o.ask(body=question("x"), Host="evil.example")
row("DNS rebinding: another name for a server without keys", f"answers {code}", code == 421)
code, _, _ = o.ask("/", Host="evil.example:80")
row("DNS rebinding: its page", f"answers {code}", code == 421)
o.stop()

d = tempfile.mkdtemp()


def safetensors(name, header, data=b"", length=None):
    h = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = os.path.join(d, name)
    open(path, "wb").write((len(h) if length is None else length).to_bytes(8, "little") + h + data)
    return path


bad = []
good = safetensors("good.safetensors", {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}, b"\0" * 16)
for name, path in {
    "a header of 2^63 bytes": safetensors("a.safetensors", b"{}", length=1 << 63),
    "tensors that overlap": safetensors("b.safetensors", {"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "v": {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]}}, b"\0" * 24),
    "a shape that overflows": safetensors("c.safetensors", {"w": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 16]}}, b"\0" * 16),
    "offsets beyond the file": safetensors("d.safetensors", {"w": {"dtype": "F32", "shape": [4], "data_offsets": [1 << 40, (1 << 40) + 16]}}, b"\0" * 16),
    "100,000 open brackets": safetensors("e.safetensors", b"[" * 100000),
}.items():
    p = subprocess.run(["bash", "-c", f"ulimit -v 4000000; exec {ORRERY} --store none audit {good} {path} --json"], capture_output=True, text=True, timeout=60)
    if p.returncode not in (1, 2) or "panic" in p.stderr or "goroutine" in p.stderr:
        bad.append((name, p.returncode, p.stderr[-200:]))
row("malicious safetensors, 5 forms", f"{5 - len(bad)} refused with an error {bad}", not bad)


class Evil(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def do_GET(self):
        self.say("application/json", b'{"object": "list", "data": [{"id": "evil", "owned_by": "vllm"}]}')

    def say(self, kind, data):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if "REFLECT" in asked:
            self.send_response(401)
            data = json.dumps({"error": {"message": "bad key " + self.headers.get("Authorization", "")}}).encode()
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            if "ENDLESS" in asked:
                while True:
                    self.wfile.write(b"data: " + b"x" * 65536)
            text = "\x1b[2J<script>alert(1)</script>\u202e"
            self.wfile.write(b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}).encode() + b"\n\ndata: [DONE]\n\n")
        except OSError:
            pass


evil = ThreadingHTTPServer(("127.0.0.1", 0), Evil)
threading.Thread(target=evil.serve_forever, daemon=True).start()
os.environ["ORRERY_UPSTREAM_KEY"] = "sk-upstream-secret-42"
m = Serve("--upstream", f"http://127.0.0.1:{evil.server_port}", "--upstream-model", "evil", "--dialect", "vllm")
code, _, data = m.ask(body=question("REFLECT"))
row("a model server that repeats its key", f"answers {code}; the key is {'' if b'sk-upstream-secret-42' in data else 'not '}passed on", code == 502 and b"secret-42" not in data and "secret-42" not in m.text())
code, _, data = m.ask(body=question("ENDLESS"))
rss = int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{m.p.pid}/status").read())[1]) // 1024
row("a model server with a line that does not end", f"answers {code}, {rss} MB at most", code == 502 and rss < 400)
code, h, data = m.ask(body=question("x"))
row("a model that writes <script> and terminal codes", f"answers {code} as {h['Content-Type']}, nosniff {h.get('X-Content-Type-Options')}", h["Content-Type"] == "application/json" and h.get("X-Content-Type-Options") == "nosniff")
m.stop()
print(f"{sum(rows)} held, {len(rows) - sum(rows)} broke")
sys.exit(0 if all(rows) else 1)
