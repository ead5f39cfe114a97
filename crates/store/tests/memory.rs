//! The in-memory backend passes the rules of all backends.

use tollgate_store::MemoryStore;
use tollgate_store::conformance::fixtures::TestSealer;

tollgate_store::store_conformance!(Box::new(MemoryStore::new(TestSealer::shared())));

#[test]
fn what_a_record_stands_for_can_be_removed() {
    let store = MemoryStore::new(TestSealer::shared());
    tollgate_store::conformance::upkeep::what_a_record_stands_for_can_be_removed(&store);
}
