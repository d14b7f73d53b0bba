//! The rules of money: pure state machines, and the books as SQL over whatever stores them. Nothing here schedules or
//! calls anybody: a Durable Object does, and does no more.

pub mod authorization;
pub mod bell;
pub mod books;
pub mod calls;
pub mod messages;
pub mod outcome;
pub mod sql;
