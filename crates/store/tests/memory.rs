//! The in-memory backend passes the rules of all backends.

use tollgate_store::MemoryStore;

tollgate_store::store_conformance!(Box::new(MemoryStore::default()));
