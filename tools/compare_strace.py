#!/usr/bin/env python3
"""Runs programs under strace and ipctrace at once and compares what the two saw.

  compare_strace.py [--ipctrace=PATH] [--only=GLOB,...] [--list] [--differences=N] [-- PROGRAM ARGS]

Compared, process by process: every birth and end of a descriptor (number, kind, access mode,
close-on-exec), what is open after every exec, every fork, exec and exit, and the bytes read and
written through pipes and sockets. Prints matched/total and the first differences; exit status 0 when
all match, or where strace may not trace.

What is not compared, because it is over before a program could be traced or is libc's own business
within one call: what the loader opens before the library is there, and what libc opens and closes
again inside a call (locales, name services, the other ends of popen's pipe and forkpty's terminal).
The latter are counted apart, and so are programs that no preloaded library gets into (set-user-ID
ones, static ones).
"""
import argparse
import collections
import fnmatch
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

# Bazel runs a test from the top, under another name.
TOP = os.getcwd() if "TEST_SRCDIR" in os.environ else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

MESSAGES = r'''#define _GNU_SOURCE
#include <assert.h>
#include <err.h>
#include <errno.h>
#include <error.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
  errno = ENOENT; warn("w %d", 1); warnx("x %s", "y"); errno = EPERM; warn(NULL); warnx(NULL);
  printf("before"); error(0, EBADF, "e %d", 5); error(0, 0, "plain");
  error_at_line(0, EPERM, "file.c", 12, "at %s", "line"); error_at_line(0, 0, NULL, 12, "nofile");
  errno = EAGAIN; error(0, 0, "%m"); perror("p"); psignal(SIGPIPE, "s"); psignal(3, NULL);
  if (fork() == 0) err(3, "gone %d", 4);
  wait(NULL);
  if (fork() == 0) errx(5, "gone");
  wait(NULL);
  if (fork() == 0) error(6, 1, "gone");
  wait(NULL);
  if (fork() == 0) assert(argc == 77);
  wait(NULL);
  return 0;
}
'''
WAIT = "i=0; until {}; do sleep 0.1; i=$((i+1)); [ $i -lt 100 ] || break; done"
# Name, and the shell command that is run in an empty folder. What is not installed is passed over.
CORPUS = [
    ("pipeline", "bash -c 'seq 1000 | sort -rn | head -5'"),
    ("here-document", "bash -c 'cat <<E | tr a-z A-Z\nsome text\nE'"),
    ("process-substitution", "bash -c 'diff <(seq 3) <(seq 4); cat <(echo inner)'"),
    ("dash", "dash -c 'for i in 1 2 3; do (exit $i) & done; wait; echo $(echo inner) | cat'"),
    ("make", "printf 'all: a b c d\\n%:\\n\\t@echo $@ > $@\\n' > Makefile; make -j4 -s"),
    ("git", "git init -q . && git config user.email a@example.org && git config user.name a && "
            "echo one > file && git add file && git commit -q -m first && git log --oneline && git gc -q"),
    ("perl", "perl -e 'open(P, \"-|\", \"seq\", \"3\"); @l = <P>; close P; print scalar @l'"),
    ("python-subprocess", "/usr/bin/python3 -c 'import subprocess as s; print(s.run([\"sort\"], input=b\"b\\na\\n\", "
                          "stdout=s.PIPE).stdout); s.check_call(\"echo x | cat\", shell=True)'"),
    ("python-asyncio", "/usr/bin/python3 -c 'import asyncio\nasync def main():\n"
                       "  p = await asyncio.create_subprocess_exec(\"cat\", stdin=-1, stdout=-1)\n"
                       "  print(await p.communicate(b\"x\"))\nasyncio.run(main())'"),
    ("python-multiprocessing", "/usr/bin/python3 -c 'import multiprocessing as m\nwith m.Pool(3) as p: "
                               "print(p.map(abs, range(-9, 0)))'"),
    ("sqlite", "sqlite3 file.db 'create table t(a); insert into t values(1),(2); select sum(a) from t;'"),
    ("gcc", "echo 'int main(void) { return 0; }' > a.c; gcc -pipe -o a a.c && ./a"),
    ("script", "script -q -c 'echo in a terminal' /dev/null"),
    ("socat", "socat -u SYSTEM:'echo from a child' STDOUT"),
    ("popen", "gcc -w -x c -o a - <<'E'\n#include <stdio.h>\nint main(void) { char line[9];"
                  " FILE *f = popen(\"echo x\", \"r\"); fgets(line, 9, f); pclose(f);"
                  " f = popen(\"cat\", \"w\"); fputs(line, f); return pclose(f); }\nE\nexec ./a"),
    ("messages", f"gcc -w -x c -o messages - <<'E'\n{MESSAGES}E\n./messages 2>&1 | cat"),
    ("tmux", "unset TMUX; tmux -S ./socket -f /dev/null new-session -d 'echo in a terminal; cat > out' && "
             "tmux -S ./socket send-keys x Enter C-d; tmux -S ./socket kill-server; true"),
    ("http.server", "/usr/bin/python3 -m http.server --bind 127.0.0.1 8731 & s=$!; " +
                    WAIT.format("curl -s --noproxy '*' http://127.0.0.1:8731/ > page") + "; kill $s; wait $s"),
    ("nginx", "printf 'daemon off; pid p; error_log e; worker_processes 2; user root; events {} http { access_log off; "
              "client_body_temp_path b; proxy_temp_path x; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s; "
              "server { listen 127.0.0.1:8732; root .; } }' > conf; nginx -p $PWD -c $PWD/conf & s=$!; " +
              WAIT.format("curl -sf --noproxy '*' http://127.0.0.1:8732/conf > page") + "; kill $s; wait $s"),
    ("redis", "redis-server --port 8733 --save '' --bind 127.0.0.1 & s=$!; " +
              WAIT.format("redis-cli -p 8733 ping") +
              "; redis-benchmark -p 8733 -n 500 -c 5 -t get,set -q; kill $s; wait $s"),
    ("postgres", "PATH=$(echo /usr/lib/postgresql/*/bin):$PATH; initdb -D data --no-sync > /dev/null && "
                 "{ postgres -D data -k $PWD -h '' -c fsync=off & s=$!; " + WAIT.format("pg_isready -q -h $PWD") +
                 "; pgbench -q -i -h $PWD postgres && pgbench -c 4 -t 10 -h $PWD postgres; kill -INT $s; wait $s; }"),
]
# Programs that refuse to be root's: who runs them then.
UNPRIVILEGED = {"postgres": "nobody"}


