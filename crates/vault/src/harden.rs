//! The process as others see it.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Keeps the process's memory, in which secrets are open, out of core files and, on Linux, away from
/// debuggers and `/proc/PID/mem` of processes without privileges.
///
/// What the process starts later may not write core files either. It does not stop `root`.
///
/// # Errors
/// When the system refuses, as a sandbox may. Nothing else depends on it.
pub fn harden_process() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardened_process_leaves_no_core_file() {
        use rustix::process::{DumpableBehavior, dumpable_behavior, getrlimit};

        harden_process().unwrap();
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
        harden_process().unwrap(); // again is harmless
    }
}
