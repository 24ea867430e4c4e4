//! One namespace of containerd, by containerd's own API: `containerd.services.*.v1`, see proto/containerd-*.proto. Only this module
//! uses their generated types.

use async_trait::async_trait;
use http::HeaderValue;
use tonic::{Code, Status};

use crate::{
    answer::{QueryError, Runtime},
    images::{
        grpc::{self, Calls, Channel, Context},
        kind::{Description, Listed, Parameter, Store, StoreKind},
        kinds::references::{self, AwaitedReferences, Containers},
        side_call::SideCall,
    },
    words::{counted, label},
};

#[allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    reason = "generated from proto/containerd-*.proto; lists are scanned; only tests decode them"
)]
mod v1 {
    pub(super) mod images {
        tonic::include_proto!("containerd.services.images.v1");
    }
    pub(super) mod namespaces {
        tonic::include_proto!("containerd.services.namespaces.v1");
    }
    pub(super) mod version {
        tonic::include_proto!("containerd.services.version.v1");
    }
}

mod count;

use count::Count;

/// The kind `containerd`.
pub(super) static KIND: StoreKind = StoreKind {
    name: "containerd",
    runtimes: "one namespace of containerd, as Docker and nerdctl use it",
    default_port: None,
    // The kind `cri` has those of containerd.
    sockets: &[],
    parameter: Some(&Parameter {
        key: "namespace",
        value: "moby",
        expected: "each namespace is a store of its own: moby is Docker's, default is nerdctl's and ctr's, k8s.io is that of Kubernetes",
        check: check_namespace,
    }),
    store: |namespace| Box::new(Containerd::new(namespace.unwrap_or_default())),
};

/// Lists the names of images in one message.
const LIST_IMAGES: &str = "containerd.services.images.v1.Images/List";

/// Lists the containers, each in a message of its own, or all in one message.
const STREAM_CONTAINERS: &str = "containerd.services.containers.v1.Containers/ListStream";
const LIST_CONTAINERS: &str = "containerd.services.containers.v1.Containers/List";

/// A container's field `image`: a name.
const REFERENCES: references::Fields = [3, 3];

/// The namespace of Docker, which deletes the container of containerd when it stops: the images of its own stopped containers would
/// seem unused.
const DOCKER: &str = "moby";

/// Lists the namespaces.
const LIST_NAMESPACES: &str = "containerd.services.namespaces.v1.Namespaces/List";

/// The version of containerd.
const VERSION: &str = "containerd.services.version.v1.Version/Version";

/// The version of the API, which containerd does not report.
const API_VERSION: &str = "v1";

/// The metadata that names the namespace of a call.
const NAMESPACE: &str = "containerd-namespace";

/// Most namespaces that a warning names.
const MAX_NAMESPACES: usize = 16;

/// A namespace of containerd.
#[derive(Debug)]
struct Containerd {
    namespace: String,
    /// Whether the last list was empty.
    is_empty: bool,
    containers: Containers,
    version: SideCall,
    namespaces: SideCall,
}

impl Containerd {
    fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            is_empty: false,
            containers: Containers::of(STREAM_CONTAINERS, LIST_CONTAINERS, REFERENCES),
            version: SideCall::of(VERSION),
            namespaces: SideCall::of(LIST_NAMESPACES),
        }
    }

    /// containerd lists a namespace that does not exist as empty. A wrong name must not look like a host without images.
    async fn missing(&mut self, calls: &Calls<'_>) -> Option<String> {
        let known = self.namespaces.call(calls, namespaces).await?;
        (!known.contains(&self.namespace)).then(|| {
            let (namespace, known) = (&self.namespace, named(&known));
            format!("the namespace {namespace} does not exist; containerd has {known}")
        })
    }
}

#[async_trait(?Send)]
impl Store for Containerd {
    async fn list(&mut self, calls: &Calls<'_>) -> Result<Listed, QueryError> {
        let namespace = header(&self.namespace);
        let calls = calls.with(NAMESPACE, &namespace);
        let list = async |references: &AwaitedReferences| {
            let request = async |channel: &mut Channel, context| {
                list_images(channel, context, references).await
            };
            calls.call(LIST_IMAGES, request).await
        };
        let listed = if self.namespace == DOCKER {
            let unknown = AwaitedReferences::new_with(Some(None));
            list(&unknown).await?
        } else {
            self.containers.beside(&calls, list).await?
        };
        self.is_empty = listed.contents.names == Some(0);
        Ok(listed)
    }

