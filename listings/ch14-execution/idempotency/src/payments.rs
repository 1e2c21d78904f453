//! What happens to a request that carries a key.

use std::fmt;
use std::str::FromStr;

use serde_json::json;

use crate::bank::{self, Bank, Outcome};
use crate::store::{self, Row, Store};

/// The longest key, in bytes, and the longest name of a client or card: a UUID has 36, Stripe takes 255.
pub const LONGEST_NAME: usize = 255;

/// The largest amount that a request may ask for: ten million, far above what one payment should be
/// and far below where sums of them would overflow.
pub const MOST_CENTS: u64 = 1_000_000_000;

/// For how long a worker has a request to itself. One that works has asked the bank and stored the
/// answer by then, whatever it had to wait for; one that has not counts as dead.
pub const LEASE_S: u64 = 30;
const _: () = assert!(LEASE_S > 2 * bank::PATIENCE.as_secs() + store::PATIENCE.as_secs());

/// How long an answer is kept: longer than any client goes on repeating. Published, since after it
/// the same key means a new payment.
pub const KEPT_S: u64 = 24 * 60 * 60;

/// How many abandoned requests are completed, and how many old ones deleted, in one go: so that neither
/// holds memory or locks without bound.
pub const BATCH: u32 = 1000;

/// A request for a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    client: String,
    key: String,
    payment: Payment,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Who pays.
    pub card: String,
    /// How much.
    pub cents: u64,
}

/// Why a request is refused before anything is done, in the words for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid(pub &'static str);

/// A status code and a body, as they are stored and given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP's status code.
    pub status: u16,
    /// The body, JSON.
    pub body: String,
}

/// What the client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// Whether it had been given before; over HTTP, a header field would say so.
    pub replayed: bool,
}

impl Request {
    /// Checks what came in. `client` is whom the connection authenticated, never what a header says.
    ///
    /// # Errors
    ///
    /// When a name is empty, too long or not printable ASCII.
    pub fn new(client: &str, key: &str, payment: Payment) -> Result<Self, Invalid> {
        if !is_name(client) {
            return Err(Invalid(
                "the client's name is not 1 to 255 printable characters",
            ));
        }
        if !is_name(key) {
            return Err(Invalid("the key is not 1 to 255 printable characters"));
        }
        Ok(Self {
            client: client.to_owned(),
            key: key.to_owned(),
            payment,
        })
    }
}

/// `CLIENT KEY CARD CENTS`, as a worker reads it.
impl FromStr for Request {
    type Err = Invalid;

    fn from_str(line: &str) -> Result<Self, Invalid> {
        let mut words = line.trim_end().splitn(3, ' ');
        let (Some(client), Some(key), Some(payment)) = (words.next(), words.next(), words.next())
        else {
            return Err(Invalid("a request is CLIENT KEY CARD CENTS"));
        };
        Self::new(client, key, payment.parse()?)
    }
}

/// `CARD CENTS`: how a payment is stored, and compared with the one of a repetition.
impl fmt::Display for Payment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.card, self.cents)
    }
}

impl FromStr for Payment {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (card, cents) = text.split_once(' ').unwrap_or((text, ""));
        if !is_name(card) {
            return Err(Invalid("the card is not 1 to 255 printable characters"));
        }
        // `parse` alone would take a sign.
        if !cents.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(Invalid("the amount is not a number of cents"));
        }
        match cents.parse() {
            Ok(cents @ 1..=MOST_CENTS) => Ok(Self {
                card: card.to_owned(),
                cents,
            }),
            _ => Err(Invalid("the amount is not 1 to 1000000000 cents")),
        }
    }
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

// ANCHOR: decide
/// What to do with a request whose key is known.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was answered: give that answer again.
    Replay(Answer),
    /// The same key with another payment: a mistake of the client's.
    Refuse,
    /// Somebody works on it.
    Wait,
    /// Whoever worked on it is gone: go on where they stopped.
    Continue,
    /// It was answered so long ago that the key is free again.
    Renew,
}

