//! Everything outside the books that can be late, lost or dead, and a scheduler that decides which: the Workers' and the
//! alarms' code are futures, and each of their awaits is an entry in a list that a schedule resolves, delays or drops.

use crate::chain::Chain;
use crate::model::Model;
use crate::object::Object;
use edge402::ledger::books::Outstanding;
use edge402::ledger::messages::{Command, Reply};
use edge402::ledger::outcome::Shown;
use edge402::x402::facilitator::{Outcome, Said, Verification};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A facilitator's time-out, in seconds.
pub const FACILITATOR_SECONDS: u64 = 20;
/// An origin's.
pub const ORIGIN_SECONDS: u64 = 30;
/// For all the calls to a node that a proof takes.
const NODE_SECONDS: u64 = 10;
/// The longest that a Durable Object takes to answer a Worker that still lives.
const OBJECT_SECONDS: u64 = 5;

/// What one schedule leaves the same throughout.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether there is a node to ask.
    pub rpc: bool,
    /// Whether the facilitator never answers.
    pub deaf: bool,
    /// In which order the facilitator looks at the time, the nonce and the balance.
    pub order: usize,
}

/// What an await waits for.
#[derive(Clone, Debug)]
pub enum Call {
    Ask { object: usize, command: Box<Command> },
    Verify { payment: usize },
    Settle { payment: usize, request: String },
    Origin,
    Prove { outstanding: Box<Outstanding> },
}

/// What it hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// `Err`: the object could not be asked, or its reply was lost.
    Reply(Result<Reply, ()>),
    Verification(Verification),
    Said(Said),
    /// `Err`: no answer in time.
    Origin(Result<u16, ()>),
    Shown(Shown),
}

type Slot = Rc<RefCell<Option<Heard>>>;

struct Pending {
    task: usize,
    call: Call,
    deadline: u64,
    slot: Slot,
}

/// Arrives after whoever sent it has given up.
#[derive(Clone, Debug)]
pub enum Letter {
    Command { object: usize, command: Box<Command> },
    Settlement { payment: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Worker { payment: usize },
    Alarm { object: usize },
}

struct Task {
    who: Who,
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

pub struct World {
    pub rules: Rules,
    pub now: Cell<u64>,
    pub chain: RefCell<Chain>,
    pub objects: [Object; 2],
    pub model: RefCell<Model>,
    /// Once faults have ended: everything is answered, truthfully and at once.
    pub calm: Cell<bool>,
    pub trace: Option<RefCell<Vec<String>>>,
    pending: RefCell<Vec<Pending>>,
    tasks: RefCell<BTreeMap<usize, Task>>,
    letters: RefCell<Vec<Letter>>,
    next_task: Cell<usize>,
}

impl World {
    pub fn new(rules: Rules, chain: Chain, objects: [Object; 2], traced: bool) -> Rc<Self> {
        Rc::new(Self {
            rules,
            now: Cell::new(1_000_000),
            chain: RefCell::new(chain),
            objects,
            model: RefCell::new(Model::default()),
            calm: Cell::new(false),
            trace: traced.then(RefCell::default),
            pending: RefCell::default(),
            tasks: RefCell::default(),
            letters: RefCell::default(),
            next_task: Cell::new(1),
        })
    }

    pub fn note(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().push(format!("{:>4} {}", self.now.get() - 1_000_000, what()));
        }
    }

    pub fn new_task(&self) -> usize {
        self.next_task.replace(self.next_task.get() + 1)
    }

    /// Starts it, up to its first await.
    pub fn start(&self, task: usize, who: Who, future: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().insert(task, Task { who, future: Some(Box::pin(future)) });
        self.poll(task);
    }

    fn poll(&self, task: usize) {
        let Some(mut future) = self.tasks.borrow_mut().get_mut(&task).and_then(|task| task.future.take()) else {
            return;
        };
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(()) => drop(self.tasks.borrow_mut().remove(&task)),
            Poll::Pending => {
                if let Some(task) = self.tasks.borrow_mut().get_mut(&task) {
                    task.future = Some(future);
                }
            }
        }
    }

    pub fn tasks(&self) -> Vec<(usize, Who)> {
        self.tasks.borrow().iter().map(|(task, Task { who, .. })| (*task, *who)).collect()
    }

