//! A future of any type in a box whose memory is used again.
//!
//! A box of std's asks the allocator for memory and gives it back, which takes longer than many a
//! future. A thread that makes such boxes all the time keeps the memory of a few here.

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    cell::Cell,
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    ptr::NonNull,
    task::{Context, Poll},
};

/// Memory is kept in sizes that are multiples of this.
const STEP_BYTES: usize = 128;
/// How many such sizes there are. A larger future's memory is not kept.
const SIZE_COUNT: usize = 8;
/// How many pieces of one size a thread keeps: 72 KiB in all sizes together.
const KEPT_MAX: usize = 16;
/// The alignment of all pieces. A future that wants a larger one gets memory that is not kept.
const ALIGN: usize = 16;

/// A future of any type, pinned in a box of its own. It is dropped with it.
pub(crate) struct FutureBox<'a, T: 'static> {
    /// Invariant: the future that `place.kind` is about is in there, and never moves.
    place: Place<T>,
    lives: PhantomData<Box<dyn Future<Output = T> + 'a>>,
}

/// The facts about a future whose type is forgotten.
struct Kind<T> {
    poll: unsafe fn(NonNull<u8>, &mut Context<'_>) -> Poll<T>,
    drop: unsafe fn(NonNull<u8>),
    layout: Layout,
    /// The index of its size among those that are kept, or [`SIZE_COUNT`].
    size: usize,
}

/// The memory of a future.
struct Place<T: 'static> {
    /// Invariant: this value's alone, of the kind's layout.
    start: NonNull<u8>,
    kind: &'static Kind<T>,
}

impl<'a, T: 'static> FutureBox<'a, T> {
    /// A box with the future that `make` makes, which is written where it stays.
    #[inline]
    pub(crate) fn new<F: Future<Output = T> + 'a>(make: impl FnOnce() -> F) -> Self {
        let kind = const { &kind::<F>() };
        let start = take(kind.layout, kind.size);
        let place = Place { start, kind };
        let future = make();
        // SAFETY: the memory has the future's layout, and belongs to nothing else.
        unsafe { start.cast::<F>().write(future) };
        Self {
            place,
            lives: PhantomData,
        }
    }
}

impl<T> Future for FutureBox<'_, T> {
    type Output = T;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let place = &self.get_mut().place;
        // SAFETY: the future is there, by the invariant, and borrowed mutably with this value.
        unsafe { (place.kind.poll)(place.start, context) }
    }
}

impl<T> Drop for FutureBox<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the future is there, by the invariant, and is not used after this. Should its
        // destructor panic, its memory is given back nevertheless, as a field.
        unsafe { (self.place.kind.drop)(self.place.start) };
    }
}

impl<T> Drop for Place<T> {
    #[inline]
    fn drop(&mut self) {
        put(self.start, self.kind.layout, self.kind.size);
    }
}

impl<T> fmt::Debug for FutureBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FutureBox").finish_non_exhaustive()
    }
}

const fn kind<F: Future>() -> Kind<F::Output> {
    let (layout, size) = memory_for(Layout::new::<F>());
    Kind {
        poll: poll::<F>,
        drop: drop_future::<F>,
        layout,
        size,
    }
}

/// The memory for a future of this layout, and the index of its size among those that are kept.
const fn memory_for(future: Layout) -> (Layout, usize) {
    let bytes = future.size();
    if bytes > SIZE_COUNT * STEP_BYTES || future.align() > ALIGN {
        return (future, SIZE_COUNT);
    }
    let size = bytes.saturating_sub(1) / STEP_BYTES;
    match Layout::from_size_align((size + 1) * STEP_BYTES, ALIGN) {
        Ok(layout) => (layout, size),
        Err(_) => (future, SIZE_COUNT),
    }
}

/// # Safety
///
/// An `F` is at `future`, pinned, and no other reference to it is used meanwhile.
unsafe fn poll<F: Future>(future: NonNull<u8>, context: &mut Context<'_>) -> Poll<F::Output> {
    // SAFETY: as the caller promises.
    let future = unsafe { future.cast::<F>().as_mut() };
    // SAFETY: it is pinned.
    unsafe { Pin::new_unchecked(future) }.poll(context)
}

/// # Safety
///
/// An `F` is at `future`, and not used any more.
unsafe fn drop_future<F>(future: NonNull<u8>) {
    // SAFETY: as the caller promises.
    unsafe { future.cast::<F>().drop_in_place() };
}

/// The pieces of one size that a thread keeps.
struct Pieces {
    count: Cell<usize>,
    /// The first `count` of them are pieces without an owner.
    starts: [Cell<NonNull<u8>>; KEPT_MAX],
}

impl Pieces {
    const fn new() -> Self {
        Self {
            count: Cell::new(0),
            starts: [const { Cell::new(NonNull::dangling()) }; KEPT_MAX],
        }
    }

    #[inline]
    fn pop(&self) -> Option<NonNull<u8>> {
        let last = self.count.get().checked_sub(1)?;
        self.count.set(last);
        self.starts.get(last).map(Cell::get)
    }

    /// Keeps a piece, unless there are enough.
    #[inline]
    fn push(&self, piece: NonNull<u8>) -> Option<()> {
        let count = self.count.get();
        self.starts.get(count)?.set(piece);
        self.count.set(count + 1);
        Some(())
    }
}