def sample(path):
    """The command that compiles and runs a sample; none for those that do not end by themselves."""
    with open(path) as file:
        settings = dict(re.findall(r"// (HANGS|ARGS|STDIN|CXXFLAGS):? ?(.*)", file.read()))
    if "HANGS" in settings:
        return None
    stdin = settings["STDIN"].replace("\\", "\\\\") if "STDIN" in settings else ""
    return (f"{'g++' if path.endswith('.cc') else 'gcc'} -w -pthread {settings.get('CXXFLAGS', '')} -o sample {path} && "
            f"printf %b {shlex.quote(stdin)} > stdin && exec ./sample {settings.get('ARGS', '')} < stdin")


for pattern in ("samples/lecture/*.c", "samples/rules/*/*.c", "samples/rules/*/*.cc"):
    for path in sorted(glob.glob(os.path.join(TOP, pattern))):
        name = os.path.relpath(path, os.path.join(TOP, "samples")).replace("lecture/", "").rpartition(".")[0]
        command = sample(path)
        if command is not None:
            CORPUS.append((name, command))


class Seen:
    """What was seen of each process: a multiset of facts, by pid."""

    def __init__(self):
        self.facts = collections.defaultdict(collections.Counter)
        self.bytes = collections.Counter()  # (pid, "read" or "write", descriptor)

    def add(self, pid, *fact):
        self.facts[pid][fact] += 1

    def settle(self):
        for (pid, direction, fd), count in self.bytes.items():
            if count:
                self.facts[pid][direction, fd, f"{count} bytes"] += 1


# strace -------------------------------------------------------------------------------------------

CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+|\?)(.*)$", re.DOTALL)
STREAM = re.compile(r"<(pipe|socket|TCP|TCPv6|UDP|UNIX)")
BIRTHS = {"socket": "socket", "accept": "connection", "accept4": "connection", "epoll_create": "epoll",
          "epoll_create1": "epoll", "eventfd": "eventfd", "eventfd2": "eventfd", "timerfd_create": "timerfd",
          "signalfd": "signalfd", "signalfd4": "signalfd", "inotify_init": "inotify",
          "inotify_init1": "inotify", "memfd_create": "memfd", "pidfd_open": "pidfd"}
