//! Runs a command and notes which rules of our policies the calls of our processes meet, with
//! ptrace(2): `trace-rules [--no-vdso] PROGRAM ARGUMENTS…`. Everything that the command starts is
//! followed, but for what has no filter (the X server, the applications).
//!
//! At the end it writes one line a rule to standard output: `RULE role index count bits…`, where
//! the bits are what each condition of the kind "within" has seen set. Then `RULES end`. A call
//! that no rule allows is a line at once: `DENIED role number arguments…`.
//!
//! With `--no-vdso` every process is started as on a machine without a vDSO: the kernel's entry in
//! the auxiliary vector is struck out, so the C library finds none.

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use policy::{Role, Test};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// `<linux/auxvec.h>`.
const AT_NULL: u64 = 0;
const AT_IGNORE: u64 = 1;
const AT_SYSINFO_EHDR: u64 = 33;

/// A process that is followed.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    /// What it was executed as.
    role: Option<Role>,
    /// It has installed its own filter, which is the last one of several.
    own: bool,
    /// So many it has installed.
    installed: usize,
    /// It has inherited the supervisor's.
    inherited: bool,
    /// It is inside of the call that installs its own.
    installing: bool,
}

impl Process {
    /// The roles whose filters its calls go through.
    fn filters(self) -> impl Iterator<Item = Role> {
        let own = self.role.filter(|_| self.own);
        own.into_iter()
            .chain(self.inherited.then_some(Role::Supervisor))
    }

    fn is_launcher(self) -> bool {
        self.role == Some(Role::Launcher)
    }

    fn child(self) -> Self {
        let supervisor = self.role == Some(Role::Supervisor) && self.own;
        Self {
            inherited: self.inherited || supervisor,
            ..Self::default()
        }
    }
}

/// How often a rule was met, and the bits that each of its conditions "within" has seen.
#[derive(Clone, Debug, Default)]
struct Used {
    count: u64,
    bits: Vec<u64>,
}

#[derive(Default)]
struct Tracer {
    no_vdso: bool,
    processes: BTreeMap<Pid, Process>,
    /// Children that stopped before their parent's event was seen.
    early: BTreeSet<Pid>,
    /// The process that was started first has ended.
    leaving: bool,
    used: BTreeMap<(Role, usize), Used>,
}

impl Tracer {
    /// Notes which rules allow a call.
    fn call(&mut self, process: Process, number: i64, arguments: &[u64; 6]) {
        for role in process.filters() {
            let rules = policy::of(role).rules;
            if !rules.iter().any(|rule| rule.covers(number, arguments)) {
                println!("DENIED {role} {number} {arguments:x?}");
            }
            for (index, rule) in rules.iter().enumerate() {
                if !rule.covers(number, arguments) {
                    continue;
                }
                let used = self.used.entry((role, index)).or_default();
                used.count += 1;
                used.bits.resize(rule.conditions.len(), 0);
                for (bits, condition) in used.bits.iter_mut().zip(rule.conditions) {
                    if matches!(condition.test, Test::Within(_)) {
                        *bits |= arguments[usize::from(condition.argument)];
                    }
                }
            }
        }
    }

