//! The binary as a whole process: wall time from start to exit, and peak resident memory as Linux counts it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Run {
    pub(crate) seconds: f64,
    pub(crate) peak_mb: f64,
}

/// Runs `enclave`, which must succeed.
pub(crate) fn run(arguments: &[&str]) -> Run {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_enclave"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0.0_f64;
    // The high-water mark only rises, so the last reading before the exit is the peak, short of the last 2 ms.
    let exit = loop {
        if let Some(exit) = child.try_wait().unwrap() {
            break exit;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kb) = high.and_then(|line| line.split_whitespace().next()) {
            peak_kb = peak_kb.max(kb.parse().unwrap());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let seconds = start.elapsed().as_secs_f64();
    assert!(exit.success(), "enclave {arguments:?}");
    Run { seconds, peak_mb: peak_kb / 1024.0 }
}

/// What `enclave` writes to standard output; it must succeed.
pub(crate) fn output(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_enclave")).args(arguments).output().unwrap();
    assert!(output.status.success(), "enclave {arguments:?}");
    output.stdout
}
