//! The process itself: what it holds in memory is for nobody else.

/// Where set, the process may be dumped and looked into: for a test that shows what a dump would hold.
const ALLOW_VARIABLE: &str = "ENCLAVE_ALLOW_CORE_DUMP";

/// Makes the system refuse to write this process's memory to a file, and refuse to show it to processes of the same
/// user. To be called before any key is read.
///
/// Root may still look: whoever is root on the machine has the records.
pub fn seclude() -> Result<(), std::io::Error> {
    if std::env::var_os(ALLOW_VARIABLE).is_some() {
        return Ok(());
    }
    rlimit::setrlimit(rlimit::Resource::CORE, 0, 0)?;
    #[cfg(target_os = "linux")]
    capctl::prctl::set_dumpable(false).map_err(std::io::Error::from)?;
    Ok(())
}
