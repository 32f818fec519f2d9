"""Decides from kept traces whether two programs did the same, call for call, and who could have seen
what the one left out.

A run is taken apart into processes (named by descent: "0" is the first, "0.1" its second child) and
their threads. What differs between any two runs of one program is left out: pids, inodes, times, the
ports that the kernel chose, and how the bytes of a stream were cut into reads. Descriptors are named
by the line where they were born rather than by number.
"""
import collections
import errno
import json
import os
import re

# What a call was asked and what it answered. Addresses of memory and the like say nothing.
KEPT = {"bytes", "data", "options", "wait_status", "path", "how", "flags", "status", "argv", "domain", "type",
        "backlog", "timeout", "signal", "written", "discarded", "offset", "whence"}
ENDS = {"exit", "_exit", "_Exit", "quick_exit", "process_exit"}
SKIPPED = {"child_start", "open_numbers", "stream_state"}
# Calls of which one makes as many as the schedule wants; or of which those that were served from the
# buffer leave no record.
UNCOUNTED = re.compile(r"poll|select|epoll_wait|sleep|thread_end|^wait|gets|getc|getline|getdelim|scanf|fread")
# Calls whose result, or whose return, may depend on what another process holds or does.
DEPENDENT = re.compile(r"read|recv|get|scanf|accept|connect|poll|select|epoll_wait|write|send|put|printf|open|bind|"
                       r"splice|tee|flock|lockf|fcntl|fflush|fclose")

RELEASES = {"close", "fclose", "closedir", "pclose"}
OPENS = {"open", "open64", "openat", "creat", "socket", "accept", "accept4", "dup", "dup2", "dup3", "fopen", "pipe",
         "pipe2", "socketpair", "fdopen", "popen", "epoll_create1", "eventfd"}

# Of what a close may be felt at: the other end.
OTHER_END = {"r": "w", "w": "r", "connected": "accepted", "accepted": "connected", "one": "other", "other": "one"}

Step = collections.namedtuple("Step", "call fd object end held asked result errno line enter leave data")


class Table:
    """One process's descriptors: number -> (name, object). Names are "line#count"; objects are what
    several processes may share."""

    def __init__(self, parent=None):
        self.entries = dict(parent.entries) if parent else {}
        self.born = collections.Counter(parent.born if parent else ())

    def add(self, fd, line, thing, end=""):
        self.born[line] += 1
        self.entries[fd] = (f"{line}#{self.born[line]}", thing, end)

    def name(self, fd):
        return self.entries[fd][0] if fd in self.entries else fd

    def thing(self, fd):
        return self.entries[fd][1] if fd in self.entries else None

    def end(self, fd):
        """Of the object, which one (OTHER_END), or nothing where there is but one."""
        return self.entries[fd][2] if fd in self.entries else ""

    def held(self):
        """The objects, by ends."""
        return {entry[1:] for entry in self.entries.values()}


