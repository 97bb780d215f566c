//! Every rule of every shipped policy, both ways, under the role's real filter: with allowed
//! arguments the call returns (with whatever error; a refused one with the error of its rule), with
//! one condition violated it kills the process. Every number that is not listed kills too: 64-bit, x32 and 32-bit.
//!
//! The binary executes itself once per role (a filter cannot be taken off) and forks for each
//! attempt.

mod common;

use common::{End, in_child};
use policy::{Condition, Role, RolePolicy, Rule, Test};
use std::process::{Command, ExitCode};

/// The numbers of calls that are tried: more than the kernel has.
const NUMBERS: std::ops::RangeInclusive<i64> = 0..=559;
/// uretprobe and uprobe: the kernel lets these two past every filter (`kernel/seccomp.c`,
/// `seccomp_uprobe_exception`). They only do something when they come from a page that the kernel
/// has mapped for a uprobe; from anywhere else they fail.
const UPROBES: [i64; 2] = [335, 336];
const X32: i64 = 0x4000_0000;
const REFUSED: i32 = 1;
const KILLED: End = End::Signal(libc::SIGSYS);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--role") {
        let name = arguments.next().unwrap_or_default();
        let role = Role::from_name(&name).expect("the parent names a role");
        return run(role);
    }
    let this = std::env::current_exe().expect("there is /proc/self/exe");
    let mut failed = false;
    for role in Role::ALL {
        if policy::of(role).unconfined.is_some() {
            assert!(policy::filter(role).is_empty());
            continue;
        }
        let status = Command::new(&this)
            .args(["--role", role.name()])
            .status()
            .expect("the test can execute itself");
        failed |= !status.success();
    }
    ExitCode::from(u8::from(failed))
}

fn run(role: Role) -> ExitCode {
    let policy = policy::of(role);
    let mut complaints = Vec::new();
    let (mut passed, mut killed) = (0, 0);
    let mut expect = |what: &str, got: End, dies: bool| {
        if dies {
            killed += 1;
        } else {
            passed += 1;
        }
        let hung = got == End::Signal(libc::SIGALRM);
        if (got == KILLED) != dies || hung {
            let wanted = if dies { "SIGSYS" } else { "no SIGSYS" };
            complaints.push(format!("{role}: {what}: {got:?}, wanted {wanted}"));
        }
    };

    for rule in policy.rules {
        for arguments in allowed(rule) {
            let what = format!("{} {arguments:x?} (allowed)", rule.call);
            expect(&what, attempt(role, rule.number, arguments), false);
            if let Some(refused) = rule.refused {
                let answer = answer(role, rule.number, arguments);
                let wrong = answer != End::Code(refused.errno.into());
                let what = format!("{what}: {answer:?} instead of {}", refused.name);
                expect(&what, if wrong { KILLED } else { answer }, false);
            }
        }
        let [base, ..] = allowed(rule);
        for condition in rule.conditions {
            let mut violated = false;
            for value in others(condition) {
                let mut arguments = base;
                arguments[usize::from(condition.argument)] = value;
                let dies = !allows(policy, rule.number, &arguments);
                violated |= dies;
                let what = format!("{} {arguments:x?} ({})", rule.call, condition.text);
                expect(&what, attempt(role, rule.number, arguments), dies);
            }
            let what = format!("{}: {}: a violation was tried", rule.call, condition.text);
            expect(&what, if violated { KILLED } else { End::Code(0) }, true);
        }
    }
    for number in NUMBERS {
        if policy.rules.iter().all(|rule| rule.number != number) {
            let got = attempt(role, number, [u64::MAX; 6]);
            let refused = [End::Code(REFUSED), End::Signal(libc::SIGILL)].contains(&got);
            if !(UPROBES.contains(&number) && refused) {
                expect(&format!("number {number}"), got, true);
            }
        }
        let x32 = attempt(role, number | X32, [u64::MAX; 6]);
        expect(&format!("x32 number {number}"), x32, true);
        expect(
            &format!("32-bit number {number}"),
            attempt_32(role, number),
            true,
        );
    }
    for number in [-1, i64::from(i32::MAX), X32 - 1] {
        expect(
            &format!("number {number}"),
            attempt(role, number, [0; 6]),
            true,
        );
    }

    println!("{role}: {passed} allowed, {killed} killed");
    for complaint in &complaints {
        println!("FAILED {complaint}");
    }
    ExitCode::from(u8::from(!complaints.is_empty()))
}

/// What the data says.
fn allows(policy: &RolePolicy, number: i64, arguments: &[u64; 6]) -> bool {
    policy
        .rules
        .iter()
        .any(|rule| rule.covers(number, arguments))
}

/// Arguments that meet a rule: the smallest and the largest that the conditions allow. What is
/// not conditioned is all ones: no descriptor, no address, no size.
fn allowed(rule: &Rule) -> [[u64; 6]; 2] {
    [false, true].map(|largest| {
        let mut arguments = [u64::MAX; 6];
        for condition in rule.conditions {
            arguments[usize::from(condition.argument)] = match condition.test {
                Test::Equal(value) | Test::Includes(value) | Test::AtMost(value) => value,
                Test::Within(bits) => {
                    if largest {
                        bits
                    } else {
                        0
                    }
                }
            };
        }
        assert!(rule.covers(rule.number, &arguments), "{}", rule.call);
        arguments
    })
}

/// Values near the edge of a condition; most violate it, and the data says which.
fn others(condition: &Condition) -> Vec<u64> {
    let mut values = match condition.test {
        Test::Equal(value) => vec![value ^ 1, value + 1, value ^ (1 << 31), value | 4],
        Test::Within(bits) => (0..32)
            .map(|bit| 1 << bit)
            .filter(|bit| bits & bit == 0)
            .map(|bit| bits | bit)
            .collect(),
        Test::Includes(bits) => (0..32)
            .map(|bit| 1 << bit)
            .filter(|bit| bits & bit != 0)
            .map(|bit| bits & !bit)
            .collect(),
        Test::AtMost(value) => vec![value + 1, value | (1 << 31)],
    };
    let (Test::Equal(value) | Test::Within(value) | Test::Includes(value) | Test::AtMost(value)) =
        condition.test;
    // The upper half counts only for what the kernel declares wide.
    values.push(value | (1 << 40));
    values
}

/// One call under the role's filter, in a child.
fn attempt(role: Role, number: i64, arguments: [u64; 6]) -> End {
    match answer(role, number, arguments) {
        End::Code(1..) => End::Code(REFUSED),
        end => end,
    }
}

/// The error of one call under the role's filter, as the child's exit code.
fn answer(role: Role, number: i64, arguments: [u64; 6]) -> End {
    in_child(|| {
        confine(role);
        let [a, b, c, d, e, f] = arguments;
        // SAFETY: in a child of its own; whatever it does to memory, nothing uses it afterwards.
        let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
        if result == -1 {
            std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
        } else {
            0
        }
    })
}

/// One call through the 32-bit entry.
fn attempt_32(role: Role, number: i64) -> End {
    in_child(|| {
        confine(role);
        // SAFETY: as above. The kernel keeps all registers but the first.
        unsafe {
            std::arch::asm!("int 0x80", inout("rax") number => _, in("rcx") u64::MAX, in("rdx") u64::MAX);
        }
        0
    })
}

fn confine(role: Role) {
    // SAFETY: nothing in the child uses a descriptor but 2.
    unsafe { libc::close_range(3, u32::MAX, 0) };
    policy::install_seccomp(role).expect("the filter can be installed");
}