    async fn describe(&mut self, calls: &Calls<'_>) -> Description {
        let runtime = self.version.call(calls, version).await;
        let warning = if self.is_empty {
            self.missing(calls).await
        } else {
            None
        };
        Description {
            runtime,
            filesystems: None,
            warning,
        }
    }
}

/// Calls List of the images without a filter, and awaits the containers' references when the answer begins.
async fn list_images(
    channel: &mut Channel,
    context: Context,
    references: &AwaitedReferences,
) -> Result<Listed, Status> {
    let request = v1::images::ListImagesRequest {
        filters: Vec::new(),
    };
    let mut reply = grpc::ask(channel, LIST_IMAGES, &request, context)
        .await
        .map_err(explained)?;
    let mut count = Count::new(references.wait().await.as_ref());
    let received = reply.scan(&mut count).await.map_err(explained)?;
    grpc::require_one_message(received.messages)?;
    grpc::record(&count.contents);
    Ok(Listed {
        contents: count.contents,
        bytes: received.bytes,
        warning: count.uncounted.map(|why| why.to_string()),
    })
}

/// Calls Version.
async fn version(channel: &mut Channel, context: Context) -> Result<Runtime, Status> {
    let answer: v1::version::VersionResponse = grpc::unary(channel, VERSION, &(), context).await?;
    Ok(Runtime {
        name: "containerd".to_owned(),
        version: label(&answer.version),
        api_version: API_VERSION.to_owned(),
    })
}

/// Calls List of the namespaces.
async fn namespaces(channel: &mut Channel, context: Context) -> Result<Vec<String>, Status> {
    let request = v1::namespaces::ListNamespacesRequest {
        filter: String::new(),
    };
    let answer: v1::namespaces::ListNamespacesResponse =
        grpc::unary(channel, LIST_NAMESPACES, &request, context).await?;
    let namespaces = answer.namespaces.into_iter();
    Ok(namespaces.map(|namespace| namespace.name).collect())
}

/// The first namespaces, for a warning.
fn named(namespaces: &[String]) -> String {
    let shown = namespaces.iter().take(MAX_NAMESPACES);
    let mut shown: Vec<String> = shown.map(|name| label(name)).collect();
    if let Some(more @ 1..) = namespaces.len().checked_sub(MAX_NAMESPACES) {
        shown.push(format!("{more} more"));
    }
    if shown.is_empty() {
        shown.push("no namespaces".to_owned());
    }
    shown.join(", ")
}

fn header(namespace: &str) -> HeaderValue {
    HeaderValue::from_str(namespace)
        .expect("the configuration permits letters, digits and separators only")
}

/// The rule of containerd for identifiers, see its pkg/identifiers.
fn check_namespace(namespace: &str) -> Result<(), String> {
    const LONGEST: usize = 76;
    let is_separator = |c: char| matches!(c, '.' | '_' | '-');
    let mut parts = namespace.split(is_separator);
    let is_valid = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
    if namespace.len() <= LONGEST && parts.all(is_valid) {
        return Ok(());
    }
    Err(format!(
        "expected letters and digits with single '.', '_' or '-' between them, at most {}",
        counted(LONGEST as u64, "character")
    ))
}

fn explained(status: Status) -> Status {
    let message = status.message();
    match status.code() {
        Code::ResourceExhausted if message.contains("message larger than max") => {
            Status::resource_exhausted(format!(
                "{message}; raise max_send_message_size in containerd's configuration: in [grpc], or in [plugins.\"io.containerd.server.v1.grpc\"] if the file has version 4"
            ))
        }
        Code::Unimplemented => Status::unimplemented(format!(
            "this is not containerd's own API, which it serves at its Unix socket only; for CRI-O and other Kubernetes runtimes use the kind cri: {message}"
        )),
        _ => status,
    }
}

#[cfg(test)]
mod tests;