    /// Dies where it stands. What it has sent may still arrive.
    pub fn crash(&self, task: usize) {
        self.note(|| format!("task {task} dies"));
        let dead = self.tasks.borrow_mut().remove(&task);
        if let Some(Task { who: Who::Worker { payment }, .. }) = &dead {
            self.model.borrow_mut().died(*payment);
        }
        self.chain.borrow_mut().forgets(task);
        let mut pending = self.pending.borrow_mut();
        for Pending { call, .. } in pending.extract_if(.., |pending| pending.task == task) {
            match call {
                Call::Ask { object, command } => {
                    self.lost(&command);
                    self.letters.borrow_mut().push(Letter::Command { object, command });
                }
                Call::Settle { payment, .. } => self.letters.borrow_mut().push(Letter::Settlement { payment }),
                _ => {}
            }
        }
        drop(pending);
        drop(dead);
    }

    /// One await of a task.
    pub async fn call(&self, task: usize, call: Call) -> Heard {
        let seconds = match &call {
            Call::Ask { .. } => OBJECT_SECONDS,
            Call::Verify { .. } | Call::Settle { .. } => FACILITATOR_SECONDS,
            Call::Origin => ORIGIN_SECONDS,
            Call::Prove { .. } => NODE_SECONDS,
        };
        if let Call::Settle { payment, request } = &call {
            self.model.borrow_mut().sent(*payment, request);
        }
        let slot = Slot::default();
        let deadline = self.now.get() + seconds;
        self.pending.borrow_mut().push(Pending { task, call, deadline, slot: slot.clone() });
        std::future::poll_fn(move |_| slot.borrow_mut().take().map_or(Poll::Pending, Poll::Ready)).await
    }

    pub fn waiting(&self) -> usize {
        self.pending.borrow().len()
    }

    /// Settlements of a payment that somebody alive is waiting for, or that wander about.
    pub fn under_way(&self, wanted: usize) -> bool {
        let sent = |call: &Call| matches!(call, Call::Settle { payment, .. } if *payment == wanted);
        self.pending.borrow().iter().any(|pending| sent(&pending.call))
            || self.letters.borrow().iter().any(|l| matches!(l, Letter::Settlement { payment } if *payment == wanted))
    }

    /// Ends the wait at this place of the list, as `how` says.
    pub fn resolve(self: &Rc<Self>, at: usize, how: u32) {
        let Pending { task, call, slot, .. } = self.pending.borrow_mut().remove(at);
        self.note(|| format!("task {task} hears of {}", summary(&call)));
        let heard = self.hear(task, call, how);
        self.note(|| format!("     {heard:?}"));
        *slot.borrow_mut() = Some(heard);
        self.poll(task);
    }

    fn hear(self: &Rc<Self>, task: usize, call: Call, how: u32) -> Heard {
        let how = if self.calm.get() { 0 } else { how };
        match call {
            Call::Ask { object, command } => Heard::Reply(match how % 32 {
                28 => {
                    self.lost(&command);
                    Err(())
                }
                29 => {
                    self.letters.borrow_mut().push(Letter::Command { object, command: command.clone() });
                    self.lost(&command);
                    Err(())
                }
                30 | 31 => {
                    let _ = self.turn(object, &command);
                    self.unheard(&command);
                    Err(())
                }
                _ => Ok(self.turn(object, &command)),
            }),
            Call::Verify { payment } => Heard::Verification(match how % 8 {
                7 => Verification::Unavailable("no answer".to_owned()),
                _ => self.chain.borrow().verify(payment, self.now.get(), self.rules.order),
            }),
            Call::Settle { payment, .. } => Heard::Said(self.settle(task, payment, how)),
            Call::Origin => Heard::Origin(match how % 8 {
                7 => Err(()),
                5 | 6 => Ok(500),
                _ => Ok(200),
            }),
            Call::Prove { outstanding } => Heard::Shown(match how % 4 {
                3 => Shown::Nothing,
                _ => self.model.borrow().shown(&self.chain.borrow(), &outstanding, self.now.get()),
            }),
        }
    }

    /// Written, and the Worker does not hear of it.
    fn unheard(&self, command: &Command) {
        if let Command::Record { key, event, .. } = command {
            self.model.borrow_mut().unheard(key, event);
        }
    }

    /// The Worker is told that nothing came of it; what was meant to give an answer back did not.
    fn lost(&self, command: &Command) {
        if let Command::Record { key, event, .. } = command {
            self.model.borrow_mut().lost(key, event);
        }
    }