/// Decides by what is stored under the key, what is asked for now, and the time.
#[must_use]
pub fn decide(row: &Row, payment: &str, now_s: u64) -> Decision {
    match &row.answer {
        Some(_) if row.expires_s <= now_s => Decision::Renew,
        _ if row.payment != payment => Decision::Refuse,
        Some(answer) => Decision::Replay(answer.clone()),
        None if row.leased_until_s > now_s => Decision::Wait,
        // However old: perhaps the bank has charged, and only this row knows the reference.
        None => Decision::Continue,
    }
}
// ANCHOR_END: decide

impl Answer {
    /// The answer to a payment follows from its reference and the bank's decision alone: whoever
    /// works it out comes to the same.
    fn to(reference: &str, cents: u64, outcome: &Outcome) -> Self {
        let (status, body) = match outcome {
            Outcome::Charged { id } => (
                201,
                json!({"payment": reference, "charge": id, "cents": cents, "status": "paid"}),
            ),
            // RFC 9110 §15.5.3 reserves this code; payment services have taken it for this.
            Outcome::Declined => (
                402,
                json!({"payment": reference, "cents": cents, "status": "declined"}),
            ),
        };
        let body = body.to_string();
        Self { status, body }
    }

    /// An answer that says why there is none yet, or will be none. It is not stored.
    fn problem(status: u16, title: &str) -> Reply {
        Reply {
            answer: Self {
                status,
                body: json!({"title": title, "status": status}).to_string(),
            },
            replayed: false,
        }
    }
}

impl From<Invalid> for Reply {
    fn from(Invalid(reason): Invalid) -> Self {
        Answer::problem(400, reason)
    }
}

/// The payment service of one worker: its connection to the store, its way to the bank.
pub struct Service<'a> {
    store: Box<dyn Store>,
    bank: Bank,
    at: Box<dyn FnMut(&'static str) + 'a>,
}

/// Who goes on with a request after its key has been looked up.
enum Claim {
    /// We do.
    Ours(Row),
    /// Nobody needs to: this is what the client gets.
    Over(Reply),
}

