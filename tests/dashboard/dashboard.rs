//! The dashboard's file, and what Grafana would stumble over in it.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

/// The parsed file.
pub(crate) struct Dashboard(Value);

/// One query of a panel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expression {
    pub(crate) panel: String,
    pub(crate) unit: String,
    pub(crate) text: String,
    pub(crate) exemplars: bool,
}

/// Variables that Grafana defines.
const BUILT_IN: [&str; 6] = [
    "__data",
    "__from",
    "__range",
    "__rate_interval",
    "__to",
    "__url_time_range",
];

/// Grafana shows a number plainly, without a word, if it does not know the unit.
const UNITS: [&str; 7] = [
    "bool_yes_no",
    "bytes",
    "none",
    "percentunit",
    "reqps",
    "s",
    "short",
];

impl Dashboard {
    pub(crate) fn read() -> Self {
        let text = include_str!("../../packaging/grafana/exp-rkt-grpc.json");
        Self(serde_json::from_str(text).expect("the dashboard is JSON"))
    }

    fn all_panels(&self) -> &[Value] {
        self.0["panels"].as_array().expect("there are panels")
    }

    /// All panels that are not headings.
    fn panels(&self) -> impl Iterator<Item = &Value> {
        let panels = self.all_panels().iter();
        panels.filter(|panel| panel["type"] != "row")
    }

    pub(crate) fn expressions(&self) -> impl Iterator<Item = Expression> {
        self.panels().flat_map(|panel| {
            let targets = panel["targets"].as_array().expect("a panel has targets");
            targets.iter().map(|target| Expression {
                panel: text(&panel["title"]),
                unit: text(&panel["fieldConfig"]["defaults"]["unit"]),
                text: text(&target["expr"]),
                exemplars: target["exemplar"] == true,
            })
        })
    }
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().expect("this is a text").to_owned()
}

/// The cells of Grafana's grid that a panel covers.
fn cells(panel: &Value) -> impl Iterator<Item = (u64, u64)> {
    let place = |name: &str| {
        panel["gridPos"][name]
            .as_u64()
            .expect("a panel has a place")
    };
    let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
    assert!(w > 0 && h > 0 && x + w <= 24, "{panel}");
    (x..x + w).flat_map(move |x| (y..y + h).map(move |y| (x, y)))
}

#[test]
fn each_panel_has_its_own_id_and_place() {
    let dashboard = Dashboard::read();
    let mut ids = BTreeSet::new();
    let mut covered = BTreeMap::new();
    for panel in dashboard.all_panels() {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        for cell in cells(panel) {
            let other = covered.insert(cell, &panel["title"]);
            assert_eq!(other, None, "{} is in the same place", panel["title"]);
        }
    }
}

#[test]
fn each_panel_has_a_title_a_description_a_unit_and_the_chosen_data_source() {
    let dashboard = Dashboard::read();
    let mut titles = BTreeSet::new();
    for panel in dashboard.panels() {
        assert!(titles.insert(text(&panel["title"])), "{panel}");
        assert!(!text(&panel["description"]).is_empty(), "{panel}");
        let unit = text(&panel["fieldConfig"]["defaults"]["unit"]);
        assert!(UNITS.contains(&&*unit), "{panel}");
        assert_eq!(panel["datasource"]["type"], "prometheus", "{panel}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
    }
}

#[test]
fn each_variable_is_defined_before_it_is_used_and_each_is_used() {
    let dashboard = Dashboard::read();
    let variable = Regex::new(r"\$\{?([A-Za-z_]+)").expect("this is a regular expression");
    let names = |value: &Value| -> BTreeSet<String> {
        let text = value.to_string();
        let names = variable.captures_iter(&text);
        names.map(|name| name[1].to_owned()).collect()
    };
    let mut defined: BTreeSet<_> = BUILT_IN.map(str::to_owned).into();
    let mut used = BTreeSet::new();
    let variables = dashboard.0["templating"]["list"].as_array();
    for variable in variables.expect("there are variables") {
        // "All" is chosen at first.
        let mut needed = names(variable);
        needed.remove("__all");
        assert!(needed.is_subset(&defined), "{variable}");
        defined.insert(text(&variable["name"]));
        used.append(&mut needed);
    }
    used.append(&mut names(&dashboard.0["panels"]));
    assert_eq!(used, defined);
}

#[test]
fn exemplars_are_shown_for_the_duration_of_queries() {
    let dashboard = Dashboard::read();
    let with_exemplars = dashboard.expressions().filter(|query| query.exemplars);
    let texts: Vec<_> = with_exemplars.map(|query| query.text).collect();
    assert!(!texts.is_empty());
    for text in texts {
        assert!(
            text.contains("imagestore_query_duration_seconds_bucket"),
            "{text}"
        );
    }
}
