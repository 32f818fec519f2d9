#!/usr/bin/env python3
"""Programs that nobody here wrote run as without ipctrace, and nothing is said against them."""
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import unittest

import tool


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(url, seconds=10):
    """What curl gets, as soon as there is a server."""
    end = time.monotonic() + seconds
    while True:
        answer = subprocess.run(["curl", "-s", "--noproxy", "*", url], stdout=subprocess.PIPE)
        if answer.returncode == 0 or time.monotonic() > end:
            return answer.stdout
        time.sleep(0.05)


class RealPrograms(tool.TestCase):
    def test_a_shell_pipeline_that_ends_early(self):
        run = self.assert_same(["bash", "-c", "seq 100000 | sort -rn | head -5"])
        self.assertEqual(b"100000\n99999\n99998\n99997\n99996\n", run.stdout)
        self.assert_quiet(run)

    def test_here_documents_and_process_substitution(self):
        script = "cat <<E | tr a-z A-Z; diff <(seq 3) <(seq 3) && echo same\nsome text\nE\n"
        self.assert_quiet(self.assert_same(["bash", "-c", script]))

    def test_dash_with_background_jobs(self):
        script = "for i in 1 2 3; do (exit $i) & done; wait; echo $(echo inner) | cat"
        self.assert_quiet(self.assert_same(["dash", "-c", script]))

    def test_coreutils(self):
        script = "seq 1000 | tee >(wc -l >&2) | tail -n 1; sleep 0.1; cp -r /etc/skel copy; ls copy | sort"
        self.assert_quiet(self.run_traced(["bash", "-c", script]))

    def test_python_with_subprocesses(self):
        script = ("import subprocess as s\n"
                  "print(s.run(['sort'], input=b'b\\na\\n', stdout=s.PIPE).stdout)\n"
                  "print(s.check_output('echo out; echo err >&2', shell=True, stderr=s.STDOUT))\n")
        self.assert_quiet(self.assert_same(["python3", "-c", script]))

    def test_git(self):
        script = ("git init -q -b main . && git config user.email a@example.org && git config user.name a &&"
                  "echo one > file && git add file && git commit -q -m first && git log --format=%s | cat &&"
                  "git clone -q . copy && git -C copy fsck")
        self.assert_quiet(self.run_traced(["sh", "-c", script], env={**os.environ, "HOME": self.folder}))

    def test_make_with_parallel_jobs(self):
        with open(self.path("Makefile"), "w") as file:
            file.write("all: a b c d\n%:\n\t@echo $@ > $@\n")
        run = self.run_traced(["make", "-j4", "-s"])
        self.assertEqual(0, run.status)
        self.assertTrue(os.path.exists(self.path("d")))
        self.assert_quiet(run)

    def test_perl_pipes(self):
        script = 'open(my $p, "-|", "seq", "3") or die; my @l = <$p>; close $p; print scalar(@l), "\\n"'
        self.assert_quiet(self.assert_same(["perl", "-e", script]))

    def test_the_compiler(self):
        with open(self.path("hello.c"), "w") as file:
            file.write("int main(void) { return 0; }\n")
        run = self.run_traced(["gcc", "-pipe", "-o", "hello", "hello.c"])
        self.assertEqual(0, run.status)
        self.assert_quiet(run)

    def test_sqlite(self):
        script = "create table t(a); insert into t values(1),(2); select sum(a) from t;"
        self.assert_quiet(self.assert_same(["sqlite3", ":memory:", script]))

    def test_compressors_in_pipelines(self):
        script = ("seq 20000 > numbers && gzip -k numbers && bzip2 -k numbers && zcat numbers.gz | cmp - numbers &&"
                  "bzcat numbers.bz2 | tail -n 1 && tar czf - numbers | tar xzOf - | wc -l")
        self.assert_quiet(self.assert_same(["bash", "-c", script + "; rm -f numbers*"]))

    def test_rsync(self):
        os.mkdir(self.path("from"))
        for name in "abc":
            with open(self.path("from/" + name), "w") as file:
                file.write(name * 10000)
        run = self.run_traced(["rsync", "-a", "from/", "to/"])
        self.assertEqual(0, run.status)
        self.assertEqual(["a", "b", "c"], sorted(os.listdir(self.path("to"))))
        self.assert_quiet(run)

    def test_lsof_sees_what_a_traced_program_holds(self):
        run = self.run_traced(["bash", "-c", "exec 7< /etc/passwd; lsof -a -p $$ -d 7 -F n | grep /etc"])
        self.assertEqual(b"n/etc/passwd\n", run.stdout)
        self.assert_quiet(run)

    def test_ssh_keygen_signs_and_verifies(self):
        script = ("ssh-keygen -q -t ed25519 -N '' -f key && echo data | ssh-keygen -q -Y sign -f key -n file > sig 2>&1;"
                  "(printf 'a '; cat key.pub) > allowed;"
                  "echo data | ssh-keygen -Y verify -f allowed -I a -n file -s sig | cut -c1-20; rm -f key* sig allowed")
        run = self.assert_same(["sh", "-c", script])
        self.assertIn(b"Good", run.stdout)
        self.assert_quiet(run)

    def test_sshd_checks_its_configuration(self):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path("key")], check=True)
        for setting, status in (("Port 22", 0), ("Port none", 255)):
            with open(self.path("sshd_config"), "w") as file:
                file.write(f"{setting}\nHostKey {self.path('key')}\n")
            run = self.run_traced([self.sshd(), "-t", "-f", self.path("sshd_config")])
            self.assertEqual(status, run.status, run.stderr)
            self.assert_quiet(run)

    @staticmethod
    def sshd():
        """It wants its path from the root, and has its own directory for what it lets in."""
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        return shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or "/usr/sbin/sshd"

    def test_tmux(self):
        script = ("t() { tmux -S socket -f /dev/null \"$@\"; }\n"
                  "t new-session -d 'cat; echo not seen'; t send-keys 'a line' Enter; t split-window 'sleep 100';"
                  "t list-panes -F '#{pane_index}'; t kill-server")
        run = self.run_traced(["sh", "-c", script])
        self.assertEqual(b"0\n1\n", run.stdout, run.stderr)
        self.assertEqual([], run.loud())

    def test_the_forking_server_of_the_lecture_under_200_connections(self):
        program = self.compile("tests/programs/client_crowd.c")
        run = self.run_traced([program])
        self.assertEqual(b"200 served\n", run.stdout)
        self.assert_quiet(run)
        self.assertGreaterEqual(len(run.report["processes"]), 205)