    /// A call begins or ends.
    fn at_call(&mut self, pid: Pid) -> nix::Result<()> {
        let info = ptrace::syscall_info(pid)?;
        let Some(mut process) = self.processes.get(&pid).copied() else {
            return Ok(());
        };
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => {
                // SAFETY: `op` says which field the kernel has filled.
                let entry = unsafe { info.u.entry };
                let number = entry.nr.cast_signed();
                self.call(process, number, &entry.args);
                process.installing = number == libc::SYS_seccomp;
            }
            libc::PTRACE_SYSCALL_INFO_EXIT => {
                // SAFETY: as above.
                let failed = unsafe { info.u.exit }.is_error != 0;
                if std::mem::take(&mut process.installing) && !failed {
                    process.installed += 1;
                    let refusals = |role| policy::of(role).refusals.len();
                    process.own |= process
                        .role
                        .is_some_and(|role| process.installed > refusals(role));
                }
            }
            _ => {}
        }
        self.processes.insert(pid, process);
        Ok(())
    }

    /// A process has become another program; `false` when nobody has to follow it any more.
    fn executed(&mut self, pid: Pid) -> nix::Result<bool> {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let name = arguments.split(|byte| *byte == 0).next();
        let name = String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
        let name = name.rsplit('/').next().unwrap_or_default();
        let role = name.strip_prefix("bulkhead-").and_then(Role::from_name);
        let ours = role.is_some() || ["bulkhead", "lesser-kernel"].contains(&name);
        if !ours {
            return Ok(false);
        }
        if let Some(process) = self.processes.get_mut(&pid) {
            process.role = role;
            (process.own, process.installed) = (false, 0);
        }
        if self.no_vdso {
            strike_out_vdso(pid)?;
        }
        Ok(true)
    }

    fn forked(&mut self, parent: Pid) -> nix::Result<()> {
        let child = i32::try_from(ptrace::getevent(parent)?).map_err(|_| Errno::ESRCH)?;
        let child = Pid::from_raw(child);
        let process = self.processes.get(&parent).copied().unwrap_or_default();
        self.processes.insert(child, process.child());
        if self.early.remove(&child) {
            ptrace::syscall(child, None)?;
        }
        Ok(())
    }

    /// Follows until the last process has ended.
    fn follow(&mut self, first: Pid) -> i32 {
        let mut code = 1;
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::Exited(pid, status)) => {
                    self.processes.remove(&pid);
                    if pid == first {
                        code = status;
                        self.leave_launchers();
                    }
                }
                Ok(WaitStatus::Signaled(pid, ..)) => drop(self.processes.remove(&pid)),
                Ok(status) => {
                    // A process may be killed at any time, then it is gone at the next call.
                    let _ = self.stopped(status);
                }
                Err(Errno::EINTR) => {}
                Err(_) => return code,
            }
        }
    }

    /// Stops those who go on without the one that is waited for, so that they can be left.
    fn leave_launchers(&mut self) {
        self.leaving = true;
        let launchers = self.processes.iter().filter(|(_, it)| it.is_launcher());
        for (pid, _) in launchers {
            let _ = kill(*pid, Signal::SIGSTOP);
        }
    }

    fn stopped(&mut self, status: WaitStatus) -> nix::Result<()> {
        match status {
            WaitStatus::PtraceSyscall(pid) => {
                let noted = self.at_call(pid);
                ptrace::syscall(pid, None)?;
                noted
            }
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) => {
                if self.executed(pid)? {
                    ptrace::syscall(pid, None)
                } else {
                    self.processes.remove(&pid);
                    ptrace::detach(pid, None)
                }
            }
            WaitStatus::PtraceEvent(pid, ..) => {
                self.forked(pid)?;
                ptrace::syscall(pid, None)
            }
            WaitStatus::Stopped(pid, Signal::SIGSTOP) => {
                let known = self.processes.get(&pid);
                if self.leaving && known.is_some_and(|it| it.is_launcher()) {
                    self.processes.remove(&pid);
                    return ptrace::detach(pid, None);
                }
                if known.is_some() {
                    return ptrace::syscall(pid, None);
                }
                self.early.insert(pid);
                Ok(())
            }
            WaitStatus::Stopped(pid, signal) => ptrace::syscall(pid, signal),
            _ => Ok(()),
        }
    }

    fn report(&self) {
        for ((role, index), used) in &self.used {
            let bits: Vec<_> = used.bits.iter().map(|bits| format!("{bits:x}")).collect();
            println!("RULE {role} {index} {} {}", used.count, bits.join(" "));
        }
        println!("RULES end");
    }
}

/// Strikes the vDSO out of the auxiliary vector of a process that has just been executed. On its
/// stack are: the number of arguments, these, zero, the environment, zero, then pairs.
fn strike_out_vdso(pid: Pid) -> nix::Result<()> {
    let mut at = ptrace::getregs(pid)?.rsp;
    let read = |at: u64| {
        let word = ptrace::read(pid, at as ptrace::AddressType)?;
        Ok::<u64, Errno>(word.cast_unsigned())
    };
    let arguments = read(at)?;
    at += 8 * (1 + arguments + 1);
    while read(at)? != 0 {
        at += 8;
    }
    at += 8;
    loop {
        match read(at)? {
            AT_NULL => return Ok(()),
            AT_SYSINFO_EHDR => {
                return ptrace::write(pid, at as ptrace::AddressType, AT_IGNORE.cast_signed());
            }
            _ => at += 16,
        }
    }
}

extern "C" fn nothing(_: libc::c_int) {}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let mut tracer = Tracer {
        no_vdso: words.next_if(|word| word == "--no-vdso").is_some(),
        ..Tracer::default()
    };
    // Whoever ends the command sends a signal to the whole group; the report is still to come.
    let handler = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::empty(),
        SigSet::empty(),
    );
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: the handler does nothing.
        unsafe { sigaction(signal, &handler) }.expect("a handler can be set");
    }
    let program = words.next().expect("a program");
    let mut command = Command::new(program);
    // SAFETY: one system call, no memory.
    unsafe { command.args(words).pre_exec(|| Ok(ptrace::traceme()?)) };
    #[expect(
        clippy::zombie_processes,
        reason = "it is waited for as all others are"
    )]
    let child = command.spawn().expect("the program can be executed");
    let first = Pid::from_raw(child.id().cast_signed());
    waitpid(first, None).expect("it stops at exec");
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(first, options).expect("it is traced");
    tracer.processes.insert(first, Process::default());
    if tracer.no_vdso {
        strike_out_vdso(first).expect("its stack can be read");
    }
    ptrace::syscall(first, None).expect("it goes on");
    let code = tracer.follow(first);
    tracer.report();
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
