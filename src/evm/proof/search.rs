//! Where to look for an event, when nodes answer for a few thousand blocks at a time.

use super::wire::Block;

/// The widest range that one request spans. Most nodes give 10,000 blocks, some 2,000.
const WIDEST: u64 = 2_000;
/// And the narrowest that is tried where a node refuses more; some sell more than this only to those who pay.
const NARROWEST: u64 = 10;
/// How much is given up at a refusal: the sizes that nodes allow lie far apart, and a try costs a request.
const STEP: u64 = 4;
/// How many ranges are asked for, refusals included: what is asked in one go must stay below the 50 requests that an
/// invocation of a Worker has on Cloudflare's free plan.
const MOST: u32 = 25;

/// Ranges of blocks around the one in which the claim was made, the nearest first and by turns on either side.
///
/// A settlement follows its claim within a minute or so, however much later we ask; what was copied from the chain was
/// used not long before. From the newest block backwards, a proof that is asked for a day late would be sought in 40,000
/// blocks of other people's payments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// The next block to look at towards the tip; `None` when all have been.
    ahead: Option<u64>,
    /// The next one towards the beginning.
    behind: Option<u64>,
    tip: u64,
    width: u64,
    left: u32,
    turn: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ahead,
    Behind,
}

/// Blocks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Search {
    /// Around block `start` of a chain whose newest block is `tip`.
    pub(super) fn new(start: u64, tip: u64) -> Self {
        let start = start.min(tip);
        Self { ahead: Some(start), behind: start.checked_sub(1), tip, width: WIDEST, left: MOST, turn: Side::Ahead }
    }

    /// The range to ask for; `None` when there is no more, or it is enough.
    pub(super) fn next(&mut self) -> Option<Range> {
        self.left = self.left.checked_sub(1)?;
        self.range()
    }

    fn range(&self) -> Option<Range> {
        let further = self.width.saturating_sub(1);
        let ahead = self.ahead.map(|first| Range { first, last: first.saturating_add(further).min(self.tip) });
        let behind = self.behind.map(|last| Range { first: last.saturating_sub(further), last });
        match self.turn {
            Side::Ahead => ahead.or(behind),
            Side::Behind => behind.or(ahead),
        }
    }

    /// The range was searched in vain.
    pub(super) fn searched(&mut self) {
        let Some(range) = self.range() else { return };
        if self.ahead == Some(range.first) {
            self.ahead = range.last.checked_add(1).filter(|next| *next <= self.tip);
            self.turn = Side::Behind;
        } else {
            self.behind = range.first.checked_sub(1);
            self.turn = Side::Ahead;
        }
    }

    /// The node refused the range; whether a narrower one is worth asking for.
    pub(super) fn refused(&mut self) -> bool {
        if self.width == NARROWEST {
            return false;
        }
        self.width = self.width.checked_div(STEP).unwrap_or(NARROWEST).max(NARROWEST);
        true
    }
}

/// How far back the chain's pace is measured first. Half an hour on Base, a few minutes on the fastest chains.
const SAMPLE: u64 = 1_000;
/// How many blocks are asked for their time. The search goes both ways from where they lead, so that a poor guess costs
/// requests and no proof.
const MOST_SAMPLES: u32 = 4;

/// Finds the block at about a time, from the times of a few others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    time: u64,
    /// The oldest block known to be newer than `time`.
    newer: Block,
    left: u32,
}

/// What an [`Estimate`] comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// The time of this block would help.
    Sample(u64),
    /// It is about here.
    Here(u64),
}

impl Estimate {
    pub(super) const fn new(time: u64, tip: Block) -> (Self, Guess) {
        let estimate = Self { time, newer: tip, left: MOST_SAMPLES };
        let guess = if tip.time <= time || tip.number == 0 {
            Guess::Here(tip.number)
        } else {
            Guess::Sample(tip.number.saturating_sub(SAMPLE))
        };
        (estimate, guess)
    }

