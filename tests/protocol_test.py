#!/usr/bin/env python3
"""Protocols over a run, and the diagram: servers and clients that nobody here wrote, kept traces,
mistakes in a protocol's file."""
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import unittest

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
