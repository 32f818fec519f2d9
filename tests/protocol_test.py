#!/usr/bin/env python3
"""Protocols over a run, and the diagram: servers and clients that nobody here wrote, kept traces,
mistakes in a protocol's file."""
import importlib.util
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import unittest
import xml.dom.minidom

import tool


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def needs(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    return unittest.skipIf(missing, "not there: " + ", ".join(missing))


class ProtocolTest(tool.TestCase):
    def script(self, text, *options):
        """Runs a shell script under ipctrace, and keeps the trace."""
        return self.run_traced(["bash", "-c", text], options=[
            "--checks=-*,protocol-*", "--trace=" + self.path("trace"), *options], timeout=40)

    def command(self, *arguments):
        return subprocess.run([tool.IPCTRACE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, cwd=self.folder)

    def covered(self, protocol, words):
        """How often the run took the transition that is described so."""
        shown = self.command("diagram", "--protocol=" + protocol, "--of=states", self.path("trace"))
        self.assertEqual(0, shown.returncode, shown.stderr)
        for line in shown.stdout.splitlines():
            if words in line and "✓" in line:
                return int(line.rpartition("(")[2].split()[0])
        return 0

    @needs("nginx", "curl")
    def test_nginx_and_curl_speak_http(self):
        port = free_port()
        os.mkdir(self.path("www"))
        with open(self.path("www/big.txt"), "w") as file:
            file.write("0123456789" * 50000)
        with open(self.path("nginx.conf"), "w") as file:
            file.write(f"""daemon off; master_process off; pid {self.folder}/pid; error_log {self.folder}/log;
                events {{}} http {{ access_log off; sendfile on;
                client_body_temp_path {self.folder}/b; proxy_temp_path {self.folder}/p;
                fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u;
                scgi_temp_path {self.folder}/s;
                server {{ listen 127.0.0.1:{port}; root {self.folder}/www; }} }}""")
        url = f"http://127.0.0.1:{port}"
        run = self.script(f"""nginx -p {self.folder} -c {self.folder}/nginx.conf 2>/dev/null & server=$!
            curl -s --retry 20 --retry-connrefused --retry-delay 1 {url}/big.txt {url}/none {url}/big.txt >/dev/null
            curl -sI {url}/big.txt >/dev/null
            kill -TERM $server; wait $server; true""", "--protocol=http11")
        self.assertEqual([], [f["message"] for f in run.findings])
        self.assertEqual(4, self.covered("http11", "answers request"))

    @needs("redis-server", "redis-cli", "redis-benchmark")
    def test_redis_speaks_resp_with_requests_under_way_together(self):
        port = free_port()
        with open("analyzer/protocol/library/resp.protocol") as file:
            library = file.read()
        with open(self.path("redis.protocol"), "w") as file:
            file.write(library.replace("6379", str(port)))
        run = self.script(f"""redis-server --port {port} --save "" --appendonly no >/dev/null & server=$!
            for i in $(seq 50); do redis-cli -p {port} ping >/dev/null 2>&1 && break; sleep 0.1; done
            redis-benchmark -p {port} -n 500 -P 16 -c 3 -q -t set,get >/dev/null
            redis-cli -p {port} shutdown nosave; wait $server; true""",
                          "--protocol=" + self.path("redis.protocol"))
        self.assertEqual([], [f["message"] for f in run.findings])
        self.assertGreater(self.covered(self.path("redis.protocol"), "answers command"), 1000)

    @needs("wrk", "nginx")
    def test_a_long_diagram_folds(self):
        port = free_port()
        os.mkdir(self.path("www"))
        with open(self.path("www/index.html"), "w") as file:
            file.write("hello")
        with open(self.path("nginx.conf"), "w") as file:
            file.write(f"""daemon off; master_process off; pid {self.folder}/pid; error_log {self.folder}/log;
                events {{}} http {{ access_log off; client_body_temp_path {self.folder}/b;
                proxy_temp_path {self.folder}/p; fastcgi_temp_path {self.folder}/f;
                uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
                server {{ listen 127.0.0.1:{port}; root {self.folder}/www; }} }}""")
        run = self.script(f"""nginx -p {self.folder} -c {self.folder}/nginx.conf 2>/dev/null & server=$!
            sleep 0.5; wrk -t1 -c3 -d1s http://127.0.0.1:{port}/index.html >/dev/null
            kill -TERM $server; wait $server; true""", "--protocol=http11")
        self.assertEqual([], [f["message"] for f in run.findings if f["severity"] == "error"])
        self.assertGreater(self.covered("http11", "answers request"), 100)
        shown = self.command("diagram", "--protocol=http11", self.path("trace"))
        self.assertLess(len(shown.stdout.splitlines()), 1000)
        self.assertIn("more", shown.stdout)

    def test_pythons_http_server(self):
        port = free_port()
        with open(self.path("index.html"), "w") as file:
            file.write("hello")
        run = self.script(f"""{sys.executable} -m http.server {port} --bind 127.0.0.1 >/dev/null 2>&1 & server=$!
            curl -s --noproxy '*' --retry 20 --retry-connrefused --retry-delay 1 \
              http://127.0.0.1:{port}/index.html http://127.0.0.1:{port}/none >/dev/null
            kill $server; wait $server; true""", "--protocol=http10")
        self.assertEqual([], [f["message"] for f in run.findings])
        self.assertEqual(2, self.covered("http10", "server sends answer"))

    @unittest.skipIf(importlib.util.find_spec("smtpd") is None, "this Python has no smtpd")
    def test_pythons_smtp_server_and_client(self):
        with open(self.path("mail.py"), "w") as file:
            file.write(r"""
import asyncore, smtpd, smtplib, threading
class Server(smtpd.SMTPServer):
    def process_message(self, *arguments, **rest): pass
server = Server(("127.0.0.1", 0), None)
thread = threading.Thread(target=asyncore.loop, kwargs={"timeout": 0.05}, daemon=True)
thread.start()
with smtplib.SMTP("127.0.0.1", server.socket.getsockname()[1]) as client:
    for i in range(3):
        client.sendmail("a@b", ["c@d", "e@f"], "Subject: x\r\n\r\n.a line\r\n")
""")
        run = self.script(f"{sys.executable} -W ignore {self.path('mail.py')}", "--protocol=smtp")
        self.assertEqual([], [f["message"] for f in run.findings])
        self.assertEqual(3, self.covered("smtp", "client sends dot"))

    @needs("socat")
    def test_socat_echoes(self):
        port = free_port()
        run = self.script(f"""socat TCP-LISTEN:{port},reuseaddr EXEC:cat & sleep 0.5
            printf 'one\\ntwo\\n' | socat - TCP:127.0.0.1:{port}; wait; true""", "--protocol=echo-lines")
        self.assertEqual([], [f["message"] for f in run.findings])
        self.assertEqual(2, self.covered("echo-lines", "answers request"))

    def broken_echo(self, *options):
        program = self.compile("samples/rules/protocol_violation/bad_reply_altered.c")
        return self.run_traced([program], options=["--trace=" + self.path("trace"), *options])

    def test_a_kept_trace_says_the_same(self):
        run = self.broken_echo("--protocol=echo")
        self.assertEqual(["protocol-violation"], [f["rule"] for f in run.loud()])
        again = self.command("report", "--protocol=echo", self.path("trace"))
        self.assertIn(run.loud()[0]["message"], again.stderr)
        self.assertIn("protocol-violation", self.command("diagram", "--protocol=echo", self.path("trace")).stdout)

    def test_a_trace_with_previews_only_is_not_called_clean(self):
        self.broken_echo()
        again = self.command("report", "--protocol=echo", self.path("trace"))
        self.assertEqual(125, again.returncode)
        self.assertIn("--payload=full", again.stderr)

    def test_payload_can_be_recorded_without_a_protocol(self):
        self.broken_echo("--payload=full")
        again = self.command("report", "--protocol=echo", self.path("trace"))
        self.assertEqual(0, again.returncode, again.stderr)
        self.assertIn("protocol-violation", again.stderr)

    def test_every_byte_that_stdio_moves_is_in_the_trace(self):
        program = self.compile("tests/programs/stdio_bytes.c")
        seeds = [int(os.environ.get("SEED", "0")) or random.randrange(1 << 30) for _ in range(6)]
        for seed in seeds:
            with self.subTest(f"SEED={seed}"):
                self.run_traced([program, str(seed), self.path("said")], options=[
                    "--payload=full", "--checks=-*", "--trace=" + self.path("trace")])
                with open(self.path("said")) as file:
                    said = file.read()
                shown = self.command("show", "--format=jsonl", self.path("trace"))
                events = [json.loads(line) for line in shown.stdout.splitlines()]
                pipe = next(e for e in events if e["call"] == "pipe")
                sent = taken = ""
                for event in events:
                    moved = event["args"]
                    if event["pid"] == pipe["pid"] and event["fd"] == pipe["args"]["write_fd"]:
                        count = event["result"] if event["call"] == "dprintf" else moved.get("written", 0)
                        sent += moved.get("payload", "")[:count]
                    if event["pid"] != pipe["pid"] and event["fd"] == pipe["args"]["read_fd"]:
                        taken += moved.get("payload", "")
                self.assertEqual(said, sent)
                self.assertEqual(said, taken)
                # Nobody watches a file: of that there is the beginning.
                files = [e for e in events if e["call"] in ("fputs", "fwrite", "fprintf")
                         and e["fd"] != pipe["args"]["write_fd"]]
                self.assertTrue(files)
                for event in files:
                    self.assertNotIn("payload", event["args"])

    def outside(self, answer):
        """The port of a server outside the run, which gives this answer to the first line it gets."""
        listener = socket.create_server(("127.0.0.1", 0))
        def serve():
            connection, _ = listener.accept()
            with connection, listener:
                while not connection.recv(1).endswith(b"\n"):
                    pass
                for byte in answer:
                    connection.sendall(bytes([byte]))
        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    def test_a_client_that_reads_by_stdio_from_outside_the_run(self):
        with open(self.path("client.c"), "w") as file:
            file.write(r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) return 1;
  FILE *in = fdopen(fd, "r");
  char line[100];
  dprintf(fd, "a rather long request, longer than a preview would be\n");
  return fgets(line, sizeof(line), in) == NULL;
}
""")
        program = self.compile(self.path("client.c"))
        for answer, rules in ((b"a rather long request, longer than a preview would be\n", []),
                              (b"a rather long request, longer than a preview would bE\n", ["protocol-violation"])):
            run = self.run_traced([program, str(self.outside(answer))],
                                  options=["--checks=-*,protocol-*", "--protocol=echo-lines"])
            self.assertEqual(rules, [f["rule"] for f in run.findings])
            self.assertEqual([], run.report["coverage"]["holes"])

    def test_a_protocol_that_nothing_was_held_against_is_told(self):
        run = self.broken_echo("--protocol=resp")
        self.assertEqual([], run.loud())
        self.assertIn("nothing was held against protocol resp", run.report["coverage"]["holes"][0])

    def test_hostile_payload_harms_no_form_of_a_report(self):
        hostile = b"\x1b[31m<script>alert(1)</script>\"'&]]>%0A::error::\xff\xfe\xe2\x80\xae\0"
        with open(self.path("evil.py"), "w") as file:
            file.write(f"""
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    client = socket.create_connection(listener.getsockname())
    client.sendall({hostile!r})
    client.recv(100)
    os._exit(0)
server, _ = listener.accept()
server.recv(100)
server.sendall({hostile[:-3]!r} + b"!\\0")
server.close()
os.wait()
""")
        run = self.run_traced([sys.executable, self.path("evil.py")],
                              options=["--protocol=echo", "--trace=" + self.path("trace")])
        self.assertIn("protocol-violation", [f["rule"] for f in run.loud()])
        for form in ("text", "html", "json", "junit", "sarif", "github"):
            shown = self.command("report", "--color=never", "--format=" + form, "--output=-", "--protocol=echo",
                                 self.path("trace"))
            self.assert_harmless(form, shown.stdout)
        for form in ("text", "mermaid", "svg"):
            shown = self.command("diagram", "--format=" + form, "--protocol=echo", self.path("trace"))
            self.assert_harmless(form, shown.stdout)

    def assert_harmless(self, form, text):
        self.assertIn("alert", text, form)
        self.assertNotRegex(text, r"[\x00-\x08\x0b-\x1f\x7f\u202e]", form)
        if form in ("html", "junit", "svg"):
            self.assertNotIn("<script", text, form)
            xml.dom.minidom.parseString(text)
        if form in ("json", "sarif"):
            json.loads(text)
        if form == "github":
            for line in text.splitlines():
                self.assertRegex(line, "^::(error|warning|notice|group|endgroup)|^[^:]", form)
        if form == "mermaid":
            self.assertNotIn("<script", text, form)

    def test_a_diagram_has_previews_without_a_protocol_and_says_what_exit_wrote(self):
        with open(self.path("child.c"), "w") as file:
            file.write(r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  int ends[2];
  char line[100];
  pipe(ends);
  if (fork() == 0) {
    dup2(ends[1], 1);
    close(ends[0]);
    close(ends[1]);
    printf("by exit, and quite long so that it is cut\n");
    exit(0);
  }
  close(ends[1]);
  FILE *in = fdopen(ends[0], "r");
  while (fgets(line, sizeof(line), in) != NULL) {}
  wait(NULL);
  return 0;
}
""")
        self.run_traced([self.compile(self.path("child.c"))], options=["--trace=" + self.path("trace")])
        shown = self.command("diagram", self.path("trace")).stdout
        self.assertRegex(shown, '◀─+┤ +"by exit, and quite long so that it is cu"… 42 bytes, written by exit')

    def test_a_reset_is_drawn(self):
        self.run_traced([self.compile("samples/rules/socket_reset/" + sorted(
            name for name in os.listdir("samples/rules/socket_reset") if name.startswith("bad_") and name.endswith(".c"))[0])],
            options=["--trace=" + self.path("trace")])
        shown = self.command("diagram", self.path("trace")).stdout
        self.assertRegex(shown, r"closes fd \d+, the connection .*: RST \(\d+ bytes? unread\)")
        self.assertIn("RST)", shown)

    def test_a_mistake_in_the_file_is_told_before_the_program_runs(self):
        with open(self.path("p"), "w") as file:
            file.write("protocol p\nrole a connect\n")
        run = self.command("run", "--protocol=p", "--", "sh", "-c", "echo ran")
        self.assertEqual((125, ""), (run.returncode, run.stdout))
        self.assertIn("p:2:8: expected connects", run.stderr)

    def test_the_diagram_comes_in_three_forms(self):
        self.broken_echo("--protocol=echo")
        for form, begin in (("text", " "), ("mermaid", "sequenceDiagram"), ("svg", "<svg")):
            shown = self.command("diagram", "--format=" + form, "--protocol=echo", self.path("trace"))
            self.assertEqual(0, shown.returncode, shown.stderr)
            self.assertTrue(shown.stdout.startswith(begin), shown.stdout[:80])
            self.assertIn("hello", shown.stdout)


if __name__ == "__main__":
    tool.main()