# Files that libc opens of its own accord, and closes again within a call.
LIBC = re.compile(r"^/etc/|^/usr/(lib|share)/(locale|zoneinfo)(/|$)|/gconv/|\.so[.0-9]*$|^/(proc|sys)/|^/dev/tty$|^/dev/shm/sem\.")
READS = {"read", "readv", "recvfrom", "recvmsg"}
WRITES = {"write", "writev", "sendto", "sendmsg"}


def access(flags):
    return "rw" if "O_RDWR" in flags else "w" if "O_WRONLY" in flags else "r"


class Strace:
    """Reads strace's output, keeping a table of descriptors for each process."""

    def __init__(self, path, program):
        self.seen = Seen()
        self.program = program
        self.process = {}      # tid -> pid
        self.table = {}        # pid -> {fd: path of a file, or None}
        self.starting = {}     # pid -> descriptors that the loader and the tracer opened, since exec
        self.of_libc = collections.defaultdict(collections.Counter)  # pid -> births and ends, by path
        self.streams, self.others = set(), set()  # (pid, fd) whose bytes were pipes' and sockets', others'
        self.unfinished = {}
        self.strangers = set()  # ipctrace's own threads
        self.held = {}          # pid -> what counts once the library is there
        self.untraced = 0       # programs in which it never was: static ones, set-user-ID ones
        self.spawning = {}      # child -> parent, of children of posix_spawn and its kin, which are libc's own until they exec
        self.looked = {}        # pid -> {path: facts}: files that were opened and closed again
        with open(path, errors="replace") as file:
            for line in file:
                found = re.match(r"(\d+) +(\d+\.\d+) (.*)$", line.rstrip("\n"))
                if found:
                    self.line(int(found.group(1)), found.group(3))
        self.streams -= self.others
        for pid, direction, fd in list(self.seen.bytes):
            if (pid, fd) in self.others:
                del self.seen.bytes[pid, direction, fd]
        self.seen.settle()

    def line(self, tid, text):
        if text.endswith("<unfinished ...>"):
            self.unfinished[tid] = text[:-len("<unfinished ...>")]
            return
        resumed = re.match(r"<\.\.\. \w+ resumed>", text)
        if resumed:
            text = self.unfinished.pop(tid, "") + text[resumed.end():]
        end = re.match(r"\+\+\+ (exited with (\d+)|killed by (\w+)).*\+\+\+", text)
        if end:
            self.give_up(tid)
            if self.process.get(tid) == tid:
                self.seen.add(tid, "exit", end.group(2) or end.group(3))
            return
        if tid not in self.process and tid not in self.strangers:
            self.adopt(tid)
        call = CALL.match(text)
        if not call:
            return
        name, arguments, result, rest = call.groups()
        arguments = arguments.lstrip()
        result = -1 if result == "?" else int(result, 0)
        pid = self.process.get(tid)
        if name in ("execve", "execveat") and result == 0:
            path = re.search(r'"((?:[^"\\]|\\.)*)"', arguments).group(1)
            if pid is None and path == self.program:
                pid = self.process[tid] = tid
                self.table[pid] = {fd: ("/dev/null", False) for fd in range(3)}
            if pid is not None:
                self.give_up(pid)
                self.held[pid] = [("exec",)]
                # Before an exec the library looks at the file, to see whether it can be traced.
                looker = self.spawning.pop(pid, pid)
                for fact in self.looked.pop(looker, {}).get(path, ()):
                    self.seen.facts[looker][fact] -= 1
                self.starting[pid] = set()
                self.table[pid] = {fd: kind for fd, kind in self.table[pid].items() if not kind[1]}
                self.held[pid] += [("open at exec", fd) for fd in self.table[pid]]
            return
        if pid is not None and name == "connect" and "/nscd/" in arguments:  # libc's name service
            fd = int(re.match(r"\d+", arguments).group())
            self.of_libc[pid]["birth", fd, "socket", "close-on-exec"] += 1
            self.of_libc[pid]["end", fd] += 1
        if pid is not None and (result >= 0 or name in ("close",)):
            self.call(pid, tid, name, arguments, result, rest)

    def give_up(self, pid):
        if pid in self.starting:
            self.untraced += self.held.pop(pid, None) is not None

    def adopt(self, tid):
        """A child is often heard of before the call that made it returns (always, with vfork)."""
        for parent, text in self.unfinished.items():
            if re.match(r"(clone3?|v?fork)\(", text) and parent in self.process:
                pid = self.process[parent]
                if "CLONE_THREAD" in text:
                    self.process[tid] = pid
                else:
                    self.process[tid] = tid
                    self.table[tid] = dict(self.table[pid])
                    if "CLONE_VM" in text and "CLONE_VFORK" in text:
                        self.spawning[tid] = pid
                return
        self.strangers.add(tid)

    def born(self, pid, fd, kind, cloexec, mode=None, path=None):
        self.table[pid][fd] = (path, cloexec)
        if pid in self.starting:
            self.starting[pid].add(fd)
            return
        if pid in self.spawning:
            return
        fact = ("birth", fd, kind, *([mode] if mode else []), *(["close-on-exec"] if cloexec else []))
        self.seen.add(pid, *fact)
        if path is not None and LIBC.search(path):
            self.of_libc[pid][fact] += 1

    def ended(self, pid, fd):
        path = self.table[pid].pop(fd, (None, False))[0]
        if pid in self.starting:
            if fd in self.starting[pid]:
                self.starting[pid].discard(fd)
                return
        if pid in self.spawning:
            return
        self.seen.add(pid, "end", fd)
        if path is not None:
            self.looked.setdefault(pid, {})[path] = [("birth", fd, "file", "r", "close-on-exec"), ("end", fd)]
        if path is not None and LIBC.search(path):
            self.of_libc[pid]["end", fd] += 1

    def call(self, pid, tid, name, arguments, result, rest):
        cloexec = "CLOEXEC" in arguments
        first = re.match(r"(\d+)(<[^>]*(?:>[^,>)]*)?>)?", arguments)
        fd = int(first.group(1)) if first else None
        if name in ("open", "openat", "openat2", "creat"):
            path = re.search(r'"((?:[^"\\]|\\.)*)"', arguments)
            path = path.group(1) if path else ""
            self.born(pid, result, "file", cloexec, access(arguments), path)
            if pid in self.starting and "ipctrace" in path and "libipctrace" not in path:
                # The library's own: it is the last thing before the program can be traced.
                self.starting[pid].add("last")
        elif name in ("pipe", "pipe2"):
            ends = re.match(r"\[(\d+)(?:<.*?>)?, (\d+)", arguments)
            for number, mode in zip(ends.groups(), "rw"):
                self.born(pid, int(number), "pipe", cloexec, mode)
        elif name == "socketpair":
            for number in re.search(r"\[(\d+)(?:<.*?>)?, (\d+)", arguments).groups():
                self.born(pid, int(number), "socket", cloexec)
        elif name in BIRTHS:
            self.born(pid, result, BIRTHS[name], cloexec)
        elif name == "ioctl" and "TIOCGPTPEER" in arguments:
            self.born(pid, result, "file", False, "rw")
        elif name == "ioctl" and ("FIOCLEX" in arguments or "FIONCLEX" in arguments) and fd in self.table[pid]:
            self.table[pid][fd] = (self.table[pid][fd][0], "FIOCLEX" in arguments)
        elif name == "close":
            if result == 0 or "EINTR" in rest or "EIO" in rest:
                self.ended(pid, fd)
                if "last" in self.starting.get(pid, ()):
                    del self.starting[pid]
                    for fact in self.held.pop(pid):
                        self.seen.add(pid, *fact)
        elif name == "close_range":
            low, high = (int(n, 0) for n in re.match(r"(\w+)(?:<.*?>)?, (\w+)", arguments).groups())
            for number in [n for n in self.table[pid] if low <= n <= high]:
                if cloexec:
                    self.table[pid][number] = (self.table[pid][number][0], True)
                else:
                    self.ended(pid, number)
        elif name == "dup" or name.startswith("fcntl") and "F_DUPFD" in arguments:
            self.born(pid, result, "copy", cloexec)
        elif name in ("dup2", "dup3"):
            if result != fd:
                if result in self.table[pid]:
                    self.ended(pid, result)
                self.born(pid, result, "copy", cloexec)
        elif name.startswith("fcntl") and "F_SETFD" in arguments and fd in self.table[pid]:
            self.table[pid][fd] = (self.table[pid][fd][0], "FD_CLOEXEC" in arguments)
        elif name in ("clone", "clone3", "fork", "vfork"):
            if "CLONE_THREAD" in arguments:
                self.process[result] = pid
            else:
                self.seen.add(pid, "fork", result)
                if result not in self.process:
                    self.process[result] = result
                    self.table[result] = dict(self.table[pid])
        elif name in READS or name in WRITES:
            if not STREAM.search(arguments.split(",")[0]):
                self.others.add((pid, fd))
                return
            self.streams.add((pid, fd))
            self.seen.bytes[pid, "read" if name in READS else "write", fd] += result


