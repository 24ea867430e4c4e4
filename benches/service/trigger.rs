//! Time from SIGQUIT to the new number in a scrape, and the part of it that the store itself takes.

use std::time::{Duration, Instant};

use lab::{
    rkt_api_service::{Images, StandIn},
    service::http::Connection,
};

use crate::{
    clients::{Client, Reading},
    peers::Peers,
    report::{Report, milliseconds, quantile},
};

const IMAGES: usize = 10;

const ROUNDS: usize = 201;

pub(crate) fn measure(peers: &Peers, report: &mut Report) {
    let store = StandIn::tcp(Images::generated(IMAGES));
    let url = format!("http://{}", store.address());
    let service = peers.service(&store.url());
    let mut drain = Client::start(Reading::Drain, peers, &url).expect("the drain needs no Python");
    let mut scraped = Connection::open(service.address()).expect("the service listens");
    let (mut visible, mut store_alone) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let began = Instant::now();
        service.trigger();
        wait_for_query(&mut scraped, round);
        visible.push(began.elapsed());
        store_alone.push(drain.query(IMAGES as u64));
    }
    let net: Vec<Duration> = visible
        .iter()
        .zip(&store_alone)
        .map(|(visible, store)| visible.saturating_sub(*store))
        .collect();
    let row = |name: &str, times: &[Duration]| {
        vec![
            name.to_owned(),
            milliseconds(quantile(times, 0.5)),
            milliseconds(quantile(times, 0.9)),
        ]
    };
    let rows = [
        row("SIGQUIT to the new number in a scrape", &visible),
        row("the store alone: connect, request, receive", &store_alone),
        row("the difference", &net),
    ];
    report.table("Trigger, 10 images", &["", "median, ms", "p90, ms"], &rows);
}

/// Scrapes until `queries` queries have ended.
fn wait_for_query(scraped: &mut Connection, queries: usize) {
    let wanted = format!("\nimagestore_queries_total{{store=\"rkt\"}} {queries}\n");
    let mut scrape = || scraped.get("/metrics").expect("the scrape is answered");
    while !scrape().text().contains(&wanted) {}
}
