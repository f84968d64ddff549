//! Wakers that stand for an index and cost no memory.
//!
//! A thousand idle connections need a waker each, but not a task each. A waker of this kind is two
//! words, the list's id and the index, and waking it adds the index to the list, where one task
//! finds it.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, VecDeque, btree_map::Entry},
    fmt,
    hash::{BuildHasherDefault, Hasher},
    ptr,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
};

use crate::{mailbox::Mailbox, shrink, unwind};

const _: () = assert!(
    usize::BITS >= 64,
    "an index waker keeps 64 bits in its data word"
);

/// A list of woken indices.
///
/// A wake on the list's own thread touches no atomic; one from another thread takes a lock and ends
/// the thread's sleep. When the list is gone, its wakers do nothing. An index that is used again is
/// woken by the wakers of both its uses, so a user that is woken looks whether it has something to
/// do.
pub(crate) struct IndexWakes {
    list: Rc<List>,
}

#[derive(Default)]
struct List {
    id: u32,
    woken: RefCell<Woken>,
    /// Woken when the first index is added to the empty list.
    worker: Cell<Option<Waker>>,
    remote: Arc<Remote>,
    /// The waker that other threads have, to see whether it is still the right one.
    remote_worker: RefCell<Option<Waker>>,
}

/// The part of a list that other threads use: the indices that they have woken.
type Remote = Mailbox<Vec<u32>>;

/// The lists of all threads, for wakes from elsewhere.
static REGISTRY: Mutex<Registry> = Mutex::new(Registry::new());

struct Registry {
    next_id: u32,
    lists: BTreeMap<u32, Arc<Remote>>,
}

impl Registry {
    const fn new() -> Self {
        Self {
            next_id: 0,
            lists: BTreeMap::new(),
        }
    }

    /// Adds a list and returns its id, which no other list of the process has.
    fn add(&mut self, remote: Arc<Remote>) -> u32 {
        loop {
            // After four billion lists the ids begin again; one that is in use is passed over.
            let id = self.next_id;
            self.next_id = id.wrapping_add(1);
            if let Entry::Vacant(entry) = self.lists.entry(id) {
                entry.insert(remote);
                return id;
            }
        }
    }
}

fn registry() -> MutexGuard<'static, Registry> {
    unwind::lock(&REGISTRY)
}

#[derive(Default)]
struct Woken {
    indices: VecDeque<u32>,
    /// One bit for each index, set while it is among `indices`.
    is_woken: Vec<u64>,
}

impl Woken {
    /// Adds an index that is not there yet. True if it is the first.
    fn add(&mut self, index: u32) -> bool {
        let (word, bit) = position(index);
        if word >= self.is_woken.len() {
            self.is_woken.resize(word + 1, 0);
        }
        if self.is_woken[word] & bit != 0 {
            return false;
        }
        self.is_woken[word] |= bit;
        self.indices.push_back(index);
        self.indices.len() == 1
    }

    fn pop(&mut self) -> Option<u32> {
        let index = self.indices.pop_front()?;
        shrink::queue(&mut self.indices);
        let (word, bit) = position(index);
        self.is_woken[word] &= !bit;
        Some(index)
    }
}

fn position(index: u32) -> (usize, u64) {
    ((index / 64) as usize, 1 << (index % 64))
}

impl IndexWakes {
    /// An empty list.
    pub(crate) fn new() -> Self {
        let remote = Arc::<Remote>::default();
        let list = Rc::new(List {
            id: registry().add(Arc::clone(&remote)),
            remote,
            ..List::default()
        });
        LISTS.with(|lists| lists.borrow_mut().all.insert(list.id, Rc::clone(&list)));
        Self { list }
    }

    /// A waker that adds `index` to this list. An index costs one bit, so they should be small.
    pub(crate) fn waker(&self, index: u32) -> Waker {
        let data = (u64::from(self.list.id) << 32) | u64::from(index);
        let raw = RawWaker::new(ptr::without_provenance(data as usize), &VTABLE);
        // SAFETY: the functions keep the contract of `RawWaker`: the data is two numbers, which
        // may be copied and forgotten, and waking looks them up on whatever thread it is.
        unsafe { Waker::from_raw(raw) }
    }