# ipctrace -----------------------------------------------------------------------------------------

CLOEXEC = os.O_CLOEXEC  # SOCK_CLOEXEC, EFD_CLOEXEC and the like are the same bit
ANONYMOUS = {"epoll_create": "epoll", "epoll_create1": "epoll", "eventfd": "eventfd", "timerfd_create": "timerfd",
             "signalfd": "signalfd", "inotify_init": "inotify", "inotify_init1": "inotify",
             "memfd_create": "memfd", "pidfd_open": "pidfd"}


def mode_of(flags):
    return {os.O_RDONLY: "r", os.O_WRONLY: "w", os.O_RDWR: "rw"}.get(flags & os.O_ACCMODE, "r")


def births_of(name, event):
    """(descriptor, kind, close-on-exec, access mode or None) of each that the call made."""
    arguments, result = event["args"], event["result"]
    flags = arguments.get("flags", 0)
    if name == "pipe":
        for end, mode in (("read_fd", "r"), ("write_fd", "w")):
            yield arguments[end], "pipe", bool((event["fd"] or 0) & CLOEXEC), mode
    elif name == "socketpair":
        for fd in arguments["fds"]:
            yield fd, "socket", bool(arguments["type"] & CLOEXEC), None
    elif name == "socket":
        yield result, "socket", bool(arguments["type"] & CLOEXEC), None
    elif name in ("accept", "accept4"):
        yield result, "connection", bool(flags & CLOEXEC), None
    elif name in ANONYMOUS:
        yield result, ANONYMOUS[name], bool(flags & CLOEXEC), None
    elif name == "dup" or name.startswith("fcntl") and "lowest" in arguments:
        yield result, "copy", bool(arguments["close_on_exec"]), None
    elif name in ("dup2", "dup3"):
        if result != event["fd"]:
            yield result, "copy", bool(flags & CLOEXEC), None
    elif name in ("openpty", "pty_master", "pty_slave"):
        yield result, "file", False, "rw"
    elif name in ("posix_openpt", "getpt"):
        yield result, "file", bool(flags & CLOEXEC), mode_of(flags) if name == "posix_openpt" else "rw"
    elif re.match("(open|openat|creat|mk.?.?stemps?|shm_open)$", name):
        yield result, "file", bool(flags & CLOEXEC), mode_of(flags)
    elif name == "freopen":
        yield arguments["new_fd"], "copy", False, None
    elif name in ("fopen", "tmpfile", "setmntent"):
        yield event["fd"], "file", bool(flags & CLOEXEC), mode_of(flags)
    elif name == "opendir":
        yield event["fd"], "file", True, "r"
    elif name == "popen":
        yield event["fd"], "pipe", False, "w" if arguments["writes"] else "r"


