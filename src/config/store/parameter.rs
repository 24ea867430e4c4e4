//! The parameter at the end of a store's URL: `?KEY=VALUE`.

use crate::{
    config::shown,
    images::{Parameter, StoreKind, kinds::KINDS},
};

/// The value of the kind's parameter in what follows the question mark; `None` if the kind has no parameter.
pub(super) fn parse(kind: &StoreKind, query: Option<&str>) -> Result<Option<String>, String> {
    match (kind.parameter, query) {
        (None, None) => Ok(None),
        (None, Some(query)) => Err(match kind_with(query) {
            Some((right, Parameter { key, expected, .. })) => format!(
                "the parameter {key} belongs to the kind {right}: expected {right}+unix:///PATH?{key}=NAME; {expected}"
            ),
            None => format!(
                "a store of kind {kind} has no parameters: remove {}",
                shown(&format!("?{query}"))
            ),
        }),
        (Some(parameter), query) => value(kind, parameter, query.unwrap_or_default()).map(Some),
    }
}

/// The kind that has this parameter.
pub(super) fn kind_with(query: &str) -> Option<(&'static StoreKind, &'static Parameter)> {
    let (name, _) = query.split_once('=').unwrap_or((query, ""));
    let mut with_parameters = KINDS
        .iter()
        .filter_map(|&kind| Some((kind, kind.parameter?)));
    with_parameters.find(|(_, parameter)| parameter.key == name)
}

fn value(kind: &StoreKind, parameter: &Parameter, query: &str) -> Result<String, String> {
    let Parameter { key, expected, .. } = parameter;
    let form = format!(
        "expected {kind}+unix:///PATH{}; {expected}",
        parameter.example()
    );
    if query.is_empty() {
        return Err(format!("the {key} is missing: {form}"));
    }
    let (name, value) = query.split_once('=').unwrap_or((query, ""));
    if name != *key {
        return Err(format!(
            "{} is not a parameter of a store: {form}",
            shown(name)
        ));
    }
    match value {
        "" => Err(format!("the {key} is empty: {form}")),
        "*" => Err(format!("one store cannot have every {key}: {form}")),
        value => match (parameter.check)(value) {
            Ok(()) => Ok(value.to_owned()),
            Err(why) => Err(format!("{} is not a valid {key}: {why}", shown(value))),
        },
    }
}

#[cfg(test)]
mod tests {
    use crate::config::store::parse;

    fn error(text: &str) -> String {
        parse(text).expect_err(text)
    }

    #[test]
    fn a_store_of_containerd_has_a_namespace_which_is_a_part_of_its_url() {
        for namespace in ["moby", "default", "k8s.io", "a-b_c.D9", &"a".repeat(76)] {
            for address in [
                "unix:///run/containerd/containerd.sock",
                "http://127.0.0.1:1",
            ] {
                let url = format!("containerd+{address}?namespace={namespace}");
                let store = parse(&format!("docker={url}")).expect("it is valid");
                assert_eq!(store.parameter.as_deref(), Some(namespace));
                assert_eq!(store.url(), url);
                assert_eq!(store.name, "docker");
                assert_eq!(parse(&url).expect("it is valid").name, "containerd");
            }
        }
    }

    #[test]
    fn a_missing_or_unknown_parameter_is_refused_with_the_form_that_is_right() {
        let socket = "containerd+unix:///run/containerd/containerd.sock";
        for (query, begins) in [
            ("", "the namespace is missing"),
            ("?", "the namespace is missing"),
            ("?namespace", "the namespace is empty"),
            ("?namespace=", "the namespace is empty"),
            ("?namespace=*", "one store cannot have every namespace"),
            ("?ns=moby", "\"ns\" is not a parameter of a store"),
            ("?=moby", "\"\" is not a parameter of a store"),
            ("?moby", "\"moby\" is not a parameter of a store"),
            (
                "?Namespace=moby",
                "\"Namespace\" is not a parameter of a store",
            ),
        ] {
            let error = error(&format!("{socket}{query}"));
            let form = ": expected containerd+unix:///PATH?namespace=moby; each namespace is a store of its own";
            assert!(
                error.starts_with(&format!("{begins}{form}")),
                "{query}: {error}"
            );
        }
    }

    #[test]
    fn a_value_that_containerd_would_refuse_is_refused() {
        let long = "a".repeat(77);
        for namespace in [
            "moby,", "a b", "-a", "a.", "a..b", "a/b", "é", "a&x=1", "a%20", &long,
        ] {
            let url = format!("containerd+unix:///run/x.sock?namespace={namespace}");
            let error = error(&url);
            assert!(
                error.contains("is not a valid namespace: expected letters"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_other_kinds_have_no_parameters() {
        for url in [
            "rkt+http://127.0.0.1:1?",
            "unix:///run/x.sock?x",
            "cri+unix:///run/x.sock?Namespace=a",
        ] {
            assert!(
                error(url).contains("has no parameters: remove \"?"),
                "{url}"
            );
        }
        for url in [
            "cri+unix:///run/x.sock?namespace=k8s.io",
            "unix:///run/x.sock?namespace",
        ] {
            let form = "the parameter namespace belongs to the kind containerd: expected containerd+unix:///PATH?namespace=NAME";
            assert!(error(url).contains(form), "{url}");
        }
        let bare = error("/run/x.sock?namespace=moby");
        let form = "expected containerd+unix:///run/x.sock?namespace=moby";
        assert!(bare.ends_with(form), "{bare}");
    }
}
