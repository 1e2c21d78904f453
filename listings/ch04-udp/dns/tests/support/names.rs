//! A thousand names, and what is true of them.

use std::fmt::Write;

use udp_dns::resolver::{Answer, Failure};
use udp_dns::zone::Zone;
use udp_dns_message::{NameBuf, Type};

/// How many names.
pub const NAMES: usize = 1000;

/// A question, and its only right answer.
pub struct Known {
    pub name: NameBuf,
    pub qtype: Type,
    pub truth: Truth,
}

/// What is true of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// These records, as a zone file has their data, sorted.
    Records(Vec<String>),
    NoSuchName,
    NoData,
}

impl Truth {
    /// What a resolver claims.
    pub fn of(result: &Result<Answer, Failure>) -> Result<Self, Failure> {
        Ok(match result.as_ref().map_err(Clone::clone)? {
            Answer::Found(found) => {
                let mut data: Vec<String> = found
                    .records()
                    .map(|record| record.rdata.to_string())
                    .collect();
                data.sort();
                Self::Records(data)
            }
            Answer::NoSuchName { .. } => Self::NoSuchName,
            Answer::NoData { .. } => Self::NoData,
        })
    }
}

/// The zone and the questions: addresses of both kinds, chains of aliases, texts that fit no datagram,
/// names that do not exist, and names without such records.
pub fn thousand() -> (Zone, Vec<Known>) {
    let mut zone = String::from(
        "$ORIGIN example.net.\n$TTL 300\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\nns A 192.0.2.53\n",
    );
    let mut known = Vec::new();
    for number in 0..NAMES {
        let (a, b) = (number / 250, number % 250 + 1);
        let v4 = format!("10.9.{a}.{b}");
        let v6 = format!("2001:db8::{:x}", number + 0x1000);
        let records = |data: &[&str]| {
            let mut data: Vec<String> = data.iter().map(|text| (*text).to_owned()).collect();
            data.sort();
            Truth::Records(data)
        };
        let (qtype, truth) = match number % 10 {
            0..=3 => {
                writeln!(zone, "host{number} A {v4}").unwrap();
                (Type::A, records(&[&v4]))
            }
            4 => {
                writeln!(zone, "host{number} AAAA {v6}\n AAAA 2001:db8::1").unwrap();
                (Type::AAAA, records(&[&v6, "2001:db8::1"]))
            }
            5 => {
                writeln!(zone, "host{number} CNAME near{number}\nnear{number} A {v4}").unwrap();
                (Type::A, records(&[&v4]))
            }
            6 => {
                let chain = format!(
                    "host{number} CNAME near{number}\nnear{number} CNAME far{number}\n\
                     far{number} AAAA {v6}"
                );
                writeln!(zone, "{chain}").unwrap();
                (Type::AAAA, records(&[&v6]))
            }
            7 => (Type::A, Truth::NoSuchName),
            8 => {
                writeln!(zone, "host{number} A {v4}").unwrap();
                (Type::AAAA, Truth::NoData)
            }
            _ => {
                let texts = ["a", "b", "c", "d", "e", "f"]
                    .map(|letter| format!("\"{number}{}\"", letter.repeat(240)));
                for text in &texts {
                    writeln!(zone, "host{number} TXT {text}").unwrap();
                }
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                (Type::TXT, records(&texts))
            }
        };
        known.push(Known {
            name: format!("host{number}.example.net").parse().unwrap(),
            qtype,
            truth,
        });
    }
    (Zone::parse(&zone).unwrap(), known)
}