impl<'a> Service<'a> {
    /// A service that tells nobody what step it is at.
    #[must_use]
    pub fn new(store: Box<dyn Store>, bank: Bank) -> Self {
        let at = Box::new(|_: &'static str| ());
        Self { store, bank, at }
    }

    /// The same service, which calls `at` with the name of each step that it has reached: tests stop
    /// it there, and kill it.
    #[must_use]
    pub fn at_each_step(self, at: impl FnMut(&'static str) + 'a) -> Self {
        let at = Box::new(at);
        Self { at, ..self }
    }

    // ANCHOR: pay
    /// Pays, once, however often it is called with the same client and key.
    ///
    /// # Errors
    ///
    /// When the store fails. Then nothing is known, and the client may ask again.
    pub fn pay(&mut self, now_s: u64, request: &Request) -> Result<Reply, store::Error> {
        (self.at)("request read");
        match self.claim(now_s, request)? {
            Claim::Ours(row) => self.complete(row),
            Claim::Over(reply) => Ok(reply),
        }
    }
    // ANCHOR_END: pay

    // ANCHOR: claim
    /// The first transaction: makes the request ours before anything is done for it.
    fn claim(&mut self, now_s: u64, request: &Request) -> Result<Claim, store::Error> {
        let new = Row::new(request, now_s); // with a reference that nobody has used
        let mut transaction = self.store.begin()?;
        if transaction.insert(&new)? {
            (self.at)("key inserted");
            transaction.commit()?;
            (self.at)("key committed");
            return Ok(Claim::Ours(new));
        }
        let Some(found) = transaction.lock(&request.client, &request.key)? else {
            // Deleted in between, since it was old.
            return Ok(Claim::Over(Answer::problem(409, IN_PROGRESS)));
        };
        let row = match decide(&found, &new.payment, now_s) {
            Decision::Replay(answer) => {
                let replayed = true;
                return Ok(Claim::Over(Reply { answer, replayed }));
            }
            Decision::Refuse => return Ok(Claim::Over(Answer::problem(422, OTHER_PAYMENT))),
            Decision::Wait => return Ok(Claim::Over(Answer::problem(409, IN_PROGRESS))),
            Decision::Continue => Row {
                leased_until_s: now_s + LEASE_S,
                ..found // with the reference that the bank may know
            },
            Decision::Renew => new,
        };
        transaction.update(&row)?;
        (self.at)("lease taken");
        transaction.commit()?;
        (self.at)("lease committed");
        Ok(Claim::Ours(row))
    }
    // ANCHOR_END: claim

    // ANCHOR: complete
    /// The charge, between two transactions and in neither, and the second transaction.
    fn complete(&mut self, row: Row) -> Result<Reply, store::Error> {
        let payment = row.payment()?;
        let asked = self.bank.charge(&row.reference, &payment, &mut self.at);
        let Ok(outcome) = asked else {
            // Charged or not, nobody knows. The reference stays, and the next attempt asks with it.
            self.release(row)?;
            return Ok(Answer::problem(503, NO_BANK));
        };
        (self.at)("bank answered");

        let answer = Answer::to(&row.reference, payment.cents, &outcome);
        let mut transaction = self.store.begin()?;
        match transaction.lock(&row.client, &row.key)? {
            Some(now) if now.reference == row.reference && now.answer.is_none() => {
                transaction.record(&row.reference, &row.client, payment.cents, &answer)?;
                (self.at)("payment recorded");
                let answer = Some(answer.clone());
                transaction.update(&Row { answer, ..row })?;
                transaction.commit()?;
                (self.at)("answer committed");
            }
            // We were slow, and another worker has taken our lease and told the client the same.
            _ => drop(transaction),
        }
        let replayed = false;
        Ok(Reply { answer, replayed })
    }
    // ANCHOR_END: complete

    /// Lets the next attempt begin at once, if nobody else has the request by now.
    fn release(&mut self, row: Row) -> Result<(), store::Error> {
        let mut transaction = self.store.begin()?;
        let ours = |now: &Row| now.reference == row.reference && now.answer.is_none();
        if transaction
            .lock(&row.client, &row.key)?
            .is_some_and(|now| ours(&now))
        {
            let leased_until_s = 0;
            transaction.update(&Row {
                leased_until_s,
                ..row
            })?;
            transaction.commit()?;
        }
        Ok(())
    }

    // ANCHOR: recover
    /// Completes what workers have left undone and no client asks for again: else a card is
    /// charged, and no one here knows. Gives how many it completed.
    ///
    /// # Errors
    ///
    /// As [`pay`](Self::pay).
    pub fn recover(&mut self, now_s: u64) -> Result<usize, store::Error> {
        let mut completed = 0;
        for Row {
            client,
            key,
            payment,
            ..
        } in self.store.abandoned(now_s, BATCH)?
        {
            let payment = payment.parse().map_err(store::Error::corrupt)?;
            let request = Request {
                client,
                key,
                payment,
            };
            completed += usize::from(self.pay(now_s, &request)?.answer.status < 500);
        }
        Ok(completed)
    }

    /// Forgets answers that are older than [`KEPT_S`], and gives how many. What has no answer is
    /// never forgotten.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub fn forget(&mut self, now_s: u64) -> Result<u64, store::Error> {
        self.store.forget(now_s, BATCH)
    }
    // ANCHOR_END: recover

    // ANCHOR: one-transaction
    /// What one would write first, and what pays twice: everything in one transaction.
    ///
    /// # Errors
    ///
    /// As [`pay`](Self::pay).
    pub fn pay_in_one_transaction(
        &mut self,
        now_s: u64,
        request: &Request,
    ) -> Result<Reply, store::Error> {
        (self.at)("request read");
        let row = Row::new(request, now_s);
        let mut transaction = self.store.begin()?;
        if !transaction.insert(&row)? {
            let found = transaction.lock(&request.client, &request.key)?;
            let answer = found.and_then(|row| row.answer);
            let answer = answer.ok_or_else(|| store::Error::corrupt(Invalid("no answer")))?;
            let replayed = true;
            return Ok(Reply { answer, replayed });
        }
        (self.at)("key inserted");
        let asked = self
            .bank
            .charge(&row.reference, &request.payment, &mut self.at);
        let Ok(outcome) = asked else {
            return Ok(Answer::problem(503, NO_BANK));
        };
        (self.at)("bank answered");
        let cents = request.payment.cents;
        let answer = Answer::to(&row.reference, cents, &outcome);
        transaction.record(&row.reference, &row.client, cents, &answer)?;
        (self.at)("payment recorded");
        let stored = Some(answer.clone());
        transaction.update(&Row {
            answer: stored,
            ..row
        })?;
        transaction.commit()?;
        (self.at)("answer committed");
        let replayed = false;
        Ok(Reply { answer, replayed })
    }
    // ANCHOR_END: one-transaction
}

const IN_PROGRESS: &str = "a request with this key is in progress";
const OTHER_PAYMENT: &str = "this key was used for another payment";
const NO_BANK: &str = "the bank does not answer";

impl Row {
    /// The row of a request that is seen for the first time.
    fn new(request: &Request, now_s: u64) -> Self {
        Self {
            client: request.client.clone(),
            key: request.key.clone(),
            payment: request.payment.to_string(),
            reference: uuid::Uuid::new_v4().to_string(),
            leased_until_s: now_s + LEASE_S,
            expires_s: now_s + KEPT_S,
            answer: None,
        }
    }

