//! The registry of an image, from the image's name.

use std::{net::Ipv6Addr, str::from_utf8};

use crate::answer::Registry;

/// The beginning of an image's first tag or digest that is a name.
#[derive(Debug, Default)]
pub(super) struct Name {
    given: bool,
    beginning: Vec<u8>,
}

impl Name {
    /// Bytes of a name that are read: a host name (at most 253 bytes), a port and a slash; or a whole name as registries accept it
    /// (255 bytes), with a placeholder for the tag.
    pub(super) const WANTED: usize = 264;

    /// The registry that runtimes assume for a name without a host.
    const DEFAULT_REGISTRY: &str = "docker.io";

    /// Its former name, which runtimes treat as the same registry.
    const LEGACY_DEFAULT_REGISTRY: &str = "index.docker.io";

    pub(super) fn is_given(&self) -> bool {
        self.given
    }

    /// Takes the next name of the image. Only the first one counts; empty names and Docker's placeholders are ignored.
    pub(super) fn give(&mut self, beginning: &[u8]) {
        if self.given || beginning.is_empty() || is_placeholder(beginning) {
            return;
        }
        self.given = true;
        self.beginning.clear();
        self.beginning.extend_from_slice(beginning);
    }

    /// Starts another image.
    pub(super) fn forget(&mut self) {
        self.given = false;
    }

    /// The part before the first slash, if it looks like a host: it has a dot, a port or a capital letter, or is `localhost`
    /// (<https://github.com/distribution/reference>, `splitDockerDomain`). Hosts are compared in lower case (RFC 3986).
    pub(super) fn registry(&mut self) -> Registry<'_> {
        if !self.given {
            return Registry::None;
        }
        match self.plain_host() {
            Some(length) => {
                from_utf8(&self.beginning[..length]).map_or(Registry::Invalid, Registry::Host)
            }
            None => self.any_registry(),
        }
    }

    fn any_registry(&mut self) -> Registry<'_> {
        let Some(slash) = self.beginning.iter().position(|&byte| byte == b'/') else {
            return self.registry_of_only_component();
        };
        let first = &mut self.beginning[..slash];
        let has_capitals = first.iter().any(u8::is_ascii_uppercase);
        first.make_ascii_lowercase();
        let looks_like_host = has_capitals
            || *first == *b"localhost"
            || first.iter().any(|byte| matches!(byte, b'.' | b':'));
        match from_utf8(first) {
            Ok(Self::LEGACY_DEFAULT_REGISTRY) => Registry::Host(Self::DEFAULT_REGISTRY),
            Ok(host) if looks_like_host && is_host(host) => Registry::Host(host),
            Ok(component) if !looks_like_host && is_component(component.as_bytes()) => {
                Registry::Host(Self::DEFAULT_REGISTRY)
            }
            _ => Registry::Invalid,
        }
    }

    /// Fast path: the length of a host that is lower-case letters, digits, hyphens and at least one dot, and is followed by a
    /// slash, as nearly all are.
    fn plain_host(&self) -> Option<usize> {
        let mut has_dot = false;
        for (length, &byte) in self.beginning.iter().enumerate() {
            match byte {
                b'a'..=b'z' => {}
                b'0'..=b'9' | b'-' if length > 0 => {}
                b'.' if length > 0 => has_dot = true,
                b'/' if has_dot => {
                    let is_legacy =
                        self.beginning[..length] == *Self::LEGACY_DEFAULT_REGISTRY.as_bytes();
                    return (!is_legacy).then_some(length);
                }
                _ => return None,
            }
        }
        None
    }

    /// The registry of a name without a slash, and so without a host.
    fn registry_of_only_component(&self) -> Registry<'_> {
        let end = |&byte: &u8| matches!(byte, b':' | b'@');
        let component = self.beginning.split(end).next().unwrap_or_default();
        // If the name was cut, a slash may follow.
        if self.beginning.len() < Self::WANTED && is_component(component) {
            Registry::Host(Self::DEFAULT_REGISTRY)
        } else {
            Registry::Invalid
        }
    }
}

/// Whether this is Docker's placeholder for a missing tag or digest, such as `<none>:<none>` or `<none>@<none>`; cri-dockerd passes
/// it on.
fn is_placeholder(name: &[u8]) -> bool {
    const NONE: &[u8] = b"<none>";
    let separates = |byte: Option<&u8>| matches!(byte, None | Some(b':' | b'@'));
    let begins = name.strip_prefix(NONE);
    let ends = name.strip_suffix(NONE);
    begins.is_some_and(|rest| separates(rest.first()))
        || ends.is_some_and(|rest| separates(rest.last()))
}

/// Whether this is a host name or address (IPv6 in brackets), with an optional port.
fn is_host(host: &str) -> bool {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split_once(']').is_some_and(|(address, port)| {
            address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || is_port(port))
        });
    }
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    is_component(name.as_bytes()) && (port.is_empty() || is_port(port))
}