    fn settle(&self, task: usize, payment: usize, how: u32) -> Said {
        let mut chain = self.chain.borrow_mut();
        if !self.calm.get() && how % 16 == 15 {
            // Not dropped, only late.
            self.letters.borrow_mut().push(Letter::Settlement { payment });
        }
        let outcome = chain.settle(payment, self.now.get(), how, self.rules, self.calm.get());
        // A Worker may have more to lose on its way to the books; the alarm has not.
        if self.calm.get() || matches!(self.tasks.borrow().get(&task), Some(Task { who: Who::Alarm { .. }, .. })) {
            self.model.borrow_mut().heard(task, payment, &outcome, &mut chain);
        }
        outcome
    }

    /// A command that nobody waits for any more, or a request that the facilitator had not got yet, arrives; or never does.
    pub fn deliver(self: &Rc<Self>, which: usize, arrives: bool) {
        let letter = {
            let mut letters = self.letters.borrow_mut();
            if letters.is_empty() {
                return;
            }
            let at = which % letters.len();
            letters.remove(at)
        };
        self.note(|| format!("late ({arrives}): {letter:?}"));
        match letter {
            Letter::Command { object, command } if arrives => drop(self.turn(object, &command)),
            Letter::Command { .. } => {}
            Letter::Settlement { payment } if arrives => {
                let _ = self.chain.borrow_mut().broadcast(payment, self.now.get(), 0, self.rules.order);
            }
            Letter::Settlement { .. } => {}
        }
    }

    pub fn letters(&self) -> usize {
        self.letters.borrow().len()
    }

    /// Time passes, and whatever is due in it happens in its order. Alarms ring on time unless `late`.
    pub fn advance(self: &Rc<Self>, seconds: u64, late: bool) {
        let target = self.now.get() + seconds;
        loop {
            let waits = self.pending.borrow().iter().map(|pending| pending.deadline).min();
            let landing = self.chain.borrow().next_landing();
            let alarms = self.objects.iter().filter(|_| !late).filter_map(Object::rings_at).min();
            let Some(next) = [waits, landing, alarms].into_iter().flatten().min().filter(|at| *at <= target) else {
                break;
            };
            self.now.set(self.now.get().max(next));
            self.chain.borrow_mut().land(self.now.get());
            if !late {
                self.ring();
            }
            loop {
                let over = self.pending.borrow().iter().position(|pending| pending.deadline <= self.now.get());
                let Some(at) = over else { break };
                self.expire(at);
            }
        }
        self.now.set(target);
        self.chain.borrow_mut().land(target);
    }

    /// Rings the alarms that are due.
    pub fn ring(self: &Rc<Self>) {
        for object in 0..self.objects.len() {
            if self.objects[object].rings_at().is_some_and(|at| at <= self.now.get()) {
                self.note(|| format!("object {object}: alarm"));
                let task = self.new_task();
                self.objects[object].ringing(task);
                let world = self.clone();
                self.start(task, Who::Alarm { object }, async move {
                    crate::object::alarm(&world, task, object).await;
                    world.objects[object].rang();
                });
            }
        }
    }

    /// Nobody waits for longer than his time-out. The request may arrive all the same.
    fn expire(self: &Rc<Self>, at: usize) {
        let Pending { task, call, slot, .. } = self.pending.borrow_mut().remove(at);
        self.note(|| format!("task {task} gives up: {}", summary(&call)));
        let heard = match call {
            Call::Ask { object, command } => Heard::Reply(Ok(self.turn(object, &command))),
            Call::Verify { .. } => Heard::Verification(Verification::Unavailable("no answer".to_owned())),
            Call::Settle { payment, .. } => {
                self.letters.borrow_mut().push(Letter::Settlement { payment });
                Heard::Said(Said::Decided(Outcome::unknown("no answer within 20 seconds")))
            }
            Call::Origin => Heard::Origin(Err(())),
            Call::Prove { .. } => Heard::Shown(Shown::Nothing),
        };
        *slot.borrow_mut() = Some(heard);
        self.poll(task);
    }

    /// The object is moved, evicted or killed: what is stored stays.
    pub fn restart(self: &Rc<Self>, object: usize) {
        self.note(|| format!("object {object} restarts"));
        if let Some(task) = self.objects[object].restart() {
            self.crash(task);
        }
    }
}

fn summary(call: &Call) -> String {
    match call {
        Call::Ask { object, command } => format!("Ask {object} {command:?}"),
        call => format!("{call:?}"),
    }
}