    /// Whether no index was woken since the last one was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.take_remote();
        self.list.woken.borrow().indices.is_empty()
    }

    /// Takes the index that was woken first.
    pub(crate) fn pop(&self) -> Option<u32> {
        self.list.take_remote();
        self.list.woken.borrow_mut().pop()
    }

    /// Appends all woken indices to `to`, in the order in which they were woken, each once however
    /// often it was woken, and empties the list.
    pub(crate) fn take(&self, to: &mut Vec<u32>) {
        self.list.take_remote();
        let mut woken = self.list.woken.borrow_mut();
        to.reserve(woken.indices.len());
        while let Some(index) = woken.pop() {
            to.push(index);
        }
    }

    /// Gives back memory that many wakes at once needed.
    pub(crate) fn shrink(&self) {
        self.list.woken.borrow_mut().indices.shrink_to_fit();
    }

    /// Ready when an index was woken and not yet taken. Only the last caller is woken, once.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_empty() {
            return Poll::Ready(());
        }
        self.list.set_remote_worker(cx.waker());
        let registered = self.list.worker.take();
        if registered
            .as_ref()
            .is_some_and(|registered| registered.will_wake(cx.waker()))
        {
            self.list.worker.set(registered);
            return Poll::Pending;
        }
        // User code: dropping and cloning wakers may add an index.
        let other = self.list.worker.replace(Some(cx.waker().clone()));
        unwind::each([registered, other], drop);
        if self.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

impl List {
    /// Takes over what other threads woke.
    fn take_remote(&self) {
        let Some(indices) = self.remote.take(std::mem::take) else {
            return;
        };
        let mut woken = self.woken.borrow_mut();
        for index in indices {
            woken.add(index);
        }
    }

    fn set_remote_worker(&self, waker: &Waker) {
        let is_set = |worker: &Option<Waker>| worker.as_ref().is_some_and(|w| w.will_wake(waker));
        if is_set(&self.remote_worker.borrow()) {
            return;
        }
        let (ours, theirs) = (waker.clone(), waker.clone());
        let old = self.remote_worker.replace(Some(ours));
        let remote_old = self.remote.set_owner(Some(theirs));
        unwind::then(|| drop(old), || drop(remote_old));
    }
}

impl Drop for IndexWakes {
    fn drop(&mut self) {
        drop(registry().lists.remove(&self.list.id));
        // The thread may be past its thread-locals already.
        let removed = LISTS.try_with(|lists| lists.borrow_mut().remove(self.list.id));
        drop(removed);
        // User code: all of these wake the same.
        let remote_worker = self.list.remote.set_owner(None);
        let workers = [self.list.worker.take(), self.list.remote_worker.take()];
        unwind::then(|| drop(remote_worker), || unwind::each(workers, drop));
    }
}

impl fmt::Debug for IndexWakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexWakes")
            .field("id", &self.list.id)
            .finish_non_exhaustive()
    }
}

#[cfg(not(loom))]
thread_local! {
    static LISTS: RefCell<Lists> = RefCell::default();
}
#[cfg(loom)]
loom::thread_local! {
    static LISTS: RefCell<Lists> = RefCell::default();
}

/// The lists of a thread.
#[derive(Default)]
struct Lists {
    all: HashMap<u32, Rc<List>, BuildHasherDefault<IdHasher>>,
    /// The one that was looked for last, and is most likely looked for next. It is among `all`.
    last: Option<Rc<List>>,
}

impl Lists {
    fn find(&mut self, id: u32) -> Option<Rc<List>> {
        match &self.last {
            Some(last) if last.id == id => {}
            _ => self.last = Some(Rc::clone(self.all.get(&id)?)),
        }
        self.last.clone()
    }

    /// Forgets a list. The returned values are dropped once nothing is borrowed.
    fn remove(&mut self, id: u32) -> (Option<Rc<List>>, Option<Rc<List>>) {
        let last = self.last.take_if(|last| last.id == id);
        (self.all.remove(&id), last)
    }
}

/// Spreads ids, which count up, over the bits that the table looks at.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 divided by the golden ratio
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(ODD).rotate_left(32);
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, release);

unsafe fn clone(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

unsafe fn release(_data: *const ()) {}

unsafe fn wake(data: *const ()) {
    let data = data.addr() as u64;
    let (id, index) = ((data >> 32) as u32, data as u32);
    let found = LISTS.try_with(|lists| lists.borrow_mut().find(id));
    let Ok(Some(list)) = found else {
        // Another thread's, or gone.
        let remote = registry().lists.get(&id).cloned();
        return remote
            .into_iter()
            .for_each(|remote| remote.put(|woken| woken.push(index)));
    };
    let is_first = list.woken.borrow_mut().add(index);
    if is_first {
        // User code, so nothing is borrowed here.
        if let Some(worker) = list.worker.take() {
            worker.wake();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_id_begins_again_and_is_no_other_lists() {
        let mut registry = Registry::new();
        let long_lived: Vec<u32> = (0..3).map(|_| registry.add(Arc::default())).collect();
        registry.next_id = u32::MAX;
        let last = registry.add(Arc::default());
        let after = registry.add(Arc::default());
        assert_eq!((long_lived, last, after), (vec![0, 1, 2], u32::MAX, 3));
        registry.lists.remove(&1);
        registry.next_id = 0;
        assert_eq!(registry.add(Arc::default()), 1);
        assert_eq!(registry.lists.len(), 5);
    }
}