class RealServers(tool.TestCase):
    """Servers run until they are told to end; the report tells of the whole run."""

    def serve(self, command, drive, complete=True):
        report = self.path("report.json")
        with open(self.path("stderr"), "wb") as errors:
            server = subprocess.Popen(
                [tool.IPCTRACE, "run", "--format=json", "--output=" + report, "--", *command],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            drive()
        finally:
            # As from the keyboard or a service manager: to ipctrace, which passes it on.
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
                self.fail("the server did not end: " + open(self.path("stderr")).read())
        with open(report) as file:
            run = tool.Run(server.returncode, b"", b"", False, json.load(file))
        if complete:
            self.assert_quiet(run)
        else:
            self.assertEqual([], run.loud())

    def test_python_http_server_fetched_with_curl(self):
        port = free_port()
        with open(self.path("page"), "w") as file:
            file.write("a page\n" * 1000)

        def drive():
            for _ in range(20):
                self.assertEqual(b"a page\n" * 1000, fetch(f"http://127.0.0.1:{port}/page"))
        self.serve(["python3", "-m", "http.server", "--bind", "127.0.0.1", str(port)], drive)

    @unittest.skipUnless(shutil.which("nginx"), "there is no nginx")
    def test_nginx_fetched_with_curl(self):
        port = free_port()
        with open(self.path("nginx.conf"), "w") as file:
            file.write(f"""
daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log; worker_processes 2;
{'user root;' if os.getuid() == 0 else ''}
events {{}}
http {{
  access_log off; client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi; uwsgi_temp_path {self.folder}/uwsgi;
  scgi_temp_path {self.folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {self.folder}; }}
}}
""")
        with open(self.path("page"), "w") as file:
            file.write("a page\n")

        def drive():
            for _ in range(20):
                self.assertEqual(b"a page\n", fetch(f"http://127.0.0.1:{port}/page"))
        self.serve(["nginx", "-c", self.path("nginx.conf"), "-p", self.folder], drive)

    @unittest.skipUnless(shutil.which("redis-server"), "there is no redis-server")
    def test_redis_with_its_benchmark(self):
        port = free_port()

        def drive():
            end = time.monotonic() + 10
            while subprocess.run(["redis-cli", "-p", str(port), "ping"], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL).returncode != 0:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.1)
            subprocess.run(["redis-benchmark", "-p", str(port), "-n", "2000", "-c", "10", "-t", "get,set", "-q"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=True)
        self.serve(["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"], drive)


    def ask(self, command, expected):
        """Gives "hello" to a client, as soon as there is a server."""
        end = time.monotonic() + 10
        while True:
            answer = subprocess.run(command, input=b"hello\n", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            if answer.stdout == expected or time.monotonic() > end:
                return self.assertEqual(expected, answer.stdout)
            time.sleep(0.05)

    def test_socat_forks_for_each_client(self):
        port = free_port()

        def drive():
            for _ in range(5):
                self.ask(["socat", "-", f"TCP:127.0.0.1:{port}"], b"HELLO\n")
        self.serve(["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork", "EXEC:tr a-z A-Z"], drive)

    def test_netcat_listens_again_and_again(self):
        port = free_port()

        def drive():
            end = time.monotonic() + 10
            while subprocess.run(["nc", "-N", "127.0.0.1", str(port)], input=b"hello\n").returncode != 0:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.05)
        self.serve(["nc", "-lk", "127.0.0.1", str(port)], drive)

    @unittest.skipUnless(os.getuid() == 0, "sshd changes its user")
    def test_sshd_lets_in_commands_and_files(self):
        port = free_port()
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(key)], check=True)
        with open(self.path("sshd_config"), "w") as file:
            file.write(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {self.path('host')}\nStrictModes no\n"
                       f"AuthorizedKeysFile {self.path('user.pub')}\nPermitRootLogin yes\nUsePAM no\n"
                       f"PidFile none\nSubsystem sftp /usr/lib/openssh/sftp-server\n")
        options = ["-F", "/dev/null", "-i", self.path("user"), "-o", "StrictHostKeyChecking=no", "-o",
                   "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]

        def drive():
            self.ask(["ssh", *options, "-p", str(port), "root@127.0.0.1", "tr a-z A-Z"], b"HELLO\n")
            subprocess.run(["scp", *options, "-P", str(port), self.path("user.pub"),
                            f"root@127.0.0.1:{self.path('copied')}"], stdout=subprocess.DEVNULL, check=True)
            self.assertTrue(os.path.exists(self.path("copied")))
        # Its child that speaks with strangers forbids itself system calls of the tracer's.
        self.serve([RealPrograms.sshd(), "-D", "-f", self.path("sshd_config")], drive, complete=False)


if __name__ == "__main__":
    tool.main()
