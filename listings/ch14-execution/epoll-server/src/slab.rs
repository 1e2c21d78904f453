//! Connections by number: a place each, used again when it is free.

/// Which one: a place, and who has it. epoll keeps 64 bits for us with each descriptor and
/// gives them back with its events; a token fits into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The place.
    pub index: u32,
    /// How many had the place before.
    generation: u32,
}

impl Token {
    /// A token of what has no place in a slab; `n` is small, and no slab grows that far.
    #[must_use]
    pub const fn special(n: u32) -> Self {
        Self {
            index: u32::MAX - n,
            generation: 0,
        }
    }
}

impl From<Token> for u64 {
    fn from(token: Token) -> Self {
        Self::from(token.generation) << 32 | Self::from(token.index)
    }
}

impl From<u64> for Token {
    fn from(data: u64) -> Self {
        Self {
            index: data as u32,
            generation: (data >> 32) as u32,
        }
    }
}

// ANCHOR: slab
/// Values by [`Token`].
#[derive(Debug)]
pub struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    /// Gives the value a place.
    pub fn insert(&mut self, value: T) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 0,
                value: None,
            });
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        place.value = Some(value);
        Token {
            index,
            generation: place.generation,
        }
    }

    /// `None` if it is gone, even if another has its place.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let place = self.places.get_mut(token.index as usize)?;
        place
            .value
            .as_mut()
            .filter(|_| place.generation == token.generation)
    }

    /// Takes the value out. Its token is nobody's from now on.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        self.get_mut(token)?;
        let place = &mut self.places[token.index as usize];
        place.generation = place.generation.wrapping_add(1);
        self.free.push(token.index);
        place.value.take()
    }
    // ANCHOR_END: slab

    /// Who has this place, if anybody.
    #[must_use]
    pub fn at(&self, index: u32) -> Option<Token> {
        let place = self.places.get(index as usize)?;
        place.value.as_ref().map(|_| Token {
            index,
            generation: place.generation,
        })
    }

    /// All that are there.
    #[must_use]
    pub fn tokens(&self) -> Vec<Token> {
        (0..self.places.len() as u32)
            .filter_map(|index| self.at(index))
            .collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_one_that_is_gone_is_not_its_successors() {
        let mut slab = Slab::default();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(
            (second.index, slab.at(second.index)),
            (first.index, Some(second))
        );
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get_mut(second), Some(&mut "second"));
        assert_eq!(slab.tokens(), [second]);
    }

    #[test]
    fn a_token_survives_the_64_bits_that_epoll_keeps() {
        let mut slab = Slab::default();
        for _ in 0..3 {
            let token = slab.insert(());
            slab.remove(token);
        }
        slab.insert(());
        let token = slab.insert(());
        for token in [token, slab.tokens()[0], Token::special(1)] {
            assert_eq!(Token::from(u64::from(token)), token);
        }
        assert_eq!(slab.get_mut(Token::special(0)), None);
    }

    #[test]
    fn places_are_used_again() {
        let mut slab = Slab::default();
        for round in 0..1000 {
            let tokens = [slab.insert(round), slab.insert(round)];
            for token in tokens {
                assert!(token.index < 2);
                assert_eq!(slab.remove(token), Some(round));
            }
            assert!(slab.is_empty());
        }
    }
}