    /// Goes on with a block that was asked for.
    pub(super) fn sampled(&mut self, older: Block) -> Guess {
        let blocks = self.newer.number.saturating_sub(older.number);
        let pace = Pace { blocks, seconds: self.newer.time.saturating_sub(older.time) };
        self.left = self.left.saturating_sub(1);
        if older.time <= self.time {
            let back = pace.blocks_in(self.newer.time.saturating_sub(self.time)).min(blocks);
            return Guess::Here(self.newer.number.saturating_sub(back));
        }
        let back = pace.blocks_in(older.time.saturating_sub(self.time));
        self.newer = older;
        if self.left == 0 || older.number == 0 {
            return Guess::Here(older.number.saturating_sub(back));
        }
        // A little further, so that the next sample lies on the other side and the time between the two.
        Guess::Sample(older.number.saturating_sub(back).saturating_sub(SAMPLE))
    }
}

#[derive(Clone, Copy)]
struct Pace {
    blocks: u64,
    seconds: u64,
}

impl Pace {
    /// Rounded up. A chain without a pace (clocks that stand still) is taken to make a block a second.
    fn blocks_in(self, seconds: u64) -> u64 {
        let product = u128::from(seconds).saturating_mul(u128::from(self.blocks));
        let per = u128::from(self.seconds);
        let rounded = product.saturating_add(per.saturating_sub(1)).checked_div(per);
        rounded.map_or(seconds, |blocks| u64::try_from(blocks).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_blocks_come_first_on_either_side() {
        let mut search = Search::new(10_000, 13_000);
        let mut ranges = Vec::new();
        for _ in 0..5 {
            ranges.push(search.next().map(|range| (range.first, range.last)).unwrap());
            search.searched();
        }
        assert_eq!(
            ranges,
            [(10_000, 11_999), (8_000, 9_999), (12_000, 13_000), (6_000, 7_999), (4_000, 5_999)],
            "forth and back until the tip is reached, then back"
        );
    }

    #[test]
    fn a_range_that_is_refused_is_asked_for_in_smaller_parts() {
        let mut search = Search::new(5_000, 100_000);
        let mut widths = Vec::new();
        loop {
            let range = search.next().unwrap();
            assert_eq!(range.first, 5_000);
            widths.push(range.last - range.first + 1);
            if !search.refused() {
                break;
            }
        }
        assert_eq!(widths, [2_000, 500, 125, 31, 10]);
    }

    fn block(number: u64, time: u64) -> Block {
        Block { number, hash: B256::ZERO, time }
    }

    #[test]
    fn a_steady_chain_takes_one_sample_for_what_is_recent_and_few_for_what_is_not() {
        let at = |number| block(number, 1_000_000 + 2 * number);
        for (seconds_ago, most) in [(60, 1), (1_900, 1), (86_400, 2), (1_000_000, 2)] {
            let (mut estimate, mut guess) = Estimate::new(at(1_000_000).time - seconds_ago, at(1_000_000));
            let mut samples = 0;
            while let Guess::Sample(number) = guess {
                samples += 1;
                guess = estimate.sampled(at(number));
            }
            assert_eq!(guess, Guess::Here(1_000_000 - seconds_ago / 2), "{seconds_ago}");
            assert!(samples <= most, "{samples} for {seconds_ago}");
        }
        assert_eq!(Estimate::new(5_000_000, at(1_000_000)).1, Guess::Here(1_000_000), "a claim ahead of the chain");
    }

    proptest! {
        // Each block once, until all are searched or it is enough.
        #[test]
        fn no_block_is_searched_twice(start in 0_u64..40_000, tip in 0_u64..30_000, refusals in 0_u32..5) {
            let mut search = Search::new(start, tip);
            (0..refusals).for_each(|_| { search.refused(); });
            let mut seen = vec![false; usize::try_from(tip).unwrap() + 1];
            let mut asked = 0;
            while let Some(range) = search.next() {
                asked += 1;
                for number in range.first..=range.last {
                    let cell = &mut seen[usize::try_from(number).unwrap()];
                    prop_assert!(!*cell, "{number} twice");
                    *cell = true;
                }
                search.searched();
            }
            prop_assert!(asked <= MOST);
            prop_assert!(asked == MOST || seen.iter().all(|seen| *seen));
        }

        #[test]
        fn whatever_the_clocks_say_an_estimate_ends(time: u64, tip: (u64, u64), times in proptest::collection::vec(any::<u64>(), 8)) {
            let (mut estimate, mut guess) = Estimate::new(time, block(tip.0, tip.1));
            let mut samples = 0;
            while let Guess::Sample(number) = guess {
                prop_assert!(number <= tip.0);
                guess = estimate.sampled(block(number, times[samples]));
                samples += 1;
                prop_assert!(samples <= 4);
            }
        }
    }
}
