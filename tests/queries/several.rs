//! Two stores at a time.

use lab::rkt_api_service::{Behaviour, Images, StandIn};
use lab::service::{PATIENCE, ReservedPort, Service};

use super::program;

struct Two {
    old: StandIn,
    new: StandIn,
    service: Service,
}

impl Two {
    fn set() -> Self {
        let old = StandIn::tcp(Images::generated(3));
        let new = StandIn::tcp(Images::generated(5));
        let service = program()
            .store(format!("old={}", old.url()))
            .store(format!("new={}", new.url()))
            .start();
        Self { old, new, service }
    }

    fn value(&self, name: &str, store: &str) -> Option<f64> {
        self.service.scrape().value(name, &[("store", store)])
    }
}

#[test]
fn a_store_that_fails_does_not_affect_the_other_ones_numbers() {
    let two = Two::set();
    two.old.behave(Behaviour::CutOff);
    let status = two.service.query();
    assert_eq!(two.value("imagestore_up", "old"), Some(0.0));
    assert_eq!(two.value("imagestore_images", "old"), None);
    assert_eq!(two.value("imagestore_up", "new"), Some(1.0));
    assert_eq!(two.value("imagestore_images", "new"), Some(5.0));
    assert!(status.contains("old: query failed"), "{status}");
    assert!(status.contains("new: 5 images"), "{status}");
}

#[test]
fn stores_are_queried_concurrently() {
    let two = Two::set();
    two.old.behave(Behaviour::Hang);
    two.new.behave(Behaviour::Hang);
    two.service.trigger();
    // Both calls have arrived before either is answered.
    two.old.wait_for_calls(1, PATIENCE);
    two.new.wait_for_calls(1, PATIENCE);
    two.old.release();
    two.new.release();
    two.service.wait_for_status(PATIENCE);
    assert_eq!(two.value("imagestore_images", "old"), Some(3.0));
    assert_eq!(two.value("imagestore_images", "new"), Some(5.0));
}

#[test]
fn a_store_that_has_answered_is_counted_while_the_other_one_still_hangs() {
    let two = Two::set();
    two.old.behave(Behaviour::Hang);
    two.service.trigger();
    two.old.wait_for_calls(1, PATIENCE);
    lab::poll::eventually("the other store's number", || {
        two.value("imagestore_images", "new")
            .filter(|&images| images == 5.0)
    });
    assert_eq!(two.value("imagestore_images", "old"), None);
    assert_eq!(two.value("imagestore_queries_total", "old"), Some(0.0));
    two.old.release();
    two.service.wait_for_status(PATIENCE);
    assert_eq!(two.value("imagestore_images", "old"), Some(3.0));
}

#[test]
fn an_unreachable_store_is_one_failure_of_its_own() {
    let running = StandIn::tcp(Images::generated(4));
    let unused = ReservedPort::reserve();
    let service = program()
        .store(running.url())
        .store(format!("gone=rkt+http://{}", unused.address()))
        .start();
    service.query();
    let scrape = service.scrape();
    assert_eq!(
        scrape.value("imagestore_images", &[("store", "rkt")]),
        Some(4.0)
    );
    assert_eq!(scrape.sum("imagestore_query_failures_total"), Some(1.0));
    let labels = [("store", "gone"), ("code", "UNAVAILABLE")];
    assert_eq!(
        scrape.value("imagestore_query_failures_total", &labels),
        Some(1.0)
    );
}
