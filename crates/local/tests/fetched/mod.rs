//! The model that tests use.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns where the model is; fetches it if it is not there.
pub(crate) fn model_path() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if !path.is_file() {
        let status = Command::new(root.join("scripts/fetch-model")).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "scripts/fetch-model cannot fetch the model"
        );
    }
    path
}
