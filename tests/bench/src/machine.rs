//! The machine, and what else it is doing.

use std::time::{Duration, Instant};

/// Below this share of busy CPUs a run begins.
const QUIET: f64 = 0.05;
/// Longest wait for that.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the CPUs have little to do; says which share of them was busy in the last second.
pub fn wait_until_quiet() -> f64 {
    let end = Instant::now() + PATIENCE;
    loop {
        let before = busy_and_all();
        std::thread::sleep(Duration::from_secs(1));
        let after = busy_and_all();
        let share = (after.0 - before.0) / (after.1 - before.1).max(1.0);
        if share < QUIET || Instant::now() > end {
            return share;
        }
    }
}

/// Ticks in which the CPUs were busy, and all ticks (proc_stat(5)).
fn busy_and_all() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let ticks: Vec<f64> = first
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|word| word.parse().ok())
        .collect();
    let all: f64 = ticks.iter().sum();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

/// Processor, number of cores, kernel.
pub fn describe() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}