# Descriptors that libc makes and closes again within a call: the slave of a terminal, the other end of
# popen's pipe; perror's copy of standard error; the file that freopen copies to the stream's number; and in
# the child that daemon or forkpty makes, what becomes 0, 1 and 2 (of which the library tells one by one).
INSIDE = {"forkpty": {"birth": 1, "end": 1}, "popen": {"birth": 2, "end": 1},
          **{name: {"birth": 1, "end": 1} for name in ("perror", "freopen")}}
IN_CHILD = {"birth": 1, "end": 1}


class Ipctrace:
    """Reads `ipctrace show --format=jsonl`, keeping a table of descriptors for each process."""

    def __init__(self, lines, report):
        self.seen = Seen()
        self.table = collections.defaultdict(dict)  # pid -> {fd: close-on-exec}
        self.pending = collections.defaultdict(dict)  # pid -> {fd: what its stream has not written out}
        self.pids = {}  # process in the trace -> pid
        self.forks = set()
        self.inside = collections.defaultdict(collections.Counter)  # pid -> births and ends that libc keeps to itself
        for line in lines:
            self.event(json.loads(line))
        for parent, child in self.forks:
            self.seen.add(parent, "fork", child)
        for process in report.get("processes", []):
            end = process.get("exit") or {}
            self.seen.add(process["pid"], "exit", str(end.get("signal", end.get("status"))))
        self.seen.settle()

    def ended(self, pid, fd):
        self.table[pid].pop(fd, None)
        self.seen.add(pid, "end", fd)

    def event(self, event):
        pid, arguments, result = event["pid"], event["args"], event["result"]
        name = re.sub(r"(64)?(_chk|_2)?$", "", event["call"].lstrip("_")).replace("pipe2", "pipe")
        if name == "hello":
            self.pids[arguments["process"]] = pid
            self.seen.add(pid, "exec")
            if pid not in self.table and arguments["parent"] in self.table:
                # A child that libc makes by itself is first heard of here.
                self.forks.add((arguments["parent"], pid))
            self.table[pid] = {open["fd"]: open["close_on_exec"] for open in arguments.get("open", ())}
            for fd in self.table[pid]:
                self.seen.add(pid, "open at exec", fd)
            return
        if name == "child_start":
            parent = self.pids.get(arguments["parent_process"], result)
            self.pids[arguments["process"]] = pid
            self.table[pid] = dict(self.table[parent])
            self.pending[pid] = dict(self.pending[parent])
            self.forks.add((parent, pid))
            return
        if name in ("fork", "vfork", "clone", "forkpty") and (result or 0) > 0:
            self.forks.add((pid, result))
        if name.startswith("posix_spawn") and result == 0:
            self.forks.add((pid, arguments["child"]))
        if name == "popen" and result == 1 and arguments["child"]:
            self.forks.add((pid, arguments["child"]))
        if name in ("close", "fclose", "closedir", "pclose") and event["fd"] is not None and event["errno"] != 9:
            self.ended(pid, event["fd"])
        if name in ("closefrom", "close_range") and event["errno"] == 0:
            for fd in [fd for fd in self.table[pid] if arguments["first"] <= fd <= arguments["last"] % 2**32]:
                if arguments["flags"] & 4:  # CLOSE_RANGE_CLOEXEC
                    self.table[pid][fd] = True
                else:
                    self.ended(pid, fd)
        if name in ("fcntl_setfd", "ioctl_cloexec") and event["errno"] == 0 and event["fd"] in self.table[pid]:
            self.table[pid][event["fd"]] = bool(arguments["close_on_exec"])
        if name in ("fclose", "pclose"):
            self.pending[pid].pop(event["fd"], None)
        if name == "new_standard":
            if result in self.table[pid]:
                self.ended(pid, result)
            self.table[pid][result] = False
            self.seen.add(pid, "birth", result, "copy")
            self.inside[pid].update(IN_CHILD)
        self.inside[pid].update(INSIDE.get(name, {}))
        if "pending" in arguments:
            self.pending[pid][event["fd"]] = arguments["pending"]
        if name == "process_exit":
            # libc's last act is to write out its streams.
            for fd, count in self.pending[pid].items():
                self.seen.bytes[pid, "write", fd] += count
        if event["errno"] == 0 and (result is None or result >= 0):
            for fd, kind, cloexec, mode in births_of(name, event):
                if name in ("dup2", "dup3", "freopen") and fd in self.table[pid]:
                    self.ended(pid, fd)
                self.table[pid][fd] = cloexec
                self.seen.add(pid, "birth", fd, kind, *([mode] if mode else []),
                              *(["close-on-exec"] if cloexec else []))
            if "stream" in arguments:
                self.seen.bytes[pid, "read", event["fd"]] += arguments.get("read", 0)
                self.seen.bytes[pid, "write", event["fd"]] += arguments.get("written", 0)
            elif "bytes" in arguments and "offset" not in arguments and (result or 0) > 0:
                direction = "read" if re.match(r"read|recv", name) else "write"
                self.seen.bytes[pid, direction, event["fd"]] += result


