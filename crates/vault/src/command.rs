//! A master key that a command prints.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::zeroize::Zeroizing;

use crate::error::MasterKeyError;

/// How much a command may print: a key with space around it.
const OUTPUT_BYTES_MAX: usize = 256;

/// How often it is looked whether a command that has closed its output has ended.
const POLL: Duration = Duration::from_millis(5);

/// Runs a program with its arguments and returns what it printed.
pub(crate) fn output(
    command: &[String],
    timeout: Duration,
) -> Result<Zeroizing<Vec<u8>>, MasterKeyError> {
    let (program, arguments) = command
        .split_first()
        .filter(|(program, _)| !program.is_empty())
        .ok_or(MasterKeyError::NoCommand)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A group of its own, so that what it starts can be ended with it.
        .process_group(0)
        .spawn()
        .map_err(MasterKeyError::CommandNotRun)?;
    let printed = watch(&mut child, timeout);
    if printed.is_err() && matches!(child.try_wait(), Ok(None)) {
        // What has ended in the meantime needs no end; one that cannot be ended is left.
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        let _ = child.wait();
    }
    printed
}

fn watch(child: &mut Child, timeout: Duration) -> Result<Zeroizing<Vec<u8>>, MasterKeyError> {
    let deadline = Instant::now() + timeout;
    let late = || MasterKeyError::CommandLate(timeout);
    let (sender, receiver) = sync_channel(1);
    if let Some(stdout) = child.stdout.take() {
        // Reading has no deadline of its own; the thread ends with the last writer.
        std::thread::spawn(move || {
            // The buffer never grows, which would leave a copy behind.
            let mut printed = Zeroizing::new(Vec::with_capacity(OUTPUT_BYTES_MAX + 2));
            let mut stdout = stdout.take(OUTPUT_BYTES_MAX as u64 + 1);
            let read = stdout.read_to_end(&mut printed);
            drop(sender.send(read.map(|_| printed)));
        });
    }
    let printed = receiver
        .recv_timeout(timeout)
        .map_err(|error| match error {
            RecvTimeoutError::Timeout => late(),
            RecvTimeoutError::Disconnected => MasterKeyError::CommandTooLong,
        })?;
    let printed = printed.map_err(MasterKeyError::CommandNotRun)?;
    if printed.len() > OUTPUT_BYTES_MAX {
        return Err(MasterKeyError::CommandTooLong);
    }
    loop {
        match child.try_wait().map_err(MasterKeyError::CommandNotRun)? {
            Some(status) if status.success() => return Ok(printed),
            Some(status) => return Err(MasterKeyError::CommandFailed(status)),
            None if Instant::now() >= deadline => return Err(late()),
            None => std::thread::sleep(POLL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master_key::MasterKey;

    const KEY: &str = "7c1f8e0d93a25b46e07bd1f2c3489a5566f0e1d2c3b4a5968778695a4b3c2d1e";

    fn run(command: &[&str], timeout_ms: u64) -> Result<MasterKey, MasterKeyError> {
        let command: Vec<_> = command.iter().map(|part| (*part).to_owned()).collect();
        MasterKey::from_command(&command, Duration::from_millis(timeout_ms))
    }

    #[test]
    fn the_key_is_what_the_command_prints() {
        let key = run(&["echo", KEY], 10_000).unwrap();
        assert_eq!(key.expose(), MasterKey::parse(KEY).unwrap().expose());
    }

    #[test]
    fn no_shell_reads_the_arguments() {
        let error = run(&["echo", "$(echo", KEY, ")"], 10_000).unwrap_err();
        assert!(matches!(error, MasterKeyError::Malformed), "{error}");
    }

    #[test]
    fn a_command_that_fails_gives_no_key() {
        let failing = format!("echo {KEY}; exit 3");
        let error = run(&["sh", "-c", &failing], 10_000).unwrap_err();
        assert!(matches!(error, MasterKeyError::CommandFailed(_)), "{error}");
        let error = run(&["/nonexistent/program"], 10_000).unwrap_err();
        assert!(matches!(error, MasterKeyError::CommandNotRun(_)), "{error}");
        for empty in [&[][..], &[""]] {
            let error = run(empty, 10_000).unwrap_err();
            assert!(matches!(error, MasterKeyError::NoCommand), "{error}");
        }
    }

    #[test]
    fn a_late_command_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let began = Instant::now();
        let error = run(&["sh", "-c", &script], 1_000).unwrap_err();
        assert!(matches!(error, MasterKeyError::CommandLate(_)), "{error}");
        assert!(began.elapsed() < Duration::from_secs(60));
        let pid: i32 = std::fs::read_to_string(file)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let is_running = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // A zombie has ended; whoever inherited it collects it when it likes.
            !stat.is_empty() && !stat.contains(") Z ")
        };
        while is_running() {
            assert!(Instant::now() < deadline, "it is still there");
            std::thread::sleep(POLL);
        }
    }

    #[test]
    fn a_command_that_closes_its_output_and_stays_is_late() {
        let error = run(&["sh", "-c", "exec >&-; sleep 600"], 200).unwrap_err();
        assert!(matches!(error, MasterKeyError::CommandLate(_)), "{error}");
    }

    #[test]
    fn an_endless_output_is_cut_off() {
        let error = run(&["yes"], 10_000).unwrap_err();
        assert!(matches!(error, MasterKeyError::CommandTooLong), "{error}");
    }
}