    fn payment(&self) -> Result<Payment, store::Error> {
        self.payment.parse().map_err(store::Error::corrupt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_000_000;

    fn row(leased_until_s: u64, expires_s: u64, answer: Option<u16>) -> Row {
        let request = "shop-1 key visa-1 4200".parse().unwrap();
        let answer = answer.map(|status| Answer {
            status,
            body: String::new(),
        });
        Row {
            leased_until_s,
            expires_s,
            answer,
            ..Row::new(&request, NOW_S)
        }
    }

    #[test]
    fn what_is_stored_and_the_time_decide() {
        let (past, future) = (NOW_S, NOW_S + 1); // a lease is over at its last second
        let replay = |status| {
            Decision::Replay(Answer {
                status,
                body: String::new(),
            })
        };
        for (leased_until_s, expires_s, answer, same, other) in [
            (past, future, Some(201), replay(201), Decision::Refuse),
            (future, future, Some(402), replay(402), Decision::Refuse),
            (past, past, Some(201), Decision::Renew, Decision::Renew),
            (future, future, None, Decision::Wait, Decision::Refuse),
            (past, future, None, Decision::Continue, Decision::Refuse),
            (past, past, None, Decision::Continue, Decision::Refuse),
        ] {
            let row = row(leased_until_s, expires_s, answer);
            assert_eq!(decide(&row, "visa-1 4200", NOW_S), same, "{row:?}");
            assert_eq!(decide(&row, "visa-1 9900", NOW_S), other, "{row:?}");
        }
    }

    #[test]
    fn a_request_survives_being_stored() {
        for text in ["visa-1 1", "x 1000000000", "tok_\u{7e} 4200"] {
            assert_eq!(text.parse::<Payment>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn two_requests_never_share_a_reference() {
        let request = "shop-1 key visa-1 4200".parse().unwrap();
        let [one, two] = [(), ()].map(|()| Row::new(&request, NOW_S).reference);
        assert_ne!(one, two);
    }
}
