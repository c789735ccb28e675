//! What the root program knows: one word each, so that two writers never take each other's word.

/// Version of everything that is pinned and outlives an agent: layouts and meanings. It changes whenever one of
/// them does.
pub const STATE_VERSION: u64 = 3;

/// Index of a word in the root's array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum RootWord {
    /// [`STATE_VERSION`] of who made the pins.
    Version = 0,
    /// Not 0: everything passes, and is counted.
    Bypass = 1,
    /// When the agent was last alive, nanoseconds since boot. Ahead of the clock while it does something long.
    Heartbeat = 2,
    /// Not 0: from then on [`SLOT_PREVIOUS`] decides. Nanoseconds since boot.
    Deadline = 3,
    /// Number of the generation in [`SLOT_ACTIVE`].
    Active = 4,
    /// Number of the generation in [`SLOT_PREVIOUS`].
    Previous = 5,
    /// Number of the generation that was taken back last, by hand or by a deadline; 0 is none.
    Rejected = 6,
    /// Not 0: nothing passes but the survival set, and conduits that are [`super::ConduitRow::kept`].
    Island = 7,
    /// The [`Self::Heartbeat`] after which the agent was lost, as the data plane noticed; 0 is never.
    LostAfter = 8,
    /// How often the agent was lost and came back. Written by the agent.
    Losses = 9,
}

/// Words of the root's array.
pub const ROOT_WORDS: u32 = 16;

/// Slot of the generation that decides.
pub const SLOT_ACTIVE: u32 = 0;
/// Slot of the one that decides when a deadline passes without a confirmation.
pub const SLOT_PREVIOUS: u32 = 1;
/// Slots of the program array.
pub const SLOTS_OF_PROGRAMS: u32 = 2;

/// What the root program did by itself, counted for each CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum RootCount {
    /// Passed, because of [`RootWord::Bypass`].
    Bypassed = 0,
    /// Judged by the previous generation, because a deadline had passed.
    FellBack = 1,
    /// Passed, because no generation was there.
    NoGeneration = 2,
}

/// Rows of the root's counters.
pub const ROOT_COUNTS: u32 = 4;