def library_of(ipctrace):
    """libipctrace.so that belongs to this ipctrace."""
    folder = os.path.dirname(ipctrace)
    return next(path for path in (os.path.join(folder, place, "libipctrace.so") for place in
                                  ("../lib", "../preload", ".")) if os.path.exists(path))


# The comparison -----------------------------------------------------------------------------------

def compare(name, command, ipctrace, differences):
    """-> matched, total."""
    with tempfile.TemporaryDirectory() as folder:
        work = os.path.join(folder, "work")
        os.mkdir(work)
        trace, output = os.path.join(work, "trace"), os.path.join(folder, "strace")
        user = UNPRIVILEGED.get(name) if os.getuid() == 0 else None
        if user:
            # Their ipctrace is one that they can reach.
            os.chmod(folder, 0o755)
            shutil.chown(work, user)
            for file, place in ((ipctrace, "bin/ipctrace"), (library_of(ipctrace), "lib/libipctrace.so")):
                os.makedirs(os.path.join(folder, os.path.dirname(place)))
                shutil.copy(file, os.path.join(folder, place))
            ipctrace = os.path.join(folder, "bin/ipctrace")
        subprocess.run(
            ["strace", *(["-u", user] if user else []), "-f", "-q", "-ttt", "-y", "-s", "64", "-o", output, "-e", "trace=%desc,%process,%network,close_range",
             ipctrace, "run", "--trace=" + trace,
             "--output=/dev/null", "--", "/bin/sh", "-c", command],
            cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=300)
        shown = subprocess.run([ipctrace, "show", "--format=jsonl", trace], stdout=subprocess.PIPE, text=True)
        reported = subprocess.run([ipctrace, "report", "--format=json", "--output=-", trace],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        strace = Strace(output, "/bin/sh")
        by_ipctrace = Ipctrace(shown.stdout.splitlines(), json.loads(reported.stdout or "{}"))

    matched = total = inside = 0
    missed = []
    for pid, facts in strace.seen.facts.items():
        other = by_ipctrace.seen.facts.get(pid, collections.Counter())
        # Bytes through what is not always a pipe or socket under its number are not compared.
        other = collections.Counter({fact: count for fact, count in other.items()
                                     if fact[0] not in ("read", "write") or (pid, fact[1]) in strace.streams})
        of_libc = (facts - other) & strace.of_libc[pid]
        for fact in list((facts - other - of_libc).elements()):
            if by_ipctrace.inside[pid][fact[0]] > 0:
                by_ipctrace.inside[pid][fact[0]] -= 1
                of_libc[fact] += 1
                # popen's own end is born close-on-exec and loses that at once.
                other.subtract([fact[:-1]] if (other - facts)[fact[:-1]] > 0 else [])
        inside += sum(of_libc.values())
        facts = facts - of_libc
        matched += sum((facts & other).values())
        total += sum(facts.values())
        missed += [f"    [{pid}] strace only:   {fact}" for fact in (facts - other).elements()]
        missed += [f"    [{pid}] ipctrace only: {fact}" for fact in (other - facts).elements()]
    for pid in set(by_ipctrace.seen.facts) - set(strace.seen.facts):
        missed.append(f"    [{pid}] ipctrace only: the whole process")
    print(f"{name:28s} {matched}/{total}" + (f"  ({len(missed)} differences)" if missed else "") +
          (f"  (besides {inside} inside libc)" if inside else "") +
          (f"  ({strace.untraced} programs that cannot be traced)" if strace.untraced else ""))
    for line in missed[:differences]:
        print(line)
    sys.stdout.flush()
    return matched, total, len(missed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipctrace", default=os.path.join(TOP, "bazel-bin/analyzer/ipctrace"))
    parser.add_argument("--only", default="*")
    parser.add_argument("--list", action="store_true", help="only print the corpus")
    parser.add_argument("--differences", type=int, default=5, help="how many to print of each program")
    parser.add_argument("command", nargs="*", help="instead of the corpus")
    arguments = parser.parse_args()
    corpus = [("command", shlex.join(arguments.command))] if arguments.command else CORPUS
    if not arguments.list and (not shutil.which("strace") or subprocess.run(
            ["strace", "-o", "/dev/null", "true"], stderr=subprocess.DEVNULL).returncode != 0):
        print("nothing is compared: strace may not trace here")
        return 0
    matched = total = wrong = 0
    for name, command in corpus:
        if not any(fnmatch.fnmatch(name, glob) for glob in arguments.only.split(",")):
            continue
        if arguments.list:
            print(f"{name:28s} {command!r}")
            continue
        m, t, d = compare(name, command, os.path.abspath(arguments.ipctrace), arguments.differences)
        matched, total, wrong = matched + m, total + t, wrong + d
    if not arguments.list:
        print(f"matched {matched}/{total}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
