//! What black-box tests of Tollgate stand on.
//!
//! A scripted provider that fails in every way providers fail and remembers what it really served;
//! the real gateway process, to be killed and started again; a raw HTTP client that sends what no
//! proper client would. A development dependency only: it must not know the insides of any crate,
//! so that a test believes only what can be seen from outside.
//!
//! Everything here panics when it cannot do its work: a fixture that is broken must stop the test
//! and say why.
//!
//! # Embedding
//!
//! A provider that answers one call with 429 and the next one properly, for the tests of any service
//! that talks to one:
//!
//! ```
//! use serde_json::json;
//! use tollgate_testkit::{ScriptedUpstream, Script, exchange, prompt, request};
//!
//! let upstream = ScriptedUpstream::start();
//! upstream.queue("gpt-4o", [Script::error(429, &[("retry-after", "1")])]);
//!
//! let body = json!({
//!     "model": "gpt-4o",
//!     "messages": [{"role": "user", "content": prompt(12, 3)}],
//! });
//! let bytes = request("POST", "/v1/chat/completions", &[], Some(&body));
//! let refused = exchange(upstream.address(), &bytes)?;
//! assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
//! let answered = exchange(upstream.address(), &bytes)?;
//! assert_eq!(answered.json()["usage"]["completion_tokens"], 3);
//! assert_eq!(upstream.wait_for_calls(2)[1].reported, Some((12, 3)));
//! # Ok::<(), std::io::Error>(())
//! ```

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a fixture that cannot work must stop the test, saying why"
)]

mod answers;
mod call;
mod gateway;
mod http;
mod postgres;
mod proxy;
mod script;
mod settings;
mod upstream;

pub use self::call::{Call, End};
pub use self::gateway::Gateway;
pub use self::http::{Answer, Connection, exchange, request};
pub use self::postgres::{TestDatabase, TestPostgres};
pub use self::proxy::ReverseProxy;
pub use self::script::{Asked, Script, Step, StreamEnd, StreamScript, StreamUsage, prompt};
pub use self::settings::{GatewaySettings, PROVIDER_KEY};
pub use self::upstream::{ScriptedUpstream, free_port, refusing_url};