class Run:
    """One run: steps[process][thread], each thread's steps in order; ends[process] = (status, time);
    began[process]; order: the processes by descent."""

    def __init__(self, text, source):
        """`text` is `ipctrace show --format=jsonl`; `source` the name of the file whose lines count."""
        records = [json.loads(line) for line in text.splitlines()]
        self.source = os.path.basename(source)
        self.names = self.name_processes(records)
        self.steps, self.ends, self.began, self.roles = {}, {}, {}, {}
        self.holdings = []  # (process, (object, end), from, to)
        # Ports that the kernel chose: for whom bind asked for none, or asked for nothing at all.
        self.chosen = set()
        self.temporary = {}  # path -> name
        for record in records:
            args = record["args"]
            port = args.get("local", "").rpartition(":")[2]
            if port and (record["call"] == "connect" or args.get("peer", "").endswith(":0")):
                self.chosen.add(port)
        threads = collections.defaultdict(list)
        finish = 0
        tables, holdings = {}, {}  # holdings[process]: end -> since when

        # What releases counts when it begins, what acquires when it is done.
        def when(record):
            early = record["call"] in RELEASES | {"fork", "vfork"} or record["return_ns"] is None
            return record["enter_ns"] if early else record["return_ns"]
        for record in sorted(records, key=when):
            finish = max(finish, record["enter_ns"], record["return_ns"] or 0)
            process = self.names.get(record["pid"])
            if process is None:
                continue
            self.table = tables.setdefault(process, Table(tables.get(self.parent(process))))
            held = holdings.setdefault(process, {})
            if record["call"] in ("fork", "vfork") and record["result"] in self.names:
                self.roles[self.names[record["result"]]] = (*self.role(process), self.line_of(record))
                tables[self.names[record["result"]]] = Table(self.table)
                holdings[self.names[record["result"]]] = {
                    end: record["enter_ns"] for end in self.table.held()}
            self.began.setdefault(process, record["enter_ns"])
            if record["tid"] not in threads[process]:
                threads[process].append(record["tid"])
            if record["call"] in ENDS:
                self.ends[process] = (record["args"].get("status"), record["enter_ns"])
            elif record["call"] not in SKIPPED:
                self.steps.setdefault(process, collections.defaultdict(list))[
                    threads[process].index(record["tid"])].append(self.step(record))
                now = self.table.held()
                for end in now - held.keys():
                    held[end] = when(record)
                for end in held.keys() - now:
                    self.holdings.append((process, end, held.pop(end), when(record)))
        for by_thread in self.steps.values():
            for steps in by_thread.values():
                steps.sort(key=lambda step: step.enter)
        for process in self.began:
            self.ends.setdefault(process, (None, finish))  # killed, or ended with the run
            for end, since in holdings.get(process, {}).items():
                self.holdings.append((process, end, since, self.ends[process][1]))

    @staticmethod
    def name_processes(records):
        parent, first, pid_of = {}, None, {}
        for record in records:
            pid = record["pid"]
            if "process" in record["args"]:
                pid_of[record["args"]["process"]] = pid
            first = pid if first is None else first
        for record in records:
            pid = record["pid"]
            if record["call"] == "child_start":
                # Not by getppid, which is another one when the parent has gone.
                parent.setdefault(pid, pid_of.get(record["args"].get("parent_process")))
            elif record["call"] == "hello":
                parent.setdefault(pid, record["args"].get("parent"))
        names, count = {first: "0"}, collections.Counter()
        for pid in sorted(parent):
            if pid not in names and parent[pid] in names:
                names[pid] = f"{names[parent[pid]]}.{count[parent[pid]]}"
                count[parent[pid]] += 1
        return names

    def line_of(self, record):
        for frame in record["stack"]:
            if os.path.basename(frame.get("file") or "") == self.source:
                return frame["line"]
        return 0

    def address(self, text):
        host, _, port = text.rpartition(":")
        # Or one that the program found next to it.
        near = any(str(int(port) - step) in self.chosen for step in range(16)) if port.isdigit() else False
        return f"{host}:chosen" if near else text

    def step(self, record):
        args, call, line = record["args"], record["call"], self.line_of(record)
        asked = {name: args[name] for name in KEPT & args.keys()}
        result = record["result"]
        data = asked.get("data", "")
        if "data" in asked:
            asked["data"] = self.named(data)
            if isinstance(result, int) and result > 0:
                result += len(asked["data"]) - len(data)
        if "argv" in asked:
            asked["argv"] = [os.path.basename(word) for word in asked["argv"]]  # its folder is another one
        if call.startswith("exec") and "path" in asked:
            asked["path"] = os.path.basename(asked["path"])
        if "path" in asked:
            if call.startswith(("mkstemp", "mkostemp", "mkdtemp")):  # libc makes the name up
                self.temporary.setdefault(asked["path"], f"temporary#{len(self.temporary)}")
            asked["path"] = self.temporary.get(asked["path"], asked["path"])
        if "peer" in args and call in ("bind", "connect", "sendto", "sendmsg"):
            asked["to"] = self.address(args["peer"])
        if "pid" in args:
            asked["pid"] = self.names.get(args["pid"], args["pid"] if args["pid"] in (-1, 0) else "?")
        if call in ("fork", "vfork", "wait", "waitpid", "wait3", "wait4", "clone"):
            result = self.names.get(result, result)
        fd = record["fd"]
        name, thing, end = self.table.name(fd), self.table.thing(fd), self.table.end(fd)
        if "local" in args and "peer" in args and call in ("connect", "accept", "accept4"):
            thing = frozenset((args["local"], args["peer"]))
            if call == "connect" and fd in self.table.entries:
                end = "connected"
                self.table.entries[fd] = (name, thing, end)
        if call == "listen" and fd in self.table.entries:
            thing = ("listener", self.address(args.get("local", "")))
            self.table.entries[fd] = (name, thing, end)
        if call == "hello":
            # A new program has what its exec left it.
            kept = {each["fd"]: each for each in args["open"]}
            asked["open"] = sorted(str(self.table.name(number)) for number in kept if number < 10)
            for number, each in kept.items():
                if number not in self.table.entries:
                    self.table.add(number, 0, each["inode"])
        elif call in OPENS and not record["errno"]:
            self.opened(call, args, fd, result, line, thing)
            name = self.table.name(fd)  # fopen's, or fdopen's, is the new one
            if isinstance(result, int) and result >= 0:
                result = self.table.name(result)
        elif call in RELEASES:
            self.table.entries.pop(fd, None)
        return Step(call, name, thing, end, frozenset(self.table.held()), json.dumps(asked, sort_keys=True), result, record["errno"], line,
                    record["enter_ns"], record["return_ns"], data)

    def named(self, data):
        """What data says of a process is its name."""
        return re.sub(r"\d+", lambda m: self.names.get(int(m.group()), m.group()), data)

    def opened(self, call, args, fd, result, line, thing):
        if call in ("pipe", "pipe2"):
            self.table.add(args["read_fd"], line, args["inode"], "r")
            self.table.add(args["write_fd"], line, args["inode"], "w")
        elif call == "socketpair":
            pair = frozenset(each["inode"] for each in args["open"])
            for each, end in zip(args["open"], ("one", "other")):
                self.table.add(each["fd"], line, pair, end)
        elif call.startswith("dup"):
            self.table.add(result, line, thing, self.table.end(fd))
        elif call.startswith("accept"):
            self.table.add(result, line, thing, "accepted")
        else:
            way = {0: "r", 1: "w"}.get(args.get("flags", 2) & 3, "") if call.startswith("open") else ""
            for each in args.get("open", ()):
                self.table.add(each["fd"], line, each["inode"], way)

    def without(self, calls, lines):
        """For comparison: what everybody did, as a value, less these calls at these lines. Once in order
        and by whom, once as a bag: which worker or thread does what may be the schedule's choice."""
        ordered = self.ordered(calls, lines)
        bag = collections.Counter()
        for process, status, _ in ordered:
            bag[self.role(process), status] += 1
            for steps in self.steps.get(process, {}).values():
                for step in steps:
                    if not self.removed(step, calls, lines):
                        self.count(self.role(process), step, bag)
        return ordered, bag

    @staticmethod
    def count(role, step, bag):
        """Adds a step to a bag of calls, bytes by their sum."""
        if UNCOUNTED.search(step.call) or step.errno in (errno.EAGAIN, errno.EINTR):
            return
        value = re.sub(r"\b0(\.\d+)+|#\d+", "", str((step.call, step.fd, step.line)))
        if step.call in ("read", "recv", "write", "send") and isinstance(step.result, int) and step.result > 0:
            bag[role, value, "bytes"] += step.result
        else:
            asked = re.sub(r"\b0(\.\d+)+|#\d+", "", str((step.asked, step.result, step.errno)))
            bag[role, value, asked] += 1

    def role(self, process):
        """By which lines it was forked."""
        return self.roles.get(process, ())

    def ordered(self, calls, lines):
        return tuple(
            (process, self.ends[process][0],
             tuple((thread, self.merged([s for s in steps if not self.removed(s, calls, lines)]))
                   for thread, steps in sorted(self.steps.get(process, {}).items())))
            for process in sorted(self.began))

    @staticmethod
    def removed(step, calls, lines):
        return step.call in calls and step.line in lines

    def merged(self, steps):
        """Reads of one stream in a row are one, however its bytes were cut."""
        out = []
        for step in steps:
            value = (step.call, step.fd, step.asked, step.result, step.errno, step.line)
            if step.call in ("read", "recv") and (step.result or 0) > 0:
                raw = len(step.data) - len(self.named(step.data)) + step.result
                if out and out[-1][:2] == ("stream of " + step.call, (step.fd, step.line)):
                    out[-1] = (*out[-1][:2], out[-1][2] + step.data, out[-1][3] + raw)
                    continue
                value = ("stream of " + step.call, (step.fd, step.line), step.data, raw)
            out.append(value)
        for i, value in enumerate(out):
            if value[0].startswith("stream of "):
                named = self.named(value[2])
                out[i] = (*value[:2], named, value[3] + len(named) - len(value[2]))
        return tuple(out)

    def after(self, calls, lines):
        """For each process that made such a call: (its name, the last of them, how many calls it still
        made)."""
        for process, by_thread in self.steps.items():
            found = [s for steps in by_thread.values() for s in steps if self.removed(s, calls, lines)]
            for step in found:
                yield process, step, sum(s.enter > step.enter and s not in found
                                         for steps in by_thread.values() for s in steps)

    def others_hold(self, process, since):
        """Whether another process has the same end from before the close to after this one's end."""
        return self.is_held_by_others(process, since, since.enter, self.ends[process][1])

    def is_held_by_others(self, process, closed, begin, finish):
        """Whether another process than this one holds the same end all that time."""
        return closed.object is not None and any(
            other != process and end == (closed.object, closed.end) and start <= begin and stop >= finish
            for other, end, start, stop in self.holdings)

    def others_between(self, process, since):
        """Calls of other processes, from then to the end of this one, that may depend on it that what
        was closed then is still open."""
        until = self.ends[process][1]

        def depends(step):
            if not DEPENDENT.search(step.call) or not since.enter < (step.leave or until) or step.enter >= until:
                return False
            # A pipe's readers depend on its write ends, and the other way round.
            other_end = OTHER_END.get(since.end, "")
            if re.search("poll|select|epoll_wait", step.call):
                return not isinstance(since.object, tuple) and (
                    since.object is None or (since.object, other_end) in step.held)
            if since.end and step.object == since.object and step.end == since.end:
                return False
            if self.is_held_by_others(process, since, step.enter, step.leave or until):
                return False
            # Bytes come from a write, and room from a read; only their end comes from a close.
            if step.call in ("read", "recv") and isinstance(step.result, int) and step.result > 0:
                return False
            if re.search("write|send|put|printf|fflush", step.call) and step.leave and not step.errno:
                return False
            if isinstance(since.object, tuple) and step.call.startswith("accept"):
                return False  # it waits for clients, whoever else has the listener
            if isinstance(since.object, tuple) and step.call in ("connect", "bind") and step.enter > since.enter:
                return True
            return since.object is None or step.object == since.object
        return [step for other, by_thread in self.steps.items() if other != process
                for steps in by_thread.values() for step in steps if depends(step)]

    def taken(self, process):
        """The children that its waits took."""
        return {step.result for steps in self.steps.get(process, {}).values() for step in steps
                if step.call.startswith("wait")}

    @staticmethod
    def parent(process):
        return process.rpartition(".")[0]


