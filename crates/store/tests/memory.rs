//! The in-memory backend passes the rules of all backends.

use tollgate_store::MemoryStore;
use tollgate_store::conformance::fixtures::TestSealer;

tollgate_store::store_conformance!(Box::new(MemoryStore::new(TestSealer::shared())));