/// All pieces that a thread keeps.
struct Spares([Pieces; SIZE_COUNT]);

impl Drop for Spares {
    fn drop(&mut self) {
        for (size, pieces) in self.0.iter().enumerate() {
            let Ok(layout) = Layout::from_size_align((size + 1) * STEP_BYTES, ALIGN) else {
                continue;
            };
            while let Some(piece) = pieces.pop() {
                free(piece, layout);
            }
        }
    }
}

thread_local! {
    static SPARES: Spares = const { Spares([const { Pieces::new() }; SIZE_COUNT]) };
}

/// Memory of a layout of [`memory_for`].
#[inline]
fn take(layout: Layout, size: usize) -> NonNull<u8> {
    let kept = SPARES.try_with(|spares| spares.0.get(size)?.pop());
    match kept {
        Ok(Some(piece)) => piece,
        _ => allocate(layout),
    }
}

/// Gives back the memory that [`take`] gave.
#[inline]
fn put(piece: NonNull<u8>, layout: Layout, size: usize) {
    // At a thread's end its destructors may come after that of the spares.
    let kept = SPARES.try_with(|spares| spares.0.get(size)?.push(piece));
    if !matches!(kept, Ok(Some(()))) {
        free(piece, layout);
    }
}

#[cold]
fn allocate(layout: Layout) -> NonNull<u8> {
    if layout.size() == 0 {
        return NonNull::dangling();
    }
    // SAFETY: the size is not zero.
    let start = unsafe { alloc(layout) };
    NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout))
}

#[cold]
fn free(piece: NonNull<u8>, layout: Layout) {
    if layout.size() > 0 {
        // SAFETY: it was allocated with this layout, and has no owner.
        unsafe { dealloc(piece.as_ptr(), layout) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        future::{pending, ready},
        panic::{AssertUnwindSafe, catch_unwind},
        rc::Rc,
        task::Waker,
    };

    use super::*;

    fn poll_once<T>(future: &mut FutureBox<'_, T>) -> Poll<T> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// A future with `N` bytes more.
    async fn with_bytes<const N: usize>(value: u32) -> u32 {
        let bytes = [1_u8; N];
        ready(()).await;
        value + bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>()
    }

    #[test]
    fn futures_of_all_sizes_and_alignments_are_where_they_should_be() {
        #[repr(align(64))]
        struct Aligned(Cell<u8>);

        for _ in 0..3 {
            assert_eq!(poll_once(&mut FutureBox::new(|| ready(7))), Poll::Ready(7));
            let mut small = FutureBox::new(|| with_bytes::<100>(1));
            let mut largest_kept = FutureBox::new(|| with_bytes::<900>(2));
            let mut large = FutureBox::new(|| with_bytes::<5000>(3));
            assert_eq!(poll_once(&mut small), Poll::Ready(101));
            assert_eq!(poll_once(&mut largest_kept), Poll::Ready(902));
            assert_eq!(poll_once(&mut large), Poll::Ready(5003));
            let mut aligned = FutureBox::new(|| async {
                let aligned = Aligned(Cell::new(4));
                ready(()).await;
                (std::ptr::from_ref(&aligned).addr() % 64, aligned.0.get())
            });
            assert_eq!(poll_once(&mut aligned), Poll::Ready((0, 4)));
        }
    }

    #[test]
    fn memory_is_used_again_up_to_a_number_of_pieces() {
        std::thread::spawn(|| {
            let make = |_| FutureBox::new(|| with_bytes::<300>(0));
            let boxes: Vec<_> = (0..KEPT_MAX + 5).map(make).collect();
            let starts: Vec<_> = boxes.iter().map(|future| future.place.start).collect();
            drop(boxes);
            let count = |size: usize| SPARES.with(|spares| spares.0[size].count.get());
            let sizes: Vec<usize> = (0..SIZE_COUNT).map(count).collect();
            assert_eq!(sizes.iter().sum::<usize>(), KEPT_MAX);
            assert!(starts.contains(&make(0).place.start));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_future_is_dropped_once_also_by_a_panic() {
        struct Counted<'a>(&'a Cell<u32>, bool);

        impl Drop for Counted<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
                assert!(!self.1, "a destructor of the test's");
            }
        }

        let drops = Cell::new(0);
        for panics in [false, true] {
            let counted = Counted(&drops, panics);
            let mut waits = FutureBox::new(|| async move {
                let _counted = counted;
                pending::<()>().await;
            });
            assert!(poll_once(&mut waits).is_pending());
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(waits)));
            assert_eq!(dropped.is_err(), panics);
        }
        assert_eq!(drops.get(), 2);
        // A panic of the code that makes the future loses nothing, and drops nothing that was not
        // there.
        let made = catch_unwind(|| {
            FutureBox::new(|| {
                assert!(std::hint::black_box(false), "no future of the test's");
                ready(1)
            });
        });
        assert!(made.is_err());
    }

    #[test]
    fn a_box_in_a_thread_local_outlives_the_spare_memory() {
        thread_local! {
            static LAST: Cell<Option<FutureBox<'static, ()>>> = const { Cell::new(None) };
        }

        std::thread::spawn(|| {
            LAST.set(None);
            // The list of spares is made after it, and gone before it.
            LAST.set(Some(FutureBox::new(|| async {
                let _kept = Rc::new(());
                pending::<()>().await;
            })));
        })
        .join()
        .unwrap();
    }
}