def differing(original, mutant, calls, lines):
    """The mutant's runs of which none of the original is one less these calls, each with what differs."""
    known = [run.without(calls, lines) for run in original]
    # What the original's own runs do not agree on is the schedule's choice.
    unsteady = {key for _, bag in known for key in bag if len({each[key] for _, each in known}) > 1}

    def steady(bag):
        return {key: count for key, count in bag.items() if key not in unsteady}
    out = []
    for run in mutant:
        ordered, bag = run.without(calls, lines)
        if all(ordered != each[0] and steady(bag) != steady(each[1]) for each in known):
            out.append((run, difference(known[0][0], ordered)))
    return out


def difference(before, after):
    if [p[0] for p in before] != [p[0] for p in after]:
        return f"there are {len(after)} processes, not {len(before)}"
    for (process, status, threads), (_, other_status, other_threads) in zip(before, after):
        if status != other_status:
            return f"process {process} ends with {other_status}, not {status}"
        for (_, steps), (_, other_steps) in zip(threads, other_threads):
            for step, other in zip(steps, other_steps):
                if step != other:
                    return f"process {process} does {other[:6]}, not {step[:6]}"
            if len(steps) != len(other_steps):
                return f"process {process} makes {len(other_steps)} calls, not {len(steps)}"
    return "threads differ"
