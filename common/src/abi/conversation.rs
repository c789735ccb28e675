//! What is remembered of questions, so that answers can be told from what nobody asked for.

use core::cell::Cell;

use bytemuck::{Pod, Zeroable};

/// Times of the last questions of an exact tuple, nanoseconds since boot: of its lower end, and of its higher one.
/// 0 is never.
pub type Asked = [Cell<u64>; 2];

/// Conversations that one bucket of the table holds.
pub const WAYS: usize = 8;

/// Bits of a tag that do not tell the client.
pub const TAG_BITS: u32 = 40;

/// Two cache lines of the conversation table: who asked whom, and when last. All CPUs share it. Each word is read
/// and written as a whole; a bucket is not.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Conversations {
    /// Hash of both ends, that of the client above [`TAG_BITS`]; 0 is an empty way.
    pub tag: [Cell<u64>; WAYS],
    /// Time of the last question, nanoseconds since boot.
    pub asked: [Cell<u64>; WAYS],
}

/// What the agent tells a running generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Control {
    /// Until then answers without a question are reported and not dropped. Nanoseconds since boot.
    pub grace_until_ns: u64,
    /// What time it is, where [`super::Setting::TestClock`] is set. Nanoseconds.
    pub test_ns: u64,
    /// Not 0: nothing is reported, because the packets are not real.
    pub quiet: u64,
}
