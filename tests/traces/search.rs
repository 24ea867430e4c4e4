//! Traces are found in Jaeger by service, by operation and by tag.

use lab::jaeger::Jaeger;
use lab::poll::eventually;
use lab::rkt_api_service::Behaviour;
use tonic::Status;

use super::{CONNECT, Exporter, GET_INFO, LIST_IMAGES, ROOT, SERVICE, query, store};

#[test]
fn traces_are_found_by_service_operation_and_tags() {
    for exporter in Exporter::BOTH {
        // Without the traces of other tests.
        let Some(jaeger) = Jaeger::start() else {
            return;
        };
        println!("{exporter:?}");
        let store = store();
        let service = exporter.to(&jaeger).store(store.url()).start();
        let id = || u128::from_str_radix(&query(&service), 16).expect("an id is hexadecimal");
        let succeeded = id();
        store.behave(Behaviour::Fail(Status::permission_denied("not for you")));
        let failed = id();

        let found = |by: &[(&str, &str)]| {
            let by = [&[("service", SERVICE)], by].concat();
            let mut found = jaeger.api().search(&by);
            found.sort_by_key(|id| *id == failed);
            found
        };
        let both = [succeeded, failed];
        eventually("both traces", || (found(&[]) == both).then_some(()));
        assert_eq!(found(&[("operation", ROOT)]), both);
        assert_eq!(found(&[("operation", GET_INFO)]), [succeeded]);
        let with_tags = |tags| found(&[("tags", tags)]);
        assert_eq!(with_tags(r#"{"imagestore.store":"rkt"}"#), both);
        assert_eq!(with_tags(r#"{"imagestore.store":"cri"}"#), []);
        assert_eq!(with_tags(r#"{"imagestore.images":"7"}"#), [succeeded]);
        assert_eq!(with_tags(r#"{"error.type":"PERMISSION_DENIED"}"#), [failed]);
        // As docs/tracing.md says: the memory storage finds no trace by this tag.
        assert_eq!(with_tags(r#"{"error":"true"}"#), []);

        assert_eq!(jaeger.api().services(), [SERVICE]);
        let mut operations = jaeger.api().operations(SERVICE);
        operations.sort_unstable();
        assert_eq!(operations, [CONNECT, ROOT, GET_INFO, LIST_IMAGES]);
    }
}
