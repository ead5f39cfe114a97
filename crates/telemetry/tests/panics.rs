//! What the log tells of a panic. A test of its own, since the hook belongs to the process.
#![expect(clippy::unwrap_used, reason = "panics are what it tests")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tollgate_telemetry::{LogConfig, TelemetryError, init_logs_to};

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_is_logged_by_its_place_without_what_it_says() {
    let page = Page::default();
    let guard = init_logs_to(&LogConfig::default(), page.clone()).unwrap();
    let secret = "the prompt of a client";
    let thread = std::thread::Builder::new().name("worker-7".to_owned());
    assert!(
        thread
            .spawn(move || panic!("{secret}"))
            .unwrap()
            .join()
            .is_err()
    );
    let again = init_logs_to(&LogConfig::default(), io::sink());
    assert!(matches!(again, Err(TelemetryError::LogsTwice(_))));
    drop(guard);

    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains(secret), "{text}");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&line["level"], &line["thread"]),
        (&"ERROR".into(), &"worker-7".into())
    );
    assert!(
        line["place"].as_str().unwrap().contains("panics.rs:"),
        "{line}"
    );
}
