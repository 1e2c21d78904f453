//! How much of anything a peer may send.

/// The longest head that can be noted, in bytes: its places are counted in 16 bits.
pub const MAX_HEAD: usize = u16::MAX as usize;

/// How many field lines there is room for in a [`Scratch`](crate::Scratch): 800 bytes of slots.
pub const MAX_FIELDS: usize = 100;

/// What a peer may send. Whatever is longer is refused with the status that says so, before it is
/// kept: the limits bound what a connection costs, whoever is at its other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The request line or status line, in bytes without CRLF; beyond it 414.
    pub start_line: usize,
    /// One field line of a head or a trailer section, in bytes without CRLF; beyond it 431.
    pub field_line: usize,
    /// How many field lines a head or a trailer section may have; beyond it 431. [`MAX_FIELDS`]
    /// bounds it, too.
    pub fields: usize,
    /// The whole head, in bytes, its empty line included; beyond it 431. [`MAX_HEAD`] bounds it, too.
    pub head: usize,
    /// All chunk extensions of one message, in bytes; beyond it 400.
    pub chunk_extensions: usize,
    /// The whole trailer section, in bytes, its empty line included; beyond it 431.
    pub trailers: usize,
    /// The content of one message, in bytes, without its chunked coding; beyond it 413.
    pub body: u64,
}

impl Limits {
    /// What suits a server on the open Internet.
    pub const DEFAULT: Self = Self {
        // RFC 9112 §3 recommends 8000 at least.
        start_line: 8192,
        // As long as the request line: nginx and Apache draw the same line, so what passes them
        // passes here, and browsers keep a cookie below 4096.
        field_line: 8192,
        // Apache's figure, too. Browsers send about twenty, proxies add a few.
        fields: MAX_FIELDS,
        // A connection whose head is not complete yet keeps this much at most. Node.js has the same.
        head: 16 * 1024,
        // Hardly anyone sends any. Without a limit, one byte of content could cost kilobytes of
        // extensions (Go's CVE-2023-39326).
        chunk_extensions: 1024,
        // They carry a digest or a signature, seldom more.
        trailers: 4096,
        // As nginx's `client_max_body_size`: enough for a form, and what a service that takes
        // uploads raises.
        body: 1024 * 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