/// Whether this is a colon and a number.
fn is_port(port: &str) -> bool {
    let digits = port.strip_prefix(':').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this has only the characters of a host name, which are also those of a component of an image's name.
fn is_component(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_alphanumeric)
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{Name, Registry};

    /// The registry of an image with these names.
    fn registry_of(names: &[&[u8]]) -> String {
        let mut first = Name::default();
        for name in names {
            first.give(&name[..name.len().min(Name::WANTED)]);
        }
        match first.registry() {
            Registry::Host(host) => host.to_owned(),
            Registry::Invalid => "(invalid)".to_owned(),
            Registry::None => "(none)".to_owned(),
        }
    }

    fn registry(name: &str) -> String {
        registry_of(&[name.as_bytes()])
    }

    #[test]
    fn the_registry_is_the_host_part_of_a_name() {
        assert_eq!(registry("registry.k8s.io/pause:3.9"), "registry.k8s.io");
        assert_eq!(registry("localhost:5000/a/b:1"), "localhost:5000");
        assert_eq!(registry("localhost/a@sha256:00"), "localhost");
        assert_eq!(registry("my_registry.internal/a"), "my_registry.internal");
        assert_eq!(registry("[::1]:5000/a"), "[::1]:5000");
        assert_eq!(registry("[::1]/a"), "[::1]");
    }

    #[test]
    fn a_name_without_a_host_is_docker_hubs() {
        for name in [
            "library/busybox:1",
            "busybox:1.36",
            "busybox",
            "sha256:00",
            "busybox@sha256:00",
            "my__image/x",
        ] {
            assert_eq!(registry(name), "docker.io", "{name}");
        }
    }

    #[test]
    fn a_host_is_the_same_in_capitals_and_a_name_with_capitals_is_one() {
        assert_eq!(registry("Registry.K8s.IO/pause:3.9"), "registry.k8s.io");
        assert_eq!(registry("[2001:DB8::1]:5000/a"), "[2001:db8::1]:5000");
        assert_eq!(registry("LocalHost/a:1"), "localhost");
        assert_eq!(registry("Registry/a:1"), "registry");
        assert_eq!(registry("registry/a:V1"), "docker.io");
    }

    #[test]
    fn docker_hubs_former_name_is_docker_hub_and_its_servers_are_not() {
        assert_eq!(registry("index.docker.io/library/busybox:1"), "docker.io");
        assert_eq!(registry("Index.Docker.io/busybox"), "docker.io");
        assert_eq!(registry("DOCKER.IO/busybox"), "docker.io");
        for other in ["registry-1.docker.io", "index.docker.io:443"] {
            assert_eq!(registry(&format!("{other}/library/busybox:1")), other);
        }
    }

    #[test]
    fn registries_named_like_our_placeholders_are_registries() {
        for host in ["other", "invalid", "none"] {
            let name = format!("{}{}/a:1", host[..1].to_uppercase(), &host[1..]);
            assert_eq!(registry(&name), host, "{name}");
        }
    }

    #[test]
    fn a_name_that_is_not_a_host_is_invalid() {
        let long = format!("{}.example/x", "a".repeat(300));
        let long_without_a_slash = "a".repeat(300);
        for name in [
            long.as_str(),
            long_without_a_slash.as_str(),
            "a\nb.example/x",
            "\u{c4}.example/a",
            "a\"\\.example/x",
            "a b.example/x",
            "user:secret@a.example/x",
            "http://a.example/x",
            "/a:1",
            ":5000/a",
            "./a",
            "a.example:/x",
            "a.example:port/x",
            "a.example:1:2/x",
            "[]/a",
            "[::1/a",
            "[::1]x/a",
            "[::1]:/a",
            "[a.example]/a",
            "::1/a",
            "(other)/a:1",
            "(none)",
            "(Invalid).example/a:1",
            "<none>/a:1",
        ] {
            assert_eq!(registry(name), "(invalid)", "{name}");
        }
    }

    #[test]
    fn placeholders_are_not_names() {
        for name in [
            "<none>",
            "<none>:<none>",
            "<none>@<none>",
            "quay.io/a:<none>",
            "quay.io/a@<none>",
            "<none>@sha256:00",
            "<none>:1",
        ] {
            assert_eq!(registry(name), "(none)", "{name}");
            let names = [name.as_bytes(), b"ghcr.io/b:1"];
            assert_eq!(registry_of(&names), "ghcr.io", "{name}");
        }
        assert_eq!(registry("quay.io/a<none>"), "quay.io");
    }

    proptest! {
        #[test]
        fn the_fast_path_finds_the_same_registry(name in "[a-z0-9.-]{0,9}(index\\.docker\\.io)?/?[a-z:/]{0,9}") {
            let mut first = Name::default();
            first.give(name.as_bytes());
            let short = format!("{:?}", first.registry());
            if first.is_given() {
                prop_assert_eq!(short, format!("{:?}", first.any_registry()));
            }
        }

        #[test]
        fn every_registry_is_ours_or_has_the_characters_of_a_host(
            host in prop_oneof!["[a-zA-Z0-9.:()_\\[\\]-]{0,20}", ".{0,12}", "\\((other|none|invalid)\\)"],
            rest in vec(any::<u8>(), 0..300),
        ) {
            let name = [host.as_bytes(), rest.as_slice()].concat();
            let registry = registry_of(&[&name]);
            let of_a_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:[]".contains(&byte);
            prop_assert!(
                ["(invalid)", "(none)"].contains(&registry.as_str()) || registry.bytes().all(of_a_host),
                "{registry:?}"
            );
            prop_assert!(!registry.is_empty() && registry.len() <= Name::WANTED);
        }
    }
}
