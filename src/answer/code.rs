//! gRPC status codes.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(usize);

impl Code {
    /// Spelled as in <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>, each at the index of its number.
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];

    pub(crate) const OK: Self = Self(0);
    pub(crate) const CANCELLED: Self = Self(1);
    pub(crate) const UNKNOWN: Self = Self(2);
    pub(crate) const DEADLINE_EXCEEDED: Self = Self(4);
    pub(crate) const PERMISSION_DENIED: Self = Self(7);
    pub(crate) const RESOURCE_EXHAUSTED: Self = Self(8);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);
    pub(crate) const INTERNAL: Self = Self(13);
    pub(crate) const UNAVAILABLE: Self = Self(14);

    /// The code of this number; UNKNOWN if gRPC does not define it.
    pub(crate) fn of(number: i32) -> Self {
        let known = usize::try_from(number).ok();
        known
            .filter(|&number| number < Self::NAMES.len())
            .map_or(Self::UNKNOWN, Self)
    }

    /// All codes but OK.
    pub(crate) fn errors() -> impl Iterator<Item = Self> {
        (1..Self::NAMES.len()).map(Self)
    }

    /// Its name, for example `UNAVAILABLE`.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self.0]
    }
}
