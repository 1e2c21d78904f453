//! The longest prefix that matches.

use std::net::IpAddr;

use crate::prefix::{Prefix, bits_of};

// ANCHOR: table
/// Networks, each with a value, and for an address the longest one in which it lies: what a router
/// asks of its routes for every packet (RFC 1812 §5.2.4.3), and IANA of its registry.
///
/// A binary trie for each family: one step down for each bit of the address, 32 or 128 at most,
/// however many networks there are. Kernels skip what does not branch; the answer is the same.
#[derive(Debug, Clone)]
pub struct Table<T> {
    nodes: Vec<Node<T>>,
}

#[derive(Debug, Clone)]
struct Node<T> {
    /// Where it goes on with a 0, and with a 1. The two roots are nobody's children.
    children: [Option<usize>; 2],
    entry: Option<(Prefix, T)>,
}

impl<T> Table<T> {
    /// A table without networks.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: vec![Node::new(), Node::new()],
        }
    }

    /// Adds a network, and gives the value that it had before, if any.
    pub fn insert(&mut self, prefix: Prefix, value: T) -> Option<T> {
        let bits = bits_of(prefix.network());
        let mut node = root(prefix.network());
        for at in 0..prefix.len() {
            let next = self.nodes.len();
            let child = self.nodes[node].children[bits.bit(at)].get_or_insert(next);
            node = *child;
            if node == next {
                self.nodes.push(Node::new());
            }
        }
        let before = self.nodes[node].entry.replace((prefix, value));
        before.map(|(_, value)| value)
    }

    /// The longest network in which `address` lies, and its value.
    #[must_use]
    pub fn longest_match(&self, address: IpAddr) -> Option<(Prefix, &T)> {
        let bits = bits_of(address);
        let mut node = &self.nodes[root(address)];
        let mut longest = node.entry.as_ref();
        for at in 0..bits.count {
            let Some(child) = node.children[bits.bit(at)] else {
                break;
            };
            node = &self.nodes[child];
            longest = node.entry.as_ref().or(longest);
        }
        longest.map(|(prefix, value)| (*prefix, value))
    }
}
// ANCHOR_END: table

fn root(address: IpAddr) -> usize {
    usize::from(address.is_ipv6())
}

impl<T> Node<T> {
    const fn new() -> Self {
        Self {
            children: [None; 2],
            entry: None,
        }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FromIterator<(Prefix, T)> for Table<T> {
    fn from_iter<I: IntoIterator<Item = (Prefix, T)>>(entries: I) -> Self {
        let mut table = Self::new();
        for (prefix, value) in entries {
            table.insert(prefix, value);
        }
        table
    }
}
